//! Where texts stand in requests, answers and frames, so that they can be looked at and replaced at their place.
//!
//! Everything that a model reads or writes counts, also in members that nobody here knows: only what is known to be structure is left out,
//! such as roles, ids, types and bytes of media.

mod frame;
mod place;

use std::ops::Range;

pub use frame::{Ends, FramePlace, FrameTexts, frame_texts};
pub use place::{decode_text, encode_text, splice};

use crate::dialect::Dialect;
use crate::json::{Kind, NotJson, Reader};

/// What is shorter is no picture, sound or document, and is looked at.
const LEAST_MEDIA_BYTES: usize = 66;

/// A text in bytes of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPlace {
    /// Where it stands, with its quotes.
    pub range: Range<usize>,
    /// It is JSON itself, as the arguments of calls are in OpenAI's dialects.
    pub is_json: bool,
}

/// The texts of a request or an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// In the order in which they stand.
    pub texts: Vec<TextPlace>,
    /// The names of tools: in a request those that it offers, in an answer those that it calls.
    pub tools: Vec<String>,
    /// How many messages, items or contents there are.
    pub messages: u64,
}

/// The texts of a request. Costs one walk over it.
pub fn request_texts(dialect: Dialect, body: &[u8]) -> Result<Texts, NotJson> {
    let mut texts = Texts::default();
    Reader::new(body).object(|name, value| match (dialect, name) {
        (_, "tools") => tools(dialect, value, &mut texts.tools),
        (Dialect::OpenAiChat, "functions") => tools(dialect, value, &mut texts.tools),
        // Tools that are offered elsewhere than among the tools.
        (Dialect::OpenAiChat, "web_search_options") => offers("web_search", value, &mut texts.tools),
        (Dialect::AnthropicMessages, "mcp_servers") => offers("mcp", value, &mut texts.tools),
        (Dialect::OpenAiChat | Dialect::AnthropicMessages, "messages")
        | (Dialect::OpenAiResponses, "input")
        | (Dialect::GeminiGenerate, "contents") => {
            if value.kind()? == Kind::Array {
                let mut counted = *value;
                counted.array(|item| {
                    texts.messages += 1;
                    item.pass()
                })?;
            } else {
                texts.messages += 1;
            }
            said(value, &mut texts)
        }
        (Dialect::AnthropicMessages, "system")
        | (Dialect::OpenAiResponses, "instructions")
        | (Dialect::OpenAiCompletions, "prompt" | "suffix")
        | (Dialect::OpenAiEmbeddings, "input")
        | (Dialect::OpenAiMedia, "prompt" | "input" | "instructions")
        | (
            Dialect::GeminiGenerate,
            "systemInstruction"
            | "system_instruction"
            | "generateContentRequest"
            | "generate_content_request",
        )
        | (Dialect::GeminiEmbeddings, "content" | "requests" | "title") => said(value, &mut texts),
        _ => value.pass(),
    })?;
    Ok(texts)
}

/// Members by which tools come that are not among those of [`request_texts`]: some lie at a provider, and some mean something to another
/// API, into which a request may be translated.
const UNSEEN: [&str; 11] = [
    "additionalModelRequestFields",
    "cachedContent",
    "cached_content",
    "container",
    "functions",
    "mcp_servers",
    "plugins",
    "prompt",
    "search_parameters",
    "toolConfig",
    "web_search_options",
];

/// The member of a request by which it may offer tools that [`request_texts`] does not name, if it has one.
pub fn unseen_tools(dialect: Dialect, body: &[u8]) -> Result<Option<&'static str>, NotJson> {
    let mut found = None;
    Reader::new(body).object(|name, value| {
        let is_seen = matches!(
            (dialect, name),
            (Dialect::OpenAiChat, "functions" | "web_search_options")
                | (Dialect::AnthropicMessages, "mcp_servers")
                | (Dialect::GeminiGenerate, "toolConfig")
        );
        let kind = value.kind()?;
        if dialect == Dialect::OpenAiResponses && name == "input" {
            let mut has_tools = false;
            value.array_or_skip(|item| {
                item.object_or_skip(|name, member| {
                    has_tools |= name == "tools" && member.kind()? != Kind::Null;
                    member.pass()
                })
                .map(drop)
            })?;
            found = found.or(has_tools.then_some("input"));
            return Ok(());
        }
        // What is completed is a text; what lies at OpenAI is named by an object.
        let counts = match name {
            "prompt" => kind == Kind::Object,
            _ => kind != Kind::Null,
        };
        let unseen = UNSEEN.into_iter().find(|unseen| *unseen == name && !is_seen && counts);
        found = found.or(unseen);
        value.pass()
    })?;
    Ok(found)
}

/// What is said in a request; the calls in it are part of what was said.
fn said(value: &mut Reader<'_>, texts: &mut Texts) -> Result<(), NotJson> {
    let mut calls = Vec::new();
    walk(value, "", false, &mut Found { texts: &mut texts.texts, calls: &mut calls })
}

/// The texts of a whole answer.
pub fn answer_texts(dialect: Dialect, body: &[u8]) -> Result<Texts, NotJson> {
    let mut texts = Texts::default();
    Reader::new(body).object(|name, value| match (dialect, name) {
        (Dialect::OpenAiChat | Dialect::OpenAiCompletions, "choices")
        | (Dialect::AnthropicMessages, "content")
        | (Dialect::OpenAiResponses, "output")
        | (Dialect::GeminiGenerate, "candidates") => {
            walk(value, "", false, &mut Found { texts: &mut texts.texts, calls: &mut texts.tools })
        }
        _ => value.pass(),
    })?;
    Ok(texts)
}

