//! The records in the log of a source, format version 1. Every old version must decode for ever.
//!
//! ```text
//! record    = version:u8  kind:u8  body
//! event     = fingerprint:u64le  standing:u8  time:i64le  received:i64le  id:text  count:number  value*
//! load      = load_id:text  rows:number  has_newest:u8  newest:i64le
//! view      = hash:32 bytes
//! delivered = origin  event
//! dead      = origin  received:i64le  sent:moment  topic:text  code:text  reason:text  key:bytes  message:bytes
//! passed    = origin
//! origin    = feed:u64le  partition:number  offset:number
//! text      = length:number  UTF-8 bytes          number = seven bits per byte, lowest first
//! moment    = is_there:u8  i64le                  bytes  = is_there:u8  length:number  bytes
//! ```

use shipway_core::{Digest, Timestamp, Value};

use crate::model::{
    bytes::{read_byte, read_moment, read_number, read_text, write_moment, write_number, write_text},
    dead_letter::DeadLetter,
    event::{SourceEvent, Standing},
    origin::Origin,
};

const VERSION: u8 = 1;
const EVENT: u8 = 1;
const LOAD: u8 = 2;
const VIEW: u8 = 3;
const DELIVERED: u8 = 4;
const DEAD: u8 = 5;
const PASSED: u8 = 6;

/// One record in the log of a source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// An event, its values in the order of the schema with this fingerprint; where it came from, if a broker brought it.
    Event { fingerprint: u64, event: SourceEvent, origin: Option<Origin> },
    /// A message of a broker that is no event of the source.
    Dead(DeadLetter),
    /// A broker's messages up to this one, itself included, are dealt with; the last of them said nothing.
    Passed(Origin),
    /// All rows of this load arrived here.
    Load(LoadMarker),
    /// The view with this hash counts history before here, and events from here on.
    View(Digest),
}

/// What a load marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadMarker {
    pub(crate) load_id: String,
    pub(crate) rows: u64,
    /// The greatest event time of the load.
    pub(crate) newest: Option<Timestamp>,
}

/// The stored form of an event.
pub(crate) fn encode_event(fingerprint: u64, event: &SourceEvent) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + event.values.len() * 10);
    bytes.extend([VERSION, EVENT]);
    write_event(fingerprint, event, &mut bytes);
    bytes
}

/// The stored form of an event that a broker brought.
pub(crate) fn encode_delivered(fingerprint: u64, event: &SourceEvent, origin: Origin) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(80 + event.values.len() * 10);
    bytes.extend([VERSION, DELIVERED]);
    origin.write(&mut bytes);
    write_event(fingerprint, event, &mut bytes);
    bytes
}

/// The stored form of a message that is no event.
pub(crate) fn encode_dead(letter: &DeadLetter) -> Vec<u8> {
    let mut bytes = vec![VERSION, DEAD];
    letter.write(&mut bytes);
    bytes
}

/// The stored form of a note that the messages up to `origin` are dealt with.
pub(crate) fn encode_passed(origin: Origin) -> Vec<u8> {
    let mut bytes = vec![VERSION, PASSED];
    origin.write(&mut bytes);
    bytes
}

fn write_event(fingerprint: u64, event: &SourceEvent, bytes: &mut Vec<u8>) {
    bytes.extend(fingerprint.to_le_bytes());
    bytes.push(match event.standing {
        Standing::Regular => 0,
        Standing::Quarantined => 1,
        Standing::Late => 2,
        Standing::Deletion => 3,
    });
    write_moment(event.time.micros(), bytes);
    write_moment(event.received.micros(), bytes);
    write_text(&event.id, bytes);
    write_number(event.values.len() as u64, bytes);
    for value in &event.values {
        value.encode(bytes);
    }
}

fn read_event(from: &mut &[u8], origin: Option<Origin>) -> Option<Record> {
    let fingerprint = read_moment(from)?.cast_unsigned();
    let standing = match read_byte(from)? {
        0 => Standing::Regular,
        1 => Standing::Quarantined,
        2 => Standing::Late,
        3 => Standing::Deletion,
        _ => return None,
    };
    let time = Timestamp(read_moment(from)?);
    let received = Timestamp(read_moment(from)?);
    let id = read_text(from)?.into();
    let count = read_number(from)?;
    let mut values = Vec::with_capacity(count.min(1_024) as usize);
    for _ in 0..count {
        values.push(Value::decode(from)?);
    }
    Some(Record::Event { fingerprint, event: SourceEvent { id, time, received, standing, values }, origin })
}

