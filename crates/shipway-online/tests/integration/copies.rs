//! What a copy promises beyond the store: fences, servers that go and come back, clusters, and going through all keys.

use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use shipway_core::{Failure as _, Kind};
use shipway_online::copy::{
    Committed, CopyCommit, CopyError, CopyKey, CopyOptions, CopySecret, CopyStore, FoundKey,
};
use shipway_testkit::{Redis, RedisCluster, TempData};

fn copy_of(redis: &Redis) -> CopyStore {
    CopyStore::new(&CopyOptions::new(redis.address())).unwrap()
}

fn row(space: u64, key: &str) -> CopyKey {
    CopyKey::Row { space, key: Bytes::copy_from_slice(key.as_bytes()) }
}

fn commit(head: &'static str, puts: &[(CopyKey, &'static str)]) -> CopyCommit {
    let puts = puts.iter().map(|(key, value)| (key.clone(), Bytes::from_static(value.as_bytes())));
    CopyCommit { head: Bytes::from_static(head.as_bytes()), puts: puts.collect(), deletes: vec![] }
}

async fn value(copy: &CopyStore, key: CopyKey) -> Option<Bytes> {
    copy.read(0, &[key]).await.unwrap().values.remove(0)
}

#[tokio::test]
async fn whoever_expects_another_head_changes_nothing_and_learns_which_is_there() {
    let redis = Redis::start().await;
    let copy = copy_of(&redis);
    let first = commit("one", &[(row(1, "a"), "1")]);
    assert_eq!(copy.commit(0, None, &first).await.unwrap(), Committed::Done);
    let one = Committed::Other(Some(Bytes::from_static(b"one")));
    for expected in [None, Some(&b"zero"[..])] {
        let refused = commit("two", &[(row(1, "a"), "2"), (row(1, "b"), "2")]);
        assert_eq!(copy.commit(0, expected, &refused).await.unwrap(), one);
    }
    assert_eq!(value(&copy, row(1, "a")).await.unwrap(), "1");
    assert_eq!(value(&copy, row(1, "b")).await, None);
    // Sent again after its answer was lost, it is done already.
    assert_eq!(copy.commit(0, None, &first).await.unwrap(), Committed::Done);

    redis.command(&["FLUSHALL"]);
    let next = commit("two", &[(row(1, "a"), "2")]);
    assert_eq!(copy.commit(0, Some(b"one"), &next).await.unwrap(), Committed::Other(None));
    assert_eq!(redis.command(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_soon_and_found_again_when_it_is_back() {
    let mut redis = Redis::start().await;
    let copy = copy_of(&redis);
    copy.commit(0, None, &commit("one", &[])).await.unwrap();
    redis.kill();
    let began = Instant::now();
    for _ in 0..5 {
        let error = copy.read(0, &[]).await.unwrap_err();
        assert!(matches!(error, CopyError::Unreachable { .. }), "{error:?}");
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "online.copy_unreachable"));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    redis.restart().await;
    let found = async {
        loop {
            if let Ok(read) = copy.read(0, &[]).await {
                return read;
            }
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), found).await.unwrap();
    assert_eq!(read.head, None, "it came back empty");
}

#[tokio::test]
async fn a_server_without_memory_says_so_and_keeps_the_head() {
    let redis = Redis::start().await;
    let copy = copy_of(&redis);
    copy.commit(0, None, &commit("one", &[(row(1, "a"), "1")])).await.unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = copy.commit(0, Some(b"one"), &commit("two", &[(row(1, "a"), "2")])).await.unwrap_err();
    assert_eq!(error.code(), "online.copy_full", "{error:?}");
    assert_eq!(copy.read(0, &[]).await.unwrap().head.unwrap(), "one");
    assert_eq!(value(&copy, row(1, "a")).await.unwrap(), "1");
}

#[tokio::test]
async fn a_server_that_may_drop_any_key_is_refused() {
    let redis = Redis::start().await;
    let copy = copy_of(&redis);
    copy.check_eviction().await.unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    copy.check_eviction().await.unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    let refused = copy.check_eviction().await.unwrap_err();
    assert_eq!(refused.code(), "online.copy_evicts", "{refused:?}");
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_permission_are_told_in_the_words_of_the_server() {
    let redis = Redis::start_with(&["--requirepass", "right"]).await;
    let with = |password: Option<&str>| {
        let password = password.map(CopySecret::new);
        CopyStore::new(&CopyOptions { password, ..CopyOptions::new(redis.address()) }).unwrap()
    };
    assert_eq!(with(Some("right")).read(0, &[]).await.unwrap().head, None);
    for password in [Some("wrong"), None] {
        let error = with(password).read(0, &[]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "online.copy_refused"), "{error:?}");
    }
}

async fn all_keys(copy: &CopyStore) -> BTreeSet<(u32, CopyKey)> {
    let mut survey = copy.survey().await.unwrap();
    let mut all = BTreeSet::new();
    while let Some(found) = copy.go_on(&mut survey).await.unwrap() {
        all.extend(found.into_iter().map(|FoundKey { bucket, key }| (bucket, key)));
    }
    all
}

/// Commits a row to every bucket that one of these keys is in; returns the rows with their buckets.
async fn fill(copy: &CopyStore, count: usize) -> BTreeSet<(u32, CopyKey)> {
    let mut by_bucket = vec![vec![]; copy.buckets() as usize];
    for number in 0..count {
        let key = format!("key {number}");
        by_bucket[copy.bucket_of(key.as_bytes()) as usize].push((row(9, &key), "x"));
    }
    let mut all = BTreeSet::new();
    for (bucket, rows) in by_bucket.into_iter().enumerate() {
        let bucket = u32::try_from(bucket).unwrap();
        assert_eq!(copy.commit(bucket, None, &commit("head", &rows)).await.unwrap(), Committed::Done);
        all.extend(rows.into_iter().map(|(key, _)| (bucket, key)));
    }
    all
}

#[tokio::test]
async fn a_walk_finds_every_row_and_document_of_this_copy_and_nothing_else() {
    let redis = Redis::start().await;
    let other = CopyOptions { prefix: "other".to_owned(), ..CopyOptions::new(redis.address()) };
    fill(&CopyStore::new(&other).unwrap(), 50).await;
    redis.command(&["SET", "somebody:else", "1"]);
    let copy = copy_of(&redis);
    let mut filled = fill(&copy, 3_000).await;
    let document = CopyKey::Document("metadata".to_owned());
    let with_document = commit("two", &[(document.clone(), "{}")]);
    assert_eq!(copy.commit(0, Some(b"head"), &with_document).await.unwrap(), Committed::Done);
    filled.insert((0, document));
    assert_eq!(all_keys(&copy).await, filled);
}

#[tokio::test]
async fn in_a_cluster_all_keys_of_a_bucket_are_in_one_slot_and_all_nodes_are_walked() {
    let cluster = RedisCluster::start(3).await;
    let options = CopyOptions {
        addresses: vec![cluster.addresses()[1].clone()],
        is_cluster: true,
        ..CopyOptions::new("")
    };
    let copy = CopyStore::new(&options).unwrap();
    let filled = fill(&copy, 1_000).await;
    assert_eq!(all_keys(&copy).await, filled);
    copy.check_eviction().await.unwrap();
    let sizes: Vec<u32> =
        cluster.nodes.iter().map(|node| node.command(&["DBSIZE"]).parse().unwrap()).collect();
    assert!(sizes.iter().all(|size| *size > 200), "every node has its share: {sizes:?}");
    let slot = |key: &str| cluster.nodes[0].command(&["CLUSTER", "KEYSLOT", key]);
    assert_eq!(slot("{shipway:5}:head"), slot("{shipway:5}:0000000000000009:any key"));
    assert_ne!(slot("{shipway:5}:head"), slot("{shipway:6}:head"));

    let alone = CopyOptions { addresses: vec![cluster.addresses()[0].clone()], ..CopyOptions::new("") };
    let alone = CopyStore::new(&alone).unwrap();
    let outcomes = [
        alone.read(0, &[]).await,
        CopyStore::new(&CopyOptions {
            addresses: vec![cluster.addresses()[2].clone()],
            ..CopyOptions::new("")
        })
        .unwrap()
        .read(0, &[])
        .await,
    ];
    let refused = outcomes.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused.code(), "online.copy_refused", "{refused:?}");
}

#[tokio::test]
async fn an_encrypted_server_is_read_when_its_certificate_is_trusted() {
    let folder = TempData::new();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let encrypted = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, certificate, key) = (encrypted.to_string(), path("certificate.pem"), path("key.pem"));
    let redis = Redis::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let options = CopyOptions::new(format!("rediss://127.0.0.1:{port}"));
    let ca = Some(fs_err::read(path("certificate.pem")).unwrap());
    let trusting = CopyStore::new(&CopyOptions { ca, ..options.clone() }).unwrap();
    let committed = trusting.commit(0, None, &commit("one", &[(row(1, "a"), "1")])).await;
    assert_eq!(committed.unwrap(), Committed::Done, "{}", redis.log());
    let refused = CopyStore::new(&options).unwrap().read(0, &[]).await.unwrap_err();
    assert!(matches!(refused, CopyError::Unreachable { .. }), "{refused:?}");
}
