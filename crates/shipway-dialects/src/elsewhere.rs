//! Images and documents that a request has by their address, and the same request with their data in it: for providers that fetch nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::head::BadRequest;

/// What a document is called that nobody named.
const UNNAMED: &str = "document";

/// Something of a request that lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The member that has its address, as refusals name it.
    pub path: String,
    /// Its address: `http://…` or `https://…`.
    pub url: String,
    /// Only an image may stand there.
    pub is_image: bool,
    /// What the request says that it is.
    pub media_type: Option<String>,
}

/// What lay there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// What it is, `image/png`.
    pub media_type: String,
    /// All of it.
    pub data: Bytes,
}

impl Brought {
    /// What its first bytes say it is, since providers look at these; else what its server says, unless that is what it says of everything;
    /// else what the request says.
    pub fn at(place: &Elsewhere, said: Option<String>, data: Bytes) -> Self {
        let said = said.filter(|kind| is_media_type(kind) && kind != ANYTHING);
        let asked = || place.media_type.clone().filter(|kind| is_media_type(kind));
        let known = signature(&data).map(str::to_owned);
        let media_type = known.or(said).or_else(asked).unwrap_or_else(|| ANYTHING.to_owned());
        Self { media_type, data }
    }

    fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.media_type, STANDARD.encode(&self.data))
    }
}

/// What stores of objects say of everything.
const ANYTHING: &str = "application/octet-stream";

/// Two words of the letters that such words have, so that nothing else can be said with it.
fn is_media_type(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, of)| is_word(kind) && is_word(of))
}

/// The kind of media that begins so.
fn signature(data: &[u8]) -> Option<&'static str> {
    match data {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        _ => None,
    }
}

/// What of a request lies elsewhere, in the order of the request. Addresses of another kind (`s3://…`, `gs://…`, files that lie at the
/// provider) are not among it.
pub fn elsewhere(dialect: Dialect, body: &[u8]) -> Result<Vec<Elsewhere>, BadRequest> {
    let mut found = Vec::new();
    let mut request = parse(body)?;
    each(dialect, &mut request, &mut |path, part| {
        if let Some(place) = Place::of(dialect, part)
            && let Some(url) = place.url(dialect, part)
        {
            let (is_image, media_type) = (place.is_image(part), place.media_type(part));
            found.push(Elsewhere { path, url, is_image, media_type });
        }
        Ok(())
    })?;
    Ok(found)
}

/// The request with what was brought in the place of the addresses, in the order of [`elsewhere`]. What cannot stand there is refused.
pub fn bring(dialect: Dialect, body: &[u8], brought: &[Brought]) -> Result<Bytes, BadRequest> {
    let mut rest = brought.iter();
    let mut request = parse(body)?;
    each(dialect, &mut request, &mut |path, part| {
        let Some(place) = Place::of(dialect, part) else { return Ok(()) };
        let Some(url) = place.url(dialect, part) else { return Ok(()) };
        let Some(brought) = rest.next() else { return Ok(()) };
        if place.is_image(part) && !brought.media_type.starts_with("image/") {
            return Err(refusal(path, format!("what lies there is {}, no image", brought.media_type)));
        }
        place.put(part, &url, brought);
        Ok(())
    })?;
    Ok(Bytes::from(request.to_string()))
}

/// The first member of a request that still has an address at which a server might fetch something, whatever its API knows of it.
pub fn address_left(dialect: Dialect, body: &[u8]) -> Result<Option<String>, BadRequest> {
    let mut left = None;
    let mut request = parse(body)?;
    each(dialect, &mut request, &mut |path, part| {
        let found = ADDRESSES.into_iter().filter_map(|name| part.get(name)).any(has_address);
        if found && left.is_none() {
            left = Some(path);
        }
        Ok(())
    })?;
    Ok(left)
}