/// The stored form of a load marker.
pub(crate) fn encode_load(marker: &LoadMarker) -> Vec<u8> {
    let mut bytes = vec![VERSION, LOAD];
    write_text(&marker.load_id, &mut bytes);
    write_number(marker.rows, &mut bytes);
    bytes.push(u8::from(marker.newest.is_some()));
    write_moment(marker.newest.map_or(0, Timestamp::micros), &mut bytes);
    bytes
}

/// The stored form of a view marker.
pub(crate) fn encode_view(hash: &Digest) -> Vec<u8> {
    let mut bytes = vec![VERSION, VIEW];
    bytes.extend(hash.as_bytes());
    bytes
}

/// Reads a record; `None` when the bytes are not one.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Record> {
    let from = &mut bytes;
    if read_byte(from)? != VERSION {
        return None;
    }
    let record = match read_byte(from)? {
        EVENT => read_event(from, None)?,
        DELIVERED => {
            let origin = Origin::read(from)?;
            read_event(from, Some(origin))?
        }
        DEAD => Record::Dead(DeadLetter::read(from)?),
        PASSED => Record::Passed(Origin::read(from)?),
        LOAD => {
            let load_id = read_text(from)?.to_owned();
            let rows = read_number(from)?;
            let has_newest = read_byte(from)? != 0;
            let newest = Timestamp(read_moment(from)?);
            Record::Load(LoadMarker { load_id, rows, newest: has_newest.then_some(newest) })
        }
        VIEW => {
            let (hash, rest) = from.split_first_chunk::<32>()?;
            *from = rest;
            Record::View(Digest::from_bytes(*hash))
        }
        _ => return None,
    };
    from.is_empty().then_some(record)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::origin::Feed;

    fn event() -> SourceEvent {
        SourceEvent {
            id: "f-1".into(),
            time: Timestamp(-1),
            received: Timestamp(1_700_000_000_000_000),
            standing: Standing::Quarantined,
            values: vec![
                Value::text("EWR"),
                Value::Null,
                Value::float(2.5),
                Value::Int(-7),
                Value::Bool(true),
            ],
        }
    }

    #[test]
    fn version_1_of_an_event_is_these_bytes_for_ever() {
        let bytes = encode_event(0x0123_4567_89ab_cdef, &event());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../../tests/golden/event_record_v1.hex").trim());
        let decoded = decode(&bytes).unwrap();
        let fingerprint = 0x0123_4567_89ab_cdef;
        assert_eq!(decoded, Record::Event { fingerprint, event: event(), origin: None });
    }

    #[test]
    fn version_1_of_what_a_broker_brings_is_these_bytes_for_ever() {
        let origin = Origin { feed: Feed::of("main", "departures"), partition: 3, offset: 4_000_000_000 };
        let dead = DeadLetter {
            origin,
            topic: "departures".into(),
            sent: Some(Timestamp(1_700_000_000_000_000)),
            received: Timestamp(1_700_000_000_000_001),
            key: None,
            message: Some(Bytes::from_static(b"{\"broken\"")),
            code: "formats.json".into(),
            reason: "the object does not end".into(),
        };
        let records = [
            (
                encode_delivered(7, &event(), origin),
                Record::Event { fingerprint: 7, event: event(), origin: Some(origin) },
            ),
            (encode_dead(&dead), Record::Dead(dead)),
            (encode_passed(origin), Record::Passed(origin)),
        ];
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines: Vec<String> = records.iter().map(|(bytes, _)| hex(bytes)).collect();
        assert_eq!(lines.join("\n"), include_str!("../../tests/golden/broker_records_v1.hex").trim());
        for (bytes, record) in records {
            assert_eq!(decode(&bytes), Some(record));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None);
            }
        }
    }

    #[test]
    fn markers_return_as_they_were() {
        for newest in [None, Some(Timestamp(-5))] {
            let marker = LoadMarker { load_id: "january".to_owned(), rows: 300, newest };
            assert_eq!(decode(&encode_load(&marker)), Some(Record::Load(marker)));
        }
        let hash = Digest::of("view");
        assert_eq!(decode(&encode_view(&hash)), Some(Record::View(hash)));
    }

    #[test]
    fn cut_or_foreign_bytes_are_not_a_record() {
        let bytes = encode_event(1, &event());
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None);
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode(&longer), None);
        let mut later = bytes;
        later[0] = 2;
        assert_eq!(decode(&later), None);
    }
}
