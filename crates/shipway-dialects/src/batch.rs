//! Files of calls that a provider works off later: one JSON object a line, each with the path of an API and the body of a call.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    dialect::Dialect,
    head::{BadRequest, Head},
    json::{NotJson, Reader},
    rewrite::{Changes, rewrite},
    usage::Usage,
};

/// More calls than this are in no file: providers take fewer.
const MOST_CALLS: usize = 200_000;
/// The APIs whose calls are worked off later: their paths, with the version, and what a provider is asked for.
const PATHS: [(&str, &str, Dialect); 4] = [
    ("/v1/chat/completions", "chat/completions", Dialect::OpenAiChat),
    ("/v1/completions", "completions", Dialect::OpenAiCompletions),
    ("/v1/responses", "responses", Dialect::OpenAiResponses),
    ("/v1/embeddings", "embeddings", Dialect::OpenAiEmbeddings),
];

/// A file of calls that all go to one model by one API.
#[derive(Debug, Clone)]
pub struct BatchFile {
    bytes: Bytes,
    /// Which API the calls are of.
    pub dialect: Dialect,
    /// Where that API lies behind the address of a provider.
    pub path: &'static str,
    /// The model that they ask for.
    pub model: String,
    /// What each call may use.
    pub calls: Vec<BatchCall>,
}

/// A call of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCall {
    /// About how many tokens its input has.
    pub input_tokens: u64,
    /// The most tokens that one answer may have, if it says so.
    pub max_output_tokens: Option<u64>,
    /// How many answers it asks for.
    pub choices: u64,
    /// Where its body lies in the file.
    body: Range<usize>,
}

/// A line, as far as it is looked at.
struct Line {
    url: String,
    body: Range<usize>,
}

impl BatchFile {
    /// Reads a file; costs two walks over it. What is wrong is said with its line, counted from 1.
    pub fn read(bytes: Bytes) -> Result<Self, BadRequest> {
        let mut found: Option<Self> = None;
        let mut start = 0;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let (at, place) = (start, format!("line {}", index + 1));
            start += line.len() + 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let bad = |problem: String| BadRequest::Field { field: place.clone(), problem };
            let Line { url, body } = read_line(line).map_err(|problem| bad(problem.0))?;
            let (_, path, dialect) = PATHS
                .into_iter()
                .find(|(known, ..)| *known == url)
                .ok_or_else(|| bad(format!("url {url} is no API whose calls are worked off later")))?;
            let body_bytes = line.get(body.clone()).unwrap_or_default();
            let head = Head::read(dialect, body_bytes).map_err(|error| bad(error.to_string()))?;
            let call = BatchCall {
                input_tokens: head.estimated_input_tokens(),
                max_output_tokens: head.max_output_tokens,
                choices: head.choices,
                body: at + body.start..at + body.end,
            };
            let file = found.get_or_insert_with(|| Self {
                bytes: Bytes::new(),
                dialect,
                path,
                model: head.model.clone(),
                calls: Vec::new(),
            });
            if file.path != path || file.model != head.model {
                return Err(bad("all calls of a file ask one model by one API".to_owned()));
            }
            if file.calls.len() >= MOST_CALLS {
                return Err(bad(format!("a file has at most {MOST_CALLS} calls")));
            }
            file.calls.push(call);
        }
        let empty = || BadRequest::Field { field: "file".to_owned(), problem: "it has no calls".to_owned() };
        Ok(Self { bytes, ..found.ok_or_else(empty)? })
    }

    /// The head of the first call.
    pub fn head(&self) -> Head {
        let first = self.calls.first().and_then(|call| self.bytes.get(call.body.clone()));
        // It was read before, so it can be read again.
        first.and_then(|body| Head::read(self.dialect, body).ok()).unwrap_or_default()
    }

    /// The file with the name that the model has where it goes; nothing else of it changes.
    pub fn for_model(&self, model: &str) -> Bytes {
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut at = 0;
        for call in &self.calls {
            let body = self.bytes.slice(call.body.clone());
            // It was read before, so it can be read again.
            let Ok(head) = Head::read(self.dialect, &body) else { continue };
            let changes = Changes { model: Some(model), stream_usage: false };
            out.extend_from_slice(self.bytes.get(at..call.body.start).unwrap_or_default());
            out.extend_from_slice(&rewrite(self.dialect, body, &head, &changes));
            at = call.body.end;
        }
        out.extend_from_slice(self.bytes.get(at..).unwrap_or_default());
        Bytes::from(out)
    }
}

/// The API whose path, with the version, is `endpoint`, and where it lies behind the address of a provider.
pub fn batch_api(endpoint: &str) -> Option<(Dialect, &'static str)> {
    PATHS.into_iter().find(|(known, ..)| *known == endpoint).map(|(_, path, dialect)| (dialect, path))
}

