//! What a clean stop leaves for the next start: which heads are in the copy, and what they stand for. A start that finds the
//! very same heads goes on from there; any other copies anew. The note is gone before anything is changed, so a server that
//! is killed leaves none.

use std::{collections::BTreeMap, io::ErrorKind, path::PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shipway_core::{Digest, Name};
use shipway_online::OnlineStore;

use crate::{
    error::FeaturesError,
    materialise::progress::{SourceProgress, ViewProgress},
    read_copy::{
        head::CopiedMoment,
        ledger::{Ledger, LiveState},
    },
};

const FORMAT: u32 = 1;

/// Where the copy stood, and what it stood for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    format: u32,
    /// Where the copy is.
    address: String,
    prefix: String,
    /// The head of each bucket, in hexadecimal digits.
    heads: Vec<String>,
    sources: BTreeMap<Name, NotedSource>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NotedSource {
    applied: u64,
    watermark_us: i64,
    live: BTreeMap<Digest, LiveState>,
}

/// Keeps the note in the data folder.
pub(super) struct NoteFile(pub(super) PathBuf);

impl NoteFile {
    /// The note that a clean stop left, if the store still stands where the note says. It is gone afterwards.
    pub(super) fn take(&self, online: &OnlineStore) -> Result<Option<Note>, FeaturesError> {
        let text = match fs_err::read(&self.0) {
            Ok(text) => text,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        fs_err::remove_file(&self.0)?;
        let Ok(note) = serde_json::from_slice::<Note>(&text) else { return Ok(None) };
        Ok(if note.format == FORMAT && note.is_of(online)? { Some(note) } else { None })
    }

    pub(super) fn leave(&self, note: &Note) -> Result<(), FeaturesError> {
        self.0.parent().map(fs_err::create_dir_all).transpose()?;
        // A struct of texts and numbers always serialises.
        Ok(fs_err::write(&self.0, serde_json::to_vec(note).unwrap_or_default())?)
    }
}

impl Note {
    /// What `ledgers` say of a copy with these heads; `None` where a bucket has none.
    pub(super) fn new<'a>(
        (address, prefix): (&str, &str),
        heads: impl Iterator<Item = Option<&'a Bytes>>,
        ledgers: &BTreeMap<Name, Ledger>,
    ) -> Option<Self> {
        let heads = heads.map(|head| Some(hex(head?))).collect::<Option<Vec<_>>>()?;
        let noted = |(name, ledger): (&Name, &Ledger)| {
            let CopiedMoment { applied, watermark_us } = ledger.moment()?;
            Some((name.clone(), NotedSource { applied, watermark_us, live: ledger.live().clone() }))
        };
        let sources = ledgers.iter().filter_map(noted).collect();
        Some(Self { format: FORMAT, address: address.to_owned(), prefix: prefix.to_owned(), heads, sources })
    }

    /// The ledgers, if the copy has exactly the heads that were noted.
    pub(super) fn adopt(
        self,
        (address, prefix): (&str, &str),
        heads: &[Option<Bytes>],
    ) -> Option<BTreeMap<Name, Ledger>> {
        let is_same = |(found, noted): (&Option<Bytes>, &String)| {
            found.as_ref().is_some_and(|found| hex(found) == *noted)
        };
        let are_same = self.heads.len() == heads.len() && heads.iter().zip(&self.heads).all(is_same);
        if !are_same || (self.address.as_str(), self.prefix.as_str()) != (address, prefix) {
            return None;
        }
        let ledger = |(name, noted): (Name, NotedSource)| {
            let NotedSource { applied, watermark_us, live } = noted;
            (name, Ledger::adopted(live, CopiedMoment { applied, watermark_us }))
        };
        Some(self.sources.into_iter().map(ledger).collect())
    }

    /// Whether every source stands where it was noted, and every state is the one that was.
    fn is_of(&self, online: &OnlineStore) -> Result<bool, FeaturesError> {
        let snapshot = online.snapshot();
        for (name, noted) in &self.sources {
            let progress = SourceProgress::at(&snapshot, name)?;
            // While a load is merged, rows change that no offset tells.
            if progress.applied != noted.applied || progress.bulk.is_some() {
                return Ok(false);
            }
            let views = ViewProgress::all(&snapshot, name)?;
            let is_held = |(view, live): (&Digest, &LiveState)| {
                views.get(view).is_some_and(|held| held.generation == live.generation)
            };
            if !noted.live.iter().all(is_held) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn hex(bytes: &Bytes) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use shipway_online::{Batch, Space};

    use super::*;

    const COPY: (&str, &str) = ("redis://here", "shipway");

    fn store(folder: &std::path::Path, applied: u64) -> OnlineStore {
        let online = OnlineStore::open(&folder.join("online")).unwrap();
        let mut batch = Batch::new();
        let progress = format!(r#"{{"format":1,"applied":{applied},"watermark_us":5,"bulk":null}}"#);
        batch.put(Space::Progress, "source/sales", progress);
        online.commit(batch).unwrap();
        online
    }

    fn note() -> Note {
        let moment = CopiedMoment { applied: 7, watermark_us: 5 };
        let ledgers = BTreeMap::from([("sales".parse().unwrap(), Ledger::adopted(BTreeMap::new(), moment))]);
        Note::new(COPY, [Some(&Bytes::from_static(b"head"))].into_iter(), &ledgers).unwrap()
    }

    #[test]
    fn a_note_is_for_one_start_and_for_the_store_and_the_copy_that_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = NoteFile(folder.path().join("read-copy.json"));
        let online = store(folder.path(), 7);
        assert_eq!(file.take(&online).unwrap(), None);
        file.leave(&note()).unwrap();
        let taken = file.take(&online).unwrap().unwrap();
        assert_eq!(file.take(&online).unwrap(), None, "for one start");
        let head = |text: &'static str| [Some(Bytes::from_static(text.as_bytes()))];
        assert_eq!(taken.clone().adopt(COPY, &head("head")).unwrap().len(), 1);
        assert!(taken.clone().adopt(COPY, &head("other")).is_none());
        assert!(taken.clone().adopt(COPY, &[None]).is_none());
        assert!(taken.adopt(("redis://there", "shipway"), &head("head")).is_none());
    }

    #[test]
    fn a_store_that_went_on_by_itself_does_not_take_the_note() {
        let folder = tempfile::tempdir().unwrap();
        let file = NoteFile(folder.path().join("read-copy.json"));
        file.leave(&note()).unwrap();
        assert_eq!(file.take(&store(folder.path(), 8)).unwrap(), None);
    }
}
