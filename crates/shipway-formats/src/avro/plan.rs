//! The judgement what each field of a writer's schema is for, made once per schema.

use std::cell::Cell;

use super::schema::{Field, Node, NodeId, Record, Schema};
use crate::{
    columns::{Places, Unmatched},
    debezium::Moments,
    definition::{Envelope, UnknownFields},
};

/// What to do with the next value of a message.
#[derive(Debug)]
pub(super) enum Step {
    /// No column wants it.
    Skip(NodeId),
    /// It is the value of this column.
    Column(usize, NodeId),
    /// It is a record in which columns lie: one step per field.
    Record(Box<[Step]>),
    /// Which of these it is, the message says.
    Union(Box<[Step]>),
    /// Columns should lie in it, and it is no record. The first of them is told.
    NoRecord(usize, NodeId),
}

/// How a message of one schema becomes a row, or two.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(super) schema: Schema,
    pub(super) root: Root,
}

#[derive(Debug)]
pub(super) enum Root {
    Plain(Step),
    /// One step per field of Debezium's envelope.
    Changes(Box<[Part]>),
    /// A record of Debezium that says nothing of rows.
    Silent,
}

/// A field of an envelope.
#[derive(Debug)]
pub(super) enum Part {
    Before(Step),
    After(Step),
    Operation(NodeId),
    /// A moment of the connector.
    Moment(Box<str>, NodeId),
    /// The fields of the part that tells of the source.
    Source(Vec<(Box<str>, NodeId)>),
    Other(NodeId),
}

/// How many fields and branches may be looked at for one schema: unions of records that hold each other could lead to a
/// column in more ways than can be counted.
const MOST_LOOKS: u32 = 200_000;

/// Records that Debezium sends beside those of changes, by the ends of their names.
const SILENT: [&str; 4] =
    [".Heartbeat", ".SchemaChangeValue", ".TransactionMetadataValue", ".ConnectorTransactionMetadata"];

impl Layout {
    /// Finds the columns in `schema`.
    pub(crate) fn new(schema: Schema, places: &Places, envelope: Envelope) -> Result<Self, Unmatched> {
        let planner = Planner { schema: &schema, places, looks_left: Cell::new(MOST_LOOKS) };
        let root = match envelope {
            Envelope::None => Root::Plain(planner.row(schema.root())?),
            Envelope::Debezium => planner.changes()?,
        };
        Ok(Self { schema, root })
    }
}

struct Planner<'a> {
    schema: &'a Schema,
    places: &'a Places,
    looks_left: Cell<u32>,
}

/// A column, and the names that still have to be gone down to reach it.
#[derive(Clone, Copy)]
struct Want<'a> {
    column: usize,
    path: &'a [Box<str>],
}

