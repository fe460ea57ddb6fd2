//! Reads a view.

use shipway_aggregate::{Operation, Over, Window};
use shipway_core::{Length, Name, nearest};

use crate::{
    Beyond, Deprecation, Freshness, Pii,
    parse::{
        choice::{ViewChoice, read_choices},
        expressions::{self, Expressions},
        metadata::{FeatureNote, read_deprecated, read_features, read_pii},
        reader::{Fields, Head, Located, Reader},
    },
    yaml::{Content, Node},
};

pub(super) const FIELDS: &[&str] = &[
    "kind",
    "name",
    "entity",
    "source",
    "keys",
    "enrich",
    "where",
    "derive",
    "aggregate",
    "latest",
    "ttl",
    "freshness",
    "description",
    "owner",
    "tags",
    "pii",
    "deprecated",
    "features",
];
pub(crate) const ENTRY_FIELDS: &[&str] = &["column", "operations", "windows", "by", "over", "bound", "as"];
pub(crate) const FRESHNESS_FIELDS: &[&str] = &["objective", "beyond"];

/// The most distinct values that an exact distinct count may be asked to hold.
const MAXIMUM_BOUND: u32 = 1_000_000;

/// A view as it is written.
#[derive(Debug)]
pub(crate) struct ViewDraft {
    pub(crate) head: Head,
    pub(crate) entity: Option<Located<Name>>,
    pub(crate) source: Option<Located<Name>>,
    pub(crate) keys: Option<Located<Vec<Located<Name>>>>,
    /// The features of other views that its events carry.
    pub(crate) enrich: Vec<Located<ViewChoice>>,
    pub(crate) filter: Option<Located<String>>,
    pub(crate) derive: Expressions,
    pub(crate) body: Option<BodyDraft>,
    pub(crate) freshness: Option<Freshness>,
    pub(crate) pii: Option<Pii>,
    pub(crate) deprecated: Option<Located<Deprecation>>,
    pub(crate) features: Vec<FeatureNote>,
}

#[derive(Debug)]
pub(crate) enum BodyDraft {
    Aggregate(Vec<EntryDraft>),
    Latest { columns: Vec<Located<Name>>, ttl: Option<Located<Length>> },
}

/// One entry of `aggregate`: every operation over every window.
#[derive(Debug)]
pub(crate) struct EntryDraft {
    pub(crate) line: u64,
    pub(crate) column: Option<Located<Name>>,
    pub(crate) operations: Vec<Located<Operation>>,
    pub(crate) windows: Vec<Located<Window>>,
    pub(crate) by: Option<Located<Name>>,
    pub(crate) over: Option<Located<Over>>,
    pub(crate) name: Option<Located<Name>>,
}

