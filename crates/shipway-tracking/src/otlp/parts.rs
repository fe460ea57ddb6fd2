//! Counts what an export holds before it is decoded: a message of two bytes takes a hundred times as much memory once it is a value,
//! so bounds on bytes alone bound nothing.

use super::{
    OtlpError,
    body::{PARTS, SPANS},
};

/// How deep messages nest at most; the decoder has the same bound.
const DEPTH: usize = 100;

/// The messages that hold others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Export,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Span,
    Event,
    Link,
    KeyValue,
    AnyValue,
    Array,
    Pairs,
}

impl Shape {
    /// What a field of this message holds, if that is one of these messages; by the numbers of `messages`.
    const fn inner(self, field: u32) -> Option<Self> {
        Some(match (self, field) {
            (Self::Export, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Resource, 1) | (Self::Span, 9) | (Self::Event, 3) | (Self::Link, 4) => Self::KeyValue,
            (Self::KeyValue, 2) => Self::AnyValue,
            (Self::AnyValue, 5) => Self::Array,
            (Self::AnyValue, 6) => Self::Pairs,
            (Self::Array, 1) => Self::AnyValue,
            (Self::Pairs, 1) => Self::KeyValue,
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
struct Count {
    spans: usize,
    parts: usize,
}

/// Refuses an export that holds too much, and one that is malformed: what was not counted must not be decoded.
pub(super) fn check(body: &[u8]) -> Result<(), OtlpError> {
    let mut count = Count::default();
    let well_formed = walk(body, Shape::Export, DEPTH, &mut count);
    if count.spans > SPANS {
        return Err(OtlpError::TooLarge { what: "spans", bound: SPANS as u64 });
    }
    if count.parts > PARTS {
        return Err(OtlpError::TooLarge {
            what: "attributes, values, events and links",
            bound: PARTS as u64,
        });
    }
    well_formed.ok_or_else(|| OtlpError::Unreadable { reason: "the message is malformed".to_owned() })
}

/// `None` when the message ends within a field, or has one that the protocol does not know the form of.
fn walk(mut message: &[u8], shape: Shape, depth: usize, count: &mut Count) -> Option<()> {
    count.parts += 1;
    count.spans += usize::from(shape == Shape::Span);
    while !message.is_empty() && count.parts <= PARTS && count.spans <= SPANS {
        let key = varint(&mut message)?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0)?;
        let length = match key & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            // Groups, which this protocol has none of.
            _ => return None,
        };
        let (within, after) = message.split_at_checked(length)?;
        message = after;
        if let (Some(inner), 2) = (shape.inner(field), key & 7) {
            walk(within, inner, depth.checked_sub(1)?, count)?;
        }
    }
    Some(())
}

/// The number at the start, seven bits a byte, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in message.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *message = &message[index + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::{
        super::messages::{
            Any, AnyValue, ArrayValue, Event, Export, KeyValue, Link, Resource, ResourceSpans, ScopeSpans,
            Span,
        },
        *,
    };

    fn export(span: Span, spans: usize) -> Vec<u8> {
        let resource = Some(Resource { attributes: vec![KeyValue::default()] });
        let scope_spans = vec![ScopeSpans { spans: vec![span; spans] }];
        Export { resource_spans: vec![ResourceSpans { resource, scope_spans }] }.encode_to_vec()
    }

    #[test]
    fn everything_that_takes_memory_is_counted() {
        let mut count = Count::default();
        walk(&export(full(), 2), Shape::Export, DEPTH, &mut count).unwrap();
        // Export, resource spans, resource with one pair, scope spans; each span has an event, a link and three pairs of 6.
        assert_eq!((count.spans, count.parts), (2, 5 + 2 * (3 + 3 * 6)));
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused_before_it_is_decoded() {
        assert_eq!(check(&export(Span::default(), SPANS)), Ok(()));
        let many = check(&export(Span::default(), SPANS + 1)).unwrap_err();
        assert_eq!(many.to_string(), "otlp export: more than 50000 spans");
        let groups = [0x0b, 0x0c];
        assert_eq!(check(&groups).unwrap_err().to_string(), "otlp export: the message is malformed");
        let span = Span { attributes: vec![KeyValue::default(); PARTS], ..Span::default() };
        let body = export(span, 1);
        assert!(body.len() < 5 * PARTS, "two bytes each");
        assert!(check(&body).unwrap_err().to_string().contains("attributes, values, events and links"));
    }

    fn full() -> Span {
        let value = AnyValue { value: Some(Any::Array(ArrayValue { values: vec![AnyValue::default(); 3] })) };
        let pair = KeyValue { key: "k".into(), value: Some(value) };
        Span {
            start_time_unix_nano: u64::MAX,
            attributes: vec![pair.clone()],
            events: vec![Event { attributes: vec![pair.clone()], ..Event::default() }],
            links: vec![Link { attributes: vec![pair], ..Link::default() }],
            ..Span::default()
        }
    }

    proptest! {
        #[test]
        fn what_is_cut_off_passes_where_the_decoder_takes_it(keep in 0.0..=1.0) {
            let body = export(full(), 3);
            let cut = &body[..(body.len() as f64 * keep) as usize];
            prop_assert_eq!(check(cut).is_ok(), Export::decode(cut).is_ok());
        }

        #[test]
        fn no_bytes_upset_the_count(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&body);
        }
    }
}
