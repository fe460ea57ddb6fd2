//! Reads expressions. Whether a text is one is judged when the columns are known.

use shipway_core::Name;

use crate::{
    parse::reader::{Located, Reader},
    yaml::{Content, Node},
};

/// Named expressions in the order written.
pub(crate) type Expressions = Vec<(Located<Name>, Located<String>)>;

/// A map of names to expressions, of at least one.
pub(super) fn read(what: &str, node: &Node, reader: &mut Reader<'_>) -> Expressions {
    let Content::Map(map) = &node.content else {
        let hint = format!("write {what}: {{ name: \"expression\", \u{2026} }}");
        reader.refuse(node.line, format!("{what} is a map, got {}", node.content.word()), Some(hint));
        return Vec::new();
    };
    if map.is_empty() {
        reader.refuse(node.line, format!("{what} is empty"), None);
    }
    let mut expressions: Expressions = Vec::new();
    for (key, node) in map {
        let Some(name) = reader.name_of("column", key.line, &key.text) else { continue };
        if expressions.iter().any(|(other, _)| other.value == name.value) {
            reader.refuse(key.line, format!("column {} is given twice in {what}", name.value), None);
            continue;
        }
        if let Some(text) = reader.text(&format!("the expression of {}", name.value), node) {
            expressions.push((name, trimmed(text)));
        }
    }
    expressions
}

/// One expression.
pub(super) fn read_one(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<Located<String>> {
    reader.text(what, node).map(trimmed)
}

/// Blanks at the ends come from how YAML was written, and mean nothing.
fn trimmed(text: Located<String>) -> Located<String> {
    Located { line: text.line, value: text.value.trim().to_owned() }
}
