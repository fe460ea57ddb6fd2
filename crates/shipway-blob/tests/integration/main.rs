//! Objects on a real disk: complete or not there, and checked when they are read.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use shipway_blob::{BlobError, BlobStore};
use shipway_core::{Digest, Failure, Kind};

/// SHA-256 of "abc" (FIPS 180-2, appendix B.1).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

fn opened() -> (tempfile::TempDir, BlobStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open_local(folder.path()).unwrap();
    (folder, store)
}

#[tokio::test]
async fn an_object_is_named_by_its_content_and_comes_back_as_it_was() {
    let (folder, store) = opened();
    let chunks = stream::iter(["a", "", "bc"].map(|chunk| Ok::<_, io::Error>(Bytes::from(chunk))));
    let stored = store.put(chunks).await.unwrap();

    assert_eq!((stored.digest.hex(), stored.bytes), (ABC.to_owned(), 3));
    assert_eq!(store.read(&stored.digest).await.unwrap(), "abc");
    assert_eq!(store.size(&stored.digest).await.unwrap(), Some(3));
    assert_eq!(files_under(folder.path()), [folder.path().join("sha256").join("ba").join(ABC)]);
}

#[tokio::test]
async fn large_and_empty_objects_stream_whole() {
    let (_folder, store) = opened();
    let large = Bytes::from((0..1_000_003_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    for content in [large, Bytes::new()] {
        let stored = store.put_bytes(content.clone()).await.unwrap();
        let chunks: Vec<Bytes> = store.get(&stored.digest).await.unwrap().try_collect().await.unwrap();
        assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= 256 * 1024));
        assert!(chunks.concat() == content, "the content changed");
    }
}

#[tokio::test]
async fn the_same_content_is_kept_once() {
    let (folder, store) = opened();
    let one = store.put_bytes("abc".into()).await.unwrap();
    assert_eq!(store.put_bytes("abc".into()).await.unwrap(), one);
    assert_eq!(files_under(folder.path()).len(), 1);
}

#[tokio::test]
async fn content_that_breaks_off_leaves_nothing_behind_and_keeps_its_reason() {
    let (folder, store) = opened();
    let broken = stream::iter([Ok(Bytes::from("half")), Err(io::Error::other("connection reset"))]);
    let error = store.put(broken).await.unwrap_err();

    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "blob.content_interrupted"));
    assert_eq!(error.content::<io::Error>().unwrap().to_string(), "connection reset");
    assert_eq!(files_under(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_writer_that_gives_up_leaves_nothing_behind() {
    let (folder, store) = opened();
    let first = stream::iter([Ok::<_, io::Error>(Bytes::from("half"))]);
    let mut writing = Box::pin(store.put(first.chain(stream::pending())));
    while files_under(folder.path()).is_empty() {
        assert!((&mut writing).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(writing);
    assert_eq!(files_under(folder.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_a_killed_process_left_unfinished_is_removed_at_the_next_start() {
    let (folder, store) = opened();
    let stored = store.put_bytes("abc".into()).await.unwrap();
    fs_err::write(folder.path().join("unfinished").join("torn"), "half").unwrap();

    let again = BlobStore::open_local(folder.path()).unwrap();

    assert_eq!(files_under(folder.path()).len(), 1);
    assert_eq!(again.read(&stored.digest).await.unwrap(), "abc");
}

#[tokio::test]
async fn a_damaged_object_is_reported_at_its_end_and_healed_by_the_same_content() {
    let (folder, store) = opened();
    let stored = store.put_bytes("abc".into()).await.unwrap();
    fs_err::write(&files_under(folder.path())[0], "abd").unwrap();

    let error = store.read(&stored.digest).await.unwrap_err();
    assert!(
        matches!(error, BlobError::Damaged { digest, found } if digest == stored.digest && found == Digest::of("abd"))
    );
    let items: Vec<_> = store.get(&stored.digest).await.unwrap().collect().await;
    assert!(items.last().unwrap().is_err());

    store.put_bytes("abc".into()).await.unwrap();
    assert_eq!(store.read(&stored.digest).await.unwrap(), "abc");
}

#[tokio::test]
async fn a_part_is_read_from_its_first_byte_to_its_last() {
    let (folder, store) = opened();
    let content: Vec<u8> = (0..700_000_u32).map(|number| (number % 251) as u8).collect();
    let stored = store.put_bytes(content.clone().into()).await.unwrap();
    for part in [0..1, 0..700_000, 699_999..700_000, 262_143..262_145, 5..5] {
        let chunks: Vec<Bytes> =
            store.get_part(&stored.digest, part.clone()).await.unwrap().try_collect().await.unwrap();
        let wanted = &content[part.start as usize..part.end as usize];
        assert_eq!(chunks.concat(), wanted, "{part:?}");
    }

    fs_err::write(&files_under(folder.path())[0], "short").unwrap();
    let items: Vec<_> = store.get_part(&stored.digest, 3..9).await.unwrap().collect().await;
    assert!(matches!(items.last(), Some(Err(BlobError::Short { .. }))));
    assert!(store.get_part(&Digest::of("none"), 0..1).await.is_err());
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_folder, store) = opened();
    let digest = Digest::of("abc");
    assert!(!store.exists(&digest).await.unwrap());
    assert!(!store.delete(&digest).await.unwrap());
    assert_eq!(store.read(&digest).await.unwrap_err().kind(), Kind::NotFound);

    store.put_bytes("abc".into()).await.unwrap();
    assert!(store.exists(&digest).await.unwrap());
    assert!(store.delete(&digest).await.unwrap());
    assert!(!store.exists(&digest).await.unwrap());
}
