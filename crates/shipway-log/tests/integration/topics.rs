//! Append, read, wait, trim, close.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use shipway_core::{Failure as _, Kind};
use shipway_log::{EventLog, LogError, LogOptions};
use tokio::task::JoinSet;

use crate::{all, open};

const LARGE: u64 = 1 << 30;

#[tokio::test]
async fn records_come_back_in_order_with_their_offsets_before_and_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    for segment_bytes in [LARGE, 100] {
        let root = folder.path().join(segment_bytes.to_string());
        let (log, topic) = open(&root, segment_bytes).unwrap();
        assert_eq!((topic.start(), topic.end()), (0, 0));
        assert_eq!(topic.append(vec!["a".into(), "".into()]).await.unwrap(), 0..2);
        assert_eq!(topic.append(vec!["c".into()]).await.unwrap(), 2..3);
        assert_eq!(topic.append(vec![]).await.unwrap(), 3..3);
        assert_eq!(all(&topic).await.unwrap(), ["a", "", "c"]);
        log.close().await;

        let (log, topic) = open(&root, segment_bytes).unwrap();

        assert_eq!(log.topics(), ["departures"]);
        assert_eq!(all(&topic).await.unwrap(), ["a", "", "c"]);
        assert_eq!(topic.append(vec!["d".into()]).await.unwrap(), 3..4);
        let records = topic.read(1, 10, 1_000).await.unwrap();
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [1, 2, 3]);
        log.close().await;
    }
}

#[tokio::test]
async fn a_read_keeps_its_bounds_and_always_gets_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), 5_000).unwrap();
    let payloads: Vec<_> = (0..200_usize).map(|number| Bytes::from(vec![number as u8; number * 7])).collect();
    for some in payloads.chunks(9) {
        topic.append(some.to_vec()).await.unwrap();
    }
    for (max_records, max_bytes) in
        [(1, usize::MAX), (7, usize::MAX), (usize::MAX, 0), (usize::MAX, 3_000), (50, 900)]
    {
        let mut found = Vec::new();
        while (found.len() as u64) < topic.end() {
            let records = topic.read(found.len() as u64, max_records, max_bytes).await.unwrap();
            let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
            assert!(!records.is_empty() && records.len() <= max_records);
            assert!(bytes <= max_bytes || records.len() == 1);
            found.extend(records.into_iter().map(|record| record.payload));
        }
        assert!(found == payloads, "at most {max_records} records and {max_bytes} bytes");
    }
    assert!(topic.read(0, 0, 100).await.unwrap().is_empty());
    log.close().await;
}

#[tokio::test]
async fn the_end_reads_as_empty_and_beyond_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), LARGE).unwrap();
    topic.append(vec!["a".into()]).await.unwrap();
    assert!(topic.read(1, 10, 10).await.unwrap().is_empty());

    let refusal = topic.read(2, 10, 10).await.unwrap_err();

    assert!(matches!(refusal, LogError::BeyondEnd { from: 2, end: 1, .. }), "{refusal:?}");
    log.close().await;
}

#[tokio::test]
async fn a_record_longer_than_the_bound_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { max_record_bytes: 10, ..LogOptions::default() };
    let log = EventLog::open(folder.path(), options).unwrap();
    let topic = log.topic("departures").unwrap();

    let refusal = topic.append(vec!["fits".into(), "does not fit".into()]).await.unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "topic departures: a record of 12 bytes is longer than the limit of 10 bytes"
    );
    assert_eq!(refusal.kind(), Kind::TooLarge);
    assert_eq!(topic.end(), 0);
    assert_eq!(topic.append(vec!["ten bytes!".into()]).await.unwrap(), 0..1);
    log.close().await;
}

#[tokio::test]
async fn an_append_larger_than_all_memory_in_flight_passes() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { max_pending_bytes: 100, ..LogOptions::default() };
    let log = EventLog::open(folder.path(), options).unwrap();
    let topic = log.topic("departures").unwrap();
    let mut appends = JoinSet::new();
    for _ in 0..10 {
        let topic = topic.clone();
        appends.spawn(async move { topic.append(vec![Bytes::from(vec![1; 1_000])]).await.unwrap() });
    }
    assert_eq!(appends.join_all().await.len(), 10);
    assert_eq!(topic.end(), 10);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_many_callers_each_stay_together_and_readers_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), 4_000).unwrap();
    let mut appends = JoinSet::new();
    for caller in 0..8_u8 {
        let topic = topic.clone();
        appends.spawn(async move {
            let mut ranges = Vec::new();
            for number in 0..50_u8 {
                let payloads = (0..3).map(|part| Bytes::from(vec![caller, number, part])).collect();
                ranges.push(topic.append(payloads).await.unwrap());
            }
            (caller, ranges)
        });
    }
    let mut found = Vec::new();
    while found.len() < 8 * 50 * 3 {
        topic.wait_beyond(found.len() as u64).await;
        let records = topic.read(found.len() as u64, 100, 10_000).await.unwrap();
        assert!(!records.is_empty());
        found.extend(records);
    }
    for (caller, ranges) in appends.join_all().await {
        for (number, range) in ranges.into_iter().enumerate() {
            for (part, offset) in range.enumerate() {
                assert_eq!(*found[offset as usize].payload, [caller, number as u8, part as u8]);
                assert_eq!(found[offset as usize].offset, offset);
            }
        }
    }
    log.close().await;
}