/// What a walk finds.
pub(super) struct Found<'f> {
    pub(super) texts: &'f mut Vec<TextPlace>,
    pub(super) calls: &'f mut Vec<String>,
}

/// Walks over a value, the member `name` of another. `is_free`: it is what somebody gave to a tool or got of it, where no name means
/// anything.
pub(super) fn walk(
    value: &mut Reader<'_>,
    name: &str,
    is_free: bool,
    found: &mut Found<'_>,
) -> Result<(), NotJson> {
    match value.kind()? {
        Kind::Text => {
            let range = value.skip()?;
            if is_free || !is_structure(name, value.slice(range.clone())) {
                found.texts.push(TextPlace { range, is_json: !is_free && name == "arguments" });
            }
            Ok(())
        }
        Kind::Array => value.array(|item| walk(item, name, is_free, found)).map(drop),
        Kind::Object if is_free => value.object(|name, member| walk(member, name, true, found)).map(drop),
        Kind::Object => {
            let (mut called, mut kind) = (None, String::new());
            value.object(|member_name, member| {
                match member_name {
                    "name" => called = said_by(&mut { *member })?,
                    "type" => kind = said_by(&mut { *member })?.unwrap_or_default(),
                    _ => {}
                }
                let is_data = matches!(member_name, "args" | "response")
                    || member_name == "input" && member.kind()? == Kind::Object;
                walk(member, member_name, is_data, found)
            })?;
            let is_call = matches!(name, "function" | "functionCall" | "function_call")
                || matches!(
                    kind.as_str(),
                    "tool_use" | "server_tool_use" | "function_call" | "custom_tool_call" | "mcp_call"
                );
            found.calls.extend(called.filter(|_| is_call));
            Ok(())
        }
        _ => value.pass(),
    }
}

/// Whether a text is known to be none that anybody reads.
fn is_structure(name: &str, text: &[u8]) -> bool {
    match name {
        "role" | "type" | "id" | "call_id" | "tool_call_id" | "tool_use_id" | "item_id" | "response_id"
        | "name" | "status" | "object" | "model" | "modelVersion" | "responseId" | "finish_reason"
        | "finishReason" | "stop_reason" | "detail" | "format" | "mime_type" | "mimeType" | "media_type"
        | "signature" | "thoughtSignature" | "thought_signature" | "encrypted_content" | "file_id"
        | "phase" | "taskType" | "task_type" => true,
        // A document of plain text stands in the same place as one in base64.
        "data" | "file_data" | "bytes" => is_media(text),
        "url" | "image_url" | "file_url" | "fileUri" | "file_uri" => text.starts_with(b"\"data:"),
        _ => false,
    }
}

/// Whether a text, with its quotes, is bytes in base64, or an address that has them in it.
fn is_media(text: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-\"".contains(byte);
    text.starts_with(b"\"data:") || (text.len() >= LEAST_MEDIA_BYTES && text.iter().all(is_base64))
}

/// What a text says, if the value is one; whatever it says, so that nothing written strangely hides what stands beside it.
pub(super) fn said_by(value: &mut Reader<'_>) -> Result<Option<String>, NotJson> {
    let is_text = value.kind()? == Kind::Text;
    let range = value.skip()?;
    Ok(is_text.then(|| decode_text(value.slice(range))))
}

/// Counts a member as a tool of this name, where it says anything.
fn offers(name: &str, value: &mut Reader<'_>, names: &mut Vec<String>) -> Result<(), NotJson> {
    if value.kind()? != Kind::Null {
        names.push(name.to_owned());
    }
    value.pass()
}

/// The names of the tools that a request offers. One that runs at the provider goes by its type; of Google's by its member.
fn tools(dialect: Dialect, value: &mut Reader<'_>, names: &mut Vec<String>) -> Result<(), NotJson> {
    value
        .array_or_skip(|tool| {
            let (mut named, mut kind, mut others) = (Vec::new(), None, Vec::new());
            tool.object_or_skip(|name, member| {
                match name {
                    "name" => named.extend(said_by(member)?),
                    "type" => kind = said_by(member)?,
                    "function" | "custom" => name_within(member, &mut named)?,
                    "functionDeclarations" | "function_declarations" => {
                        member.array_or_skip(|one| name_within(one, &mut named))?;
                    }
                    // Some hold further ones.
                    "tools" => tools(dialect, member, names)?,
                    _ => {
                        others.push(name.to_owned());
                        member.pass()?;
                    }
                }
                Ok::<_, NotJson>(())
            })?;
            let is_named = !named.is_empty();
            names.append(&mut named);
            match (dialect, kind) {
                (Dialect::GeminiGenerate, _) => names.append(&mut others),
                // Its API ties the name to the type.
                (Dialect::AnthropicMessages, _) if is_named => {}
                (_, Some(kind)) if !matches!(kind.as_str(), "function" | "custom") => names.push(kind),
                (_, None) if !is_named => names.append(&mut others),
                _ => {}
            }
            Ok::<_, NotJson>(())
        })
        .map(drop)
}

fn name_within(value: &mut Reader<'_>, names: &mut Vec<String>) -> Result<(), NotJson> {
    value
        .object_or_skip(|name, member| {
            if name == "name" {
                names.extend(said_by(member)?);
                return Ok(());
            }
            member.pass()
        })
        .map(drop)
}
