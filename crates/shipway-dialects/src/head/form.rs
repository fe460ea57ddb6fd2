//! Heads of forms: images and sounds are sent as `multipart/form-data`. Only where the fields lie is found out; what is in a file is the
//! provider's to judge.

use std::ops::Range;

use crate::head::{BadRequest, Head};

/// More fields than this are refused: no API has so many.
const MOST_FIELDS: usize = 256;
/// The longest boundary (RFC 2046).
const LONGEST_BOUNDARY: usize = 70;

impl Head {
    /// Reads a form of one of OpenAI's APIs, as `content_type` says that it is one. Costs a search for the boundaries.
    pub fn read_form(content_type: &str, body: &[u8]) -> Result<Self, BadRequest> {
        let boundary =
            boundary(content_type).ok_or_else(|| bad("content-type", "the form has no boundary"))?;
        let mut head = Self { choices: 1, stream_usage: true, is_form: true, ..Self::default() };
        for part in Parts::new(body, boundary) {
            let FormField { name, is_file, value } = part?;
            let bytes = body.get(value.clone()).unwrap_or_default();
            if is_file {
                head.media += 1;
                head.media_bytes = head.media_bytes.saturating_add(bytes.len() as u64);
                continue;
            }
            let text = std::str::from_utf8(bytes).map_err(|_| bad(&name, "it is no text"))?;
            match name.as_str() {
                "model" => {
                    text.clone_into(&mut head.model);
                    head.places.models.push(value);
                }
                "stream" => head.stream = text == "true",
                "user" => head.user = Some(text.to_owned()),
                "n" => head.choices = text.parse().unwrap_or(1),
                "prompt" => head.input_bytes = head.input_bytes.saturating_add(bytes.len() as u64),
                _ => {}
            }
        }
        head.choices = head.choices.max(1);
        if head.model.is_empty() {
            return Err(BadRequest::NoModel);
        }
        Ok(head)
    }
}

fn bad(field: &str, problem: &str) -> BadRequest {
    BadRequest::Field { field: field.to_owned(), problem: problem.to_owned() }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (!value.is_empty() && value.len() <= LONGEST_BOUNDARY && !value.contains(['\r', '\n'])).then_some(value)
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormField {
    /// Its name.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// Where its value lies in the body.
    pub value: Range<usize>,
}

/// The fields of a form, in order, as `content_type` says that `body` is one. Costs a search for the boundaries.
pub fn form_fields(content_type: &str, body: &[u8]) -> Result<Vec<FormField>, BadRequest> {
    let boundary =
        boundary(content_type).ok_or_else(|| bad("content-type", "it is no form with a boundary"))?;
    Parts::new(body, boundary).collect()
}

/// The fields of a form, in order.
struct Parts<'a> {
    body: &'a [u8],
    /// What stands between two fields, with the line end before it.
    delimiter: Vec<u8>,
    at: usize,
    fields: usize,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Before,
    Within,
    Over,
}

impl<'a> Parts<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Self { body, delimiter, at: 0, fields: 0, state: State::Before }
    }

    /// Goes behind the first delimiter, which may stand at the very beginning, without a line end before it.
    fn begin(&mut self) -> Result<(), BadRequest> {
        let first = self.delimiter.get(2..).unwrap_or_default();
        self.at = match self.body.starts_with(first) {
            true => first.len(),
            false => {
                let found = find(self.body, &self.delimiter);
                found.ok_or_else(|| bad("body", "the form's boundary is not in it"))? + self.delimiter.len()
            }
        };
        self.state = State::Within;
        self.after_delimiter()
    }

    /// Behind a delimiter: a line end and a field, or `--` and the end.
    fn after_delimiter(&mut self) -> Result<(), BadRequest> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            self.state = State::Over;
            return Ok(());
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest.get(padding..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
            return Err(bad("body", "a boundary of the form is followed by something else than a line end"));
        }
        self.at += padding + 2;
        Ok(())
    }

    fn field(&mut self) -> Result<FormField, BadRequest> {
        self.fields += 1;
        if self.fields > MOST_FIELDS {
            return Err(bad("body", "the form has too many fields"));
        }
        let start = self.at;
        let rest = self.body.get(start..).unwrap_or_default();
        let cut_off = || bad("body", "the form is cut off");
        let headers = find(rest, b"\r\n\r\n").ok_or_else(cut_off)?;
        let (name, is_file) = disposition(rest.get(..headers).unwrap_or_default())
            .ok_or_else(|| bad("body", "a field of the form has no name"))?;
        let value = start + headers + 4;
        // An empty value ends with the line end that its headers end with.
        let search = value - 2;
        let length =
            find(self.body.get(search..).unwrap_or_default(), &self.delimiter).ok_or_else(cut_off)?;
        let end = (search + length).max(value);
        self.at = search + length + self.delimiter.len();
        self.after_delimiter()?;
        Ok(FormField { name, is_file, value: value..end })
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<FormField, BadRequest>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Before
            && let Err(error) = self.begin()
        {
            self.state = State::Over;
            return Some(Err(error));
        }
        if self.state == State::Over {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.state = State::Over;
        }
        Some(field)
    }
}

/// Name, and whether there is a file name: of the header `content-disposition` among the headers of a field.
fn disposition(headers: &[u8]) -> Option<(String, bool)> {
    let headers = std::str::from_utf8(headers).ok()?;
    let line = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = parameter(line, "name")?;
    let is_file = parameter(line, "filename").is_some() || line.to_ascii_lowercase().contains("filename*=");
    Some((name, is_file))
}

/// The value of `; name="value"`. Quotes within are written `%22` or `\"`.
fn parameter(line: &str, wanted: &str) -> Option<String> {
    let mut rest = line;
    while let Some(at) = rest.find(';') {
        rest = rest.get(at + 1..)?.trim_start();
        let (name, value) = rest.split_once('=')?;
        let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
        let (text, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                (quoted.get(..end)?.replace("\\\"", "\""), quoted.get(end + 1..)?)
            }
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value.get(..end)?.trim().to_owned(), value.get(end..)?)
            }
        };
        if is_wanted {
            return Some(text);
        }
        rest = after;
    }
    None
}

fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|at| bytes[*at] == b'"' && (*at == 0 || bytes[at - 1] != b'\\'))
}

/// The place of the first `wanted`. Linear: it is found by its first byte, which in a form is rare.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}
