//! JSON: one object per message, read straight into the values of the declared columns.
//!
//! `tree.rs` knows where columns lie, `object.rs` reads an object by it, `value.rs` reads one value, `connect.rs` reads the
//! schema part that Debezium may send along, `envelope.rs` a change event.

mod connect;
mod envelope;
mod object;
mod tree;
mod value;

use std::sync::{Arc, Mutex};

use crate::{
    columns::Places,
    definition::Envelope,
    error::MessageError,
    row::{Decoded, Row},
};

/// What the errors call a message of this format.
const FORMAT: &str = "a JSON object";

/// Reads messages of JSON.
#[derive(Debug)]
pub(crate) struct JsonReader {
    envelope: Envelope,
    /// Where columns lie in a message that says nothing of its types.
    tree: tree::Tree,
    /// The schema part that was seen last, and the tree made of it: it is the same in message after message.
    described: Mutex<Option<Arc<Described>>>,
}

#[derive(Debug)]
struct Described {
    schema: Box<str>,
    before: tree::Tree,
    after: tree::Tree,
}

impl JsonReader {
    pub(crate) fn new(places: &Places, envelope: Envelope) -> Self {
        Self { envelope, tree: tree::Tree::new(places), described: Mutex::new(None) }
    }

    pub(crate) fn decode(&self, message: &[u8], places: &Places) -> Result<Decoded, MessageError> {
        match self.envelope {
            Envelope::None => {
                let values = object::read(message, &self.tree, places)?;
                Ok(Decoded::Rows(vec![Row::inserted(values)]))
            }
            Envelope::Debezium => self.change(message, places),
        }
    }
}

fn malformed(error: &serde_json::Error) -> MessageError {
    // The error may repeat a text of the message, however long.
    let reason = error.to_string().chars().take(300).collect();
    MessageError::Malformed { format: FORMAT, reason }
}
