//! Page sizes and opaque page tokens.
//!
//! A token carries the place where its page ends: the values that the last row is ordered by. The next page begins after that place,
//! however many rows came or went before it, and costs what the first one did.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shipway_core::Digest;
use shipway_store::SqlValue;

use super::FilterError;

/// The greatest token that is read; places hold values of the searched things, which are bounded themselves.
const TOKEN_BYTES: usize = 1 << 16;

/// The values that a row is ordered by, in the order of the terms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place(pub(crate) Vec<SqlValue>);

/// Which part of a result is wanted: `size` rows after a place, or from the start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) after: Option<Place>,
    pub(crate) size: i64,
}

impl Page {
    /// Checks what a client asked for. `request` is what the token must belong to: a token of another search is refused,
    /// because its place would mean nothing.
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
        let after = if token.is_empty() { None } else { Some(read(token, request)?) };
        Ok(Self { after, size })
    }

    /// How many rows to ask for: one more than the page, which tells whether there is another page.
    pub(crate) fn wanted(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }
}

impl Place {
    /// The token of the page after this place.
    pub(crate) fn token(&self, request: &str) -> String {
        let mut words = vec![json!(Digest::of(request).short())];
        words.extend(self.0.iter().map(|value| match value {
            SqlValue::Int(value) => json!({ "i": value }),
            // By its bits: text would have to be rounded the same way in both directions.
            SqlValue::Real(value) => json!({ "r": value.to_bits() }),
            SqlValue::Text(value) => json!({ "t": value }),
            SqlValue::Null | SqlValue::Blob(_) => Value::Null,
        }));
        URL_SAFE_NO_PAD.encode(Value::Array(words).to_string())
    }
}

/// A token that is none, or belongs to another search.
pub(crate) fn wrong_token() -> FilterError {
    FilterError("Invalid page token: it does not belong to this search".to_owned())
}

fn read(token: &str, request: &str) -> Result<Place, FilterError> {
    if token.len() > TOKEN_BYTES {
        return Err(wrong_token());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong_token())?;
    let words: Vec<Value> = serde_json::from_slice(&bytes).map_err(|_| wrong_token())?;
    let Some((owner, values)) = words.split_first() else { return Err(wrong_token()) };
    if owner.as_str() != Some(&Digest::of(request).short()) {
        return Err(wrong_token());
    }
    values.iter().map(|value| place_value(value).ok_or_else(wrong_token)).collect::<Result<_, _>>().map(Place)
}

fn place_value(value: &Value) -> Option<SqlValue> {
    let Some(tagged) = value.as_object() else { return value.is_null().then_some(SqlValue::Null) };
    match tagged.iter().next()? {
        (kind, value) if kind == "i" => value.as_i64().map(SqlValue::Int),
        (kind, value) if kind == "r" => {
            value.as_u64().map(f64::from_bits).filter(|value| !value.is_nan()).map(SqlValue::Real)
        }
        (kind, value) if kind == "t" => {
            value.as_str().filter(|text| !text.contains('\0')).map(SqlValue::from)
        }
        _ => None,
    }
}

/// The page size when none is asked for, and the greatest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) default: i64,
    pub(crate) max: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { default: 100, max: 1_000 };

    #[test]
    fn a_token_continues_its_own_search_and_no_other() {
        let place = Place(vec![
            SqlValue::Int(i64::MIN),
            SqlValue::Real(0.1 + 0.2),
            SqlValue::Text("\u{fc}'".into()),
            SqlValue::Null,
        ]);
        let token = place.token("search");
        assert_eq!(Page::of(Some(7), &token, BOUNDS, "search"), Ok(Page { after: Some(place), size: 7 }));
        assert!(Page::of(Some(7), &token, BOUNDS, "another").is_err());
        assert_eq!(Page::of(Some(7), "", BOUNDS, "search").map(|page| page.after), Ok(None));
        for bad in ["x", "eyJvZmZzZXQiOiAxfQ", "W10", "bnVsbA", "%%%"] {
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

    proptest! {
        #[test]
        fn no_token_is_too_strange_to_be_refused(token in ".{0,60}") {
            let _ = Page::of(None, &token, BOUNDS, "search");
        }
    }
}
