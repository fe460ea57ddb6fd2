//! Reads the pieces that definitions are made of, and refuses what does not belong, each at its line.

use std::{collections::BTreeMap, sync::Arc};

use shipway_aggregate::Window;
use shipway_core::{DataType, DecimalType, Length, Name, ScalarType, nearest};

use crate::{
    parse::{Report, metadata::read_tags},
    yaml::{Content, Node},
};

/// A value and the line where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) line: u64,
    pub(crate) value: T,
}

/// What every definition has.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) path: Arc<str>,
    pub(crate) line: u64,
    /// The kind and the name, as messages say it.
    pub(crate) thing: String,
    pub(crate) name: Name,
    /// The name could not be read, and `name` only stands in its place.
    pub(crate) nameless: bool,
    pub(crate) description: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) tags: Vec<String>,
    /// A part could not be read: nothing is said about things that refer to this one's parts.
    pub(crate) broken: bool,
}

/// Typed columns in the order written.
pub(crate) type Columns = Vec<(Located<Name>, DataType)>;

/// Whether columns may be lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    Allowed,
    Refused,
}

/// Reads one document; every refusal names `thing`.
pub(crate) struct Reader<'r> {
    path: &'r Arc<str>,
    pub(crate) thing: String,
    report: &'r mut Report,
    errors_before: usize,
}

/// The fields of a map.
pub(crate) struct Fields<'n> {
    pub(crate) line: u64,
    entries: BTreeMap<&'n str, &'n Node>,
    within: &'static str,
}

impl<'n> Fields<'n> {
    /// The fields of `node`, those that are not `known` refused. `within` says where, in words: ` in freshness`.
    pub(crate) fn of(
        node: &'n Node,
        known: &'static [&'static str],
        within: &'static str,
        reader: &mut Reader<'_>,
    ) -> Option<Self> {
        let Content::Map(map) = &node.content else {
            let message = format!("expected a map{within}, got {}", node.content.word());
            reader.refuse(node.line, message, Some(format!("the fields are {}", known.join(", "))));
            return None;
        };
        let mut entries = BTreeMap::new();
        for (key, value) in map {
            let name = key.text.as_str();
            if !known.contains(&name) {
                let hint = nearest(name, known.iter().copied()).map_or_else(
                    || format!("the fields are {}", known.join(", ")),
                    |nearest| format!("did you mean {nearest}?"),
                );
                reader.refuse(key.line, format!("field {name} does not exist{within}"), Some(hint));
            } else if entries.insert(name, value).is_some() {
                reader.refuse(key.line, format!("field {name} is given twice{within}"), None);
            }
        }
        Some(Self { line: node.line, entries, within })
    }

    /// A field that may be absent; null counts as absent.
    pub(crate) fn optional(&self, name: &str) -> Option<&'n Node> {
        self.entries.get(name).copied().filter(|node| !matches!(node.content, Content::Null))
    }

    /// Whether the field is there, null or not.
    pub(crate) fn is_written(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &str, reader: &mut Reader<'_>) -> Option<&'n Node> {
        let node = self.optional(name);
        if node.is_none() {
            reader.refuse(self.line, format!("{name} is missing{}", self.within), None);
        }
        node
    }
}

impl<'r> Reader<'r> {
    pub(crate) fn new(path: &'r Arc<str>, thing: String, report: &'r mut Report) -> Self {
        let errors_before = report.count();
        Self { path, thing, report, errors_before }
    }

    pub(crate) fn refuse(&mut self, line: u64, message: String, hint: Option<String>) {
        self.report.refuse(self.path, line, format!("{}: {message}", self.thing), hint);
    }

    /// Whether this document has errors so far.
    pub(crate) fn has_refused(&self) -> bool {
        self.report.count() > self.errors_before
    }

    /// The head; `stand_in` takes the place of a name that cannot be read.
    pub(crate) fn head(&mut self, fields: &Fields<'_>, stand_in: Name) -> Head {
        let name = fields.required("name", self).and_then(|node| self.name("name", node));
        let nameless = name.is_none();
        let description = fields.optional("description").and_then(|node| self.text("description", node));
        let owner = fields.optional("owner").and_then(|node| self.text("owner", node));
        let tags = fields.optional("tags").map(|node| read_tags(node, self)).unwrap_or_default();
        let name = name.unwrap_or(Located { line: fields.line, value: stand_in });
        Head {
            path: self.path.clone(),
            line: name.line,
            thing: self.thing.clone(),
            name: name.value,
            nameless,
            description: description.map(|located| located.value),
            owner: owner.map(|located| located.value),
            tags,
            broken: false,
        }
    }

    pub(crate) fn text(&mut self, what: &str, node: &Node) -> Option<Located<String>> {
        if let Content::Text(text) = &node.content
            && !text.trim().is_empty()
        {
            return Some(Located { line: node.line, value: text.clone() });
        }
        let got = if matches!(node.content, Content::Text(_)) { "nothing" } else { node.content.word() };
        let hint = matches!(node.content, Content::Bool(_) | Content::Int(_) | Content::Float(_))
            .then(|| "put it in quotes".to_owned());
        self.refuse(node.line, format!("{what} is text, got {got}"), hint);
        None
    }

    pub(crate) fn name(&mut self, what: &str, node: &Node) -> Option<Located<Name>> {
        let text = self.text(what, node)?;
        self.name_of(what, text.line, &text.value)
    }

