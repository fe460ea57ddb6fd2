//! Whether a value fits a schema, in a bounded number of steps.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
};

use regex::Regex;
use serde_json::{Map, Value};

use super::{lookup, members, number};

/// The most steps for one text, of about a microsecond.
const MOST_STEPS: usize = 1_000_000;
/// The most schemas within each other, counted on the way.
const DEEPEST: usize = 192;
/// A step for so many bytes that are looked at.
const BYTES_OF_A_STEP: usize = 64;

/// None: there are no steps left.
type Fits = Option<bool>;

pub(super) struct Judge<'s> {
    root: &'s Value,
    patterns: &'s BTreeMap<String, Regex>,
    left: usize,
    depth: usize,
}

impl<'s> Judge<'s> {
    pub(super) fn new(root: &'s Value, patterns: &'s BTreeMap<String, Regex>) -> Self {
        Self { root, patterns, left: MOST_STEPS, depth: 0 }
    }

    pub(super) fn fits(&mut self, value: &Value) -> Fits {
        self.schema(self.root, value)
    }

    fn step(&mut self, count: usize) -> Option<()> {
        self.left = self.left.checked_sub(count)?;
        Some(())
    }

    fn schema(&mut self, schema: &'s Value, value: &Value) -> Fits {
        self.step(1)?;
        let Some(keywords) = members(schema) else { return Some(schema.as_bool() != Some(false)) };
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        let fits = self.keywords(keywords, value);
        self.depth -= 1;
        fits
    }

    fn keywords(&mut self, schema: &'s Map<String, Value>, value: &Value) -> Fits {
        for (keyword, rule) in schema {
            self.step(1)?;
            let fits = match keyword.as_str() {
                "type" => is_of_types(rule, value),
                "const" => self.is_same(rule, value)?,
                "enum" => self.is_one_of(rule, value)?,
                "$ref" => match rule.as_str().and_then(|reference| lookup(self.root, reference)) {
                    Some(schema) => self.schema(schema, value)?,
                    None => true,
                },
                "allOf" => self.count(rule, value, |fitting, all| fitting == all)?,
                "anyOf" => self.count(rule, value, |fitting, _| fitting > 0)?,
                "oneOf" => self.count(rule, value, |fitting, _| fitting == 1)?,
                "dependentSchemas" => self.dependents(rule, value)?,
                "not" => !self.schema(rule, value)?,
                "if" => {
                    let branch = if self.schema(rule, value)? { "then" } else { "else" };
                    match schema.get(branch) {
                        Some(branch) => self.schema(branch, value)?,
                        None => true,
                    }
                }
                _ => match value {
                    Value::Number(value) => number_fits(keyword, rule, value),
                    Value::String(text) => self.text_fits(keyword, rule, text)?,
                    Value::Array(items) => self.items_fit(schema, keyword, rule, items)?,
                    Value::Object(members) => self.members_fit(schema, keyword, rule, members)?,
                    Value::Null | Value::Bool(_) => true,
                },
            };
            if !fits {
                return Some(false);
            }
        }
        Some(true)
    }

    /// How many of a list of schemas fit, judged by `is_good` of that and how many there are.
    fn count(&mut self, rule: &'s Value, value: &Value, is_good: fn(usize, usize) -> bool) -> Fits {
        let Some(schemas) = rule.as_array().filter(|schemas| !schemas.is_empty()) else { return Some(true) };
        let mut fitting = 0;
        for schema in schemas {
            fitting += usize::from(self.schema(schema, value)?);
        }
        Some(is_good(fitting, schemas.len()))
    }

    fn is_same(&mut self, rule: &Value, value: &Value) -> Fits {
        self.step(size(value))?;
        Some(number::same(rule, value))
    }

    fn is_one_of(&mut self, rule: &Value, value: &Value) -> Fits {
        let Some(all) = rule.as_array() else { return Some(true) };
        // Two that are the same have the same size, so one look costs what the smaller of both has.
        self.step(all.iter().map(|one| size(one).min(size(value))).sum())?;
        Some(all.iter().any(|one| number::same(one, value)))
    }

    fn matches(&mut self, pattern: &str, text: &str) -> Option<Option<bool>> {
        self.step(1 + text.len() / BYTES_OF_A_STEP)?;
        Some(self.patterns.get(pattern).map(|regex| regex.is_match(text)))
    }

    fn text_fits(&mut self, keyword: &str, rule: &Value, text: &str) -> Fits {
        self.step(text.len() / BYTES_OF_A_STEP)?;
        Some(match keyword {
            "minLength" => rule.as_u64().is_none_or(|least| text.chars().count() as u64 >= least),
            "maxLength" => rule.as_u64().is_none_or(|most| text.chars().count() as u64 <= most),
            "pattern" => match rule.as_str() {
                // One that could not be compiled says nothing.
                Some(pattern) => self.matches(pattern, text)?.unwrap_or(true),
                None => true,
            },
            _ => true,
        })
    }

