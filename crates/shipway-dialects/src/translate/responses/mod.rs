//! OpenAI's responses, as clients speak them, ↔ the intermediate form.

pub(super) mod answer;
pub(super) mod request_in;
pub(super) mod stream_out;
