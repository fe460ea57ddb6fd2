//! How a call is said to one deployment: as it came where its provider speaks the caller's API, translated where it does not.

use bytes::Bytes;
use shipway_dialects::{BadRequest, Changes, Dialect, Family, Head, rewrite, translate};

use super::{
    Asked,
    spoken::{How, Spoken},
    telling::{Telling, Told},
};
use crate::{
    address::Target,
    model::{DeploymentSpec, ModelSpec, ProviderKind},
};

/// A call as one deployment is asked.
pub(super) struct Said<'a> {
    pub(super) target: Target<'a>,
    pub(super) body: Bytes,
    /// Further requests to the same deployment, where it takes one text at a time.
    pub(super) more: Vec<Bytes>,
    /// How its answer is told to the caller; none: as it comes.
    pub(super) telling: Option<Telling>,
    /// Members of the call that were left out or changed.
    pub(super) dropped: Vec<String>,
}

/// Says the call, in these words, to a deployment. What its API has no words for is refused by name, or dropped, as the model says.
pub(super) fn say<'a>(
    (asked, (body, head)): (&Asked, (&Bytes, &Head)),
    spoken: Spoken,
    (model, kind): (&ModelSpec, ProviderKind),
    deployment: &'a DeploymentSpec,
    telling: impl FnOnce(Told) -> Telling,
) -> Result<Said<'a>, BadRequest> {
    let Spoken { dialect, path, how } = spoken;
    let is_stream = asked.head.stream;
    let target = Target { dialect, path, model: &deployment.model, is_stream };
    let options = translate::Options {
        lossy: model.lossy,
        default_max_output_tokens: deployment.max_output_tokens,
        output_limit: deployment.output_limit,
        maker: translate::Maker::of_bedrock(&deployment.model),
    };
    let said = Some((asked.head.model.as_str(), is_stream));
    let from = asked.api.dialect;
    let names = |dropped: Vec<translate::Dropped>| dropped.into_iter().map(|one| one.field).collect();
    match how {
        How::Passing => {
            let body = pass((body, head), dialect, deployment);
            Ok(Said { target, body, more: Vec::new(), telling: None, dropped: Vec::new() })
        }
        How::Written => {
            let translated = translate::request(from, dialect, said, body, &options)?;
            let body = renamed(dialect, translated.body, deployment)?;
            let telling = Some(telling(Told::Answer));
            Ok(Said { target, body, more: Vec::new(), telling, dropped: names(translated.dropped) })
        }
        How::Counted => {
            let counted_as = translate::Maker::counted_by_bedrock(&deployment.model);
            let counted_as = counted_as.filter(|_| dialect == Dialect::BedrockConverse);
            let target =
                Target { model: counted_as.unwrap_or(&deployment.model), is_stream: false, ..target };
            let within = (kind == ProviderKind::Gemini).then_some(deployment.model.as_str());
            let to = translate::Counted { dialect, within };
            let translated = translate::count_request(from, to, said, body, &options)?;
            let body = renamed(dialect, translated.body, deployment)?;
            let telling = Some(telling(Told::Count));
            Ok(Said { target, body, more: Vec::new(), telling, dropped: names(translated.dropped) })
        }
        How::Embedded(embedder) => {
            let translated = translate::embed_request(from, embedder, &deployment.model, body, model.lossy)?;
            let translate::Embedding { bodies, dropped, shape } = translated;
            let mut bodies = bodies.into_iter();
            let (body, more) = (bodies.next().unwrap_or_default(), bodies.collect());
            let telling = Some(telling(Told::Embeddings(embedder, shape)));
            Ok(Said { target, body, more, telling, dropped: names(dropped) })
        }
    }
}

/// The call as it came, with the name of the model where it goes.
fn pass((body, head): (&Bytes, &Head), dialect: Dialect, deployment: &DeploymentSpec) -> Bytes {
    if dialect == Dialect::OpenAiRealtime {
        // It has no body but what its query says beside the model.
        return body.clone();
    }
    let is_google = dialect.family() == Family::Gemini;
    let model = match deployment.model.contains('/') || !is_google {
        true => deployment.model.clone(),
        // Where a body of Google's names the model, it says where that lies.
        false => format!("models/{}", deployment.model),
    };
    let changes = Changes { model: Some(&model), stream_usage: true };
    rewrite(dialect, body.clone(), head, &changes)
}

/// What was translated has the model's name as the caller gave it.
fn renamed(dialect: Dialect, body: Bytes, deployment: &DeploymentSpec) -> Result<Bytes, BadRequest> {
    if dialect.family() == Family::Gemini {
        return Ok(body);
    }
    let head = Head::read(dialect, &body)?;
    Ok(rewrite(dialect, body, &head, &Changes { model: Some(&deployment.model), stream_usage: true }))
}