pub(super) fn read(mut head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> ViewDraft {
    let entity = fields.required("entity", reader).and_then(|node| reader.name("entity", node));
    let source = fields.required("source", reader).and_then(|node| reader.name("source", node));
    let keys = fields
        .optional("keys")
        .map(|node| Located { line: node.line, value: reader.names("keys", "key column", node) });
    let enrich =
        fields.optional("enrich").map(|node| read_choices("enrich", node, reader)).unwrap_or_default();
    let filter = fields.optional("where").and_then(|node| expressions::read_one("where", node, reader));
    let derive = fields.optional("derive").map(|node| expressions::read("derive", node, reader));
    let body = read_body(fields, reader);
    let freshness = fields.optional("freshness").and_then(|node| read_freshness(node, reader));
    let pii = fields.optional("pii").and_then(|node| read_pii(node, reader));
    let deprecated = fields.optional("deprecated").and_then(|node| read_deprecated(node, reader));
    let features = fields.optional("features").map(|node| read_features(node, reader)).unwrap_or_default();
    head.broken = reader.has_refused();
    let derive = derive.unwrap_or_default();
    ViewDraft {
        head,
        entity,
        source,
        keys,
        enrich,
        filter,
        derive,
        body,
        freshness,
        pii,
        deprecated,
        features,
    }
}

fn read_body(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<BodyDraft> {
    let (aggregate, latest) = (fields.optional("aggregate"), fields.optional("latest"));
    let ttl = fields.optional("ttl").and_then(|node| reader.length("ttl", node));
    match (aggregate, latest) {
        (Some(aggregate), None) => {
            if let Some(ttl) = ttl {
                let hint = "remove it; the windows say what an aggregate looks at".to_owned();
                reader.refuse(ttl.line, "ttl belongs to latest views only".to_owned(), Some(hint));
            }
            let nodes = reader.list("aggregate", aggregate);
            Some(BodyDraft::Aggregate(nodes.iter().filter_map(|node| read_entry(node, reader)).collect()))
        }
        (None, Some(latest)) => {
            let columns = reader.names("latest", "column", latest);
            Some(BodyDraft::Latest { columns, ttl })
        }
        (Some(_), Some(latest)) => {
            let hint = "make two views of them".to_owned();
            reader.refuse(latest.line, "a view has aggregate or latest, not both".to_owned(), Some(hint));
            None
        }
        (None, None) => {
            let hint = "say what it computes with `aggregate:` or `latest:`".to_owned();
            reader.refuse(fields.line, "aggregate or latest is missing".to_owned(), Some(hint));
            None
        }
    }
}

fn read_entry(node: &Node, reader: &mut Reader<'_>) -> Option<EntryDraft> {
    let fields = Fields::of(node, ENTRY_FIELDS, " in aggregate", reader)?;
    let column = fields.optional("column").and_then(|node| reader.name("column", node));
    let bound = fields.optional("bound").and_then(|node| read_bound(node, reader));
    let operations: Vec<_> = match fields.required("operations", reader) {
        Some(node) => reader
            .list("operations", node)
            .iter()
            .filter_map(|node| read_operation(node, bound.as_ref().map(|bound| bound.value), reader))
            .collect(),
        None => Vec::new(),
    };
    let windows: Vec<_> = match fields.required("windows", reader) {
        Some(node) => reader.list("windows", node).iter().filter_map(|node| reader.window(node)).collect(),
        None => Vec::new(),
    };
    let by = fields.optional("by").and_then(|node| reader.name("by", node));
    let over = match fields.optional("over") {
        None => None,
        // Without it nothing can be said about the operations.
        Some(node) => Some(read_over(node, reader)?),
    };
    let counts_distinct =
        operations.iter().any(|operation| matches!(operation.value, Operation::DistinctCount { .. }));
    if let (Some(bound), false) = (&bound, counts_distinct) {
        let hint = "remove it, or add distinct_count to operations".to_owned();
        reader.refuse(bound.line, "bound belongs to distinct_count only".to_owned(), Some(hint));
    }
    let name = fields.optional("as").and_then(|node| reader.name("as", node));
    if let Some(name) = &name
        && operations.len() * windows.len() > 1
    {
        let message = format!(
            "as: {} names one feature, this entry makes {}",
            name.value,
            operations.len() * windows.len()
        );
        reader.refuse(
            name.line,
            message,
            Some("give it an entry with one operation and one window".to_owned()),
        );
    }
    Some(EntryDraft { line: node.line, column, operations, windows, by, over, name })
}

fn read_operation(node: &Node, bound: Option<u32>, reader: &mut Reader<'_>) -> Option<Located<Operation>> {
    let text = reader.text("operation", node)?;
    let value = match (text.value.parse(), bound) {
        (Ok(operation @ Operation::DistinctCount { .. }), Some(_)) if text.value.contains('(') => {
            let message = format!("the bound of {} is given twice", text.value);
            reader.refuse(text.line, message, Some("remove `bound:`, or write distinct_count".to_owned()));
            operation
        }
        (Ok(Operation::DistinctCount { .. }), Some(bound)) => Operation::DistinctCount { bound },
        (Ok(operation), _) => operation,
        (Err(error), _) => {
            reader.refuse(text.line, error.to_string(), Some(error.hint()));
            return None;
        }
    };
    Some(Located { line: text.line, value })
}

fn read_over(node: &Node, reader: &mut Reader<'_>) -> Option<Located<Over>> {
    let word = reader.text("over", node)?;
    let over = [Over::Elements, Over::Positions].into_iter().find(|over| over.word() == word.value);
    if over.is_none() {
        let words = [Over::Elements.word(), Over::Positions.word()];
        let hint = nearest(&word.value, words)
            .map_or_else(|| format!("write {}", words.join(" or ")), |near| format!("did you mean {near}?"));
        reader.refuse(word.line, format!("over {} does not exist", word.value), Some(hint));
    }
    over.map(|value| Located { line: word.line, value })
}

fn read_bound(node: &Node, reader: &mut Reader<'_>) -> Option<Located<u32>> {
    if let Content::Int(number) = node.content
        && let Ok(bound) = u32::try_from(number)
        && (1..=MAXIMUM_BOUND).contains(&bound)
    {
        return Some(Located { line: node.line, value: bound });
    }
    let message = "bound is the most distinct values that are counted exactly, a whole number".to_owned();
    reader.refuse(node.line, message, Some(format!("write a number from 1 to {MAXIMUM_BOUND}")));
    None
}

pub(super) fn read_freshness(node: &Node, reader: &mut Reader<'_>) -> Option<Freshness> {
    let fields = Fields::of(node, FRESHNESS_FIELDS, " in freshness", reader)?;
    let objective = fields.required("objective", reader).and_then(|node| reader.length("objective", node));
    let beyond = match fields.optional("beyond") {
        None if fields.is_written("beyond") => Some(Beyond::Null),
        None => Some(Beyond::Serve),
        Some(node) => read_beyond(node, reader),
    };
    Some(Freshness { objective: objective?.value, beyond: beyond? })
}

fn read_beyond(node: &Node, reader: &mut Reader<'_>) -> Option<Beyond> {
    let word = reader.text("beyond", node)?;
    let beyond =
        [Beyond::Serve, Beyond::Null, Beyond::Refuse].into_iter().find(|beyond| beyond.word() == word.value);
    if beyond.is_none() {
        let hint = format!("write one of {}", Beyond::WORDS.join(", "));
        reader.refuse(word.line, format!("beyond {} does not exist", word.value), Some(hint));
    }
    beyond
}
