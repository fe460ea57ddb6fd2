//! Forms: what is read of them, and that only the model changes.

use bytes::Bytes;
use proptest::prelude::*;
use shipway_dialects::{BadRequest, Changes, Dialect, Head, rewrite};

const TYPE: &str = "multipart/form-data; boundary=limit";

fn form(fields: &[(&str, &str)]) -> String {
    let parts = fields.iter().map(|(name, value)| {
        let file = if *name == "file" || *name == "image" {
            "; filename=\"a;b.png\"\r\ncontent-type: image/png"
        } else {
            ""
        };
        format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    });
    format!("{}--limit--\r\n", parts.collect::<String>())
}

fn renamed(body: &str, model: &str) -> String {
    let head = Head::read_form(TYPE, body.as_bytes()).unwrap();
    let changes = Changes { model: Some(model), stream_usage: true };
    let out = rewrite(Dialect::OpenAiMedia, Bytes::copy_from_slice(body.as_bytes()), &head, &changes);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn fields_are_read_and_files_are_only_measured() {
    let body = form(&[
        ("file", "--limi \r\n--limitless? no, sound"),
        ("model", "whisper"),
        ("stream", "true"),
        ("n", "3"),
        ("user", "ann"),
        ("prompt", ""),
    ]);
    // What looks like the boundary ends the field, as in every parser: so it is no file that a client would send.
    assert!(Head::read_form(TYPE, body.as_bytes()).is_err());
    let body = body.replace("--limitless", "-limitless");
    let head = Head::read_form(TYPE, body.as_bytes()).unwrap();
    assert_eq!((head.model.as_str(), head.stream, head.choices, head.media), ("whisper", true, 3, 1));
    assert_eq!((head.user.as_deref(), head.input_bytes), (Some("ann"), 0));
    assert_eq!(head.media_bytes, "--limi \r\n-limitless? no, sound".len() as u64);
    assert_eq!(renamed(&body, "whisper-large-v3"), body.replace("whisper", "whisper-large-v3"));
    assert_eq!(renamed(&body, "whisper"), body);
}

#[test]
fn a_model_that_comes_twice_is_replaced_twice() {
    let body = form(&[("model", "a"), ("prompt", "a"), ("model", "b")]);
    assert_eq!(renamed(&body, "c"), form(&[("model", "c"), ("prompt", "a"), ("model", "c")]));
}

#[test]
fn what_is_no_form_is_refused() {
    let body = form(&[("model", "m")]);
    let read = |content_type: &str, body: &str| Head::read_form(content_type, body.as_bytes());
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=limit",
        "multipart/form-data; boundary=other",
        "application/json",
    ] {
        assert!(read(content_type, &body).is_err(), "{content_type}");
    }
    assert!(read("Multipart/Form-Data; charset=utf-8; Boundary=\"limit\"", &body).is_ok());
    for cut in 1..body.len() - 2 {
        assert!(read(TYPE, &body[..body.len() - 2 - cut]).is_err(), "{cut}");
    }
    assert_eq!(read(TYPE, &form(&[("prompt", "m")])), Err(BadRequest::NoModel));
    assert!(read(TYPE, &body.replace("; name=\"model\"", "")).is_err());
    assert!(
        read(TYPE, &"--limit\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nb\r\n".repeat(300))
            .is_err()
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(content_type in ".{0,80}", body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Head::read_form(&content_type, &body);
        let _ = Head::read_form(TYPE, &body);
        let _ = Head::read_form(TYPE, &[b"--limit\r\n".as_slice(), &body, b"\r\n--limit--"].concat());
    }

    /// Whatever else is in the form stays.
    #[test]
    fn only_the_model_changes(
        before in prop::collection::vec(("[a-z]{1,8}x", "[^-]{0,40}"), 0..4),
        model in "[a-z0-9.-]{1,20}",
        after in prop::collection::vec(("[a-z]{1,8}x", "[^-]{0,40}"), 0..4),
        new in "[a-z0-9.-]{1,20}",
    ) {
        let with = |model: &str| {
            let mut fields: Vec<(&str, &str)> = before.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            fields.push(("model", model));
            fields.extend(after.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            form(&fields)
        };
        prop_assert_eq!(renamed(&with(&model), &new), with(&new));
    }
}