/// Members that servers take addresses by.
const ADDRESSES: [&str; 10] = [
    "image_url",
    "video_url",
    "audio_url",
    "file_url",
    "input_audio",
    "file",
    "source",
    "fileData",
    "file_data",
    "url",
];

/// Whether a text, or one of the texts within, has a scheme and is no data.
fn has_address(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let text = text.trim();
            let begins = |scheme: &str| {
                text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
            };
            !begins("data:") && (text.contains("://") || begins("file:"))
        }
        Value::Object(members) => members.values().any(has_address),
        _ => false,
    }
}

fn refusal(field: String, problem: impl Into<String>) -> BadRequest {
    BadRequest::Field { field, problem: problem.into() }
}

fn parse(body: &[u8]) -> Result<Value, BadRequest> {
    serde_json::from_slice(body)
        .map_err(|error| refusal("body".to_owned(), format!("cannot be read: {error}")))
}

type Visit<'v> = dyn FnMut(String, &mut Map<String, Value>) -> Result<(), BadRequest> + 'v;

/// Every part of a request that may have an address.
fn each(dialect: Dialect, request: &mut Value, visit: &mut Visit<'_>) -> Result<(), BadRequest> {
    let (messages, parts): (&str, &[&str]) = match dialect {
        Dialect::OpenAiChat | Dialect::AnthropicMessages => ("messages", &["content"]),
        Dialect::OpenAiResponses => ("input", &["content", "output"]),
        Dialect::GeminiGenerate => ("contents", &["parts"]),
        _ => return Ok(()),
    };
    // What is counted may stand within.
    for within in ["generateContentRequest", "generate_content_request"] {
        if let Some(within) = request.get_mut(within).filter(|_| dialect == Dialect::GeminiGenerate) {
            each_message(within, (messages, parts), visit)?;
        }
    }
    each_message(request, (messages, parts), visit)
}

fn each_message(
    request: &mut Value,
    (messages, parts): (&str, &[&str]),
    visit: &mut Visit<'_>,
) -> Result<(), BadRequest> {
    let Some(messages_of) = request.get_mut(messages) else { return Ok(()) };
    // Google's API takes one that stands alone, too.
    if let Value::Object(_) = messages_of {
        return each_of(messages_of, parts, messages, visit);
    }
    for (index, message) in messages_of.as_array_mut().into_iter().flatten().enumerate() {
        each_of(message, parts, &format!("{messages}[{index}]"), visit)?;
    }
    Ok(())
}

/// The parts of one message, and what they hold themselves, as the results of tools do.
fn each_of(message: &mut Value, names: &[&str], path: &str, visit: &mut Visit<'_>) -> Result<(), BadRequest> {
    for name in names {
        let parts = message.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
        for (index, part) in parts.enumerate() {
            let path = format!("{path}.{name}[{index}]");
            each_of(part, names, &path, visit)?;
            if let Some(part) = part.as_object_mut() {
                visit(path, part)?;
            }
        }
    }
    Ok(())
}

/// Where an API has the address of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `image_url.url`.
    ChatImage,
    /// `file.file_url`.
    ChatFile,
    /// `image_url`.
    InputImage,
    /// `file_url`.
    InputFile,
    /// `source.url`.
    Source,
    /// `fileData.fileUri`.
    FileData,
}

impl Place {
    fn of(dialect: Dialect, part: &Map<String, Value>) -> Option<Self> {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        match (dialect, kind) {
            (Dialect::OpenAiChat, "image_url") => Some(Self::ChatImage),
            (Dialect::OpenAiChat, "file") => Some(Self::ChatFile),
            (Dialect::OpenAiResponses, "input_image") => Some(Self::InputImage),
            (Dialect::OpenAiResponses, "input_file") => Some(Self::InputFile),
            (Dialect::AnthropicMessages, "image" | "document") => Some(Self::Source),
            (Dialect::GeminiGenerate, _) => Some(Self::FileData),
            _ => None,
        }
    }

