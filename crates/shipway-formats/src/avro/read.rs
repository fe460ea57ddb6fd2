//! A message by its plan into the values of a row.

use std::sync::Arc;

use shipway_core::{DataType, Value};

use super::{
    DEEPEST,
    cursor::Cursor,
    plan::{Layout, Root, Step},
    schema::{Node, NodeId, Schema},
};
use crate::{
    columns::Places,
    convert::{Judged, Wanted},
    error::MessageError,
    meaning::Meaning,
    row::{Decoded, Row},
};

/// What the errors call a message of this format.
const FORMAT: &str = "an Avro message of its schema";

/// Why reading stopped.
pub(super) enum Stop {
    /// The bytes do not follow the schema.
    Malformed(String),
    /// A value does not fit this column.
    Column(usize, String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

impl Layout {
    /// Reads a message, from behind its header.
    pub(crate) fn decode(&self, message: &[u8], places: &Places) -> Result<Decoded, MessageError> {
        let mut cursor = Cursor::new(message);
        let mut reader = Reader { schema: &self.schema, places, cursor: &mut cursor };
        let decoded = match &self.root {
            Root::Plain(step) => reader
                .row(step)
                .map(|values| Decoded::Rows(vec![Row::inserted(values)]))
                .map_err(|stop| error(stop, places))?,
            Root::Changes(parts) => reader.change(parts)?,
            Root::Silent => return Ok(Decoded::Nothing),
        };
        if cursor.is_at_end() {
            return Ok(decoded);
        }
        let reason = format!("{} bytes follow the last value", cursor.bytes_left());
        Err(MessageError::Malformed { format: FORMAT, reason })
    }
}

pub(super) fn error(stop: Stop, places: &Places) -> MessageError {
    match stop {
        Stop::Malformed(reason) => MessageError::Malformed { format: FORMAT, reason },
        Stop::Column(column, reason) => places.mismatch(column, reason),
    }
}

pub(super) struct Reader<'a, 'm> {
    pub(super) schema: &'a Schema,
    pub(super) places: &'a Places,
    pub(super) cursor: &'a mut Cursor<'m>,
}

impl Reader<'_, '_> {
    pub(super) fn row(&mut self, step: &Step) -> Result<Vec<Value>, Stop> {
        let mut values = self.places.nothing();
        self.step(step, &mut values)?;
        Ok(values)
    }

    fn step(&mut self, step: &Step, values: &mut [Value]) -> Result<(), Stop> {
        match step {
            Step::Skip(node) => self.skip(*node, 0)?,
            Step::Column(column, node) => {
                let wanted = self.places.wanted(*column);
                let judged = self.value(*node, wanted, 0)?;
                values[*column] = judged.map_err(|reason| Stop::Column(*column, reason))?;
            }
            Step::Record(steps) => {
                for step in steps {
                    self.step(step, values)?;
                }
            }
            Step::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.step(&branches[branch], values)?;
            }
            Step::NoRecord(column, node) => {
                let reason = format!("its path leads through {}", self.schema.word(*node));
                return Err(Stop::Column(*column, reason));
            }
        }
        Ok(())
    }

    pub(super) fn branch(&mut self, count: usize) -> Result<usize, String> {
        let branch = self.cursor.long()?;
        let known = usize::try_from(branch).ok().filter(|branch| *branch < count);
        known.ok_or_else(|| format!("branch {branch} of a union of {count}"))
    }

    /// Goes past a value.
    pub(super) fn skip(&mut self, node: NodeId, depth: u32) -> Result<(), String> {
        self.cursor.count_value()?;
        if depth > DEEPEST {
            return Err(format!("values lie in each other more than {DEEPEST} deep"));
        }
        match self.schema.node(node) {
            Node::Null => {}
            Node::Boolean => _ = self.cursor.boolean()?,
            Node::Int(_) | Node::Enum(_) => _ = self.cursor.int()?,
            Node::Long(_) => _ = self.cursor.long()?,
            Node::Float => _ = self.cursor.take(4)?,
            Node::Double => _ = self.cursor.take(8)?,
            Node::Bytes(_) | Node::Text => _ = self.cursor.bytes()?,
            Node::Fixed(size, _) => _ = self.cursor.take(*size)?,
            Node::Array(items) => self.skip_blocks(*items, false, depth)?,
            Node::Map(items) => self.skip_blocks(*items, true, depth)?,
            Node::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.skip(branches[branch], depth + 1)?;
            }
            Node::Record(record) => {
                for field in &record.fields {
                    self.skip(field.node, depth + 1)?;
                }
            }
            Node::Pending => return Err("a type without an end".to_owned()),
        }
        Ok(())
    }

