//! Reads the batch part of a source: files or a Delta table, and how their columns are called.

use std::collections::{BTreeMap, BTreeSet};

use shipway_core::{Length, Location, Name, nearest};

use crate::{
    Batch, BatchFormat, BatchFrom,
    parse::reader::{Columns, Fields, Reader},
    yaml::{Content, Node},
};

pub(crate) const FIELDS: &[&str] = &["files", "delta", "format", "nulls", "columns", "optional", "every"];

/// The file names say what a file is; a wildcard at the end says nothing.
const ENDINGS: [&str; 7] = [".csv", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".jsonl.gz", ".ndjson.gz"];
const SHORTEST_EVERY_US: i64 = 60_000_000;

/// Reads the batch part; columns are judged against the `declared` ones, of which `event_time` must never be missing.
pub(super) fn read(
    node: &Node,
    declared: &Columns,
    needed: &[&Name],
    reader: &mut Reader<'_>,
) -> Option<Batch> {
    let fields = Fields::of(node, FIELDS, " in batch", reader)?;
    let from = read_from(&fields, reader);
    let columns = fields.optional("columns").map(|node| renamed(node, declared, reader)).unwrap_or_default();
    let optional = fields.optional("optional").map(|node| optional(node, declared, needed, reader));
    let every = fields.optional("every").and_then(|node| every(node, reader));
    Some(Batch { from: from?, columns, optional: optional.unwrap_or_default(), every })
}

fn read_from(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<BatchFrom> {
    match (fields.optional("files"), fields.optional("delta")) {
        (Some(files), None) => {
            let pattern = location("files", files, reader)?;
            let format = fields.optional("format").and_then(|node| format(node, reader));
            let nulls = fields.optional("nulls").map(|node| nulls(node, reader)).unwrap_or_default();
            let text = pattern.to_string();
            let says_nothing = !ENDINGS.iter().any(|ending| text.ends_with(ending));
            if says_nothing && fields.optional("format").is_none() {
                let hint = format!("end it with one of {}, or add format", ENDINGS.join(", "));
                let message = format!("files {text} does not say what format the files have");
                reader.refuse(files.line, message, Some(hint));
                return None;
            }
            Some(BatchFrom::Files { pattern, format, nulls })
        }
        (None, Some(delta)) => {
            let table = location("delta", delta, reader)?;
            if table.is_pattern() {
                let hint = "name the folder of one table".to_owned();
                reader.refuse(delta.line, format!("delta {table} holds wildcards"), Some(hint));
            }
            for name in ["format", "nulls"] {
                if let Some(node) = fields.optional(name) {
                    reader.refuse(
                        node.line,
                        format!("{name} is for files, and this is a Delta table"),
                        Some(format!("leave {name} out")),
                    );
                }
            }
            Some(BatchFrom::Delta { table })
        }
        (Some(_), Some(delta)) => {
            let hint = "a source has one of the two; the other can be a source of its own".to_owned();
            reader.refuse(delta.line, "batch has both files and delta".to_owned(), Some(hint));
            None
        }
        (None, None) => {
            let hint =
                "add files: with a path or an s3:// address, or delta: with a table's folder".to_owned();
            reader.refuse(fields.line, "batch names neither files nor delta".to_owned(), Some(hint));
            None
        }
    }
}

fn location(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<Location> {
    let text = reader.text(what, node)?;
    match Location::parse(&text.value) {
        Ok(location) => Some(location),
        Err(refused) => {
            let hint = "such as s3://bucket/departures/*/*.parquet or /data/departures/**/*.csv".to_owned();
            reader.refuse(text.line, format!("{what} {refused}"), Some(hint));
            None
        }
    }
}

fn format(node: &Node, reader: &mut Reader<'_>) -> Option<BatchFormat> {
    let text = reader.text("format", node)?;
    let found = BatchFormat::ALL.into_iter().find(|format| format.word() == text.value);
    if found.is_none() {
        let words = BatchFormat::ALL.map(BatchFormat::word);
        let hint = nearest(&text.value, words).map_or_else(
            || format!("the formats are {}", words.join(", ")),
            |nearest| format!("did you mean {nearest}?"),
        );
        reader.refuse(text.line, format!("format {} does not exist in batch", text.value), Some(hint));
    }
    found
}

fn nulls(node: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    let items = reader.list("nulls", node);
    items.iter().filter_map(|node| reader.text("a word of nulls", node)).map(|text| text.value).collect()
}

fn every(node: &Node, reader: &mut Reader<'_>) -> Option<Length> {
    let length = reader.length("every", node)?;
    if length.value.micros() < SHORTEST_EVERY_US {
        let hint = "write 1m or more; `shipway sources refresh` looks at once".to_owned();
        reader.refuse(length.line, format!("every {} is shorter than a minute", length.value), Some(hint));
    }
    Some(length.value)
}

fn renamed(node: &Node, declared: &Columns, reader: &mut Reader<'_>) -> BTreeMap<Name, String> {
    let Content::Map(map) = &node.content else {
        let hint = "write columns: { name in the source: name there, … }".to_owned();
        let message = format!("columns in batch is a map, got {}", node.content.word());
        reader.refuse(node.line, message, Some(hint));
        return BTreeMap::new();
    };
    let mut renamed: BTreeMap<Name, String> = BTreeMap::new();
    for (key, node) in map {
        let Some(name) = reader.name_of("column", key.line, &key.text) else { continue };
        if !is_declared(&name.value, name.line, declared, reader) {
            continue;
        }
        let Some(there) = reader.text(&format!("the name of column {} in batch", name.value), node) else {
            continue;
        };
        if renamed.insert(name.value.clone(), there.value).is_some() {
            reader.refuse(key.line, format!("column {} is given twice in batch", name.value), None);
        }
    }
    for (at, (name, _)) in declared.iter().enumerate() {
        let own = there(&renamed, &name.value);
        if let Some((twin, _)) = declared[..at].iter().find(|(twin, _)| there(&renamed, &twin.value) == own) {
            let message = format!("columns {} and {} are both {own} in batch", twin.value, name.value);
            let hint = "name a column of its own for each".to_owned();
            reader.refuse(node.line, message, Some(hint));
        }
    }
    renamed
}

fn there<'n>(renamed: &'n BTreeMap<Name, String>, name: &'n Name) -> &'n str {
    renamed.get(name).map_or_else(|| name.as_str(), String::as_str)
}

fn optional(node: &Node, declared: &Columns, needed: &[&Name], reader: &mut Reader<'_>) -> BTreeSet<Name> {
    let names = reader.names("optional", "column", node);
    for name in &names {
        if !is_declared(&name.value, name.line, declared, reader) {
            continue;
        }
        if needed.contains(&&name.value) {
            let message = format!("column {} cannot be optional in batch", name.value);
            let hint = "every event needs its time and, where events have one, its id".to_owned();
            reader.refuse(name.line, message, Some(hint));
        }
    }
    names.into_iter().map(|name| name.value).collect()
}

fn is_declared(name: &Name, line: u64, declared: &Columns, reader: &mut Reader<'_>) -> bool {
    // What could not be read of the columns was reported already.
    let is_known = declared.is_empty() || declared.iter().any(|(known, _)| known.value == *name);
    if !is_known {
        let near = nearest(name.as_str(), declared.iter().map(|(known, _)| known.value.as_str()));
        let hint = near.map_or_else(
            || "it goes from the source's name to the name there".to_owned(),
            |nearest| format!("did you mean {nearest}?"),
        );
        reader.refuse(line, format!("column {name} of batch is not in columns"), Some(hint));
    }
    is_known
}