    /// The address that stands there, where it is one that is fetched.
    fn url(self, dialect: Dialect, part: &Map<String, Value>) -> Option<String> {
        let address = match self {
            Self::ChatImage => part.get("image_url")?.get("url")?,
            Self::ChatFile => part.get("file")?.get("file_url")?,
            Self::InputImage => part.get("image_url")?,
            Self::InputFile => part.get("file_url")?,
            Self::Source => part.get("source").filter(|source| source["type"] == "url")?.get("url")?,
            Self::FileData => either(file_data(part)?, "fileUri", "file_uri")?,
        };
        let url = address.as_str()?.trim();
        is_fetched(dialect, url).then(|| url.to_owned())
    }

    fn is_image(self, part: &Map<String, Value>) -> bool {
        match self {
            Self::ChatImage | Self::InputImage => true,
            Self::Source => part.get("type").is_some_and(|kind| kind == "image"),
            Self::ChatFile | Self::InputFile | Self::FileData => false,
        }
    }

    /// What the request says that it is.
    fn media_type(self, part: &Map<String, Value>) -> Option<String> {
        let file = file_data(part).filter(|_| self == Self::FileData)?;
        Some(either(file, "mimeType", "mime_type")?.as_str()?.to_ascii_lowercase())
    }

    /// Puts data in the place of an address, as the API has it.
    fn put(self, part: &mut Map<String, Value>, url: &str, brought: &Brought) {
        let encoded = || STANDARD.encode(&brought.data);
        match self {
            Self::ChatImage => {
                if let Some(Value::Object(image)) = part.get_mut("image_url") {
                    image.insert("url".to_owned(), brought.data_url().into());
                }
            }
            Self::ChatFile => {
                if let Some(Value::Object(file)) = part.get_mut("file") {
                    put_file(file, url, brought);
                }
            }
            Self::InputImage => drop(part.insert("image_url".to_owned(), brought.data_url().into())),
            Self::InputFile => put_file(part, url, brought),
            Self::Source => {
                let text = std::str::from_utf8(&brought.data).ok();
                let source = match text.filter(|_| brought.media_type == "text/plain") {
                    Some(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
                    None => json!({"type": "base64", "media_type": brought.media_type, "data": encoded()}),
                };
                part.insert("source".to_owned(), source);
            }
            Self::FileData => {
                part.shift_remove("fileData");
                part.shift_remove("file_data");
                let data = json!({"mimeType": brought.media_type, "data": encoded()});
                part.insert("inlineData".to_owned(), data);
            }
        }
    }
}

/// What has its own meaning at Google is no address.
fn is_fetched(dialect: Dialect, url: &str) -> bool {
    let is_known_there = dialect == Dialect::GeminiGenerate
        && ["generativelanguage.googleapis.com/", "youtube.com/", "youtu.be/"]
            .iter()
            .any(|place| url.contains(place));
    let has_scheme =
        |scheme: &str| url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    (has_scheme("https://") || has_scheme("http://")) && !is_known_there
}

fn file_data(part: &Map<String, Value>) -> Option<&Value> {
    part.get("fileData").or_else(|| part.get("file_data"))
}

fn either<'a>(of: &'a Value, name: &str, other: &str) -> Option<&'a Value> {
    of.get(name).or_else(|| of.get(other))
}

/// A file of OpenAI's, which wants a name.
fn put_file(file: &mut Map<String, Value>, url: &str, brought: &Brought) {
    file.shift_remove("file_url");
    file.insert("file_data".to_owned(), brought.data_url().into());
    file.entry("filename").or_insert_with(|| name_of(url).into());
}

/// The last part of an address's path.
fn name_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or("", |(_, rest)| rest);
    match path.split_once('/').and_then(|(_, path)| path.rsplit('/').next()) {
        Some(name) if !name.is_empty() => name,
        _ => UNNAMED,
    }
}

#[cfg(test)]
mod tests;