    fn skip_blocks(&mut self, items: NodeId, has_keys: bool, depth: u32) -> Result<(), String> {
        loop {
            let (count, bytes) = self.cursor.sized_block()?;
            if count == 0 {
                return Ok(());
            }
            if let Some(bytes) = bytes {
                self.cursor.take(bytes)?;
                continue;
            }
            for _ in 0..count {
                if has_keys {
                    self.cursor.bytes()?;
                }
                self.skip(items, depth + 1)?;
            }
        }
    }

    /// Reads a value; the outer error says that the bytes are wrong, the inner one that the value is not what is wanted.
    fn value(&mut self, node: NodeId, wanted: Wanted, depth: u32) -> Result<Judged, String> {
        self.cursor.count_value()?;
        if depth > DEEPEST {
            return Err(format!("values lie in each other more than {DEEPEST} deep"));
        }
        let schema = self.schema;
        Ok(match schema.node(node) {
            Node::Null => Ok(Value::Null),
            Node::Boolean => wanted.boolean(self.cursor.boolean()?),
            Node::Int(meaning) => number(self.cursor.int()?, *meaning, wanted),
            Node::Long(meaning) => number(self.cursor.long()?, *meaning, wanted),
            Node::Float => wanted.float(f64::from(f32::from_le_bytes(self.cursor.array()?))),
            Node::Double => wanted.float(f64::from_le_bytes(self.cursor.array()?)),
            Node::Text => wanted.text(self.cursor.text()?),
            Node::Bytes(meaning) => bytes(self.cursor.bytes()?, *meaning, wanted),
            Node::Fixed(size, meaning) => bytes(self.cursor.take(*size)?, *meaning, wanted),
            Node::Enum(symbols) => {
                let symbol = self.cursor.int()?;
                let known = usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol));
                let known =
                    known.ok_or_else(|| format!("symbol {symbol} of an enum of {}", symbols.len()))?;
                match wanted.data_type {
                    DataType::Text => Ok(Value::Text(Arc::clone(known))),
                    _ => wanted.text(known),
                }
            }
            Node::Union(branches) => {
                let branch = self.branch(branches.len())?;
                return self.value(branches[branch], wanted, depth + 1);
            }
            Node::Array(items) => match wanted.data_type {
                DataType::List(item) => {
                    return self.list(*items, wanted.with(item.data_type()), depth);
                }
                _ => Err(wanted.mismatch("an array")),
            },
            Node::Map(items) => match wanted.data_type {
                DataType::Map(item) => return self.map(*items, wanted.with(item.data_type()), depth),
                _ => Err(wanted.mismatch("a map")),
            },
            Node::Record(_) => Err(wanted.mismatch("a record")),
            Node::Pending => return Err("a type without an end".to_owned()),
        })
    }

    fn list(&mut self, items: NodeId, wanted: Wanted, depth: u32) -> Result<Judged, String> {
        let mut list = Vec::new();
        loop {
            let count = self.cursor.block()?;
            if count == 0 {
                return Ok(Ok(Value::list(list)));
            }
            for _ in 0..count {
                match self.value(items, wanted, depth + 1)? {
                    Ok(value) => list.push(value),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
        }
    }

    fn map(&mut self, items: NodeId, wanted: Wanted, depth: u32) -> Result<Judged, String> {
        let mut map: Vec<(Arc<str>, Value)> = Vec::new();
        loop {
            let count = self.cursor.block()?;
            if count == 0 {
                return Ok(Ok(Value::map(map)));
            }
            for _ in 0..count {
                let key = Arc::from(self.cursor.text()?);
                match self.value(items, wanted, depth + 1)? {
                    Ok(value) => map.push((key, value)),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
        }
    }
}

#[inline]
fn number(number: i64, meaning: Meaning, wanted: Wanted) -> Judged {
    match meaning {
        Meaning::Epoch(unit) => wanted.epoch(number, unit),
        Meaning::Days => wanted.days(number),
        Meaning::TimeOfDay => wanted.time_of_day(number),
        Meaning::Plain | Meaning::Decimal(_) | Meaning::Uuid | Meaning::Duration => wanted.int(number),
    }
}

fn bytes(bytes: &[u8], meaning: Meaning, wanted: Wanted) -> Judged {
    match meaning {
        Meaning::Decimal(scale) => wanted.unscaled(bytes, scale),
        Meaning::Duration => Err(wanted.mismatch("a duration")),
        Meaning::Uuid => match uuid::Uuid::from_slice(bytes) {
            Ok(uuid) => wanted.text(&uuid.to_string()),
            Err(_) => wanted.bytes(bytes),
        },
        Meaning::Plain | Meaning::Epoch(_) | Meaning::Days | Meaning::TimeOfDay => wanted.bytes(bytes),
    }
}
