//! OpenAI's completions, as clients speak them, ↔ the intermediate form: the prompt is what a user says, the text what the model answers.

pub(super) mod answer;
pub(super) mod request_in;
pub(super) mod stream_out;
