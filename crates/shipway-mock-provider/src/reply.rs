//! What is answered, in words that all dialects share.

use serde_json::Value;

use crate::{
    ask::{Ask, MustCall, Tool},
    example,
    script::{Script, UsageScript},
};

/// One choice of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The pieces of what it thought before.
    pub(crate) thoughts: Vec<String>,
    pub(crate) redacted: bool,
    /// The pieces of the text; none where only tools are called.
    pub(crate) text: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) interleave: bool,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// As they were filled in; `None` where a tool is called without.
    pub(crate) arguments: Option<Value>,
}

impl Call {
    /// The arguments as JSON text: of none, the empty text that some providers send.
    pub(crate) fn arguments_text(&self) -> String {
        self.arguments.as_ref().map(Value::to_string).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    Calls,
    Filter,
    /// The text is why the model refuses.
    Refusal,
}

/// Tokens. `input` and `output` have all of theirs in them, `cached`, `cache_write`, `cache_write_1h` and `audio` are parts of `input`,
/// `reasoning` is a part of `output`; each dialect tells them by its own convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cached: u64,
    pub(crate) cache_write: u64,
    pub(crate) cache_write_1h: u64,
    pub(crate) reasoning: u64,
    pub(crate) audio: u64,
}

impl Usage {
    fn of(script: &UsageScript, counted_input: u64, counted_output: u64) -> Self {
        let parts = &script.parts;
        let least = parts.cached + parts.cache_write + parts.cache_write_1h + parts.audio;
        Self {
            input: script.input.unwrap_or_else(|| counted_input.max(least)),
            output: script.output.unwrap_or_else(|| counted_output.max(parts.reasoning)),
            ..*parts
        }
    }

    /// What was read anew: neither from the cache nor into it.
    pub(crate) const fn fresh(&self) -> u64 {
        self.input.saturating_sub(self.cached + self.cache_write + self.cache_write_1h)
    }

    pub(crate) const fn total(&self) -> u64 {
        self.input + self.output
    }
}

impl Reply {
    /// The answer to `ask` under `script`; `choice` numbers it among several.
    pub(crate) fn new(ask: &Ask, script: &Script, choice: usize) -> Self {
        let speech = &script.speech;
        let calls = if speech.refusal || speech.filter { Vec::new() } else { calls(ask, script, choice) };
        let text = if calls.is_empty() { text(ask, script, choice) } else { Vec::new() };
        let thinks = if ask.thinks { speech.thinking.max(2) } else { speech.thinking };
        let thoughts: Vec<_> =
            (0..thinks).map(|number| format!("thought {number} of {}. ", ask.digest())).collect();
        let finish = match () {
            () if speech.refusal => Finish::Refusal,
            () if speech.filter => Finish::Filter,
            () if speech.length => Finish::Length,
            () if calls.is_empty() => Finish::Stop,
            () => Finish::Calls,
        };
        let said = thoughts.len()
            + text.len()
            + calls.iter().map(|call| call.arguments_text().len().div_ceil(4) + 4).sum::<usize>();
        let usage = Usage::of(&script.usage, tokens(ask.body_bytes.div_ceil(4)), tokens(said));
        Self {
            thoughts,
            redacted: speech.redacted,
            text,
            calls,
            interleave: speech.interleave,
            finish,
            usage,
        }
    }

    pub(crate) fn whole_text(&self) -> String {
        self.text.concat()
    }

    pub(crate) fn whole_thought(&self) -> String {
        self.thoughts.concat()
    }
}