    fn items_fit(
        &mut self,
        schema: &'s Map<String, Value>,
        keyword: &str,
        rule: &'s Value,
        items: &[Value],
    ) -> Fits {
        let count = items.len() as u64;
        Some(match keyword {
            "minItems" => rule.as_u64().is_none_or(|least| count >= least),
            "maxItems" => rule.as_u64().is_none_or(|most| count <= most),
            "uniqueItems" if rule.as_bool() == Some(true) => {
                self.step(items.iter().map(size).sum())?;
                let mut seen = HashSet::new();
                items.iter().all(|item| seen.insert(number::canonical(item)))
            }
            "prefixItems" => {
                for (schema, item) in rule.as_array().into_iter().flatten().zip(items) {
                    if !self.schema(schema, item)? {
                        return Some(false);
                    }
                }
                true
            }
            // A list of schemas is how older drafts write `prefixItems`: it says nothing here.
            "items" if !rule.is_array() => {
                let before = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for item in items.iter().skip(before) {
                    if !self.schema(rule, item)? {
                        return Some(false);
                    }
                }
                true
            }
            "contains" => {
                let mut fitting = 0;
                for item in items {
                    fitting += u64::from(self.schema(rule, item)?);
                }
                let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
                fitting >= bound("minContains").unwrap_or(1)
                    && bound("maxContains").is_none_or(|most| fitting <= most)
            }
            _ => true,
        })
    }

    fn members_fit(
        &mut self,
        schema: &'s Map<String, Value>,
        keyword: &str,
        rule: &'s Value,
        found: &Map<String, Value>,
    ) -> Fits {
        let count = found.len() as u64;
        let has = |name: &Value| name.as_str().is_none_or(|name| found.contains_key(name));
        Some(match keyword {
            "required" => {
                self.step(rule.as_array().map_or(0, Vec::len))?;
                rule.as_array().is_none_or(|names| names.iter().all(has))
            }
            "minProperties" => rule.as_u64().is_none_or(|least| count >= least),
            "maxProperties" => rule.as_u64().is_none_or(|most| count <= most),
            "properties" => {
                for (name, schema) in rule.as_object().into_iter().flatten() {
                    self.step(1)?;
                    let Some(member) = found.get(name) else { continue };
                    if !self.schema(schema, member)? {
                        return Some(false);
                    }
                }
                true
            }
            "dependentRequired" => {
                let all = rule.as_object().into_iter().flatten();
                let needed = all.filter(|(name, _)| found.contains_key(*name));
                let mut needed = needed.filter_map(|(_, names)| names.as_array()).flatten();
                needed.all(has)
            }
            "propertyNames" => {
                for name in found.keys() {
                    if !self.schema(rule, &Value::String(name.clone()))? {
                        return Some(false);
                    }
                }
                true
            }
            "patternProperties" => {
                for (pattern, schema) in rule.as_object().into_iter().flatten() {
                    for (name, member) in found {
                        if self.matches(pattern, name)? == Some(true) && !self.schema(schema, member)? {
                            return Some(false);
                        }
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, member) in found {
                    if self.is_additional(schema, name)? && !self.schema(rule, member)? {
                        return Some(false);
                    }
                }
                true
            }
            _ => true,
        })
    }

    /// Schemas of the whole value, each where it has a member of this name.
    fn dependents(&mut self, rule: &'s Value, value: &Value) -> Fits {
        for (name, schema) in rule.as_object().into_iter().flatten() {
            self.step(1)?;
            if value.get(name).is_some() && !self.schema(schema, value)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether neither `properties` nor a pattern speaks of a member. Of a pattern that could not be compiled nobody knows.
    fn is_additional(&mut self, schema: &Map<String, Value>, name: &str) -> Fits {
        self.step(1)?;
        let known = schema.get("properties").and_then(Value::as_object);
        if known.is_some_and(|known| known.contains_key(name)) {
            return Some(false);
        }
        for pattern in
            schema.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys)
        {
            if self.matches(pattern, name)? != Some(false) {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// About how much there is to look at.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::String(text) => 1 + text.len() / BYTES_OF_A_STEP,
        _ => 1,
    }
}

fn is_of_types(rule: &Value, value: &Value) -> bool {
    let is = |word: &Value| match (word.as_str(), value) {
        (Some("null"), Value::Null)
        | (Some("boolean"), Value::Bool(_))
        | (Some("string"), Value::String(_))
        | (Some("array"), Value::Array(_))
        | (Some("object"), Value::Object(_))
        | (Some("number"), Value::Number(_)) => true,
        (Some("integer"), Value::Number(number)) => number::whole(number).is_some(),
        (Some("null" | "boolean" | "string" | "array" | "object" | "number" | "integer"), _) => false,
        // A word that nobody knows says nothing.
        _ => true,
    };
    match rule {
        Value::Array(words) => words.iter().any(is),
        word => is(word),
    }
}

fn number_fits(keyword: &str, rule: &Value, value: &serde_json::Number) -> bool {
    let Value::Number(bound) = rule else { return true };
    let order = number::compare(value, bound);
    match keyword {
        "minimum" => order != Some(Ordering::Less),
        "maximum" => order != Some(Ordering::Greater),
        "exclusiveMinimum" => !matches!(order, Some(Ordering::Less | Ordering::Equal)),
        "exclusiveMaximum" => !matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        "multipleOf" => number::is_multiple(value, bound),
        _ => true,
    }
}
