//! Texts in the frames of a stream, and which of them go on from frame to frame.

use std::ops::Range;

use super::{Found, TextPlace, said_by, walk};
use crate::dialect::Dialect;
use crate::json::{Kind, NotJson, Reader};

/// A text in the data of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramePlace {
    /// Where it stands in the data, with its quotes.
    pub range: Range<usize>,
    /// It is JSON itself, or a piece of it.
    pub is_json: bool,
    /// The text that it is a piece of: which answer, and what of it. Of one answer one text is written at a time. None: it is whole.
    pub run: Option<(u64, String)>,
}

/// What ends with a frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ends {
    /// Nothing.
    #[default]
    Nothing,
    /// What these answers wrote so far.
    Of(Vec<u64>),
    /// Whatever was written so far.
    All,
}

/// The texts of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameTexts {
    /// In the order in which they stand.
    pub places: Vec<FramePlace>,
    /// The names of tools that are called.
    pub tools: Vec<String>,
    /// What ends, after these.
    pub ends: Ends,
}

/// The texts in the data of a frame. Data that are no JSON have none.
pub fn frame_texts(dialect: Dialect, data: &[u8]) -> FrameTexts {
    let mut texts = FrameTexts::default();
    let mut reader = Reader::new(data);
    let read = match dialect {
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiMedia
        | Dialect::OpenAiRealtime => chat(&mut reader, &mut texts),
        Dialect::AnthropicMessages => messages(&mut reader, &mut texts),
        Dialect::OpenAiResponses => responses(&mut reader, &mut texts),
        Dialect::GeminiGenerate => gemini(&mut reader, &mut texts),
        // Nobody is answered in it, or with a stream.
        Dialect::BedrockConverse
        | Dialect::GeminiEmbeddings
        | Dialect::VertexPredict
        | Dialect::BedrockInvoke => return texts,
    };
    // A terminator, or what no client can read.
    if read.is_err() {
        return FrameTexts { ends: Ends::All, ..FrameTexts::default() };
    }
    texts
}

/// A member that is a count, without consuming the object.
fn count_of(object: Reader<'_>, wanted: &str) -> Result<u64, NotJson> {
    let mut object = object;
    let mut count = 0;
    object.object_or_skip(|name, member| {
        if name == wanted {
            count = member.count_or_skip()?.unwrap_or(0);
            return Ok(());
        }
        member.pass()
    })?;
    Ok(count)
}

/// A member that is a text, without consuming the object.
fn text_of(object: Reader<'_>, wanted: &str) -> Result<String, NotJson> {
    let mut object = object;
    let mut text = String::new();
    object.object_or_skip(|name, member| {
        if name == wanted {
            text = said_by(member)?.unwrap_or_default();
            return Ok(());
        }
        member.pass()
    })?;
    Ok(text)
}

impl FrameTexts {
    /// A piece of a text, if the value is one.
    fn piece(&mut self, value: &mut Reader<'_>, is_json: bool, run: (u64, String)) -> Result<(), NotJson> {
        let is_text = value.kind()? == Kind::Text;
        let range = value.skip()?;
        if is_text {
            self.places.push(FramePlace { range, is_json, run: Some(run) });
        }
        Ok(())
    }

    /// Texts that are whole, wherever they stand in the value.
    fn whole(&mut self, value: &mut Reader<'_>, name: &str, is_free: bool) -> Result<(), NotJson> {
        let mut texts = Vec::new();
        walk(value, name, is_free, &mut Found { texts: &mut texts, calls: &mut self.tools })?;
        let places =
            texts.into_iter().map(|TextPlace { range, is_json }| FramePlace { range, is_json, run: None });
        self.places.extend(places);
        Ok(())
    }

    fn end(&mut self, answer: u64) {
        match &mut self.ends {
            Ends::Nothing => self.ends = Ends::Of(vec![answer]),
            Ends::Of(answers) => answers.push(answer),
            Ends::All => {}
        }
    }
}

fn chat(reader: &mut Reader<'_>, texts: &mut FrameTexts) -> Result<(), NotJson> {
    reader
        .object(|name, value| {
            if name != "choices" {
                return value.pass();
            }
            value
                .array_or_skip(|choice| {
                    let answer = count_of(*choice, "index")?;
                    choice.object_or_skip(|name, member| match name {
                        "delta" => delta(member, answer, texts),
                        "text" => texts.piece(member, false, (answer, "text".to_owned())),
                        "finish_reason" => {
                            if member.filled_or_skip()? {
                                texts.end(answer);
                            }
                            Ok(())
                        }
                        // Alternatives and their bytes say again what the text says.
                        _ => member.pass(),
                    })?;
                    Ok::<_, NotJson>(())
                })
                .map(drop)
        })
        .map(drop)
}

