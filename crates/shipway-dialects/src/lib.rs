//! What the APIs of LLM providers say, and how one is said in the words of another. Pure: bytes in, bytes out; no
//! I/O, no clock.
//!
//! Within one dialect nothing is parsed that need not be: a request is walked over once for its [`Head`], its model
//! is replaced in place by [`rewrite`], and a stream passes through a [`Scanner`] frame by frame as it came.
//!
//! - `alike`: requests that may be about the same
//! - `canonical`: one form for all requests that ask for the same answer
//! - `dialect`: the APIs
//! - `elsewhere`: images and documents that a request has by their address
//! - `head`: what a gateway needs of a request
//! - `rewrite`: what changes in a request on its way
//! - `vertex`: Anthropic's messages as Vertex takes them
//! - `sse`: a stream cut into frames
//! - `scanner`: what the frames of a stream mean: output, usage, finish, errors, an honest end
//! - `said`: what requests and answers say, for whoever reads them afterwards
//! - `texts`: where texts stand, and others in their place
//! - `wanted`: the shape that a request asks its answer to have
//! - `usage`: tokens in one convention
//! - `finish`: why an answer ended
//! - `failure`: what went wrong, read from one dialect and written in another; limits and retries in headers
//! - `batch`: files of calls that are worked off later
//! - `realtime`: the events of a connection of OpenAI's realtime API
//! - `price`: what usage costs, in whole nano-units
//! - `translate`: requests, answers and streams of one dialect in the words of another
//! - `json`: the reader under heads and scanner

#![deny(missing_docs)]

mod alike;
mod batch;
mod canonical;
mod dialect;
mod elsewhere;
mod failure;
mod finish;
mod head;
mod json;
mod kept;
mod made;
mod price;
mod realtime;
mod rewrite;
pub mod said;
mod scanner;
mod sse;
mod texts;
pub mod translate;
mod usage;
mod vertex;
mod wanted;

pub use alike::{LastWords, last_words};
pub use batch::{BatchCall, BatchFile, batch_api, batch_usage};
pub use canonical::canonical;
pub use dialect::{Dialect, Family, gemini_call};
pub use elsewhere::{Brought, Elsewhere, address_left, bring, elsewhere};
pub use failure::{ApiError, Cause, Limit, RateLimits, retry_after, retry_headers};
pub use finish::Finish;
pub use head::{BadRequest, FormField, Head, MaxPrice, Preferences, SortBy, form_fields, take_preferences};
pub use json::{DEEPEST, NotJson};
pub use kept::response_id;
pub use made::Made;
pub use price::{Extras, Modifier, Nanos, NotMoney, Price, Rates, Tier};
pub use realtime::{ClientEvent, ResponseEnd, ServerEvent, SoundFormat, Spoken};
pub use rewrite::{Changes, rewrite};
pub use scanner::{Ending, Frame, Scanner, Sort};
pub use sse::{Event, FrameTooLong, Framer, LONGEST_FRAME_BYTES};
pub use texts::{
    Ends, FramePlace, FrameTexts, TextPlace, Texts, answer_texts, decode_text, encode_text, frame_texts,
    request_texts, splice, unseen_tools,
};
pub use usage::Usage;
pub use vertex::for_vertex;
pub use wanted::wanted_schema;
