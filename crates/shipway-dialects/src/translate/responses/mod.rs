//! OpenAI's responses ↔ the intermediate form.

pub(super) mod answer;
pub(super) mod answer_in;
pub(super) mod items_out;
pub(super) mod request_in;
pub(super) mod request_out;
pub(super) mod stream_in;
pub(super) mod stream_out;
