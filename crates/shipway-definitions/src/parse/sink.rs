//! Reads a sink.

use shipway_core::{Length, Name, nearest};

use crate::{
    Sink, SinkFormat, SinkFrom, SinkTo,
    parse::{
        reader::{Fields, Head, Located, Reader},
        stream,
    },
    yaml::Node,
};

pub(super) const FIELDS: &[&str] = &["kind", "name", "from", "to", "every", "description", "owner", "tags"];
pub(crate) const FROM_FIELDS: &[&str] = &["view", "deployment", "table"];
pub(crate) const TO_FIELDS: &[&str] = &["broker", "topic", "format", "key", "table"];

/// What belongs to a topic only.
const OF_TOPIC: [&str; 4] = ["broker", "topic", "format", "key"];
/// The longest name that a table can have.
const LONGEST_TABLE: usize = 126;

/// A sink as it is written.
#[derive(Debug)]
pub(crate) struct SinkDraft {
    pub(crate) head: Head,
    pub(crate) from: Option<Located<SinkFrom>>,
    pub(crate) to: Option<Located<SinkTo>>,
    pub(crate) every: Option<Length>,
}

impl SinkDraft {
    /// The definition, once everything is known to be there and to fit.
    pub(crate) fn into_sink(self) -> Option<Sink> {
        let Self { head, from, to, every } = self;
        let Head { name, description, owner, tags, .. } = head;
        Some(Sink { name, from: from?.value, to: to?.value, every, description, owner, tags })
    }
}

pub(super) fn read(mut head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> SinkDraft {
    let from = fields.required("from", reader).and_then(|node| read_from(node, reader));
    let to = fields.required("to", reader).and_then(|node| read_to(node, reader));
    let every = fields.optional("every").and_then(|node| reader.length("every", node));
    if let (Some(from), Some(to)) = (&from, &to) {
        check_pair(from, to, reader);
    }
    head.broken = reader.has_refused();
    SinkDraft { head, from, to, every: every.map(|every| every.value) }
}

/// What only makes sense together.
fn check_pair(from: &Located<SinkFrom>, to: &Located<SinkTo>, reader: &mut Reader<'_>) {
    match (&from.value, &to.value) {
        (SinkFrom::View(_), SinkTo::Topic { key, .. }) if !key.is_empty() => {
            let hint = "leave key out: rows of a view have the keys of its entity".to_owned();
            reader.refuse(to.line, "key is for tables and deployments".to_owned(), Some(hint));
        }
        (SinkFrom::Deployment(_) | SinkFrom::Table(_), SinkTo::Table(table)) => {
            let message = format!("rows of {} would go from one table into table {table}", from.value);
            let hint = "they are in a table already; send them to a topic".to_owned();
            reader.refuse(to.line, message, Some(hint));
        }
        _ => {}
    }
}

fn read_from(node: &Node, reader: &mut Reader<'_>) -> Option<Located<SinkFrom>> {
    let fields = Fields::of(node, FROM_FIELDS, " in from", reader)?;
    let given: Vec<(&str, &Node)> =
        FROM_FIELDS.iter().filter_map(|name| Some((*name, fields.optional(name)?))).collect();
    let [(what, named)] = given.as_slice() else {
        let hint = "write one of `view: …`, `deployment: …` and `table: …`".to_owned();
        let message = if given.is_empty() { "from says nothing" } else { "from names more than one thing" };
        reader.refuse(fields.line, message.to_owned(), Some(hint));
        return None;
    };
    let value = match *what {
        "view" => SinkFrom::View(reader.name("view", named)?.value),
        "deployment" => SinkFrom::Deployment(reader.name("deployment", named)?.value),
        _ => SinkFrom::Table(table(named, reader)?),
    };
    Some(Located { line: named.line, value })
}

/// The name of a table that may be one of the system's: longer than other names.
fn table(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text("table", node)?;
    let mut bytes = text.value.bytes();
    let begins = bytes.next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if begins && goes_on && text.value.len() <= LONGEST_TABLE {
        return Some(text.value);
    }
    let hint = "use a lower-case letter, then at most 125 of a-z, 0-9 and _".to_owned();
    reader.refuse(text.line, format!("table `{}` is not the name of a table", text.value), Some(hint));
    None
}

fn read_to(node: &Node, reader: &mut Reader<'_>) -> Option<Located<SinkTo>> {
    let fields = Fields::of(node, TO_FIELDS, " in to", reader)?;
    let line = fields.line;
    if let Some(table) = fields.optional("table") {
        for foreign in OF_TOPIC {
            if let Some(node) = fields.optional(foreign) {
                let hint = "make two sinks of them".to_owned();
                reader.refuse(node.line, format!("to names a table and a {foreign}"), Some(hint));
            }
        }
        let name = reader.name("table", table)?.value;
        return Some(Located { line, value: SinkTo::Table(name) });
    }
    if OF_TOPIC.iter().all(|field| fields.optional(field).is_none()) {
        let hint = "write `broker: …`, `topic: …` and `format: …`, or `table: …`".to_owned();
        reader.refuse(line, "to says nothing".to_owned(), Some(hint));
        return None;
    }
    let broker = fields.required("broker", reader).and_then(|node| reader.name("broker", node));
    let topic = fields.required("topic", reader).and_then(|node| stream::topic(node, reader));
    let format = fields.required("format", reader).and_then(|node| format(node, reader));
    let key = fields.optional("key").map(|node| key(node, reader)).unwrap_or_default();
    Some(Located {
        line,
        value: SinkTo::Topic { broker: broker?.value, topic: topic?, format: format?, key },
    })
}

fn format(node: &Node, reader: &mut Reader<'_>) -> Option<SinkFormat> {
    let text = reader.text("format", node)?;
    let words = || SinkFormat::ALL.iter().map(|format| format.word());
    let found = SinkFormat::ALL.iter().copied().find(|format| format.word() == text.value);
    if found.is_none() {
        let hint = match nearest(&text.value, words()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("write one of {}", words().collect::<Vec<_>>().join(", ")),
        };
        reader.refuse(text.line, format!("format {} cannot be sent", text.value), Some(hint));
    }
    found
}

/// The columns of the key, by the names that they have in the table.
fn key(node: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for node in reader.list("key", node) {
        let Some(column) = reader.text("a column of key", node) else { continue };
        if columns.contains(&column.value) {
            reader.refuse(column.line, format!("column {} is twice in key", column.value), None);
            continue;
        }
        columns.push(column.value);
    }
    columns
}

impl Located<SinkTo> {
    /// The table that the rows go to, if they go to one.
    pub(crate) fn table(&self) -> Option<&Name> {
        match &self.value {
            SinkTo::Table(table) => Some(table),
            SinkTo::Topic { .. } => None,
        }
    }
}
