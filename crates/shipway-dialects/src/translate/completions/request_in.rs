//! Reads a request of OpenAI's completions.

use serde_json::Value;

use crate::head::BadRequest;
use crate::translate::chat::request_in::{known, push, stop};
use crate::translate::fields::Fields;
use crate::translate::form::{Part, PartKind, Request, Role};
use crate::translate::policy::Loss;

/// Members that other dialects do not have.
const KNOWN: &[(&str, Loss, &str, &str)] = &[
    ("suffix", Loss::Shape, "\"\"", "does not write what stands between two texts"),
    ("echo", Loss::Shape, "false", "does not say the prompt again"),
    ("logprobs", Loss::Shape, "", "does not tell probabilities of completions"),
    ("n", Loss::Shape, "1", "gives one answer to each request"),
    ("best_of", Loss::Shape, "1", "gives one answer to each request"),
    ("frequency_penalty", Loss::Changes, "0", "has no penalties"),
    ("presence_penalty", Loss::Changes, "0", "has no penalties"),
    ("logit_bias", Loss::Changes, "{}", "cannot bias tokens"),
    ("seed", Loss::Changes, "", "has no seed"),
    ("service_tier", Loss::Harmless, "\"auto\"", "has other tiers of service"),
    ("prompt_cache_key", Loss::Harmless, "", "caches by the prompt alone"),
    ("safety_identifier", Loss::Harmless, "", "has one name for a user"),
];

pub(in crate::translate) fn read(body: Value) -> Result<Request, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let mut request = Request { model: fields.needs_text("model")?, ..Request::default() };
    let prompt = prompt(&mut fields)?;
    push(&mut request, Role::User, vec![Part::new(PartKind::Text(prompt), "prompt")]);
    request.max_output_tokens = fields.count("max_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.number("top_k")?;
    request.stop = stop(&mut fields)?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    fields.take("stream_options");
    request.user = fields.text("user")?;
    request.known = known(&mut fields, KNOWN);
    request.rest = fields.rest();
    Ok(request)
}

/// One text: several would be several answers, and tokens mean something to one model alone.
fn prompt(fields: &mut Fields) -> Result<String, BadRequest> {
    match fields.take("prompt") {
        None => Err(fields.wrong("prompt", "is missing")),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(mut items)) => match (items.pop(), items.is_empty()) {
            (Some(Value::String(text)), true) => Ok(text),
            (Some(Value::String(_)), false) => {
                Err(fields.wrong("prompt", "must be one text: several cannot be carried across"))
            }
            (Some(_), _) => {
                Err(fields.wrong("prompt", "tokens mean something to one model alone; send the text"))
            }
            (None, _) => Err(fields.wrong("prompt", "must have a text in it")),
        },
        Some(_) => Err(fields.wrong("prompt", "must be a text")),
    }
}
