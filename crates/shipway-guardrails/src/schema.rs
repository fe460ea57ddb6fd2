//! Answers that must be JSON of a shape: JSON Schema, in bounded time.
//!
//! A schema is judged by a walk over the text with a bound on its steps: `anyOf` within `$ref` can double the work with every level, and a
//! schema may come from whoever asks. Patterns are of the linear engine, and nothing is ever fetched. `format` says nothing, as the
//! specification has it.

mod judge;
mod number;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::{detector::BadDetector, find::compiled};
use judge::Judge;

/// The longest text that is checked.
const LONGEST_TEXT: usize = 4 << 20;
const LONGEST_SCHEMA: usize = 64 << 10;
const LONGEST_PATTERN: usize = 1_024;
const MOST_PATTERNS: usize = 256;
const DEEPEST_SCHEMA: usize = 64;

/// What a keyword holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Something that is no schema and decides.
    Rule,
    /// Something for people.
    Note,
    Schema,
    Schemas,
    /// Schemas by name.
    Named,
    /// Schemas by pattern.
    Patterns,
    Pattern,
    Reference,
}

const KEYWORDS: &[(&str, Holds)] = &[
    ("type", Holds::Rule),
    ("enum", Holds::Rule),
    ("const", Holds::Rule),
    ("minimum", Holds::Rule),
    ("maximum", Holds::Rule),
    ("exclusiveMinimum", Holds::Rule),
    ("exclusiveMaximum", Holds::Rule),
    ("multipleOf", Holds::Rule),
    ("minLength", Holds::Rule),
    ("maxLength", Holds::Rule),
    ("minItems", Holds::Rule),
    ("maxItems", Holds::Rule),
    ("uniqueItems", Holds::Rule),
    ("minContains", Holds::Rule),
    ("maxContains", Holds::Rule),
    ("required", Holds::Rule),
    ("minProperties", Holds::Rule),
    ("maxProperties", Holds::Rule),
    ("dependentRequired", Holds::Rule),
    ("pattern", Holds::Pattern),
    ("patternProperties", Holds::Patterns),
    ("properties", Holds::Named),
    ("dependentSchemas", Holds::Named),
    ("$defs", Holds::Named),
    ("definitions", Holds::Named),
    ("additionalProperties", Holds::Schema),
    ("propertyNames", Holds::Schema),
    ("items", Holds::Schema),
    ("contains", Holds::Schema),
    ("not", Holds::Schema),
    ("if", Holds::Schema),
    ("then", Holds::Schema),
    ("else", Holds::Schema),
    ("prefixItems", Holds::Schemas),
    ("allOf", Holds::Schemas),
    ("anyOf", Holds::Schemas),
    ("oneOf", Holds::Schemas),
    ("$ref", Holds::Reference),
    ("$schema", Holds::Note),
    ("$comment", Holds::Note),
    ("title", Holds::Note),
    ("description", Holds::Note),
    ("default", Holds::Note),
    ("examples", Holds::Note),
    ("deprecated", Holds::Note),
    ("readOnly", Holds::Note),
    ("writeOnly", Holds::Note),
    ("format", Holds::Note),
];

/// What a text is that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is no JSON.
    NoJson,
    /// It is JSON of another shape.
    Shape,
    /// It is longer than what is checked.
    TooLong,
    /// To check it takes more steps than are taken.
    TooMuch,
}

impl Misfit {
    /// In words that say nothing of the text.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoJson => "a text that is no JSON",
            Self::Shape => "JSON that does not fit the schema",
            Self::TooLong => "a text that is too long to check",
            Self::TooMuch => "JSON that takes too long to check",
        }
    }
}

/// A schema that texts are checked against.
#[derive(Debug, Clone)]
pub struct TextSchema {
    root: Value,
    patterns: BTreeMap<String, Regex>,
}

impl TextSchema {
    /// A schema of an operator: whatever cannot be checked is refused.
    pub fn new(schema: &Value) -> Result<Self, BadDetector> {
        let bytes = schema.to_string().len();
        if bytes > LONGEST_SCHEMA {
            return Err(BadDetector::Schema(format!("it has more than {LONGEST_SCHEMA} bytes")));
        }
        let mut patterns = BTreeMap::new();
        walk(schema, schema, 0, &mut patterns)?;
        Ok(Self { root: schema.clone(), patterns })
    }

    /// A schema of a request: what cannot be checked says nothing, so a text that fits is never refused. None where it is too large.
    pub fn of_request(schema: &Value) -> Option<Self> {
        if schema.to_string().len() > LONGEST_SCHEMA {
            return None;
        }
        let mut patterns = BTreeMap::new();
        gather(schema, &mut patterns);
        Some(Self { root: schema.clone(), patterns })
    }

