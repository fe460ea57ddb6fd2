//! Entries as producers make them, taken apart.

use std::io::Write;

use bytes::{BufMut, BytesMut};

use super::*;
use crate::pulsar::commands::{Body, EncryptionKey, Publish};

const SENT_MS: u64 = 1_700_000_000_000;

fn metadata() -> Metadata {
    Metadata { producer_name: "p".to_owned(), publish_time: SENT_MS, ..Metadata::default() }
}

/// What a broker would deliver behind the command.
fn entry(metadata: &Metadata, payload: &[u8]) -> Bytes {
    let sent = Body::Send(Publish { producer_id: 0, sequence_id: 0 });
    let mut read = BytesMut::from(&frame::with_entry(sent, metadata, payload)[..]);
    frame::take(&mut read, usize::MAX).unwrap().unwrap().entry
}

fn batch_of(messages: &[(SingleMetadata, &[u8])]) -> Vec<u8> {
    let mut payload = BytesMut::new();
    for (single, text) in messages {
        let single = SingleMetadata { payload_size: text.len() as i32, ..single.clone() };
        let encoded = single.encode_to_vec();
        payload.put_u32(encoded.len() as u32);
        payload.put_slice(&encoded);
        payload.put_slice(text);
    }
    payload.to_vec()
}

fn texts(opened: &Opened) -> Vec<(u64, Option<String>)> {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    opened.pieces.iter().map(|piece| (piece.batch, piece.value.as_ref().map(text))).collect()
}

fn property(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn a_message_of_its_own_says_what_its_producer_put_into_it() {
    let sent = Metadata {
        partition_key: Some("k".to_owned()),
        properties: vec![property("trace", "1"), property("trace", "2"), property("empty", "")],
        ..metadata()
    };
    let opened = open(entry(&sent, b"text")).unwrap();
    let header = |name: &str, value: &'static str| Header {
        name: name.to_owned(),
        value: Some(Bytes::from_static(value.as_bytes())),
    };
    let piece = Piece {
        batch: 0,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(b"text")),
        timestamp_us: Some(1_700_000_000_000_000),
        headers: vec![header("trace", "1"), header("trace", "2"), header("empty", "")],
    };
    assert_eq!(opened, Opened { messages: 1, pieces: vec![piece] });
}

#[test]
fn null_and_empty_are_told_apart_and_keys_of_bytes_come_back() {
    let piece = |metadata: Metadata| open(entry(&metadata, b"")).unwrap().pieces.remove(0);
    let empty = piece(Metadata { partition_key: Some(String::new()), ..metadata() });
    assert_eq!((empty.key, empty.value), (Some(Bytes::new()), Some(Bytes::new())));
    let null = piece(Metadata { null_value: Some(true), null_partition_key: Some(true), ..metadata() });
    assert_eq!((null.key, null.value), (None, None));
    let bytes = piece(Metadata {
        partition_key: Some(BASE64_STANDARD.encode([0, 255])),
        partition_key_b64_encoded: Some(true),
        event_time: Some(5),
        ..metadata()
    });
    assert_eq!((bytes.key, bytes.timestamp_us), (Some(Bytes::from_static(&[0, 255])), Some(5_000)));
}

#[test]
fn each_message_of_a_batch_comes_once_with_its_place_whatever_the_batch_is_packed_with() {
    let named =
        |name: &str| SingleMetadata { partition_key: Some(name.to_owned()), ..SingleMetadata::default() };
    let gone = SingleMetadata { compacted_out: Some(true), ..SingleMetadata::default() };
    let null = SingleMetadata { null_value: Some(true), ..SingleMetadata::default() };
    let plain = batch_of(&[(named("a"), b"one"), (gone, b""), (null, b""), (named("b"), b"four")]);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(&plain).unwrap();
    let packed = [
        (0, plain.clone()),
        (1, lz4_flex::block::compress(&plain)),
        (2, zlib.finish().unwrap()),
        (3, zstd::bulk::compress(&plain, 3).unwrap()),
        (4, snap::raw::Encoder::new().compress_vec(&plain).unwrap()),
    ];
    for (compression, payload) in packed {
        let sent = Metadata {
            compression: Some(compression),
            uncompressed_size: Some(plain.len() as u32),
            num_messages_in_batch: Some(4),
            ..metadata()
        };
        let opened = open(entry(&sent, &payload)).unwrap();
        assert_eq!(opened.messages, 4, "{compression}");
        let expected = [(0, Some("one".to_owned())), (2, None), (3, Some("four".to_owned()))];
        assert_eq!(texts(&opened), expected, "{compression}");
        assert_eq!(opened.pieces[0].key, Some(Bytes::from_static(b"a")));

        for wrong in [plain.len() as u32 - 1, plain.len() as u32 + 1, u32::MAX] {
            let lies = Metadata { uncompressed_size: Some(wrong), ..sent.clone() };
            let read = open(entry(&lies, &payload));
            assert_eq!(read.is_ok(), compression == 0, "{compression} with {wrong}: {read:?}");
        }
    }
    let one = Metadata { num_messages_in_batch: Some(1), ..metadata() };
    let opened = open(entry(&one, &batch_of(&[(named("a"), b"one")]))).unwrap();
    assert_eq!(texts(&opened), [(0, Some("one".to_owned()))]);
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let refused =
        |metadata: Metadata, payload: &[u8]| open(entry(&metadata, payload)).unwrap_err().to_string();
    let encrypted = vec![EncryptionKey { key: "k".to_owned() }];
    assert_eq!(
        refused(Metadata { encryption_keys: encrypted, ..metadata() }, b"x"),
        "it is encrypted by its producer"
    );
    assert_eq!(
        refused(Metadata { num_chunks_from_msg: Some(3), ..metadata() }, b"x"),
        "its producer sent it in chunks"
    );
    let two = Metadata { num_messages_in_batch: Some(2), ..metadata() };
    let cut = batch_of(&[(SingleMetadata::default(), b"one")]);
    assert_eq!(refused(two.clone(), &cut), "it ends within a length");
    assert!(refused(two, &cut[..cut.len() - 1]).contains("longer than the batch"));
    let minus = Metadata { num_messages_in_batch: Some(-1), ..metadata() };
    assert_eq!(refused(minus, b""), "it is a batch of -1 messages");
    let strange = Metadata { compression: Some(9), uncompressed_size: Some(1), ..metadata() };
    assert_eq!(refused(strange, b"x"), "it is packed in a way that is not known here, number 9");
}

#[test]
fn what_brokers_write_for_themselves_has_no_message() {
    let marker = Metadata { marker_type: Some(20), ..metadata() };
    assert_eq!(open(entry(&marker, b"x")).unwrap(), Opened { messages: 1, pieces: Vec::new() });
}
