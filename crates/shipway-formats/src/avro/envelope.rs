//! A change event of Debezium in Avro.

use shipway_core::Value;

use super::{
    plan::{Part, Step},
    read::{Reader, Stop, error},
    schema::{Node, NodeId},
};
use crate::{
    debezium::{self, Moments},
    error::MessageError,
    row::Decoded,
};

fn note(moments: &mut Moments, is_of_source: bool, name: &str, number: Option<i64>) {
    number.iter().for_each(|number| moments.note(is_of_source, name, *number));
}

impl Reader<'_, '_> {
    pub(super) fn change(&mut self, parts: &[Part]) -> Result<Decoded, MessageError> {
        let (mut before, mut after, mut operation) = (None, None, None);
        let mut moments = Moments::default();
        for part in parts {
            let read = match part {
                Part::Before(step) => self.image(step).map(|image| before = image),
                Part::After(step) => self.image(step).map(|image| after = image),
                Part::Operation(node) => {
                    self.operation(*node).map(|read| operation = read).map_err(Stop::from)
                }
                Part::Moment(name, node) => {
                    self.moment(*node).map(|read| note(&mut moments, false, name, read)).map_err(Stop::from)
                }
                Part::Source(fields) => self.source(fields, &mut moments).map_err(Stop::from),
                Part::Other(node) => self.skip(*node, 0).map_err(Stop::from),
            };
            read.map_err(|stop| error(stop, self.places))?;
        }
        debezium::change((operation.as_deref(), moments), before, after, self.places)
    }

    fn source(&mut self, fields: &[(Box<str>, NodeId)], moments: &mut Moments) -> Result<(), String> {
        for (name, node) in fields {
            if Moments::are_in(name) {
                let read = self.moment(*node)?;
                note(moments, true, name, read);
            } else {
                self.skip(*node, 0)?;
            }
        }
        Ok(())
    }

    /// The number that a moment is told as, if it is one.
    fn moment(&mut self, node: NodeId) -> Result<Option<i64>, String> {
        match self.schema.node(node) {
            Node::Long(_) => self.cursor.long().map(Some),
            Node::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.moment(branches[branch])
            }
            _ => self.skip(node, 0).map(|()| None),
        }
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
