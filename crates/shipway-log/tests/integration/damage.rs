//! What a changed, cut or foreign file does: a torn tail is cut, damage is named, nothing panics, nothing is silent.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use shipway_core::{Failure as _, Kind};
use shipway_log::LogError;

use crate::{all, open};

const LARGE: u64 = 1 << 30;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn segment(root: &Path, first: u64) -> PathBuf {
    root.join(format!("departures/{first:020}.segment"))
}

/// A log with one segment of these bytes.
fn planted(first: u64, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("departures")).unwrap();
    fs_err::write(segment(folder.path(), first), bytes).unwrap();
    folder
}

/// Opens the log in `root`, reads all of it, and sees that it takes records unless it is damaged.
async fn contents(root: &Path) -> Result<Vec<Bytes>, LogError> {
    let (log, topic) = open(root, LARGE)?;
    let found = all(&topic).await;
    if let Ok(found) = &found {
        let range = topic.append(vec!["after".into()]).await?;
        assert_eq!(range.start - topic.start(), found.len() as u64);
    }
    log.close().await;
    found
}

/// One segment with a group per batch, as it is on disk after each of them; the last is after an orderly close.
async fn written(batches: &[Vec<Bytes>]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), LARGE).unwrap();
    let file = segment(folder.path(), 0);
    let mut states = Vec::new();
    for batch in batches {
        topic.append(batch.clone()).await.unwrap();
        states.push(fs_err::read(&file).unwrap());
    }
    log.close().await;
    states.push(fs_err::read(&file).unwrap());
    states
}

fn batches() -> impl Strategy<Value = Vec<Vec<Bytes>>> {
    let payload = prop::collection::vec(any::<u8>(), 0..12).prop_map(Bytes::from);
    prop::collection::vec(prop::collection::vec(payload, 1..4), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_file_cut_anywhere_opens_with_what_was_whole_and_with_all_that_was_acknowledged(batches in batches()) {
        run(async {
            let states = written(&batches).await;
            let records: Vec<_> = batches.concat();
            let whole = states.last().unwrap();
            for cut in 0..=whole.len() {
                let found = contents(planted(0, &whole[..cut]).path()).await.unwrap();
                let acknowledged: usize =
                    states.iter().zip(&batches).filter(|(state, _)| state.len() <= cut).map(|(_, batch)| batch.len()).sum();
                assert!(found.len() >= acknowledged, "cut at {cut}: {} of {acknowledged} records", found.len());
                assert!(records.starts_with(&found), "cut at {cut}: {found:?}");
            }
        });
    }

    #[test]
    fn a_changed_byte_is_named_unless_only_an_unacknowledged_group_can_follow_it(batches in batches(), flip in 1_u8..) {
        run(async {
            let states = written(&batches).await;
            let records: Vec<_> = batches.concat();
            // Unclosed, the last group cannot be told from one that a crash tore; closed, only the mark of closing cannot.
            let (closed, killed) = (&states[states.len() - 1], &states[states.len() - 2]);
            let before = states.len().checked_sub(3).map_or(32, |at| states[at].len());
            for (bytes, proven) in [(closed, killed.len()), (killed, before)] {
                for at in 0..bytes.len() {
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    match contents(planted(0, &changed).path()).await {
                        Ok(found) => {
                            assert!(at >= proven, "byte {at} was changed in silence");
                            assert!(records.starts_with(&found));
                        }
                        Err(LogError::Damaged { file, byte, .. }) => {
                            assert!(byte <= at as u64, "byte {at} was changed, and {byte} is named");
                            assert!(file.ends_with("departures/00000000000000000000.segment"));
                        }
                        Err(LogError::NewerFormat { .. }) => assert!((8..12).contains(&at)),
                        Err(other) => panic!("byte {at}: {other:?}"),
                    }
                }
            }
        });
    }

    #[test]
    fn a_tail_of_zeros_or_noise_is_cut(batches in batches(), noise in prop::collection::vec(any::<u8>(), 1..200)) {
        run(async {
            let states = written(&batches).await;
            for state in &states[..states.len() - 1] {
                for tail in [&noise, &vec![0; 5_000]] {
                    let bytes = [state.as_slice(), tail].concat();
                    let found = contents(planted(0, &bytes).path()).await.unwrap();
                    assert!(batches.concat().starts_with(&found));
                }
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn bytes_of_any_kind_open_or_are_refused_and_never_panic(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        keep_header in any::<bool>(),
    ) {
        run(async {
            let mut bytes = if keep_header { written(&[]).await.remove(0) } else { Vec::new() };
            bytes.extend_from_slice(&noise);
            match contents(planted(0, &bytes).path()).await {
                Ok(found) => assert!(found.is_empty() && (keep_header || noise.len() <= 32)),
                Err(failure) => assert!(matches!(failure, LogError::Damaged { .. } | LogError::NewerFormat { .. })),
            }
        });
    }
}

#[tokio::test]
async fn damage_in_a_full_segment_is_named_when_it_is_read_with_or_without_its_index() {
    for with_index in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, topic) = open(folder.path(), 100).unwrap();
        for number in 0..4_u8 {
            topic.append(vec![Bytes::from(vec![number; 60])]).await.unwrap();
        }
        log.close().await;
        let file = segment(folder.path(), 1);
        let mut bytes = fs_err::read(&file).unwrap();
        bytes[80] ^= 1;
        fs_err::write(&file, bytes).unwrap();
        if !with_index {
            fs_err::remove_file(file.with_extension("index")).unwrap();
        }

        let failure = match open(folder.path(), 100) {
            Ok((_log, topic)) => {
                assert!(with_index, "a scan at opening finds it");
                assert_eq!(topic.read(0, 1, 100).await.unwrap().len(), 1);
                topic.read(1, 1, 100).await.unwrap_err()
            }
            Err(failure) => failure,
        };

        let expected = format!(
            "event log file {} is damaged at byte 56: the checksum of the record does not match",
            file.display()
        );
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.kind(), Kind::Internal);
    }
}

#[tokio::test]
async fn a_missing_segment_is_named_and_a_missing_index_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), 100).unwrap();
    for number in 0..4_u8 {
        topic.append(vec![Bytes::from(vec![number; 60])]).await.unwrap();
    }
    log.close().await;
    let index = segment(folder.path(), 1).with_extension("index");
    let bytes = fs_err::read(&index).unwrap();
    fs_err::write(&index, "not an index").unwrap();
    let (log, topic) = open(folder.path(), 100).unwrap();
    assert_eq!(all(&topic).await.unwrap().len(), 4);
    log.close().await;
    assert_eq!(fs_err::read(&index).unwrap(), bytes);
    fs_err::remove_file(segment(folder.path(), 1)).unwrap();

    let failure = open(folder.path(), 100).unwrap_err();

    assert!(failure.to_string().ends_with("it ends at offset 1, and the next file begins at 2"), "{failure}");
}

