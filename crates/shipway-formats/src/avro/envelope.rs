//! A change event of Debezium in Avro.

use shipway_core::Value;

use super::{
    plan::{Part, Step},
    read::{Reader, Stop, error},
    schema::{Node, NodeId},
};
use crate::{debezium, error::MessageError, row::Decoded};

impl Reader<'_, '_> {
    pub(super) fn change(&mut self, parts: &[Part]) -> Result<Decoded, MessageError> {
        let (mut before, mut after, mut operation) = (None, None, None);
        for part in parts {
            let read = match part {
                Part::Before(step) => self.image(step).map(|image| before = image),
                Part::After(step) => self.image(step).map(|image| after = image),
                Part::Operation(node) => {
                    self.operation(*node).map(|read| operation = read).map_err(Stop::from)
                }
                Part::Other(node) => self.skip(*node, 0).map_err(Stop::from),
            };
            read.map_err(|stop| error(stop, self.places))?;
        }
        debezium::change(operation.as_deref(), before, after, self.places)
    }

    /// The row before or after; `None` where the branch of the union is null.
    fn image(&mut self, step: &Step) -> Result<Option<Vec<Value>>, Stop> {
        if let Step::Union(branches) = step {
            let branch = self.branch(branches.len())?;
            return match &branches[branch] {
                Step::Skip(node) => self.skip(*node, 0).map(|()| None).map_err(Stop::from),
                step => self.row(step).map(Some),
            };
        }
        self.row(step).map(Some)
    }

    fn operation(&mut self, node: NodeId) -> Result<Option<String>, String> {
        match self.schema.node(node) {
            Node::Text => self.cursor.text().map(|text| Some(text.to_owned())),
            Node::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.operation(branches[branch])
            }
            _ => self.skip(node, 0).map(|()| None),
        }
    }
}
