//! How keys are called, and which bucket has which.
//!
//! ```text
//! {<prefix>:<bucket>}:head                        what the rows of the bucket stand for
//! {<prefix>:<bucket>}:<space, 16 hex digits>:<key>  a row
//! {<prefix>:0}:document:<name>                    a document of the whole copy
//! ```
//!
//! A cluster hashes what is in braces only, so all keys of a bucket are in one slot.

use bytes::Bytes;

/// The buckets of a copy in a cluster: enough to spread over many nodes, few enough to write all their heads in each step.
pub const CLUSTER_BUCKETS: u32 = 128;

/// A key of the copy, as its users call it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CopyKey {
    /// A row: `space` is a part of the copy with keys of its own.
    Row {
        /// The part of the copy.
        space: u64,
        /// Any bytes.
        key: Bytes,
    },
    /// Something that belongs to the whole copy, by its name. In bucket 0.
    Document(String),
}

/// The names of the keys of one copy.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) prefix: String,
    pub(crate) buckets: u32,
}

impl Layout {
    /// The bucket of the rows with this key, whatever their space: the same for ever, on every machine.
    pub(crate) fn bucket_of(&self, key: &[u8]) -> u32 {
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The lower bits of this hash spread better after the upper ones are mixed in.
        (((hash >> 32) ^ hash) % u64::from(self.buckets)) as u32
    }

    pub(crate) fn head(&self, bucket: u32) -> Vec<u8> {
        format!("{{{}:{bucket}}}:head", self.prefix).into_bytes()
    }

    /// What the server calls `key`, which is in `bucket`.
    pub(crate) fn name(&self, bucket: u32, key: &CopyKey) -> Vec<u8> {
        match key {
            CopyKey::Row { space, key } => {
                let mut name = format!("{{{}:{bucket}}}:{space:016x}:", self.prefix).into_bytes();
                name.extend_from_slice(key);
                name
            }
            CopyKey::Document(document) => {
                format!("{{{}:{bucket}}}:document:{document}", self.prefix).into_bytes()
            }
        }
    }

    /// A pattern that every key of the copy fits.
    pub(crate) fn pattern(&self) -> String {
        format!("{{{}:*}}:*", self.prefix)
    }

    /// The bucket and the key that the server calls `name`; `None` for a head and for what is not of this copy.
    pub(crate) fn parse(&self, name: &Bytes) -> Option<(u32, CopyKey)> {
        let start = format!("{{{}:", self.prefix);
        let rest = name.strip_prefix(start.as_bytes())?;
        let end = rest.windows(2).position(|two| two == b"}:")?;
        let bucket = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        let rest = &rest[end + 2..];
        if let Some(document) = rest.strip_prefix(b"document:") {
            return Some((bucket, CopyKey::Document(std::str::from_utf8(document).ok()?.to_owned())));
        }
        let (space, key) = (rest.get(..16)?, rest.get(16..)?.strip_prefix(b":")?);
        let space = u64::from_str_radix(std::str::from_utf8(space).ok()?, 16).ok()?;
        Some((bucket, CopyKey::Row { space, key: name.slice_ref(key) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(buckets: u32) -> Layout {
        Layout { prefix: "shipway".to_owned(), buckets }
    }

    #[test]
    fn buckets_and_names_stay_what_they_are() {
        let layout = layout(CLUSTER_BUCKETS);
        let key = CopyKey::Row { space: 255, key: Bytes::from_static(b"JFK") };
        assert_eq!(layout.name(7, &key), b"{shipway:7}:00000000000000ff:JFK");
        assert_eq!(layout.head(7), b"{shipway:7}:head");
        let document = CopyKey::Document("metadata".to_owned());
        assert_eq!(layout.name(0, &document), b"{shipway:0}:document:metadata");
        let buckets: Vec<u32> =
            ["", "a", "JFK", "LAX", "N721TW"].iter().map(|key| layout.bucket_of(key.as_bytes())).collect();
        assert_eq!(buckets, GOLDEN);
    }

    /// Owner and readers may be of different releases: these never change.
    const GOLDEN: [u32; 5] = [65, 64, 7, 43, 17];

    #[test]
    fn many_keys_are_spread_over_all_buckets() {
        let layout = layout(CLUSTER_BUCKETS);
        let mut counts = vec![0; CLUSTER_BUCKETS as usize];
        for key in 0..12_800_u64 {
            counts[layout.bucket_of(&key.to_be_bytes()) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (40..250).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_name_says_again_whose_it_is(
            bucket in 0..CLUSTER_BUCKETS,
            space in any::<u64>(),
            key in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let layout = layout(CLUSTER_BUCKETS);
            let key = CopyKey::Row { space, key: key.into() };
            let name = Bytes::from(layout.name(bucket, &key));
            prop_assert_eq!(layout.parse(&name), Some((bucket, key)));
        }
    }

    #[test]
    fn what_is_no_row_and_no_document_of_this_copy_is_not_taken_for_one() {
        let layout = layout(1);
        for name in [
            "{shipway:0}:head",
            "{other:0}:0000000000000001:a",
            "{shipway:x}:0000000000000001:a",
            "{shipway:0}:1:a",
            "{shipway:0}:000000000000000g:a",
            "shipway:0:0000000000000001:a",
        ] {
            assert_eq!(layout.parse(&Bytes::copy_from_slice(name.as_bytes())), None, "{name}");
        }
    }
}
