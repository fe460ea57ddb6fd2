//! Page sizes and opaque page tokens.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use shipway_core::Digest;

use super::FilterError;

/// Which part of a result is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) offset: i64,
    pub(crate) size: i64,
}

impl Page {
    /// Checks what a client asked for. `request` is what the token must belong to: a token of another search is refused,
    /// because its offset would mean nothing.
    pub(crate) fn of(
        size: Option<i64>,
        token: &str,
        bounds: Bounds,
        request: &str,
    ) -> Result<Self, FilterError> {
        let size = size.unwrap_or(bounds.default);
        if size < 1 || size > bounds.max {
            let reason = format!(
                "Invalid value {size} for parameter 'max_results' supplied: It must be a positive integer of at most {}",
                bounds.max
            );
            return Err(FilterError(reason));
        }
        Ok(Self { offset: if token.is_empty() { 0 } else { read(token, request)? }, size })
    }

    /// The token of the page after this one.
    pub(crate) fn next_token(self, request: &str) -> String {
        let text = format!("{}:{}", self.offset.saturating_add(self.size), Digest::of(request).short());
        STANDARD.encode(text)
    }
}

/// The page size when none is asked for, and the greatest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) default: i64,
    pub(crate) max: i64,
}

fn read(token: &str, request: &str) -> Result<i64, FilterError> {
    let wrong = || FilterError("Invalid page token: it does not belong to this search".to_owned());
    let bytes = STANDARD.decode(token).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let (offset, owner) = text.split_once(':').ok_or_else(wrong)?;
    let offset = offset.parse::<i64>().ok().filter(|offset| *offset >= 0).ok_or_else(wrong)?;
    if owner == Digest::of(request).short() { Ok(offset) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { default: 100, max: 1_000 };

    #[test]
    fn a_token_continues_its_own_search_and_no_other() {
        let first = Page::of(Some(7), "", BOUNDS, "search").unwrap();
        let token = first.next_token("search");
        assert_eq!(Page::of(Some(7), &token, BOUNDS, "search"), Ok(Page { offset: 7, size: 7 }));
        assert!(Page::of(Some(7), &token, BOUNDS, "another").is_err());
        for bad in ["x", "eyJvZmZzZXQiOiAxfQ==", "LTE6YQ=="] {
            assert!(Page::of(None, bad, BOUNDS, "search").is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_beyond_the_bounds_are_refused() {
        assert_eq!(Page::of(None, "", BOUNDS, "").map(|page| page.size), Ok(100));
        for bad in [0, -1, 1_001] {
            assert!(Page::of(Some(bad), "", BOUNDS, "").is_err(), "{bad}");
        }
    }
}
