//! An honest answer, in the dialect of its route.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    ask::{Ask, Refused, flag, text},
    dialects::{
        House, anthropic, bedrock, counts, event_stream, gemini, openai,
        sse::{Event, frames},
        vectors,
    },
    failures,
    provider::{Call, Provider},
    reply::Reply,
    route::Route,
    script::Fault,
    wire::Answer,
};

/// The answer to `call`, or why it is refused.
pub(crate) fn answer(provider: &Provider, call: &Call<'_>) -> Result<Answer, Refused> {
    let answer = match call.route {
        Route::Chat => {
            let ask = completed(openai::chat::read(call.body)?, call);
            let replies = replies(&ask, call);
            if ask.stream {
                stream(call, openai::chat::events(&ask, &replies, call.script))
            } else {
                whole(call, &openai::chat::whole(&ask, &replies, call.script))
            }
        }
        Route::Completions => {
            let ask = completed(openai::completions::read(call.body)?, call);
            let replies = replies(&ask, call);
            if ask.stream {
                stream(call, openai::completions::events(&ask, &replies, call.script))
            } else {
                whole(call, &openai::completions::whole(&ask, &replies, call.script))
            }
        }
        Route::Embeddings => {
            let ask = completed(openai::embeddings::read(call.body)?, call);
            whole(call, &openai::embeddings::whole(&ask, call.body, call.script))
        }
        Route::Images => whole(call, &openai::media::images(call.body, call.script)?),
        Route::Speech => openai::media::speech(call.body)?,
        Route::Heard => openai::media::heard(call.body)?,
        Route::Moderation => whole(call, &openai::media::moderation(call.body)?),
        Route::Responses => responses(provider, call)?,
        Route::Response(_)
        | Route::ResponseInput(_)
        | Route::ResponseCancel(_)
        | Route::Files
        | Route::File(_)
        | Route::FileContent(_)
        | Route::Batches
        | Route::Batch(_)
        | Route::BatchCancel(_) => whole(call, &Value::Null),
        Route::Realtime => return Err(Refused::invalid("This endpoint is for WebSocket connections.")),
        Route::Models(House::Anthropic) => whole(call, &anthropic::models(provider.models())),
        Route::Models(_) => whole(call, &openai::models(provider.models())),
        Route::Model(House::Anthropic, name) => whole(call, &anthropic::model(name)),
        Route::Model(_, name) => whole(call, &openai::model(name)),
        Route::Messages => message(call, call.body)?,
        Route::RawPredict { .. } => message(call, &on_vertex(call)?)?,
        Route::Converse { model, stream: streams } => {
            let ask = completed(bedrock::read(call.body, model, *streams)?, call);
            let reply = Reply::new(&ask, call.script, 0);
            if *streams {
                let events = bedrock::events(&reply, call.script);
                Answer::binary_stream(event_stream::messages(events, call.script, || failures::frame(call)))
            } else {
                whole(call, &bedrock::whole(&reply, call.script))
            }
        }
        Route::CountTokens | Route::RawCount | Route::InputTokens | Route::BedrockCount(_) => counted(call)?,
        Route::GeminiEmbeddings(model) => whole(call, &vectors::batch(call.body, model, call.script)?),
        Route::GeminiEmbedding(_) => whole(call, &vectors::one(call.body, call.script)?),
        Route::Predict(model) => whole(call, &vectors::predict(call.body, model, call.script)?),
        Route::Invoke(model) => {
            let (answer, tokens) = vectors::invoke(call.body, model, call.script)?;
            whole(call, &answer).with_header("x-amzn-bedrock-input-token-count", tokens.to_string())
        }
        Route::Generate { model, stream: streams } => {
            let ask = completed(gemini::read(call.body, model, *streams)?, call);
            let replies = replies(&ask, call);
            if *streams {
                stream(call, gemini::events(&ask, &replies, call.script))
            } else {
                whole(call, &gemini::whole(&ask, &replies, call.script))
            }
        }
        Route::GeminiCount(model) => {
            let asked = counts::google(call.body, model)?;
            whole(call, &gemini::count(&completed(gemini::read(asked, model, false)?, call), call.script))
        }
    };
    Ok(with_house_headers(answer, call, false))
}

/// The tokens of a request that would be answered: what could not be is refused.
fn counted(call: &Call<'_>) -> Result<Answer, Refused> {
    Ok(match call.route {
        Route::InputTokens => {
            counts::check_openai(call.body)?;
            let ask = completed(openai::responses::read(call.body, &[])?, call);
            whole(call, &counts::openai(ask.body_bytes, call.script))
        }
        Route::BedrockCount(model) => {
            let ask = completed(bedrock::read(counts::bedrock(call.body, model)?, model, false)?, call);
            whole(call, &counts::of_bedrock(ask.body_bytes, call.script))
        }
        _ => {
            counts::check_anthropic(call.body)?;
            let ask = completed(anthropic::read(call.body, true)?, call);
            whole(call, &anthropic::messages::count(&ask, call.script))
        }
    })
}

fn message(call: &Call<'_>, body: &Value) -> Result<Answer, Refused> {
    let ask = completed(anthropic::read(body, false)?, call);
    let reply = Reply::new(&ask, call.script, 0);
    Ok(if ask.stream {
        stream(call, anthropic::messages::events(&ask, &reply, call.script))
    } else {
        whole(call, &anthropic::messages::whole(&ask, &reply, call.script))
    })
}

