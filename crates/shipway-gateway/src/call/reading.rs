//! A stream as it is read: what it means for the gateway, and what of it goes to the caller, as it came or told in another API.

use bytes::{Bytes, BytesMut};
use shipway_dialects::{
    ApiError, Cause, Dialect, Ending, Frame, FrameTooLong, Scanner, Sort, translate::Stream,
};

use super::telling::Telling;

/// A stream of a provider, on its way to a caller.
pub(super) enum Reading {
    /// Its frames pass as they came.
    Passing(Box<Passing>),
    /// Its frames are told in the caller's API.
    Telling(Box<Told>),
}

pub(super) struct Passing {
    dialect: Dialect,
    scanner: Scanner,
    /// Frames that are to be passed on.
    frames: Vec<Frame>,
    /// Usage that the caller did not ask for is left out.
    hides_usage: bool,
}

pub(super) struct Told {
    stream: Stream,
    telling: Telling,
    /// What is to go out.
    out: BytesMut,
}

/// How far a stream has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its end is still to come.
    Going,
    /// All of the answer is there.
    Whole,
    /// It failed, and the caller is told so in what is to go out.
    Failed(String),
    /// It stopped before its end, and nobody has told the caller.
    Cut,
}

impl Reading {
    pub(super) fn passing(dialect: Dialect, hides_usage: bool) -> Self {
        let scanner = Scanner::new(dialect);
        Self::Passing(Box::new(Passing { dialect, scanner, frames: Vec::new(), hides_usage }))
    }

    pub(super) fn telling(telling: Telling) -> Result<Self, ApiError> {
        let stream =
            telling.stream().map_err(|unknown| ApiError::new(Cause::Internal, unknown.to_string()))?;
        Ok(Self::Telling(Box::new(Told { stream, telling, out: BytesMut::new() })))
    }

    /// What is known of the provider's stream.
    pub(super) fn scanner(&self) -> &Scanner {
        match self {
            Self::Passing(passing) => &passing.scanner,
            Self::Telling(told) => told.stream.scanner(),
        }
    }

    pub(super) fn feed(&mut self, chunk: &Bytes) -> Result<(), FrameTooLong> {
        match self {
            Self::Passing(passing) => {
                let Passing { scanner, frames, .. } = &mut **passing;
                scanner.feed(chunk, frames)
            }
            Self::Telling(told) => {
                let more = told.stream.feed(chunk, &told.telling.context())?;
                told.out.extend_from_slice(&more);
                Ok(())
            }
        }
    }