#[tokio::test]
async fn waiting_ends_with_the_record_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), LARGE).unwrap();
    topic.append(vec!["a".into()]).await.unwrap();
    topic.wait_beyond(0).await;
    let waiting = topic.wait_beyond(1);
    tokio::pin!(waiting);
    let soon = tokio::time::timeout(Duration::ZERO, &mut waiting).await;
    assert!(soon.is_err(), "offset 1 is not there yet");
    topic.append(vec!["b".into()]).await.unwrap();
    waiting.await;
    log.close().await;
}

#[tokio::test]
async fn trimming_drops_whole_old_segments_and_reading_them_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), 100).unwrap();
    for number in 0..10_u8 {
        topic.append(vec![Bytes::from(vec![number; 50])]).await.unwrap();
    }
    topic.trim(0).await.unwrap();
    assert_eq!(topic.start(), 0);

    topic.trim(4).await.unwrap();

    assert_eq!((topic.start(), topic.end()), (4, 10));
    let refusal = topic.read(3, 10, 1_000).await.unwrap_err();
    assert!(matches!(refusal, LogError::Trimmed { from: 3, start: 4, .. }), "{refusal:?}");
    assert_eq!(*topic.read(4, 1, 1_000).await.unwrap()[0].payload, [4; 50]);
    topic.trim(u64::MAX).await.unwrap();
    assert_eq!((topic.start(), topic.end()), (9, 10), "the active segment stays");
    log.close().await;
    let names = fs_err::read_dir(folder.path().join("departures")).unwrap().count();
    assert_eq!(names, 1, "segments and their indexes are gone");

    let (log, topic) = open(folder.path(), 100).unwrap();

    assert_eq!((topic.start(), topic.end()), (9, 10));
    assert_eq!(topic.append(vec!["next".into()]).await.unwrap(), 10..11);
    log.close().await;
}

#[tokio::test]
async fn a_second_opening_is_refused_with_the_remedy_and_works_after_closing() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), LARGE).unwrap();

    let refusal = open(folder.path(), LARGE).unwrap_err();

    assert!(matches!(refusal, LogError::Locked { .. }), "{refusal:?}");
    assert_eq!(refusal.kind(), Kind::Conflict);
    assert!(refusal.hint().unwrap().contains("stop the other process"));
    log.close().await;
    let (again, _) = open(folder.path(), LARGE).unwrap();
    assert!(matches!(topic.append(vec!["late".into()]).await, Err(LogError::Closed { .. })));
    assert!(matches!(log.topic("new"), Err(LogError::Closed { .. })));
    log.close().await;
    again.close().await;
}

#[tokio::test]
async fn a_topic_keeps_its_log_open_and_dropping_all_of_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let (log, topic) = open(folder.path(), LARGE).unwrap();
    drop(log);
    topic.append(vec!["a".into()]).await.unwrap();
    drop(topic);
    let (log, topic) = open(folder.path(), LARGE).unwrap();
    assert_eq!(all(&topic).await.unwrap(), ["a"]);
    log.close().await;
}

#[tokio::test]
async fn a_name_that_could_leave_the_folder_names_no_topic() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(folder.path(), LogOptions::default()).unwrap();
    for wrong in ["", "..", "a/b", "/etc", "Upper", "lock file"] {
        let refusal = log.topic(wrong).unwrap_err();
        assert!(matches!(refusal, LogError::TopicName(_)), "{wrong}: {refusal:?}");
        assert_eq!(refusal.kind(), Kind::Invalid);
    }
    assert!(log.topics().is_empty());
    log.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_batches_in_segments_of_any_size_read_from_any_offset(
        batches in prop::collection::vec(prop::collection::vec(0_usize..3_000, 0..6), 1..12),
        segment_bytes in 50_u64..20_000,
        from in any::<prop::sample::Index>(),
        reopen in any::<bool>(),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (mut log, mut topic) = open(folder.path(), segment_bytes).unwrap();
            let mut written = Vec::new();
            for sizes in batches {
                let payloads: Vec<_> =
                    sizes.into_iter().map(|size| Bytes::from(vec![written.len() as u8; size])).collect();
                let range = topic.append(payloads.clone()).await.unwrap();
                assert_eq!(range, written.len() as u64..(written.len() + payloads.len()) as u64);
                written.extend(payloads);
            }
            if reopen {
                log.close().await;
                (log, topic) = open(folder.path(), segment_bytes).unwrap();
            }
            let from = from.index(written.len() + 1);
            let found = topic.read(from as u64, usize::MAX, usize::MAX).await.unwrap();
            assert!(found.iter().map(|record| &record.payload).eq(&written[from..]));
            log.close().await;
        });
    }
}
