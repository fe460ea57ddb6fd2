//! Messages byte by byte, as producers write them: written out here, so that no reader of this repository is its own judge.

use shipway_core::Timestamp;

/// A datum of Avro, field after field.
#[derive(Debug, Default)]
pub(crate) struct Avro(Vec<u8>);

impl Avro {
    /// An `int` or a `long`; also the number of a branch or of an enum's symbol.
    pub(crate) fn long(mut self, value: i64) -> Self {
        varint(&mut self.0, zigzag(value));
        self
    }

    pub(crate) fn float(mut self, value: f32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn double(mut self, value: f64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        let mut written = self.long(value.len() as i64);
        written.0.extend(value.as_bytes());
        written
    }

    /// A union of null and something else.
    pub(crate) fn nullable<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.long(0),
            Some(value) => write(self.long(1), value),
        }
    }

    /// Another datum that was written by itself.
    pub(crate) fn datum(mut self, datum: Self) -> Self {
        self.0.extend(datum.0);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A message of Protobuf, field after field.
#[derive(Debug, Default)]
pub(crate) struct Protobuf(Vec<u8>);

impl Protobuf {
    pub(crate) fn int64(mut self, field: u64, value: i64) -> Self {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, value.cast_unsigned());
        self
    }

    pub(crate) fn double(mut self, field: u64, value: f64) -> Self {
        varint(&mut self.0, field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.delimited(field, value.as_bytes())
    }

    /// A `google.protobuf.Timestamp`.
    pub(crate) fn timestamp(self, field: u64, value: Timestamp) -> Self {
        let (seconds, micros) = (value.0.div_euclid(1_000_000), value.0.rem_euclid(1_000_000));
        let moment = Self::default().int64(1, seconds).int64(2, micros * 1_000);
        self.delimited(field, &moment.0)
    }

    /// A field that is left out where there is no value.
    pub(crate) fn optional<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self,
            Some(value) => write(self, value),
        }
    }

    fn delimited(mut self, field: u64, bytes: &[u8]) -> Self {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// With the header of Confluent's clients: a zero and the id of the schema.
pub(crate) fn with_schema(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

/// The same for Protobuf, whose header also says which message of its schema it is; counted from 0, at the top.
pub(crate) fn with_schema_and_index(id: u32, index: i64, body: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    if index == 0 {
        // The first message is so common that its path of one is written as no path.
        varint(&mut path, 0);
    } else {
        varint(&mut path, zigzag(1));
        varint(&mut path, zigzag(index));
    }
    with_schema(id, &[path.as_slice(), body].concat())
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
