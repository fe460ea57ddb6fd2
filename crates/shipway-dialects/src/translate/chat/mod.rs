//! OpenAI's chat ↔ the intermediate form.

pub(super) mod answer;
pub(super) mod messages_out;
pub(super) mod parts;
pub(super) mod request_in;
pub(super) mod request_out;
pub(super) mod stream_in;
pub(super) mod stream_out;