impl Planner<'_> {
    fn row(&self, root: NodeId) -> Result<Step, Unmatched> {
        if !matches!(self.schema.node(root), Node::Record(_) | Node::Union(_)) {
            return Err(Unmatched::Schema(format!("it is {}, and no record", self.schema.word(root))));
        }
        let wants: Vec<Want<'_>> = self
            .places
            .columns
            .iter()
            .enumerate()
            .filter_map(|(column, declared)| {
                let path = declared.paths.iter().find(|path| self.leads_somewhere(root, path))?;
                Some(Want { column, path })
            })
            .collect();
        self.step(root, &wants, &mut Vec::new())
    }

    /// Whether one more look is within the bound.
    fn looks(&self) -> bool {
        let left = self.looks_left.get();
        self.looks_left.set(left.saturating_sub(1));
        left > 0
    }

    fn leads_somewhere(&self, node: NodeId, path: &[Box<str>]) -> bool {
        if !self.looks() {
            return false;
        }
        let Some((name, rest)) = path.split_first() else { return true };
        match self.schema.node(node) {
            Node::Record(record) => {
                find(record, name).is_some_and(|field| self.leads_somewhere(record.fields[field].node, rest))
            }
            Node::Union(branches) => branches.iter().any(|branch| self.leads_somewhere(*branch, path)),
            _ => false,
        }
    }

    fn step(&self, node: NodeId, wants: &[Want<'_>], above: &mut Vec<Box<str>>) -> Result<Step, Unmatched> {
        if !self.looks() {
            return Err(Unmatched::Schema("its unions lead to the columns in too many ways".to_owned()));
        }
        let first = wants.first();
        if let Some(want) = first
            && want.path.is_empty()
        {
            return Ok(Step::Column(want.column, node));
        }
        // The fields of a row itself are judged also where none of them is wanted.
        if first.is_none() && !above.is_empty() {
            return Ok(Step::Skip(node));
        }
        let no_record = |node| first.map_or(Step::Skip(node), |want| Step::NoRecord(want.column, node));
        match self.schema.node(node) {
            Node::Record(record) => self.record(record, wants, above),
            Node::Union(branches) => {
                let branches = branches.iter().map(|branch| match self.schema.node(*branch) {
                    Node::Null => Ok(Step::Skip(*branch)),
                    Node::Record(record) => self.record(record, wants, above),
                    _ => Ok(no_record(*branch)),
                });
                Ok(Step::Union(branches.collect::<Result<_, _>>()?))
            }
            _ => Ok(no_record(node)),
        }
    }

    fn record(
        &self,
        record: &Record,
        wants: &[Want<'_>],
        above: &mut Vec<Box<str>>,
    ) -> Result<Step, Unmatched> {
        let mut wanted: Vec<Vec<Want<'_>>> = vec![Vec::new(); record.fields.len()];
        for want in wants {
            let Some((name, rest)) = want.path.split_first() else { continue };
            if let Some(field) = find(record, name) {
                wanted[field].push(Want { column: want.column, path: rest });
            }
        }
        let mut steps = Vec::with_capacity(record.fields.len());
        for (field, wants) in record.fields.iter().zip(&wanted) {
            if wants.len() > 1 && wants.iter().any(|want| want.path.is_empty()) {
                let columns = wants.iter().map(|want| self.places.columns[want.column].name.as_str());
                let columns = columns.collect::<Vec<_>>().join(", ");
                return Err(Unmatched::Schema(format!("field {} is meant by columns {columns}", field.name)));
            }
            above.push(field.name.clone());
            if wants.is_empty() && self.places.unknown == UnknownFields::Refuse {
                return Err(self.places.stranger(&above.join(".")));
            }
            steps.push(self.step(field.node, wants, above)?);
            above.pop();
        }
        Ok(Step::Record(steps.into()))
    }

    fn changes(&self) -> Result<Root, Unmatched> {
        let Node::Record(record) = self.schema.node(self.schema.root()) else {
            return Err(Unmatched::Schema("it is no record, and so no change event of Debezium".to_owned()));
        };
        let has = |name: &str| record.fields.iter().any(|field| *field.name == *name);
        if !has("op") && SILENT.iter().any(|end| record.name.ends_with(end)) {
            return Ok(Root::Silent);
        }
        if !(has("op") && has("before") && has("after")) {
            let name = &record.name;
            return Err(Unmatched::Schema(format!("{name} has no fields op, before and after of Debezium")));
        }
        let parts = record.fields.iter().map(|field| {
            Ok(match &*field.name {
                "op" => Part::Operation(field.node),
                "before" => Part::Before(self.row(field.node)?),
                "after" => Part::After(self.row(field.node)?),
                name if Moments::are_in(name) => Part::Moment(name.into(), field.node),
                "source" => match self.schema.node(field.node) {
                    Node::Record(source) => Part::Source(
                        source.fields.iter().map(|field| (field.name.clone(), field.node)).collect(),
                    ),
                    _ => Part::Other(field.node),
                },
                _ => Part::Other(field.node),
            })
        });
        Ok(Root::Changes(parts.collect::<Result<_, _>>()?))
    }
}

/// The field of this name, or else the one that says it had this name before.
fn find(record: &Record, name: &str) -> Option<usize> {
    let position = |is: &dyn Fn(&Field) -> bool| record.fields.iter().position(is);
    position(&|field| *field.name == *name)
        .or_else(|| position(&|field| field.aliases.iter().any(|alias| **alias == *name)))
}