    /// Whether it says more than that it lives.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Passing(passing) => passing.frames.iter().any(|frame| frame.sort != Sort::KeepAlive),
            Self::Telling(told) => told.stream.has_begun(),
        }
    }

    /// An error before anything of an answer, while nothing has gone out yet; with whether the provider itself said it.
    pub(super) fn failed_at_once(&self) -> Option<(ApiError, bool)> {
        match self {
            Self::Passing(passing) => {
                let has_output = passing.frames.iter().any(|frame| frame.has_output);
                passing.scanner.error().filter(|_| !has_output).map(|error| (error.clone(), true))
            }
            Self::Telling(told) => {
                let scanner = told.stream.scanner();
                let error = told.stream.error().filter(|_| scanner.output_bytes() == 0)?;
                Some((error.clone(), scanner.error().is_some()))
            }
        }
    }

    /// What is to go out now.
    pub(super) fn take(&mut self) -> Bytes {
        match self {
            Self::Passing(passing) => passing.take(),
            Self::Telling(told) => told.out.split().freeze(),
        }
    }

    /// How far it has come, as long as its connection is open.
    pub(super) fn progress(&self) -> Progress {
        match self {
            Self::Passing(passing) if passing.scanner.ending() == Ending::Complete => Progress::Whole,
            Self::Passing(_) => Progress::Going,
            Self::Telling(told) => match told.stream.error() {
                Some(error) => Progress::Failed(error.message.clone()),
                None if told.stream.is_over() => Progress::Whole,
                None => Progress::Going,
            },
        }
    }

    /// Its connection is over. `is_open`: its end has not gone out yet, so what is left of it may.
    pub(super) fn end(&mut self, is_open: bool) -> Progress {
        match self {
            Self::Passing(passing) => passing.end(is_open),
            Self::Telling(told) => {
                let (ending, last) = told.stream.end(&told.telling.context());
                told.out.extend_from_slice(&last);
                match (ending, told.stream.error()) {
                    // A reason to finish is the end of an answer, also where only the terminator is missing: the caller has got theirs.
                    (Ending::Complete | Ending::Unterminated, None) => Progress::Whole,
                    (_, Some(error)) => Progress::Failed(error.message.clone()),
                    (Ending::Truncated | Ending::Failed, None) => Progress::Cut,
                }
            }
        }
    }

    /// Frames whose terminator comes without a reason why the answer ended: nobody knows whether it is whole. The terminator does not go
    /// out. What is told says so by itself.
    pub(super) fn ends_without_reason(&mut self) -> bool {
        let Self::Passing(passing) = self else { return false };
        let says_why = match passing.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::AnthropicMessages => {
                passing.scanner.finish().is_some()
            }
            // Their last event is the reason.
            Dialect::OpenAiResponses
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiMedia
            | Dialect::OpenAiRealtime
            | Dialect::GeminiGenerate
            | Dialect::BedrockConverse
            | Dialect::GeminiEmbeddings
            | Dialect::VertexPredict
            | Dialect::BedrockInvoke => true,
        };
        let end = passing.frames.iter().position(|frame| frame.sort == Sort::End);
        match end.filter(|_| !says_why) {
            Some(end) => {
                passing.frames.truncate(end);
                true
            }
            None => false,
        }
    }

    /// Says in what is to go out that the stream broke.
    pub(super) fn break_off(&mut self, error: &ApiError, call: &str) {
        match self {
            Self::Passing(passing) => {
                let sequence = passing.scanner.next_sequence();
                let bytes = error.frame(passing.dialect, Some(call), sequence);
                passing.frames.push(Frame { bytes, sort: Sort::Other, has_output: false });
            }
            Self::Telling(told) => {
                let last = told.stream.abort(error, &told.telling.context());
                told.out.extend_from_slice(&last);
            }
        }
    }
}

impl Passing {
    /// The frames that were read, back to back.
    fn take(&mut self) -> Bytes {
        let (hides_usage, is_gemini) = (self.hides_usage, self.dialect == Dialect::GeminiGenerate);
        let shows = |frame: &Frame| match frame.sort {
            Sort::UsageOnly => !hides_usage,
            // Google's clients take a comment for an error.
            Sort::KeepAlive => !is_gemini,
            _ => true,
        };
        let mut shown = self.frames.drain(..).filter(shows);
        let Some(first) = shown.next() else { return Bytes::new() };
        let Some(second) = shown.next() else { return first.bytes };
        let mut joined = BytesMut::from(first.bytes);
        joined.extend_from_slice(&second.bytes);
        shown.for_each(|frame| joined.extend_from_slice(&frame.bytes));
        joined.freeze()
    }

    fn end(&mut self, is_open: bool) -> Progress {
        let (ending, last) = self.scanner.end();
        match ending {
            Ending::Complete => {
                self.frames.extend(last.filter(|_| is_open));
                Progress::Whole
            }
            // The error is passed on as the provider wrote it.
            Ending::Failed => {
                self.frames.extend(last);
                let message = self.scanner.error().map_or_else(String::new, |error| error.message.clone());
                Progress::Failed(message)
            }
            // Also where only the terminator is missing: nobody knows what else is.
            Ending::Unterminated | Ending::Truncated => Progress::Cut,
        }
    }
}
