//! Rows that were read from several buckets become one moment of each source, or not. Pure: `reader` asks, this judges.
//!
//! What one request to one bucket brings is of one moment by itself. Of several such parts the earliest counts, for each
//! source: a row of another part that was written at or before that offset is what it was then, because it was not written
//! since; one that was written later says nothing about that moment, so the read is made again. A row that is missing was
//! missing before as well: the rows of a state only come, and the state itself goes with its version.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use shipway_online::copy::{BucketRead, CopyKey};
use uuid::Uuid;

use crate::{
    error::{FeaturesError, damaged},
    materialise::views::{prefix_bytes, split_state_key_with_generation},
    read_copy::{
        changes::StateId,
        head::{Head, OtherFormat, decode_row},
        known::KnownSource,
    },
};

/// Keys that one request asks for.
const KEYS_AT_ONCE: usize = 2_000;

/// What is asked for in one request to one bucket.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) bucket: u32,
    pub(super) keys: Vec<CopyKey>,
    /// Whose they are: the position of the source in the read, and the key of the state.
    owners: Vec<(usize, Bytes)>,
}

/// One source of a read, at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FetchedSource {
    pub(super) applied: u64,
    /// The stored bytes by state key.
    pub(super) rows: HashMap<Bytes, Bytes>,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// As the sources of the read.
    Exact(Vec<FetchedSource>),
    /// Other metadata hold; which, if all parts agree.
    OtherVersion(Option<Uuid>),
    /// The parts are not of one moment.
    Torn,
    /// There is no copy, or none that is whole.
    Incomplete,
}

/// Divides the keys of states, by the sources of the read, into requests; at least one, for the head.
pub(super) fn parts(
    wanted: &[Vec<Bytes>],
    sources: &[&KnownSource],
    bucket_of: impl Fn(&[u8]) -> u32,
) -> Result<Vec<Part>, FeaturesError> {
    let mut by_bucket: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
    for (position, (keys, source)) in wanted.iter().zip(sources).enumerate() {
        for key in keys {
            let place = split_state_key_with_generation(key).and_then(|(view, generation)| {
                let number = source.numbers.get(&StateId { view, generation })?;
                Some((*number, key.slice(prefix_bytes(generation)..)))
            });
            // The key was made from the same metadata, so it is always there.
            let (space, entity) = place.ok_or_else(|| damaged("a key of the read copy"))?;
            let bucket = bucket_of(&entity);
            let parts = by_bucket.entry(bucket).or_default();
            if parts.last().is_none_or(|part| part.keys.len() >= KEYS_AT_ONCE) {
                parts.push(Part { bucket, ..Part::default() });
            }
            if let Some(part) = parts.last_mut() {
                part.keys.push(CopyKey::Row { space, key: entity });
                part.owners.push((position, key.clone()));
            }
        }
    }
    let parts: Vec<Part> = by_bucket.into_values().flatten().collect();
    Ok(if parts.is_empty() { vec![Part::default()] } else { parts })
}

/// Judges what the requests brought. `positions` says which moment of a head belongs to each source of the read.
pub(super) fn judge(
    version: Uuid,
    positions: &[usize],
    parts: Vec<Part>,
    reads: Vec<BucketRead>,
) -> Result<Fetched, FeaturesError> {
    let mut heads = Vec::with_capacity(reads.len());
    for read in &reads {
        let Some(head) = &read.head else { return Ok(Fetched::Incomplete) };
        let head = Head::decode(head).map_err(other_format)?;
        if !head.is_whole {
            return Ok(Fetched::Incomplete);
        }
        heads.push(head);
    }
    if heads.iter().any(|head| head.version != version) {
        let first = heads.first().map(|head| head.version);
        return Ok(Fetched::OtherVersion(
            first.filter(|first| heads.iter().all(|head| head.version == *first)),
        ));
    }
    let earliest = |position: &usize| {
        let moments = heads.iter().map(|head| head.moments.get(*position).map(|moment| moment.applied));
        moments.min().flatten().ok_or_else(|| damaged("a head of the read copy"))
    };
    let applied = positions.iter().map(earliest).collect::<Result<Vec<_>, _>>()?;
    let mut fetched: Vec<FetchedSource> =
        applied.into_iter().map(|applied| FetchedSource { applied, rows: HashMap::new() }).collect();
    for (part, read) in parts.into_iter().zip(reads) {
        for ((source, key), row) in part.owners.into_iter().zip(read.values) {
            let Some(row) = row else { continue };
            let (written_at, stored) = decode_row(&row).map_err(other_format)?;
            let fetched = &mut fetched[source];
            if written_at > fetched.applied {
                return Ok(Fetched::Torn);
            }
            fetched.rows.insert(key, stored);
        }
    }
    Ok(Fetched::Exact(fetched))
}

