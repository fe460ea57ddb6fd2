//! Packed bodies of the two packings that clients of the protocol use: gzip, and deflate, which is zlib.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::{
    Compression,
    read::{GzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderValue, header};

use super::call::wrong;
use crate::error::ServingError;

/// Answers below this many bytes go as they are: packing them costs more than sending them.
const WORTH_PACKING: usize = 1_024;

/// Whether the handler of this path unpacks its body itself.
pub fn unpacks(path: &str) -> bool {
    path.starts_with("/v2/models/") && path.ends_with("/infer")
}

/// The body as it was before it was packed, with at most `most` bytes.
pub(super) fn unpacked(headers: &HeaderMap, body: Bytes, most: u64) -> Result<Bytes, ServingError> {
    let mut plain = Vec::new();
    let read = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => return Ok(body),
        Some(b"gzip") => GzDecoder::new(body.as_ref()).take(most + 1).read_to_end(&mut plain),
        Some(b"deflate") => ZlibDecoder::new(body.as_ref()).take(most + 1).read_to_end(&mut plain),
        Some(_) => return Err(wrong("Content-Encoding must be gzip or deflate")),
    };
    read.map_err(|error| wrong(format!("the body cannot be unpacked: {error}")))?;
    if plain.len() as u64 > most {
        return Err(ServingError::TensorsTooLarge { limit: most });
    }
    Ok(Bytes::from(plain))
}

/// The body packed in a way that the client takes, and the word for it; as it is when that is not worth it.
pub(super) fn packed(headers: &HeaderMap, body: Vec<u8>) -> (Vec<u8>, Option<&'static str>) {
    if body.len() < WORTH_PACKING {
        return (body, None);
    }
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok());
    let takes =
        |word: &str| accepted.unwrap_or_default().split(',').map(str::trim).any(|packing| packing == word);
    let made = if takes("gzip") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).and_then(|()| encoder.finish()).map(|packed| (packed, "gzip"))
    } else if takes("deflate") {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).and_then(|()| encoder.finish()).map(|packed| (packed, "deflate"))
    } else {
        return (body, None);
    };
    match made {
        Ok((packed, word)) => (packed, Some(word)),
        Err(_) => (body, None),
    }
}
