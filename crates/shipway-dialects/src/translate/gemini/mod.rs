//! Google's Gemini ↔ the intermediate form.
//!
//! A signature stands on the part that it proves. In the form it is a thought without words before that part, so that
//! it goes through the places that other dialects have for such proofs, and comes back onto the part.

pub(super) mod answer_in;
pub(super) mod answer_out;
pub(super) mod parts_in;
pub(super) mod request_in;
pub(super) mod request_out;
pub(super) mod stream_in;
