//! Traces: their ids, how a caller says one (W3C Trace Context), and which are sampled. Pure but for chance.

use std::sync::Arc;

/// What a caller may give other tracers to keep; beyond this length, that the standard grants, it is left out.
const MOST_STATE_BYTES: usize = 512;

/// The bits of a trace's id that are random whoever made it.
const RANDOM_BITS: u32 = 56;

/// The trace that a caller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) trace: [u8; 16],
    pub(super) parent: [u8; 8],
    pub(super) is_sampled: bool,
    pub(super) state: Arc<str>,
}

/// Reads `traceparent`: version, trace, span and flags in hexadecimal digits; none where it is not that. Later versions may say more
/// behind it.
pub(super) fn said(parent: &str, state: Option<&str>) -> Option<Said> {
    let mut parts = parent.trim().split('-');
    let version = lower_hex::<1>(parts.next()?)?;
    let trace = lower_hex::<16>(parts.next()?)?;
    let span = lower_hex::<8>(parts.next()?)?;
    let [flags] = lower_hex::<1>(parts.next()?)?;
    let is_known = version == [0] && parts.next().is_none() || version != [0] && version != [0xff];
    if !is_known || trace == [0; 16] || span == [0; 8] {
        return None;
    }
    let state = state.filter(|state| state.len() <= MOST_STATE_BYTES).unwrap_or_default();
    Some(Said { trace, parent: span, is_sampled: flags & 1 == 1, state: state.into() })
}

/// So many bytes in lower-case digits, as the standard demands them.
fn lower_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != BYTES * 2 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The digits of an id.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Which traces are sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of traces, from 0 to 1: of those that begin here, and where callers do not decide of all.
    pub ratio: f64,
    /// Whether a caller that says a trace decides.
    pub follow_callers: bool,
}

impl Sampling {
    /// Whether a trace is sampled. The same trace is at every server with the same or a greater ratio.
    pub(super) fn samples(self, trace: [u8; 16], said: Option<&Said>) -> bool {
        if let Some(said) = said.filter(|_| self.follow_callers) {
            return said.is_sampled;
        }
        let mut tail = [0; 8];
        tail.copy_from_slice(&trace[8..]);
        let random = u64::from_be_bytes(tail) & ((1 << RANDOM_BITS) - 1);
        (random as f64) < self.ratio * (1_u64 << RANDOM_BITS) as f64
    }
}

/// Random bytes that are not all zero.
pub(super) fn new_id<const BYTES: usize>() -> [u8; BYTES]
where
    rand::distr::StandardUniform: rand::distr::Distribution<[u8; BYTES]>,
{
    loop {
        let id: [u8; BYTES] = rand::random();
        if id != [0; BYTES] {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_trace_of_a_caller_is_read_as_the_standard_writes_it() {
        let read = said(PARENT, Some("vendor=x")).unwrap();
        assert_eq!(hex(&read.trace), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            (hex(&read.parent).as_str(), read.is_sampled, &*read.state),
            ("00f067aa0ba902b7", true, "vendor=x")
        );
        assert!(!said(&PARENT.replace("-01", "-00"), None).unwrap().is_sampled);
        assert!(said(&PARENT.replace("-01", "-03"), None).unwrap().is_sampled);
        let later = format!("{}-more", PARENT.replacen("00", "01", 1));
        assert!(said(&later, None).is_some(), "later versions may say more");
        assert_eq!(&*said(PARENT, Some(&"x".repeat(513))).unwrap().state, "");
    }

    #[test]
    fn anything_else_is_no_trace() {
        let zero_trace = PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = PARENT.replace("00f067aa0ba902b7", &"0".repeat(16));
        let others = [
            String::new(),
            "00".to_owned(),
            PARENT.to_uppercase(),
            PARENT.replacen("00", "ff", 1),
            format!("{PARENT}-more"),
            PARENT.replace('-', ""),
            PARENT.replace("-01", "-1"),
            PARENT.replace("-01", "-\u{e4}"),
            zero_trace,
            zero_span,
        ];
        for other in others {
            assert_eq!(said(&other, None), None, "{other}");
        }
    }

    #[test]
    fn a_ratio_is_kept_and_callers_decide_where_they_may() {
        let of = |ratio, follow_callers| Sampling { ratio, follow_callers };
        let sampled = |sampling: Sampling| (0..4_000).filter(|_| sampling.samples(new_id(), None)).count();
        assert_eq!((sampled(of(0.0, true)), sampled(of(1.0, true))), (0, 4_000));
        // Nine standard deviations.
        assert!((750..1_250).contains(&sampled(of(0.25, true))));
        let said = said(PARENT, None).unwrap();
        assert!(of(0.0, true).samples(said.trace, Some(&said)));
        assert!(!of(0.0, false).samples(said.trace, Some(&said)));
        let not = Said { is_sampled: false, ..said };
        assert!(
            !of(1.0, true).samples(not.trace, Some(&not)) && of(1.0, false).samples(not.trace, Some(&not))
        );
    }
}
