//! Maps of the file: every entry is taken, or listed as left out.

use super::Losses;
use crate::yaml::{Content, Node};

/// A map at its place. What is not taken when it is left is listed.
#[derive(Debug)]
pub(super) struct Section<'n> {
    path: String,
    left: Vec<Field<'n>>,
}

/// An entry of a map.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) name: &'n str,
    /// `router_settings.timeout`.
    pub(super) place: String,
    pub(super) line: u64,
    pub(super) node: &'n Node,
}

impl<'n> Section<'n> {
    /// The map at `path`; what is no map is listed, unless there is nothing.
    pub(super) fn of(path: String, node: &'n Node, losses: &mut Losses) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => {
                let field = |name: &'n str, line, node| {
                    let place = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    Field { name, place, line, node }
                };
                let left =
                    entries.iter().map(|(key, node)| field(key.text.as_str(), key.line, node)).collect();
                Some(Self { path, left })
            }
            Content::Null => None,
            other => {
                losses.say(node.line, path, format!("a map is expected, this is {}", other.word()));
                None
            }
        }
    }

    /// The entry of that name. Where a key comes twice the last one counts, as YAML readers in Python have it.
    pub(super) fn take(&mut self, name: &str) -> Option<Field<'n>> {
        let mut found = None;
        self.left.retain(|field| {
            let is_it = field.name == name;
            if is_it {
                found = Some(field.clone());
            }
            !is_it
        });
        found.filter(|field: &Field<'_>| !matches!(field.node.content, Content::Null))
    }

    /// Every entry that is left.
    pub(super) fn take_all(&mut self) -> Vec<Field<'n>> {
        std::mem::take(&mut self.left)
    }

    /// The map of that name within.
    pub(super) fn inner(&mut self, name: &str, losses: &mut Losses) -> Option<Section<'n>> {
        let field = self.take(name)?;
        Section::of(field.place, field.node, losses)
    }

    /// A text; something else is listed.
    pub(super) fn text(&mut self, name: &str, losses: &mut Losses) -> Option<(Field<'n>, &'n str)> {
        let field = self.take(name)?;
        match &field.node.content {
            Content::Text(text) if !text.trim().is_empty() => Some((field.clone(), text.trim())),
            other => {
                losses.say(field.line, field.place, format!("text is expected, this is {}", other.word()));
                None
            }
        }
    }

    /// A number that is not negative, also one that is written as text; something else is listed.
    pub(super) fn number(&mut self, name: &str, losses: &mut Losses) -> Option<(Field<'n>, f64)> {
        let field = self.take(name)?;
        match field.number() {
            Some(number) => Some((field, number)),
            None => {
                losses.say(field.line, field.place, "a number from 0 is expected");
                None
            }
        }
    }

    /// A whole number from 0 to `most`; something else is listed.
    pub(super) fn count(&mut self, name: &str, most: u32, losses: &mut Losses) -> Option<u32> {
        let (field, number) = self.number(name, losses)?;
        let Some(count) = whole(number).and_then(|count| u32::try_from(count).ok()) else {
            losses.say(field.line, field.place, "a whole number is expected");
            return None;
        };
        if count > most {
            losses.say(field.line, field.place, format!("{most} at most: {most} is written"));
        }
        Some(count.min(most))
    }

    /// Lists everything that was not taken, each with what `reason` says of its name.
    pub(super) fn leave(self, losses: &mut Losses, reason: impl Fn(&str) -> String) {
        for field in self.left {
            // A setting that says nothing, or that something is off, has nothing to carry.
            let says_nothing = match &field.node.content {
                Content::Null | Content::Bool(false) => true,
                Content::List(items) => items.is_empty(),
                Content::Map(entries) => entries.is_empty(),
                _ => false,
            };
            if !says_nothing {
                losses.say(field.line, field.place, reason(field.name));
            }
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl Field<'_> {
    fn number(&self) -> Option<f64> {
        let number = match &self.node.content {
            #[expect(clippy::cast_precision_loss, reason = "settings are small numbers")]
            Content::Int(number) => *number as f64,
            Content::Float(number) => *number,
            Content::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        (number.is_finite() && number >= 0.0).then_some(number)
    }
}

/// A number without a part after the point.
pub(super) fn whole(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole, and small"
    )]
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}
