//! The event ids of the dedupe horizon, which counts from the moment at which the server took the event in.
//!
//! ```text
//! Seen        source 0 id                -> received:i64le  end:u64le
//! SeenByTime  source 0 received:i64be id -> id:text*   the ids that were received together, by the first of them, so that old ones are
//!                                           found in order; earlier releases had one for each id, with nothing in it
//! ```

use std::collections::BTreeMap;

use shipway_core::{Name, Timestamp};
use shipway_online::{Batch, OnlineStore, Space};

use crate::{
    error::FeaturesError,
    model::{
        bytes::{read_text, write_text},
        schema::SourceSchema,
    },
};

/// A batch stops to forget after so many old ids: the work stays in proportion to the events.
const FORGOTTEN_PER_BATCH: usize = 10_000;

/// The offset behind the event with this id, if it was seen within the horizon.
pub(crate) fn end_of(
    online: &OnlineStore,
    source: &Name,
    id: &str,
    now: Timestamp,
    schema: &SourceSchema,
) -> Result<Option<u64>, FeaturesError> {
    let stored = online.get(Space::Seen, &key(source, id))?;
    Ok(stored.as_deref().and_then(decode).and_then(|(received, end)| {
        (now.micros().saturating_sub(received) <= schema.dedupe_us).then_some(end)
    }))
}

/// Remembers ids, each with the moment at which it was received and the offset behind its event.
pub(crate) fn put<'a>(
    batch: &mut Batch,
    source: &Name,
    ids: impl IntoIterator<Item = (&'a str, Timestamp, u64)>,
) {
    let mut together: BTreeMap<Timestamp, (&str, Vec<u8>)> = BTreeMap::new();
    for (id, received, end) in ids {
        let mut value = received.micros().to_le_bytes().to_vec();
        value.extend(end.to_le_bytes());
        batch.put(Space::Seen, key(source, id), value);
        let (_, listed) = together.entry(received).or_insert_with(|| (id, Vec::new()));
        write_text(id, listed);
    }
    for (received, (first, listed)) in together {
        batch.put(Space::SeenByTime, key_by_time(source, received, first), listed);
    }
}

/// Forgets ids that were received before `horizon`.
pub(crate) fn forget(
    online: &OnlineStore,
    batch: &mut Batch,
    source: &Name,
    horizon: Timestamp,
) -> Result<(), FeaturesError> {
    let prefix = prefix(source);
    let mut forgotten = 0;
    for entry in online.snapshot().scan_prefix(Space::SeenByTime, &prefix) {
        let (by_time, listed) = entry?;
        let Some((received, first)) = by_time[prefix.len()..].split_first_chunk::<8>() else { continue };
        let received = i64::from_be_bytes(*received) ^ i64::MIN;
        if received >= horizon.micros() || forgotten >= FORGOTTEN_PER_BATCH {
            break;
        }
        let mut forget = |id: &[u8]| {
            forgotten += 1;
            let mut seen = prefix.clone();
            seen.extend(id);
            // The same id may have come again after the horizon; then its newer entry stays.
            let held = online.get(Space::Seen, &seen)?;
            if held.as_deref().and_then(decode).is_some_and(|(held, _)| held == received) {
                batch.delete(Space::Seen, seen);
            }
            Ok::<_, FeaturesError>(())
        };
        let mut listed = &listed[..];
        if listed.is_empty() {
            forget(first)?;
        }
        while let Some(id) = read_text(&mut listed) {
            forget(id.as_bytes())?;
        }
        batch.delete(Space::SeenByTime, by_time);
    }
    Ok(())
}

fn prefix(source: &Name) -> Vec<u8> {
    let mut bytes = source.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn key(source: &Name, id: &str) -> Vec<u8> {
    let mut bytes = prefix(source);
    bytes.extend(id.as_bytes());
    bytes
}

fn key_by_time(source: &Name, received: Timestamp, id: &str) -> Vec<u8> {
    let mut bytes = prefix(source);
    // With the sign turned, the order of the bytes is the order of the numbers.
    bytes.extend((received.micros() ^ i64::MIN).to_be_bytes());
    bytes.extend(id.as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(i64, u64)> {
    let (received, end) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_le_bytes(*received), u64::from_le_bytes(end.try_into().ok()?)))
}
