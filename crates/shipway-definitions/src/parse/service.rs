//! Reads a service.

use shipway_core::{Name, Sampling};

use crate::{
    parse::reader::{Columns, Fields, Head, Lists, Located, Reader},
    yaml::{Content, Node},
};

pub(super) const FIELDS: &[&str] = &["kind", "name", "views", "request", "log", "description", "owner"];

/// A service as it is written.
#[derive(Debug)]
pub(crate) struct ServiceDraft {
    pub(crate) head: Head,
    pub(crate) views: Vec<Located<ViewChoice>>,
    pub(crate) request: Columns,
    pub(crate) log: Sampling,
}

/// A view, or one feature of it.
#[derive(Debug, Clone)]
pub(crate) struct ViewChoice {
    pub(crate) view: Name,
    pub(crate) feature: Option<Name>,
}

pub(super) fn read(mut head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> ServiceDraft {
    let views = match fields.optional("views") {
        Some(node) => {
            reader.list("views", node).iter().filter_map(|node| read_choice(node, reader)).collect()
        }
        None => Vec::new(),
    };
    let request = match fields.optional("request") {
        Some(node) => reader.columns("request", "request column", node, Lists::Refused),
        None => Vec::new(),
    };
    if fields.optional("views").is_none() && fields.optional("request").is_none() {
        let hint = "list its views with `views: […]`".to_owned();
        reader.refuse(fields.line, "views is missing".to_owned(), Some(hint));
    }
    let log = fields.optional("log").and_then(|node| read_log(node, reader)).unwrap_or_default();
    head.broken = reader.has_refused();
    ServiceDraft { head, views, request, log }
}

fn read_log(node: &Node, reader: &mut Reader<'_>) -> Option<Sampling> {
    let sampling = match &node.content {
        Content::Text(word) if word == "all" => Some(Sampling::All),
        Content::Text(word) if word == "off" => Some(Sampling::Off),
        Content::Int(_) | Content::Float(_) => reader.number("log", node).and_then(Sampling::of_fraction),
        _ => None,
    };
    if sampling.is_none() {
        let message = "log says which served vectors are logged".to_owned();
        let hint = "write all, off, or the share of keys between 0 and 1, such as 0.05".to_owned();
        reader.refuse(node.line, message, Some(hint));
    }
    sampling
}

fn read_choice(node: &Node, reader: &mut Reader<'_>) -> Option<Located<ViewChoice>> {
    let text = reader.text("a view", node)?;
    let (view, feature) = match text.value.split_once(':') {
        Some((view, feature)) => (view, Some(feature)),
        None => (text.value.as_str(), None),
    };
    let view = reader.name_of("view", text.line, view)?.value;
    let feature = match feature {
        Some(feature) => Some(reader.name_of("feature", text.line, feature)?.value),
        None => None,
    };
    Some(Located { line: text.line, value: ViewChoice { view, feature } })
}
