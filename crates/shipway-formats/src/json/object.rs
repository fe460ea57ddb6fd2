//! An object by the tree of columns into the values of a row. What no column wants is skipped without being built.
//!
//! Where a name comes twice the later one counts, wholly, as in every other reader of JSON here: also where it is on the way
//! to a column, and also where the earlier one would not have fitted.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use shipway_core::Value;

use super::{malformed, tree::Tree, value::ValueSeed};
use crate::{columns::Places, convert::Judged, definition::UnknownFields, error::MessageError};

/// Reads one object, and nothing behind it.
pub(super) fn read(message: &[u8], tree: &Tree, places: &Places) -> Result<Vec<Value>, MessageError> {
    let mut reading = Reading {
        tree,
        places,
        slots: std::iter::repeat_with(|| None).take(tree.slots.len()).collect(),
        stranger: None,
        is_object: true,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(message);
    NodeSeed { reading: &mut reading, node: 0 }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| malformed(&error))?;
    if !reading.is_object {
        let reason = "it is another JSON value".to_owned();
        return Err(MessageError::Malformed { format: super::FORMAT, reason });
    }
    if let Some(stranger) = &reading.stranger {
        return Err(places.stranger_error(stranger));
    }
    reading.row()
}

struct Reading<'a> {
    tree: &'a Tree,
    places: &'a Places,
    /// What came for each slot so far.
    slots: Vec<Option<Judged>>,
    stranger: Option<String>,
    is_object: bool,
}

impl Reading<'_> {
    fn row(mut self) -> Result<Vec<Value>, MessageError> {
        let mut row = Vec::with_capacity(self.tree.choices.len());
        for (column, choices) in self.tree.choices.iter().enumerate() {
            let judged = choices.iter().find_map(|slot| self.slots[*slot].take());
            let value = judged.unwrap_or(Ok(Value::Null));
            row.push(value.map_err(|reason| self.places.mismatch(column, reason))?);
        }
        Ok(row)
    }

    /// Forgets what lies at and under a node.
    fn clear(&mut self, node: usize) {
        let (from, until) = self.tree.nodes[node].slots;
        self.slots[from..until].fill_with(|| None);
    }

    /// Notes that there is something else where an object should be.
    fn no_object(&mut self, node: usize, what: &str) {
        self.is_object &= node != 0;
        let (from, until) = self.tree.nodes[node].slots;
        self.slots[from..until].fill_with(|| Some(Err(format!("its path leads through {what}"))));
    }
}

/// Reads what stands at a node.
struct NodeSeed<'r, 'a> {
    reading: &'r mut Reading<'a>,
    node: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let (tree, places) = (self.reading.tree, self.reading.places);
        let node = &tree.nodes[self.node];
        if !node.is_value {
            return deserializer.deserialize_any(self);
        }
        let slot = node.slots.0;
        let filled = &tree.slots[slot];
        let wanted = places.wanted(filled.column);
        let seed = ValueSeed { wanted, described: &filled.described };
        self.reading.slots[slot] = Some(seed.deserialize(deserializer)?);
        Ok(())
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let tree = self.reading.tree;
        let keeps = self.reading.places.unknown == UnknownFields::Refuse;
        while let Some(member) = members.next_key_seed(NameSeed { node: &tree.nodes[self.node], keeps })? {
            match member {
                Member::Known(child) => {
                    self.reading.clear(child);
                    members.next_value_seed(NodeSeed { reading: self.reading, node: child })?;
                }
                Member::Unknown(name) => {
                    if self.reading.stranger.is_none() {
                        self.reading.stranger = name;
                    }
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.reading.is_object &= self.node != 0;
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.reading.no_object(self.node, "a boolean");
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.reading.no_object(self.node, "a number");
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.reading.no_object(self.node, "a number");
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.reading.no_object(self.node, "a number");
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.reading.no_object(self.node, "a text");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.reading.no_object(self.node, "an array");
        Ok(())
    }
}

/// A name in an object: one on the way to a column, or another.
enum Member {
    Known(usize),
    /// The name is kept only where it may be told.
    Unknown(Option<String>),
}

struct NameSeed<'a> {
    node: &'a super::tree::Node,
    keeps: bool,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        let unknown = || Member::Unknown(self.keeps.then(|| name.to_owned()));
        Ok(self.node.child(name).map_or_else(unknown, Member::Known))
    }
}
