//! Anthropic's messages ↔ the intermediate form.

pub(super) mod answer;
pub(super) mod blocks_in;
pub(super) mod blocks_out;
pub(super) mod request_in;
pub(super) mod request_out;
pub(super) mod stream_in;
pub(super) mod stream_out;