fn delta(value: &mut Reader<'_>, answer: u64, texts: &mut FrameTexts) -> Result<(), NotJson> {
    value
        .object_or_skip(|name, member| match name {
            "role" => member.pass(),
            "tool_calls" => member
                .array_or_skip(|call| {
                    let index = count_of(*call, "index")?;
                    call.object_or_skip(|name, member| match name {
                        "function" | "custom" => called(member, (answer, format!("call {index}")), texts),
                        _ => member.pass(),
                    })
                    .map(drop)
                })
                .map(drop),
            "function_call" => called(member, (answer, "call".to_owned()), texts),
            _ if member.kind()? == Kind::Text => texts.piece(member, false, (answer, name.to_owned())),
            _ => texts.whole(member, name, false),
        })
        .map(drop)
}

fn called(value: &mut Reader<'_>, run: (u64, String), texts: &mut FrameTexts) -> Result<(), NotJson> {
    value
        .object_or_skip(|name, member| match name {
            "name" => {
                texts.tools.extend(said_by(member)?.filter(|name| !name.is_empty()));
                Ok(())
            }
            "arguments" | "input" => texts.piece(member, name == "arguments", run.clone()),
            _ => member.pass(),
        })
        .map(drop)
}

fn messages(reader: &mut Reader<'_>, texts: &mut FrameTexts) -> Result<(), NotJson> {
    let (kind, index) = (text_of(*reader, "type")?, count_of(*reader, "index")?);
    if !matches!(kind.as_str(), "content_block_delta" | "ping") {
        texts.ends = Ends::All;
    }
    reader
        .object(|name, value| match (kind.as_str(), name) {
            ("content_block_delta", "delta") => value
                .object_or_skip(|name, member| match name {
                    "type" | "signature" => member.pass(),
                    "text" | "thinking" | "partial_json" => {
                        texts.piece(member, name == "partial_json", (0, format!("{index} {name}")))
                    }
                    _ => texts.whole(member, name, false),
                })
                .map(drop),
            ("content_block_start", "content_block") => texts.whole(value, name, false),
            _ => value.pass(),
        })
        .map(drop)
}

fn responses(reader: &mut Reader<'_>, texts: &mut FrameTexts) -> Result<(), NotJson> {
    let kind = text_of(*reader, "type")?;
    let is_delta = kind.ends_with(".delta");
    if !is_delta {
        texts.ends = Ends::All;
    }
    let run =
        (0, format!("{kind} {} {}", count_of(*reader, "output_index")?, count_of(*reader, "content_index")?));
    let is_json = kind.ends_with("arguments.delta");
    reader
        .object(|name, value| match name {
            "delta" if is_delta => texts.piece(value, is_json, run.clone()),
            // What was written so far, said again as a whole.
            "text" | "arguments" | "refusal" | "input" | "part" | "item" if !is_delta => {
                texts.whole(value, name, false)
            }
            "response" if !is_delta => value
                .object_or_skip(|name, member| match name {
                    "output" => texts.whole(member, name, false),
                    _ => member.pass(),
                })
                .map(drop),
            _ => value.pass(),
        })
        .map(drop)
}

fn gemini(reader: &mut Reader<'_>, texts: &mut FrameTexts) -> Result<(), NotJson> {
    reader
        .object(|name, value| {
            if name != "candidates" {
                return value.pass();
            }
            value
                .array_or_skip(|candidate| {
                    let answer = count_of(*candidate, "index")?;
                    candidate.object_or_skip(|name, member| match name {
                        "content" => member
                            .object_or_skip(|name, member| match name {
                                "parts" => {
                                    member.array_or_skip(|part| gemini_part(part, answer, texts)).map(drop)
                                }
                                _ => member.pass(),
                            })
                            .map(drop),
                        "finishReason" => {
                            if member.filled_or_skip()? {
                                texts.end(answer);
                            }
                            Ok(())
                        }
                        _ => member.pass(),
                    })?;
                    Ok::<_, NotJson>(())
                })
                .map(drop)
        })
        .map(drop)
}

fn gemini_part(part: &mut Reader<'_>, answer: u64, texts: &mut FrameTexts) -> Result<(), NotJson> {
    let mut thinks = false;
    { *part }.object_or_skip(|name, member| {
        if name == "thought" {
            thinks = member.flag_or_skip()?.unwrap_or(false);
            return Ok(());
        }
        member.pass()
    })?;
    let run = if thinks { "thought" } else { "text" };
    part.object_or_skip(|name, member| match name {
        "text" => texts.piece(member, false, (answer, run.to_owned())),
        "thoughtSignature" | "thought" => member.pass(),
        _ => {
            texts.end(answer);
            texts.whole(member, name, false)
        }
    })
    .map(drop)
}