fn other_format(OtherFormat(format): OtherFormat) -> FeaturesError {
    let format = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
    FeaturesError::CopyForeign { what: format!("its format is {format}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_copy::head::{CopiedMoment, encode_row};

    const VERSION: Uuid = Uuid::from_u128(7);

    fn head(version: Uuid, applied: &[u64]) -> Bytes {
        let moment = |applied: &u64| CopiedMoment { applied: *applied, watermark_us: 0 };
        let moments = applied.iter().map(moment).collect();
        Head { is_whole: true, version, moments, ..Head::of_nothing() }.encode()
    }

    fn part(bucket: u32, keys: &[(usize, &'static str)]) -> Part {
        let owners: Vec<(usize, Bytes)> =
            keys.iter().map(|(source, key)| (*source, Bytes::from_static(key.as_bytes()))).collect();
        let keys = owners.iter().map(|(_, key)| CopyKey::Row { space: 1, key: key.clone() }).collect();
        Part { bucket, keys, owners }
    }

    fn read(head: Bytes, rows: &[Option<u64>]) -> BucketRead {
        let row = |written_at: &Option<u64>| written_at.map(|at| encode_row(at, b"state"));
        BucketRead { head: Some(head), values: rows.iter().map(row).collect() }
    }

    fn judged(parts: Vec<Part>, reads: Vec<BucketRead>) -> Fetched {
        judge(VERSION, &[0, 1], parts, reads).unwrap()
    }

    #[test]
    fn one_part_is_of_one_moment_and_a_row_that_is_not_there_has_no_state() {
        let parts = || vec![part(0, &[(0, "a"), (1, "b"), (0, "c")])];
        let fetched = judged(parts(), vec![read(head(VERSION, &[5, 9]), &[Some(5), Some(1), None])]);
        let Fetched::Exact(sources) = fetched else { panic!("{fetched:?}") };
        assert_eq!(sources.iter().map(|source| source.applied).collect::<Vec<_>>(), [5, 9]);
        assert_eq!((sources[0].rows.len(), sources[1].rows.len()), (1, 1));
        // Written in pieces, and the head is not there yet.
        assert_eq!(
            judged(parts(), vec![read(head(VERSION, &[5, 9]), &[Some(6), None, None])]),
            Fetched::Torn
        );
    }

    #[test]
    fn the_earliest_part_of_each_source_counts_and_what_was_written_later_tears_the_read() {
        let parts = || vec![part(3, &[(0, "a")]), part(8, &[(0, "b"), (1, "c")])];
        let reads = |b, c| {
            vec![read(head(VERSION, &[5, 9]), &[Some(4)]), read(head(VERSION, &[6, 8]), &[Some(b), Some(c)])]
        };
        let Fetched::Exact(sources) = judged(parts(), reads(5, 8)) else { panic!() };
        assert_eq!(sources.iter().map(|source| source.applied).collect::<Vec<_>>(), [5, 8]);
        assert_eq!(judged(parts(), reads(6, 8)), Fetched::Torn);
    }

    #[test]
    fn what_is_missing_or_not_whole_or_of_another_version_is_never_taken_for_no_events() {
        let nothing = BucketRead { head: None, values: vec![None] };
        let parts = || vec![part(0, &[(0, "a")])];
        assert_eq!(judged(parts(), vec![nothing]), Fetched::Incomplete);
        let torn = Head { version: VERSION, ..Head::of_nothing() }.encode();
        assert_eq!(judged(parts(), vec![read(torn, &[None])]), Fetched::Incomplete);
        let other = Uuid::from_u128(8);
        let reads = vec![read(head(other, &[5, 9]), &[None])];
        assert_eq!(judged(parts(), reads), Fetched::OtherVersion(Some(other)));
        let two = vec![part(0, &[(0, "a")]), part(1, &[(0, "b")])];
        let reads = vec![read(head(other, &[5, 9]), &[None]), read(head(VERSION, &[5, 9]), &[None])];
        assert_eq!(judged(two, reads), Fetched::OtherVersion(None));
        let foreign = BucketRead { head: Some(Bytes::from_static(b"\x02")), values: vec![None] };
        assert!(judge(VERSION, &[0, 1], parts(), vec![foreign]).is_err());
    }
}
