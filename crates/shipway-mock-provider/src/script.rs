//! How one answer comes or fails, and the language in which that is said: `latency=20ms,chunks=64,fault=cut:3`.

use std::time::Duration;

use crate::{
    delay::{Delay, parse_duration},
    reply::Usage,
};

/// Everything that may be said about an answer. The default is an honest answer at once.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Script {
    /// What it was read from: equal texts are equal scripts.
    pub(crate) text: String,
    pub(crate) timing: Timing,
    pub(crate) speech: Speech,
    pub(crate) usage: UsageScript,
    pub(crate) failure: Failure,
    pub(crate) fault: Option<Fault>,
    pub(crate) framing: Framing,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Timing {
    pub(crate) latency: Delay,
    pub(crate) jitter: Duration,
    pub(crate) slow_headers: Duration,
    pub(crate) first: Delay,
    pub(crate) interval: Delay,
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the script")]
pub(crate) struct Speech {
    pub(crate) chunks: usize,
    pub(crate) chunk_bytes: usize,
    pub(crate) text: Option<String>,
    pub(crate) echo: bool,
    pub(crate) unicode: bool,
    pub(crate) tools: usize,
    pub(crate) empty_arguments: bool,
    pub(crate) interleave: bool,
    pub(crate) thinking: usize,
    pub(crate) redacted: bool,
    pub(crate) refusal: bool,
    pub(crate) filter: bool,
    pub(crate) length: bool,
    pub(crate) unique_ids: bool,
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            chunks: 8,
            chunk_bytes: 0,
            text: None,
            echo: false,
            unicode: false,
            tools: 0,
            empty_arguments: false,
            interleave: false,
            thinking: 0,
            redacted: false,
            refusal: false,
            filter: false,
            length: false,
            unique_ids: false,
        }
    }
}

/// What usage is told, and in which shape. What is not given is counted from request and answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UsageScript {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) parts: Usage,
    pub(crate) shape: UsageShape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UsageShape {
    /// As the provider does it.
    #[default]
    Usual,
    Never,
    Always,
    Merged,
    Each,
}

/// An error instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Failure {
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) should_retry: Option<bool>,
    /// Of a hundred requests; `None` is all of them.
    pub(crate) percent: Option<u8>,
}

/// What went wrong at the provider, before its dialect words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Invalid,
    Auth,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Quota,
    Context,
    ContentPolicy,
    Server,
    BadGateway,
    Unavailable,
    Overloaded,
    Timeout,
}

impl ErrorKind {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "invalid" => Self::Invalid,
            "auth" => Self::Auth,
            "permission" => Self::Permission,
            "not_found" => Self::NotFound,
            "too_large" => Self::TooLarge,
            "rate_limit" => Self::RateLimit,
            "quota" => Self::Quota,
            "context" => Self::Context,
            "content_policy" => Self::ContentPolicy,
            "server" => Self::Server,
            "bad_gateway" => Self::BadGateway,
            "unavailable" => Self::Unavailable,
            "overloaded" => Self::Overloaded,
            "timeout" => Self::Timeout,
            _ => return Err(format!("error={text} is not known; --help lists the kinds")),
        })
    }

    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Auth,
            403 => Self::Permission,
            404 => Self::NotFound,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            408 | 504 => Self::Timeout,
            529 => Self::Overloaded,
            500..=599 => Self::Server,
            _ => Self::Invalid,
        }
    }
}

/// What breaks. Numbers count frames from 0; a whole answer breaks in its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Cut(usize),
    Reset(usize),
    HalfFrame(usize),
    Stall(usize),
    End(usize),
    NoTerminator,
    NoFinish,
    ErrorFrame(usize),
    BadChecksum(usize),
    Disconnect,
    Empty,
    Garbage,
    Html,
}

