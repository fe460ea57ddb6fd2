//! Page tokens that say after which item a page begins, so that what is added or taken away between two pages moves nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use shipway_core::Digest;

use crate::{
    error::TrackingError,
    filter::page::{Bounds, Page, wrong_token},
};

fn wrong() -> TrackingError {
    wrong_token().into()
}

/// The token of the page after an item with these values. It belongs to `request` and to no other.
pub(super) fn write(values: Vec<Value>, request: &str) -> String {
    STANDARD.encode(json!([Digest::of(request).short(), values]).to_string())
}

/// The values in a token; `None` for no token, which is the first page.
pub(super) fn read(token: &str, request: &str) -> Result<Option<Vec<Value>>, TrackingError> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD.decode(token).map_err(|_| wrong())?;
    let (owner, values): (String, Vec<Value>) = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if owner == Digest::of(request).short() { Ok(Some(values)) } else { Err(wrong()) }
}

/// A token whose values are a time and an id.
pub(super) fn read_time_and_id(token: &str, request: &str) -> Result<Option<(i64, String)>, TrackingError> {
    let Some(values) = read(token, request)? else { return Ok(None) };
    match values.as_slice() {
        [time, Value::String(id)] => Ok(Some((time.as_i64().ok_or_else(wrong)?, id.clone()))),
        _ => Err(wrong()),
    }
}

/// Refuses a token whose values cannot be those of this search.
pub(super) fn refuse() -> TrackingError {
    wrong()
}

/// Checks the size of a page.
pub(super) fn size(asked: Option<i64>, default: i64, max: i64) -> Result<i64, TrackingError> {
    Ok(Page::of(asked, "", Bounds { default, max }, "")?.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_continues_its_own_request_and_no_other() {
        let token = write(vec![json!(5), json!("a")], "request");
        assert_eq!(read_time_and_id(&token, "request").unwrap(), Some((5, "a".to_owned())));
        assert_eq!(read_time_and_id("", "request").unwrap(), None);
        assert!(read(&token, "another").is_err());
        for bad in ["x", "eyJvZmZzZXQiOiAxfQ==", "W10="] {
            assert!(read(bad, "request").is_err(), "{bad}");
        }
        let other_shape = write(vec![json!("a")], "request");
        assert!(read_time_and_id(&other_shape, "request").is_err());
    }

    #[test]
    fn sizes_beyond_the_bounds_are_refused() {
        assert_eq!(size(None, 10, 100).unwrap(), 10);
        for bad in [0, -1, 101] {
            assert!(size(Some(bad), 10, 100).is_err(), "{bad}");
        }
    }
}
