//! Reads the header `Range` of a request for a file.
//!
//! Pure (RFC 9110, section 14). One range of bytes is understood. What is none, or several, is no reason to refuse: the whole file is sent,
//! as the protocol allows.

use std::ops::Range;

/// What of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    /// These bytes: at least one, all within the file.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Nothing,
}

/// What `range` asks of a file of `size` bytes.
pub(crate) fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some(text) = range.and_then(|text| strip_unit(text.trim())) else { return Wanted::Whole };
    let Some((first, last)) = text.trim().split_once('-') else { return Wanted::Whole };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too great for the type is beyond every file.
    let number = |text: &str| text.parse().unwrap_or(u64::MAX);
    match (first, last) {
        ("", last) if digits(last) => suffix(number(last), size),
        (first, "") if digits(first) => part(number(first), size, size),
        (first, last) if digits(first) && digits(last) && number(first) <= number(last) => {
            part(number(first), number(last).saturating_add(1), size)
        }
        _ => Wanted::Whole,
    }
}

fn strip_unit(text: &str) -> Option<&str> {
    let (unit, ranges) = text.split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(ranges)
}

/// The last bytes.
fn suffix(length: u64, size: u64) -> Wanted {
    if length == 0 || size == 0 { Wanted::Nothing } else { part(size.saturating_sub(length), size, size) }
}

fn part(from: u64, to: u64, size: u64) -> Wanted {
    if from >= size { Wanted::Nothing } else { Wanted::Part(from..to.min(size)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_read_in_every_form_and_cut_off_at_the_end() {
        let of = |text: &str| wanted(Some(text), 10);
        assert_eq!(of("bytes=0-0"), Wanted::Part(0..1));
        assert_eq!(of("bytes=2-4"), Wanted::Part(2..5));
        assert_eq!(of("Bytes = 2-4"), Wanted::Whole, "a unit has no spaces after it");
        assert_eq!(of(" BYTES=2-4 "), Wanted::Part(2..5));
        assert_eq!(of("bytes=9-9"), Wanted::Part(9..10));
        assert_eq!(of("bytes=0-99"), Wanted::Part(0..10));
        assert_eq!(of("bytes=7-"), Wanted::Part(7..10));
        assert_eq!(of("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(of("bytes=-30"), Wanted::Part(0..10));
        assert_eq!(of("bytes=0-99999999999999999999999"), Wanted::Part(0..10));
    }

    #[test]
    fn bytes_beyond_the_end_are_nothing() {
        for beyond in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(wanted(Some(beyond), 10), Wanted::Nothing, "{beyond}");
        }
        for of_empty in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(wanted(Some(of_empty), 0), Wanted::Nothing, "{of_empty}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_asks_for_the_whole() {
        for other in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=4-2",
            "bytes=0-1,3-4",
            "rows=0-1",
            "bytes=+1-2",
        ] {
            assert_eq!(wanted(Some(other), 10), Wanted::Whole, "{other}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(text in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0_u64..500) {
            if let Wanted::Part(range) = wanted(Some(&text), size) {
                prop_assert!(range.start < range.end && range.end <= size, "{text} of {size}: {range:?}");
            }
        }
    }
}
