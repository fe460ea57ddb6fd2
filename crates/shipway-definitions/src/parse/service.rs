//! Reads a service.

use shipway_core::Sampling;

use crate::{
    parse::{
        choice::{ViewChoice, read_choices},
        expressions::{self, Expressions},
        reader::{Columns, Fields, Head, Lists, Located, Reader},
    },
    yaml::{Content, Node},
};

pub(super) const FIELDS: &[&str] =
    &["kind", "name", "views", "request", "compute", "log", "description", "owner", "tags"];

/// A service as it is written.
#[derive(Debug)]
pub(crate) struct ServiceDraft {
    pub(crate) head: Head,
    pub(crate) views: Vec<Located<ViewChoice>>,
    pub(crate) request: Columns,
    pub(crate) compute: Expressions,
    pub(crate) log: Sampling,
}

pub(super) fn read(mut head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> ServiceDraft {
    let views = match fields.optional("views") {
        Some(node) => read_choices("views", node, reader),
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
    let compute = fields.optional("compute").map(|node| expressions::read("compute", node, reader));
    let log = fields.optional("log").and_then(|node| read_log(node, reader)).unwrap_or_default();
    head.broken = reader.has_refused();
    ServiceDraft { head, views, request, compute: compute.unwrap_or_default(), log }
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