impl Fault {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, at) = text.split_once(':').unwrap_or((text, "0"));
        let at = number(at)?;
        Ok(match name {
            "cut" => Self::Cut(at),
            "reset" => Self::Reset(at),
            "half_frame" => Self::HalfFrame(at),
            "stall" => Self::Stall(at),
            "end" => Self::End(at),
            "no_terminator" => Self::NoTerminator,
            "no_finish" => Self::NoFinish,
            "error_frame" => Self::ErrorFrame(at),
            "bad_checksum" => Self::BadChecksum(at),
            "disconnect" => Self::Disconnect,
            "empty" => Self::Empty,
            "garbage" => Self::Garbage,
            "html" => Self::Html,
            _ => return Err(format!("fault={text} is not known; --help lists the faults")),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the script")]
pub(crate) struct Framing {
    pub(crate) gzip: bool,
    pub(crate) crlf: bool,
    pub(crate) multiline: bool,
    pub(crate) comments: bool,
    pub(crate) pings: bool,
    pub(crate) split: Split,
    pub(crate) close: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Split {
    /// A frame is a piece.
    #[default]
    Frames,
    /// Pieces end after the first byte of each character that has several.
    Characters,
    Bytes(usize),
}

impl Script {
    /// Reads a script from its text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self { text: text.to_owned(), ..Self::default() };
        for word in
            text.split(|letter: char| letter == ',' || letter.is_whitespace()).filter(|word| !word.is_empty())
        {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let known = script.timing.set(key, value)?
                || script.speech.set(key, value)?
                || script.usage.set(key, value)?
                || script.failure.set(key, value)?
                || script.framing.set(key, value)?;
            match key {
                "fault" => script.fault = Some(Fault::parse(value)?),
                _ if known => {}
                _ => return Err(format!("`{word}` is no word of a script; --help lists them")),
            }
        }
        Ok(script)
    }

    /// Whether an answer goes out in one piece at once.
    pub(crate) fn is_instant(&self) -> bool {
        let Timing { latency, jitter, slow_headers, first, interval, .. } = &self.timing;
        latency.is_none()
            && jitter.is_zero()
            && slow_headers.is_zero()
            && first.is_none()
            && interval.is_none()
            && matches!(
                self.fault,
                None | Some(
                    Fault::NoTerminator
                        | Fault::NoFinish
                        | Fault::ErrorFrame(_)
                        | Fault::BadChecksum(_)
                        | Fault::Empty
                        | Fault::Garbage
                        | Fault::Html
                )
            )
    }
}

impl Timing {
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "latency" => self.latency = Delay::parse(value)?,
            "jitter" => self.jitter = parse_duration(value)?,
            "slow_headers" => self.slow_headers = parse_duration(value)?,
            "first" => self.first = Delay::parse(value)?,
            "interval" => self.interval = Delay::parse(value)?,
            "seed" => self.seed = number(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Speech {
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "chunks" => self.chunks = number::<usize>(value)?.max(1),
            "chunk_bytes" => self.chunk_bytes = number(value)?,
            "text" => {
                let text = percent_encoding::percent_decode_str(value).decode_utf8();
                self.text = Some(text.map_err(|_| "text= is no UTF-8".to_owned())?.into_owned());
            }
            "echo" => self.echo = true,
            "unicode" => self.unicode = true,
            "tools" => self.tools = number(value)?,
            "args" if value == "empty" => self.empty_arguments = true,
            "interleave" => self.interleave = true,
            "thinking" => self.thinking = number(value)?,
            "redacted" => self.redacted = true,
            "refusal" => self.refusal = true,
            "filter" => self.filter = true,
            "finish" if value == "length" => self.length = true,
            "ids" if value == "unique" => self.unique_ids = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl UsageScript {
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "input" => self.input = Some(number(value)?),
            "output" => self.output = Some(number(value)?),
            "cached" => self.parts.cached = number(value)?,
            "cache_write" => self.parts.cache_write = number(value)?,
            "cache_write_1h" => self.parts.cache_write_1h = number(value)?,
            "reasoning" => self.parts.reasoning = number(value)?,
            "audio" => self.parts.audio = number(value)?,
            "usage" => {
                self.shape = match value {
                    "usual" => UsageShape::Usual,
                    "none" => UsageShape::Never,
                    "always" => UsageShape::Always,
                    "merged" => UsageShape::Merged,
                    "each" => UsageShape::Each,
                    _ => {
                        return Err(format!("usage={value} is not known: usual, none, always, merged, each"));
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Failure {
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "error" => self.kind = Some(ErrorKind::parse(value)?),
            "status" => self.status = Some(number(value)?),
            "retry_after" => {
                // `%20` stands for the spaces of a date.
                let text = percent_encoding::percent_decode_str(value).decode_utf8();
                self.retry_after =
                    Some(text.map_err(|_| "retry_after= is no UTF-8".to_owned())?.into_owned());
            }
            "retry_after_ms" => self.retry_after_ms = Some(number(value)?),
            "should_retry" => {
                self.should_retry =
                    Some(value.parse().map_err(|_| "should_retry= is true or false".to_owned())?);
            }
            "fail" => self.percent = Some(number::<u8>(value.trim_end_matches('%'))?.min(100)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Framing {
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "gzip" => self.gzip = true,
            "crlf" => self.crlf = true,
            "multiline" => self.multiline = true,
            "comments" => self.comments = true,
            "pings" => self.pings = true,
            "close" => self.close = true,
            "split" if value == "utf8" => self.split = Split::Characters,
            "split" => self.split = Split::Bytes(number::<usize>(value)?.max(1)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_how_an_answer_comes() {
        let script = Script::parse(
            "fault=cut:3,latency=20ms, chunks=64 interval=20ms,usage=merged,cached=5,split=utf8",
        )
        .unwrap();
        assert_eq!(script.fault, Some(Fault::Cut(3)));
        assert_eq!(script.timing.latency, Delay::Always(Duration::from_millis(20)));
        assert_eq!(script.speech.chunks, 64);
        assert_eq!(script.usage.shape, UsageShape::Merged);
        assert_eq!(script.usage.parts.cached, 5);
        assert_eq!(script.framing.split, Split::Characters);
        assert!(!script.is_instant());
    }

    #[test]
    fn nothing_said_is_an_honest_answer_at_once() {
        assert_eq!(Script::parse("").unwrap(), Script::default());
        assert!(Script::default().is_instant());
    }

    #[test]
    fn what_comes_later_holds() {
        assert_eq!(Script::parse("chunks=2,chunks=5").unwrap().speech.chunks, 5);
    }

    #[test]
    fn a_word_that_is_not_known_is_refused_by_name() {
        for wrong in
            ["fautl=cut", "fault=melt", "chunks=many", "usage=odd", "args=all", "status=99999", "latency=20"]
        {
            assert!(Script::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            Script::parse("fautl=cut").unwrap_err(),
            "`fautl=cut` is no word of a script; --help lists them"
        );
    }
}