/// On Vertex the path names the model, and the body the version.
fn on_vertex(call: &Call<'_>) -> Result<Value, Refused> {
    if call.body.get("model").is_some() {
        return Err(Refused::invalid("model: Extra inputs are not permitted"));
    }
    // Older clients say Vertex's own version, newer ones the day of Anthropic's.
    let is_day = |version: &str| {
        let parts: Vec<&str> = version.split('-').collect();
        parts.len() == 3 && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let version = text(call.body, "anthropic_version");
    if !version.is_some_and(|version| version == "vertex-2023-10-16" || is_day(version)) {
        return Err(Refused::invalid("anthropic_version: Field required"));
    }
    let mut body = call.body.clone();
    body["model"] = call.model.into();
    Ok(body)
}

/// What no dialect knows: the name without its script, and what stands for the request.
fn completed(mut ask: Ask, call: &Call<'_>) -> Ask {
    ask.model = call.model.to_owned();
    ask.checksum = call.checksum;
    if call.script.speech.unique_ids {
        ask.checksum ^= crc32fast::hash(&call.number.to_le_bytes());
    }
    ask.body_bytes = call.body_bytes;
    ask
}

fn replies(ask: &Ask, call: &Call<'_>) -> Vec<Reply> {
    (0..ask.choices).map(|choice| Reply::new(ask, call.script, choice)).collect()
}

fn whole(call: &Call<'_>, value: &Value) -> Answer {
    if call.script.fault == Some(Fault::Empty) {
        return Answer::whole(200, "application/json", Bytes::new());
    }
    Answer::json(200, value)
}

fn stream(call: &Call<'_>, events: Vec<Event>) -> Answer {
    Answer::stream(frames(events, call.script, || failures::frame(call)))
}

fn responses(provider: &Provider, call: &Call<'_>) -> Result<Answer, Refused> {
    let before = match text(call.body, "previous_response_id") {
        Some(id) => provider.responses().said_until(id).ok_or_else(|| openai::responses::no_previous(id))?,
        None => Vec::new(),
    };
    let ask = completed(openai::responses::read(call.body, &before)?, call);
    let reply = Reply::new(&ask, call.script, 0);
    let response = openai::responses::whole(&ask, call.body, &reply, call.script);
    let stored = call.body.get("store").and_then(Value::as_bool).unwrap_or(true);
    let background = flag(call.body, "background") && !ask.stream;
    let shown = if stored {
        provider.responses().keep(&response, openai::responses::input_items(call.body), before, background)
    } else {
        response
    };
    if ask.stream {
        return Ok(stream(call, openai::responses::events(&ask, call.body, &reply, call.script)));
    }
    Ok(whole(call, &shown))
}

/// The answer about a response that was kept.
pub(crate) fn kept(provider: &Provider, call: &Call<'_>, method: &str) -> Answer {
    let responses = provider.responses();
    let (id, found) = match call.route {
        Route::Response(id) if method == "DELETE" => {
            (id, responses.delete(id).then(|| json!({"id": id, "object": "response", "deleted": true})))
        }
        Route::Response(id) => (id, responses.look(id)),
        Route::ResponseInput(id) => (id, responses.input(id)),
        Route::ResponseCancel(id) => match responses.cancel(id) {
            Some(Err(why)) => return failures::answer(call, &Refused::invalid(why)),
            Some(Ok(shown)) => (id, Some(shown)),
            None => (id, None),
        },
        _ => return Answer::json(404, &Value::Null),
    };
    let answer = found.map_or_else(
        || Answer::json(404, &openai::responses::not_found(id)),
        |shown| Answer::json(200, &shown),
    );
    with_house_headers(answer, call, false)
}

/// What the house says beside every answer: the request's id, and what is left of the limits.
pub(crate) fn with_house_headers(answer: Answer, call: &Call<'_>, exhausted: bool) -> Answer {
    let left = |many: &'static str| if exhausted { "0" } else { many };
    match call.house() {
        House::OpenAi => answer
            .with_header("x-request-id", call.request_id())
            .with_header("openai-version", "2020-10-01")
            .with_header("openai-processing-ms", "1")
            .with_header("x-ratelimit-limit-requests", "10000")
            .with_header("x-ratelimit-limit-tokens", "2000000")
            .with_header("x-ratelimit-remaining-requests", left("9999"))
            .with_header("x-ratelimit-remaining-tokens", left("1999000"))
            .with_header("x-ratelimit-reset-requests", "6ms")
            .with_header("x-ratelimit-reset-tokens", "30ms"),
        House::Anthropic => answer
            .with_header("request-id", call.request_id())
            .with_header("anthropic-organization-id", "00000000-0000-0000-0000-000000000000")
            .with_header("anthropic-ratelimit-requests-limit", "4000")
            .with_header("anthropic-ratelimit-requests-remaining", left("3999"))
            .with_header("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z")
            .with_header("anthropic-ratelimit-input-tokens-limit", "400000")
            .with_header("anthropic-ratelimit-input-tokens-remaining", left("399000"))
            .with_header("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:00Z"),
        House::Gemini => answer.with_header("server-timing", "gfet4t7; dur=1"),
        House::Bedrock => answer.with_header("x-amzn-requestid", call.request_id()),
    }
}
