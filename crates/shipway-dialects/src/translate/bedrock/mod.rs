//! The intermediate form → Bedrock's Converse, and its answers → the form.
//!
//! Nobody asks in Converse, so there is no reader of requests and no writer of answers.

pub(super) mod answer_in;
mod blocks_out;
pub(super) mod request_out;
pub(super) mod stream_in;
