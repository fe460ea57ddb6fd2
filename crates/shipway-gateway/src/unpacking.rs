//! Answers that a provider packs, although it is asked not to.

use std::{io::Write as _, mem};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::{Stream, StreamExt as _, future::Either, stream};
use http::{HeaderMap, header};
use reqwest::Response;
use shipway_dialects::{ApiError, Cause};

use crate::upstream;

/// What is unpacked at once: a little that is packed can be a thousand times as much.
const STEP: usize = 4 << 10;

/// How the body of an answer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    /// In a way, or in several, that is not unpacked here.
    Unknown,
}

impl Packing {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut packings = headers.get_all(header::CONTENT_ENCODING).iter().map(|name| name.as_bytes());
        let packing = match packings.next().map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Self::None,
            Some(b"gzip" | b"x-gzip") => Self::Gzip,
            Some(_) => Self::Unknown,
        };
        if packings.next().is_some() { Self::Unknown } else { packing }
    }
}

/// Why an answer that is packed in an unknown way is none.
pub(crate) fn unknown() -> ApiError {
    ApiError::new(Cause::Upstream, "the provider packed its answer in a way that is not known here")
}

/// The plain body of an answer, as it comes: what the provider has flushed is not held back. What breaks it is in our words; one that
/// is packed and ends early never ends well.
pub(crate) fn body(response: Response) -> impl Stream<Item = Result<Bytes, ApiError>> + Send {
    let packing = Packing::of(response.headers());
    let chunks = response.bytes_stream().map(|chunk| chunk.map_err(|error| upstream::failure(&error)));
    match packing {
        Packing::None => Either::Left(Either::Left(chunks)),
        Packing::Gzip => Either::Left(Either::Right(stream::try_unfold(Packed::new(chunks), Packed::next))),
        Packing::Unknown => Either::Right(stream::iter([Err(unknown())])),
    }
}

/// A body that is being unpacked.
struct Packed<S> {
    chunks: S,
    /// What came and is still packed.
    left: Bytes,
    decoder: MultiGzDecoder<Vec<u8>>,
    is_over: bool,
}

impl<S: Stream<Item = Result<Bytes, ApiError>> + Unpin> Packed<S> {
    fn new(chunks: S) -> Self {
        Self { chunks, left: Bytes::new(), decoder: MultiGzDecoder::new(Vec::new()), is_over: false }
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ApiError> {
        while !self.is_over {
            if self.left.is_empty() {
                match self.chunks.next().await {
                    Some(chunk) => self.left = chunk?,
                    None => self.is_over = true,
                }
            }
            let plain = self.step().map_err(|_| {
                ApiError::new(Cause::Upstream, "the provider packed its answer, and it cannot be unpacked")
            })?;
            if !plain.is_empty() {
                return Ok(Some((plain.into(), self)));
            }
        }
        Ok(None)
    }

    /// Unpacks a little of what came; at the end, what is left of it.
    fn step(&mut self) -> std::io::Result<Vec<u8>> {
        if self.is_over {
            self.decoder.try_finish()?;
        } else {
            let step = self.left.split_to(self.left.len().min(STEP));
            self.decoder.write_all(&step)?;
            self.decoder.flush()?;
        }
        Ok(mem::take(self.decoder.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn packing(values: &[&'static str]) -> Packing {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        Packing::of(&headers)
    }

    #[test]
    fn one_packing_is_known_by_both_its_names() {
        assert_eq!(packing(&[]), Packing::None);
        assert_eq!(packing(&["identity"]), Packing::None);
        assert_eq!((packing(&["gzip"]), packing(&["X-GZip"])), (Packing::Gzip, Packing::Gzip));
        for others in [&["br"] as &[_], &["gzip, gzip"], &["gzip", "gzip"], &["gzip", "br"]] {
            assert_eq!(packing(others), Packing::Unknown, "{others:?}");
        }
    }
}