    /// Whether `text` is JSON that fits.
    pub fn check(&self, text: &str) -> Result<(), Misfit> {
        if text.len() > LONGEST_TEXT {
            return Err(Misfit::TooLong);
        }
        let value: Value = serde_json::from_str(text).map_err(|_| Misfit::NoJson)?;
        match Judge::new(&self.root, &self.patterns).fits(&value) {
            Some(true) => Ok(()),
            Some(false) => Err(Misfit::Shape),
            None => Err(Misfit::TooMuch),
        }
    }
}

fn bad(reason: impl Into<String>) -> BadDetector {
    BadDetector::Schema(reason.into())
}

/// Refuses what is not known or not written as it must be, and compiles patterns.
fn walk(
    schema: &Value,
    root: &Value,
    depth: usize,
    patterns: &mut BTreeMap<String, Regex>,
) -> Result<(), BadDetector> {
    let members = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(members) => members,
        _ => return Err(bad("a schema is an object, true or false")),
    };
    if depth > DEEPEST_SCHEMA {
        return Err(bad(format!("it is deeper than {DEEPEST_SCHEMA}")));
    }
    for (keyword, value) in members {
        let known = KEYWORDS.iter().find(|(name, _)| name == keyword);
        let Some((_, holds)) = known else {
            return Err(bad(format!("`{keyword}` is not checked here")));
        };
        let wrong = || bad(format!("`{keyword}` is not written as it must be"));
        let mut inner = |schema: &Value| walk(schema, root, depth + 1, patterns);
        match holds {
            Holds::Note => {}
            Holds::Rule if is_rule(keyword, value) => {}
            Holds::Rule => return Err(wrong()),
            Holds::Schema => inner(value)?,
            Holds::Schemas => {
                let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
                list.iter().try_for_each(inner)?;
            }
            Holds::Named => value.as_object().ok_or_else(wrong)?.values().try_for_each(inner)?,
            Holds::Patterns => {
                let named = value.as_object().ok_or_else(wrong)?;
                named.values().try_for_each(inner)?;
                named.keys().try_for_each(|pattern| compile(pattern, patterns))?;
            }
            Holds::Pattern => compile(value.as_str().ok_or_else(wrong)?, patterns)?,
            Holds::Reference => {
                let reference = value.as_str().ok_or_else(wrong)?;
                if lookup(root, reference).is_none() {
                    return Err(bad(format!("`$ref` {reference} leads to nothing within the schema")));
                }
            }
        }
    }
    Ok(())
}

fn is_rule(keyword: &str, value: &Value) -> bool {
    const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
    let is_type = |value: &Value| value.as_str().is_some_and(|word| TYPES.contains(&word));
    let is_names = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    match keyword {
        "const" => true,
        "type" => is_type(value) || value.as_array().is_some_and(|list| list.iter().all(is_type)),
        "enum" => value.is_array(),
        "required" => is_names(value),
        "dependentRequired" => value.as_object().is_some_and(|named| named.values().all(is_names)),
        "uniqueItems" => value.is_boolean(),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
        "multipleOf" => value.as_f64().is_some_and(|number| number > 0.0),
        _ => value.is_u64(),
    }
}

fn compile(pattern: &str, patterns: &mut BTreeMap<String, Regex>) -> Result<(), BadDetector> {
    if patterns.contains_key(pattern) {
        return Ok(());
    }
    if patterns.len() >= MOST_PATTERNS {
        return Err(BadDetector::TooMany { what: "patterns of the schema", most: MOST_PATTERNS });
    }
    if pattern.len() > LONGEST_PATTERN {
        return Err(bad(format!("a pattern is longer than {LONGEST_PATTERN} bytes")));
    }
    patterns.insert(
        pattern.to_owned(),
        compiled(pattern).map_err(|reason| bad(format!("pattern `{pattern}`: {reason}")))?,
    );
    Ok(())
}

/// Compiles what can be compiled; a pattern that cannot says nothing.
fn gather(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(pattern)) = members.get("pattern") {
                let _ = compile(pattern, patterns);
            }
            if let Some(Value::Object(named)) = members.get("patternProperties") {
                named.keys().for_each(|pattern| drop(compile(pattern, patterns)));
            }
            members.values().for_each(|value| gather(value, patterns));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, patterns)),
        _ => {}
    }
}

/// What `reference` leads to: `#`, or a JSON pointer behind it. Nothing elsewhere is looked for.
fn lookup<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let pointer = reference.strip_prefix('#')?;
    if pointer.is_empty() {
        return Some(root);
    }
    let decoded = percent_decoded(pointer)?;
    root.pointer(&decoded)
}

fn percent_decoded(pointer: &str) -> Option<String> {
    if !pointer.contains('%') {
        return Some(pointer.to_owned());
    }
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The members of a schema that is an object.
fn members(schema: &Value) -> Option<&Map<String, Value>> {
    schema.as_object()
}
