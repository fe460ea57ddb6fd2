//! The audit log holds what was committed, and only that.

use serde_json::json;
use shipway_core::Timestamp;
use shipway_store::audit::{AuditEntry, list, record};

use super::store_with_tables;

fn entry(subject: &str) -> AuditEntry {
    AuditEntry {
        actor: "alice".into(),
        action: "tracking.promote".into(),
        subject: subject.into(),
        detail: json!({ "version": 3 }),
    }
}

#[tokio::test]
async fn entries_are_listed_newest_first_and_only_once_committed() {
    let store = store_with_tables().await;
    for (subject, at) in [("model/a", 1), ("model/b", 2), ("model/c", 2)] {
        let mut transaction = store.begin().await.unwrap();
        record(&mut transaction, &entry(subject), Timestamp(at)).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let mut transaction = store.begin().await.unwrap();
    record(&mut transaction, &entry("model/d"), Timestamp(3)).await.unwrap();
    drop(transaction);

    let listed = list(&store, 2).await.unwrap();
    let subjects: Vec<_> = listed.iter().map(|recorded| recorded.entry.subject.as_str()).collect();
    assert_eq!(subjects, ["model/c", "model/b"]);
    assert_eq!(listed[1].at, Timestamp(2));
    assert_eq!(listed[1].entry, entry("model/b"));
}