fn tokens(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn calls(ask: &Ask, script: &Script, choice: usize) -> Vec<Call> {
    let wanted = match &ask.must_call {
        Some(_) => script.speech.tools.max(1),
        // What tools have answered is not asked again.
        None if ask.has_results => 0,
        None => script.speech.tools,
    };
    let wanted = if ask.parallel { wanted } else { wanted.min(1) };
    let tools: Vec<&Tool> = match &ask.must_call {
        Some(MustCall::This(name)) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        _ => ask.tools.iter().collect(),
    };
    tools
        .iter()
        .cycle()
        .take(wanted)
        .enumerate()
        .map(|(number, tool)| Call {
            id: ask.id("call", choice * 1000 + number),
            name: tool.name.clone(),
            arguments: (!script.speech.empty_arguments).then(|| example::of_schema(&tool.schema)),
        })
        .collect()
}

fn text(ask: &Ask, script: &Script, choice: usize) -> Vec<String> {
    let speech = &script.speech;
    if speech.refusal {
        return cut("I cannot help with that.", speech.chunks.min(4));
    }
    if let Some(schema) = &ask.schema {
        return cut(&example::of_schema(schema).to_string(), speech.chunks);
    }
    if speech.echo {
        return cut(&ask.said, speech.chunks);
    }
    if let Some(text) = &speech.text {
        return cut(text, speech.chunks);
    }
    let images: String = ask.images.iter().map(|image| format!(" image={:08x}", image.checksum)).collect();
    let which = if choice == 0 { String::new() } else { format!(" choice={choice}") };
    let head = format!("digest={} messages={}{images}{which}", ask.digest(), ask.messages);
    let word = |number: usize| {
        let mut word = if speech.unicode { format!(" 🚢é{number}") } else { format!(" word{number}") };
        word.extend(std::iter::repeat_n('.', speech.chunk_bytes.saturating_sub(word.len())));
        word
    };
    std::iter::once(head).chain((1..speech.chunks).map(word)).collect()
}

/// `text` in at most `pieces` pieces of characters; an empty text is no piece.
fn cut(text: &str, pieces: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let size = letters.len().div_ceil(pieces).max(1);
    letters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask() -> Ask {
        let tool = |name: &str| Tool {
            name: name.to_owned(),
            schema: json!({"type": "object", "properties": {"city": {"type": "string"}}}),
        };
        Ask {
            messages: 3,
            tools: vec![tool("weather"), tool("time")],
            parallel: true,
            checksum: 0xABCD,
            body_bytes: 400,
            choices: 1,
            ..Ask::default()
        }
    }

    fn reply(ask: &Ask, script: &str) -> Reply {
        Reply::new(ask, &Script::parse(script).unwrap(), 0)
    }

    #[test]
    fn a_text_says_what_arrived_and_has_as_many_pieces_as_asked() {
        let reply = reply(&ask(), "chunks=3,chunk_bytes=10");
        assert_eq!(reply.text, ["digest=0000abcd messages=3", " word1....", " word2...."]);
        assert_eq!((reply.usage.input, reply.usage.output), (100, 3));
        assert_eq!(reply.finish, Finish::Stop);
    }

    #[test]
    fn tools_are_called_in_turn_with_arguments_of_their_schema() {
        let reply = reply(&ask(), "tools=3");
        let called: Vec<_> =
            reply.calls.iter().map(|call| (call.name.as_str(), call.arguments_text())).collect();
        let arguments = r#"{"city":"text é"}"#.to_owned();
        assert_eq!(
            called,
            [("weather", arguments.clone()), ("time", arguments.clone()), ("weather", arguments)]
        );
        assert_ne!(reply.calls[0].id, reply.calls[2].id);
        assert!(reply.text.is_empty());
    }

    #[test]
    fn a_forced_tool_is_called_unasked_and_results_end_the_calling() {
        let forced = Ask { must_call: Some(MustCall::This("time".to_owned())), ..ask() };
        assert_eq!(reply(&forced, "").calls[0].name, "time");
        assert!(reply(&Ask { has_results: true, ..ask() }, "tools=2").calls.is_empty());
        assert_eq!(reply(&Ask { parallel: false, ..ask() }, "tools=2").calls.len(), 1);
    }

    #[test]
    fn parts_of_the_usage_are_in_the_whole() {
        let usage = reply(&ask(), "cached=300,cache_write=50").usage;
        assert_eq!((usage.input, usage.fresh(), usage.total()), (350, 0, 358));
        let usage = reply(&ask(), "input=1000,output=9,cached=300,reasoning=4").usage;
        assert_eq!((usage.fresh(), usage.output, usage.reasoning), (700, 9, 4));
    }
}