#[tokio::test]
async fn a_segment_torn_while_it_was_created_is_created_again_at_its_offset() {
    for length in [0, 5, 31, 32] {
        let folder = planted(41, &vec![0; length]);
        let (log, topic) = open(folder.path(), LARGE).unwrap();
        assert_eq!((topic.start(), topic.end()), (41, 41));
        assert_eq!(topic.append(vec!["a".into()]).await.unwrap(), 41..42);
        log.close().await;
        assert_eq!(contents(folder.path()).await.unwrap(), ["a"]);
    }
}

#[tokio::test]
async fn a_file_of_a_later_format_or_with_a_foreign_name_is_refused() {
    let mut bytes = written(&[vec!["a".into()]]).await.remove(0);
    bytes[8] = 2;
    let refusal = contents(planted(0, &bytes).path()).await.unwrap_err();
    assert!(matches!(refusal, LogError::NewerFormat { version: 2, .. }), "{refusal:?}");
    assert!(refusal.hint().unwrap().contains("the version of shipway that wrote it"));

    bytes[8] = 1;
    let refusal = contents(planted(3, &bytes).path()).await.unwrap_err();
    assert!(matches!(refusal, LogError::Damaged { byte: 0, .. }), "{refusal:?}");

    let folder = planted(0, &bytes);
    fs_err::write(folder.path().join("departures/7.segment"), "").unwrap();
    let refusal = contents(folder.path()).await.unwrap_err();
    assert!(refusal.to_string().contains("7.segment"), "{refusal}");
}

#[tokio::test]
async fn the_golden_file_of_version_1_reads_and_goes_on() {
    let golden = include_bytes!("../golden/v1/departures/00000000000000000007.segment");
    let folder = planted(7, golden);
    let (log, topic) = open(folder.path(), LARGE).unwrap();
    assert_eq!((topic.start(), topic.end()), (7, 10));
    let records = all(&topic).await.unwrap();
    assert_eq!(records, [Bytes::new(), "departed".into(), (0..=255).collect::<Vec<u8>>().into()]);
    assert_eq!(topic.append(vec!["next".into()]).await.unwrap(), 10..11);
    log.close().await;
}