/// What is wrong with a line.
struct Problem(String);

impl From<NotJson> for Problem {
    fn from(error: NotJson) -> Self {
        Self(error.to_string())
    }
}

fn read_line(line: &[u8]) -> Result<Line, Problem> {
    let (mut url, mut body, mut method) = (None, None, None);
    let mut reader = Reader::new(line);
    reader.object::<Problem>(|name, value| {
        let is_again = match name {
            "url" => url.replace(value.text_or_skip()?.unwrap_or_default().into_owned()).is_some(),
            "method" => method.replace(value.text_or_skip()?.unwrap_or_default().into_owned()).is_some(),
            "body" => body.replace(value.skip()?).is_some(),
            _ => {
                value.pass()?;
                false
            }
        };
        // Which of two counts, parsers do not agree on.
        if is_again { Err(Problem(format!("{name} comes twice"))) } else { Ok(()) }
    })?;
    reader.finish()?;
    if method.is_some_and(|method| method != "POST") {
        return Err(Problem("method must be POST".to_owned()));
    }
    let missing = |name: &str| Problem(format!("{name} is missing"));
    Ok(Line { url: url.ok_or_else(|| missing("url"))?, body: body.ok_or_else(|| missing("body"))? })
}

/// What the answer in a line of a file of answers used; none where it says nothing, such as of a call that failed.
pub fn batch_usage(dialect: Dialect, line: &[u8]) -> Result<Option<Usage>, NotJson> {
    let mut body = None;
    Reader::new(line).object::<NotJson>(|name, value| match name {
        "response" => value
            .object_or_skip::<NotJson>(|name, value| {
                if name == "body" {
                    body = Some(value.skip()?);
                    return Ok(());
                }
                value.pass()
            })
            .map(drop),
        _ => value.pass(),
    })?;
    match body.and_then(|body| line.get(body)).filter(|body| body.starts_with(b"{")) {
        Some(body) => Usage::of_answer(dialect, body),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, model: &str, more: &str) -> String {
        format!(
            r#"{{"custom_id": "{id}", "method": "POST", "url": "/v1/chat/completions", "body": {{"model": "{model}", "messages": [{{"role": "user", "content": "model: {model}"}}]{more}}}}}"#
        )
    }

    #[test]
    fn a_file_says_what_its_calls_may_use_and_goes_on_with_another_name_of_the_model() {
        let text =
            format!("{}\r\n\n{}\n", line("a", "chat", r#","max_tokens":5,"n":2"#), line("b", "chat", ""));
        let file = BatchFile::read(Bytes::from(text.clone())).unwrap();
        assert_eq!(
            (file.model.as_str(), file.dialect, file.path),
            ("chat", Dialect::OpenAiChat, "chat/completions")
        );
        let bounds: Vec<_> = file.calls.iter().map(|call| (call.max_output_tokens, call.choices)).collect();
        assert_eq!(bounds, [(Some(5), 2), (None, 1)]);
        assert!(file.calls.iter().all(|call| call.input_tokens > 0));
        let told = file.for_model("gpt-5");
        assert_eq!(
            String::from_utf8(told.to_vec()).unwrap(),
            text.replace(r#""model": "chat""#, r#""model": "gpt-5""#)
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = line("a", "chat", "");
        for (text, said) in [
            (String::new(), "file: it has no calls"),
            (format!("{good}\n{{"), "line 2: "),
            (
                format!("{good}\n{}", line("b", "other", "")),
                "line 2: all calls of a file ask one model by one API",
            ),
            (good.replace("/v1/chat/completions", "/v1/files"), "line 1: url /v1/files"),
            (good.replace("POST", "GET"), "line 1: method must be POST"),
            (good.replace(r#""custom_id": "a""#, r#""body": {}"#), "line 1: body comes twice"),
            (good.replace(r#""model": "chat", "#, ""), "line 1: the request names no model"),
            (good.replace(r#""url""#, r#""uri""#), "line 1: url is missing"),
        ] {
            let error = BatchFile::read(Bytes::from(text)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_usage_of_an_answer_is_that_of_its_body() {
        let answered = br#"{"id":"r","custom_id":"a","response":{"status_code":200,"usage":{"prompt_tokens":1},"body":{"usage":{"prompt_tokens":3,"completion_tokens":4}}},"error":null}"#;
        let usage = batch_usage(Dialect::OpenAiChat, answered).unwrap().unwrap();
        assert_eq!((usage.input, usage.output), (3, 4));
        for none in [
            &br#"{"response":null,"error":{}}"#[..],
            br#"{"response":{"body":null}}"#,
            br#"{"response":{"body":{"error":{}}}}"#,
        ] {
            assert_eq!(batch_usage(Dialect::OpenAiChat, none).unwrap(), None);
        }
        assert!(batch_usage(Dialect::OpenAiChat, b"{").is_err());
    }
}
