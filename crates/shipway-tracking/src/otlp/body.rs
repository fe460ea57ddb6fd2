//! Bytes of an export as they come: compressed or not, binary or JSON. Every bound holds before memory is taken.

use std::{borrow::Cow, io::Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use prost::Message;
use shipway_core::{Failure, Kind};

use super::{json, messages::Export, parts};

/// The greatest body, as it comes and unpacked.
pub(crate) const BODY_BYTES: u64 = 64 * 1024 * 1024;
/// The greatest body of JSON, whose values take more memory than their text.
const JSON_BYTES: u64 = 16 * 1024 * 1024;
/// The most spans of one export, and the most attributes, values, events and links in them.
pub(super) const SPANS: usize = 50_000;
pub(super) const PARTS: usize = 2_000_000;

/// How the message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// Reads a content type; its parameters say nothing here.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// How the body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Deflate,
}

impl Packing {
    pub(crate) fn of(content_encoding: &str) -> Option<Self> {
        match content_encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Plain),
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// Why an export cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OtlpError {
    /// The bytes are not what the headers say.
    #[error("otlp export: {reason}")]
    Unreadable {
        /// What is wrong with them.
        reason: String,
    },
    /// A bound is passed.
    #[error("otlp export: more than {bound} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        bound: u64,
    },
    /// Reading was given up because the server is going down.
    #[error("otlp export: reading it was given up")]
    Stopped,
    /// A span cannot be kept.
    #[error("otlp export: span {index}: {reason}")]
    Span {
        /// Its place in the export, counted from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Failure for OtlpError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Stopped => Kind::Unavailable,
            Self::Unreadable { .. } | Self::Span { .. } => Kind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "tracking.otlp_too_large",
            Self::Stopped => "tracking.otlp_stopped",
            Self::Unreadable { .. } | Self::Span { .. } => "tracking.otlp_invalid",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::TooLarge { .. } => Some("export smaller batches".into()),
            Self::Stopped => Some("send it again".into()),
            Self::Unreadable { .. } | Self::Span { .. } => None,
        }
    }
}

fn unreadable(reason: impl Into<String>) -> OtlpError {
    OtlpError::Unreadable { reason: reason.into() }
}

/// Reads an export. Takes as long as unpacking and decoding take: call it where blocking is allowed.
pub(crate) fn read(body: &[u8], packing: Packing, encoding: Encoding) -> Result<Export, OtlpError> {
    let unpacked = match packing {
        Packing::Plain => Cow::Borrowed(body),
        Packing::Gzip => Cow::Owned(unpack(MultiGzDecoder::new(body), "gzip")?),
        // The name means a zlib stream, and some senders leave out its header.
        Packing::Deflate => Cow::Owned(match unpack(ZlibDecoder::new(body), "deflate") {
            Err(OtlpError::Unreadable { .. }) => unpack(DeflateDecoder::new(body), "deflate")?,
            other => other?,
        }),
    };
    let export = match encoding {
        Encoding::Protobuf => {
            parts::check(&unpacked)?;
            Export::decode(&*unpacked).map_err(|error| unreadable(error.to_string()))?
        }
        Encoding::Json if unpacked.len() as u64 > JSON_BYTES => {
            return Err(OtlpError::TooLarge { what: "bytes of JSON", bound: JSON_BYTES });
        }
        Encoding::Json => json::export(&unpacked).map_err(unreadable)?,
    };
    if export.resource_spans.is_empty() {
        return Err(unreadable("no spans found"));
    }
    let spans: usize = export
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum();
    if spans > SPANS {
        return Err(OtlpError::TooLarge { what: "spans", bound: SPANS as u64 });
    }
    Ok(export)
}

fn unpack(reader: impl Read, name: &str) -> Result<Vec<u8>, OtlpError> {
    let mut unpacked = Vec::new();
    let read = reader.take(BODY_BYTES + 1).read_to_end(&mut unpacked);
    let bytes = read.map_err(|error| unreadable(format!("failed to decompress {name} payload: {error}")))?;
    if bytes as u64 > BODY_BYTES {
        return Err(OtlpError::TooLarge { what: "bytes when unpacked", bound: BODY_BYTES });
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;

    use super::{
        super::messages::{ResourceSpans, ScopeSpans, Span},
        *,
    };

    fn export(spans: usize) -> Vec<u8> {
        let scope = ScopeSpans { spans: vec![Span::default(); spans] };
        let resource = ResourceSpans { resource: None, scope_spans: vec![scope] };
        Export { resource_spans: vec![resource] }.encode_to_vec()
    }

    #[test]
    fn every_packing_is_unpacked() {
        let plain = export(2);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&plain).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(&plain).unwrap();
        for (body, packing) in [
            (plain, Packing::Plain),
            (gzip.finish().unwrap(), Packing::Gzip),
            (zlib.finish().unwrap(), Packing::Deflate),
            (raw.finish().unwrap(), Packing::Deflate),
        ] {
            let read = read(&body, packing, Encoding::Protobuf).unwrap();
            assert_eq!(read.resource_spans[0].scope_spans[0].spans.len(), 2, "{packing:?}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused_before_it_fills_memory() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..=BODY_BYTES >> 20 {
            gzip.write_all(&zeros).unwrap();
        }
        let bomb = gzip.finish().unwrap();
        assert!((bomb.len() as u64) < BODY_BYTES / 100);
        let refused = read(&bomb, Packing::Gzip, Encoding::Protobuf).unwrap_err();
        assert_eq!(refused.code(), "tracking.otlp_too_large");
        let text = vec![b' '; JSON_BYTES as usize + 1];
        let refused = read(&text, Packing::Plain, Encoding::Json).unwrap_err();
        assert_eq!(refused.code(), "tracking.otlp_too_large");
        let refused = read(&export(SPANS + 1), Packing::Plain, Encoding::Protobuf).unwrap_err();
        assert_eq!(refused.to_string(), "otlp export: more than 50000 spans");
    }

    #[test]
    fn what_is_no_export_is_refused() {
        for (body, packing, encoding) in [
            (&b""[..], Packing::Plain, Encoding::Protobuf),
            (b"nonsense", Packing::Plain, Encoding::Protobuf),
            (b"nonsense", Packing::Gzip, Encoding::Protobuf),
            (b"nonsense", Packing::Deflate, Encoding::Protobuf),
            (b"{}", Packing::Plain, Encoding::Json),
            (b"[1", Packing::Plain, Encoding::Json),
        ] {
            let refused = read(body, packing, encoding).unwrap_err();
            assert_eq!(refused.code(), "tracking.otlp_invalid", "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(body in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
            for packing in [Packing::Plain, Packing::Gzip, Packing::Deflate] {
                let _ = read(&body, packing, Encoding::Protobuf);
                let _ = read(text.as_bytes(), packing, Encoding::Json);
            }
        }
    }
}