    pub(crate) fn name_of(&mut self, what: &str, line: u64, text: &str) -> Option<Located<Name>> {
        match Name::new(text) {
            Ok(value) => Some(Located { line, value }),
            Err(error) => {
                let hint = if text.starts_with('_') {
                    "names that start with _ belong to the system; rename it"
                } else {
                    "use a lower-case letter, then at most 62 of a-z, 0-9 and _"
                };
                self.refuse(line, format!("{what} `{}` is not a name", error.0), Some(hint.to_owned()));
                None
            }
        }
    }

    pub(crate) fn length(&mut self, what: &str, node: &Node) -> Option<Located<Length>> {
        let text = match &node.content {
            Content::Int(number) => number.to_string(),
            Content::Float(number) => number.to_string(),
            _ => self.text(what, node)?.value,
        };
        match text.parse::<Length>() {
            Ok(value) => Some(Located { line: node.line, value }),
            Err(_) => {
                let hint = "write a whole number and one of s, m, h, d, w, such as 30m; the smallest is 1s";
                let message = format!("{what} `{text}` is not a length of time");
                self.refuse(node.line, message, Some(hint.to_owned()));
                None
            }
        }
    }

    pub(crate) fn window(&mut self, node: &Node) -> Option<Located<Window>> {
        if let Content::Text(text) = &node.content
            && text == "lifetime"
        {
            return Some(Located { line: node.line, value: Window::Lifetime });
        }
        let text = match &node.content {
            Content::Int(number) => number.to_string(),
            Content::Float(number) => number.to_string(),
            _ => self.text("window", node)?.value,
        };
        match text.parse::<Window>() {
            Ok(value) => Some(Located { line: node.line, value }),
            Err(_) => {
                let hint = "write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s";
                self.refuse(
                    node.line,
                    format!("window `{text}` is not a length of time"),
                    Some(hint.to_owned()),
                );
                None
            }
        }
    }

    /// A number; infinities and NaN are refused.
    pub(crate) fn number(&mut self, what: &str, node: &Node) -> Option<f64> {
        let number = match &node.content {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a bound that a person writes; nearest float is meant"
            )]
            Content::Int(number) => Some(*number as f64),
            Content::Float(number) if number.is_finite() => Some(*number),
            _ => None,
        };
        if number.is_none() {
            let got =
                if let Content::Float(_) = node.content { "no finite one" } else { node.content.word() };
            self.refuse(node.line, format!("{what} is a number, got {got}"), None);
        }
        number
    }

    /// The items of a list of at least one.
    pub(crate) fn list<'n>(&mut self, what: &str, node: &'n Node) -> &'n [Node] {
        match &node.content {
            Content::List(items) if !items.is_empty() => items,
            Content::List(_) => {
                self.refuse(node.line, format!("{what} is empty"), None);
                &[]
            }
            other => {
                let message = format!("{what} is a list, got {}", other.word());
                self.refuse(node.line, message, Some(format!("write {what}: […]")));
                &[]
            }
        }
    }

    pub(crate) fn names(&mut self, what: &str, item: &str, node: &Node) -> Vec<Located<Name>> {
        self.list(what, node).iter().filter_map(|node| self.name(item, node)).collect()
    }

    /// A map of names to types, of at least one.
    pub(crate) fn columns(&mut self, what: &str, item: &str, node: &Node, lists: Lists) -> Columns {
        let Content::Map(map) = &node.content else {
            let hint = format!("write {what}: {{ name: type, … }}");
            self.refuse(node.line, format!("{what} is a map, got {}", node.content.word()), Some(hint));
            return Vec::new();
        };
        if map.is_empty() {
            self.refuse(node.line, format!("{what} is empty"), None);
        }
        let mut columns: Columns = Vec::new();
        for (key, node) in map {
            let Some(name) = self.name_of(item, key.line, &key.text) else { continue };
            if columns.iter().any(|(other, _)| other.value == name.value) {
                self.refuse(key.line, format!("{item} {} is given twice", name.value), None);
                continue;
            }
            if let Some(data_type) = self.data_type(item, &name.value, node, lists) {
                columns.push((name, data_type));
            }
        }
        columns
    }

    fn data_type(&mut self, item: &str, name: &Name, node: &Node, lists: Lists) -> Option<DataType> {
        let word = self.text(&format!("the type of {item} {name}"), node)?.value;
        let found = word.parse().ok().filter(|wanted: &DataType| wanted.is_of_columns());
        match found {
            Some(DataType::List(_)) if lists == Lists::Refused => {
                let hint = "only the columns of a source can be lists".to_owned();
                self.refuse(node.line, format!("{item} {name} is {word}"), Some(hint));
                None
            }
            None => {
                let hint = hint_for_type(&word, lists);
                let message = format!("{item} {name} has the type {word}, which does not exist");
                self.refuse(node.line, message, Some(hint));
                None
            }
            found => found,
        }
    }
}

/// What to write instead of a word that is no type.
fn hint_for_type(word: &str, lists: Lists) -> String {
    let inner = word.strip_prefix("list(").unwrap_or(word);
    if inner.starts_with("decimal(") && !inner.contains(')') {
        return format!("in braces a comma ends a value: write it in quotes, \"{word},2)\"");
    }
    if inner.starts_with("decimal") {
        let most = DecimalType::MOST_DIGITS;
        return format!(
            "write decimal(18,2): 1 to {most} digits, and how many of them stand after the point"
        );
    }
    let plain = ScalarType::PLAIN.map(|scalar| scalar.to_string()).join(", ");
    let types = format!("the types are {plain}, decimal(18,2)");
    match lists {
        Lists::Refused => types,
        Lists::Allowed => format!("{types}, and list(…) of each"),
    }
}
