//! Which answer a provider keeps.

use crate::json::{NotJson, Reader};

/// The id of a whole answer of responses; none where it says none, or is no JSON.
pub fn response_id(body: &[u8]) -> Option<String> {
    let mut id = None;
    let read = Reader::new(body).object(|name, value| {
        if name == "id" {
            id = value.text_or_skip()?.map(Into::into);
            return Ok(());
        }
        value.pass()
    });
    read.map_err(|error: NotJson| error).ok()?;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_that_of_the_answer_and_not_of_its_parts() {
        let body = br#"{"output":[{"id":"msg_1"}],"id":"resp_1","object":"response"}"#;
        assert_eq!(response_id(body).as_deref(), Some("resp_1"));
        for none in [&b"[]"[..], b"{\"id\":7}", b"{\"id\":\"a\"", b""] {
            assert_eq!(response_id(none), None);
        }
    }
}
