//! YAML text as a tree of nodes that know their line, so that every later judgement can name the place.
//!
//! The reader's own types are never deserialised straight from YAML: that would stop at the first wrong field, and the
//! writer wants all of them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Spanned, budget, options, options::NonFiniteFloatPolicy};

/// Deeper nesting than any definition has, and shallow enough for any thread's stack.
const MAXIMUM_DEPTH: usize = 24;
const MAXIMUM_NODES: usize = 200_000;

/// A node of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The line where it starts, from 1.
    pub(crate) line: u64,
    pub(crate) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order written; a key may come twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) line: u64,
    pub(crate) text: String,
}

/// The text is not YAML.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// The non-empty documents of `text`.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let options = options! {
        budget: budget! { max_depth: MAXIMUM_DEPTH, max_nodes: MAXIMUM_NODES },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let documents: Vec<Spanned<Content>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| SyntaxError {
            line: error.location().map_or(1, |location| location.line().max(1)),
            message: without_place(&error.without_snippet().to_string()),
        })?;
    Ok(documents.into_iter().map(Node::from).collect())
}

/// The sentence without its place, which is said in our own way.
fn without_place(message: &str) -> String {
    let sentence = message.lines().next().unwrap_or_default();
    sentence.split(" at line ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

impl Content {
    /// What it is, in words.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        Self { line: spanned.referenced.line().max(1), content: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, a number, a boolean, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Int(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Content, E> {
        Ok(Content::Int(number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Content, E> {
        Ok(i128::try_from(number).map_or(Content::Float(f64::INFINITY), Content::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Content, E> {
        Ok(Content::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Content>>()? {
            list.push(item.into());
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Content>>()? {
            map.push((Key { line: key.referenced.line().max(1), text: key.value }, value.into()));
        }
        Ok(Content::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(node: &Node) -> String {
        let inner = match &node.content {
            Content::List(list) => format!("[{}]", list.iter().map(shape).collect::<Vec<_>>().join(", ")),
            Content::Map(map) => {
                let entries: Vec<_> = map
                    .iter()
                    .map(|(key, value)| format!("{}@{}: {}", key.text, key.line, shape(value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Content::Text(text) => format!("'{text}'"),
            other => format!("{other:?}"),
        };
        format!("{inner}@{}", node.line)
    }

    #[test]
    fn nodes_and_keys_know_their_line_in_the_file() {
        let documents =
            documents("# first\nname: a\nwindows:\n  - 30m\n  - 1\n---\nkind: {x: on,\n  y: ~}\n").unwrap();
        let shapes: Vec<_> = documents.iter().map(shape).collect();
        insta::assert_snapshot!(shapes.join("\n"), @r"
        {name@2: 'a'@2, windows@3: ['30m'@4, Int(1)@5]@4}@2
        {kind@7: {x@7: 'on'@7, y@8: Null@8}@7}@7
        ");
    }

    #[test]
    fn a_key_that_comes_twice_is_kept_for_the_reader_to_judge() {
        let documents = documents("a: 1\na: 2\n").unwrap();
        insta::assert_snapshot!(shape(&documents[0]), @"{a@1: Int(1)@1, a@2: Int(2)@2}@1");
    }

    #[test]
    fn text_that_is_not_yaml_names_its_line() {
        let error = documents("a: 1\nb: [1, 2\nc: }\n").unwrap_err();
        insta::assert_snapshot!(format!("{}: {}", error.line, error.message), @"3: illegal placement of ':' indicator");
    }

    #[test]
    fn nesting_and_aliases_are_bounded() {
        assert!(documents(&"[".repeat(100_000)).is_err());
        assert!(documents(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert!(documents(&bomb).is_err());
    }
}
