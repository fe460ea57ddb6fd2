//! Models of language as the gateway installs them, out of their definitions.

use std::{collections::BTreeMap, time::Duration};

use shipway_core::Name;
use shipway_definitions::{
    LlmApi, LlmCache, LlmCacheScope, LlmContent, LlmContentKeep, LlmDeployment, LlmEmbeddings, LlmGuardrail,
    LlmGuardrailAction, LlmGuardrailOn, LlmLossy, LlmModel, LlmOutputLimit, LlmPrice, LlmRates, LlmRoute,
    LlmSimilar, LlmSimilarMode, LlmStickiness,
};
use shipway_dialects::{
    Modifier, Nanos, Price, Rates, Tier,
    translate::{Lossy, OutputLimit},
};
use shipway_gateway::{
    CacheScope, CacheSpec, Condition, ContentKeep, ContentSpec, Cooldown, DeploymentSpec, Detours, Embedder,
    GatewayError, GuardrailAction, GuardrailOn, GuardrailSpec, Hedge, ModelSpec, Retries, Route, ServedApi,
    SimilarSpec, Stickiness, Timeouts, UnknownPrice,
};

type Places<'a> = BTreeMap<&'a Name, usize>;

/// Fails only where a stored condition is none any more.
pub(super) fn model(model: &LlmModel) -> Result<ModelSpec, GatewayError> {
    let places: Places<'_> =
        model.deployments.iter().enumerate().map(|(place, deployment)| (&deployment.name, place)).collect();
    let (timeouts, retries, cooldown) = (&model.timeouts, &model.retries, &model.cooldown);
    let optional = |written: &Option<LlmRoute>| written.as_ref().map(|one| route(one, &places)).transpose();
    let hedge = match &model.hedge {
        Some(hedge) => {
            let after = Duration::from_millis(u64::from(hedge.after_ms));
            Some(Hedge { after, to: route(&hedge.to, &places)? })
        }
        None => None,
    };
    Ok(ModelSpec {
        name: model.name.to_string(),
        called: model.called.clone(),
        deployments: model.deployments.iter().map(deployment).collect(),
        route: route(&model.route, &places)?,
        hedge,
        detours: Detours {
            on_context_window: optional(&model.on_context_window)?,
            on_content_policy: optional(&model.on_content_policy)?,
            on_guardrail: optional(&model.on_guardrail)?,
        },
        timeouts: Timeouts {
            first_token: duration(timeouts.first_token),
            idle: duration(timeouts.idle),
            total: duration(timeouts.total),
        },
        retries: Retries {
            rate_limit: retries.rate_limit,
            overloaded: retries.overloaded,
            connection: retries.connection,
            timeout: retries.timeout,
        },
        cooldown: Cooldown { failures: cooldown.failures, pause: duration(cooldown.pause) },
        unknown_price: match model.unknown_price {
            shipway_definitions::UnknownPrice::Block => UnknownPrice::Block,
            shipway_definitions::UnknownPrice::Flag => UnknownPrice::Flag,
        },
        lossy: match model.lossy {
            LlmLossy::Refuse => Lossy::Refuse,
            LlmLossy::Drop => Lossy::Drop,
        },
        cache: model.cache.as_ref().map(cache),
        guardrails: model.guardrails.iter().map(ToString::to_string).collect(),
        content: model.content.as_ref().map(content),
    })
}

fn content(content: &LlmContent) -> ContentSpec {
    ContentSpec {
        keep: match content.keep {
            LlmContentKeep::Redacted => ContentKeep::Redacted,
            LlmContentKeep::Full => ContentKeep::Full,
        },
        share: content.share,
        most_bytes: content.most_bytes as usize,
    }
}

fn cache(cache: &LlmCache) -> CacheSpec {
    CacheSpec {
        time: duration(cache.time),
        scope: cache_scope(cache.scope),
        together: cache.together,
        similar: cache.similar.as_ref().map(similar),
    }
}

fn similar(similar: &LlmSimilar) -> SimilarSpec {
    SimilarSpec {
        embeddings: match &similar.embeddings {
            LlmEmbeddings::Model(name) => Embedder::Model(name.to_string()),
            LlmEmbeddings::Served(name) => Embedder::Served(name.to_string()),
        },
        is_shadow: similar.mode == LlmSimilarMode::Shadow,
        least: similar.least,
        same: similar.same,
        wrong: similar.wrong,
        check: similar.check,
    }
}

fn cache_scope(scope: LlmCacheScope) -> CacheScope {
    match scope {
        LlmCacheScope::Key => CacheScope::Key,
        LlmCacheScope::Project => CacheScope::Project,
        LlmCacheScope::Team => CacheScope::Team,
        LlmCacheScope::Organisation => CacheScope::Organisation,
    }
}

pub(super) fn guardrail(guardrail: &LlmGuardrail) -> GuardrailSpec {
    GuardrailSpec {
        name: guardrail.name.to_string(),
        on: match guardrail.on {
            LlmGuardrailOn::Input => GuardrailOn::Input,
            LlmGuardrailOn::Output => GuardrailOn::Output,
            LlmGuardrailOn::Both => GuardrailOn::Both,
        },
        action: match guardrail.action {
            LlmGuardrailAction::Block => GuardrailAction::Block,
            LlmGuardrailAction::Redact => GuardrailAction::Redact,
            LlmGuardrailAction::Annotate => GuardrailAction::Annotate,
            LlmGuardrailAction::Reroute => GuardrailAction::Reroute,
            LlmGuardrailAction::Shadow => GuardrailAction::Shadow,
        },
        detector: guardrail.find.clone(),
    }
}

fn duration(length: shipway_core::Length) -> Duration {
    Duration::from_micros(length.micros().unsigned_abs())
}

fn deployment(deployment: &LlmDeployment) -> DeploymentSpec {
    DeploymentSpec {
        name: deployment.name.to_string(),
        provider: deployment.provider.to_string(),
        model: deployment.model.clone(),
        price: deployment.price.as_ref().map(price),
        price_as_of: deployment.price.as_ref().and_then(|price| price.as_of.clone()),
        max_output_tokens: deployment.max_output_tokens,
        output_limit: match deployment.output_limit {
            LlmOutputLimit::MaxCompletionTokens => OutputLimit::MaxCompletionTokens,
            LlmOutputLimit::MaxTokens => OutputLimit::MaxTokens,
        },
        apis: deployment.apis.iter().map(|api| served(*api)).collect(),
        fetch_media: deployment.fetch_media,
    }
}

const fn served(api: LlmApi) -> ServedApi {
    match api {
        LlmApi::Chat => ServedApi::Chat,
        LlmApi::Completions => ServedApi::Completions,
        LlmApi::Responses => ServedApi::Responses,
        LlmApi::Embeddings => ServedApi::Embeddings,
        LlmApi::Images => ServedApi::Images,
        LlmApi::Audio => ServedApi::Audio,
        LlmApi::Moderations => ServedApi::Moderations,
        LlmApi::Realtime => ServedApi::Realtime,
    }
}

/// The price of a deployment as calls are charged.
pub(crate) fn price(price: &LlmPrice) -> Price {
    let money = |nanos: Option<i64>| nanos.map_or(Nanos::ZERO, Nanos);
    let tier = |tier: &shipway_definitions::LlmPriceTier| Tier {
        above_input_tokens: tier.above,
        per_million_tokens: rates(&tier.rates),
    };
    let modifier =
        |(name, factor): &(String, u32)| Modifier { service_tier: name.clone(), factor_millionths: *factor };
    Price {
        per_million_tokens: rates(&price.rates),
        tiers: price.tiers.iter().map(tier).collect(),
        modifiers: price.service_tiers.iter().map(modifier).collect(),
        per_request: money(price.per_request),
        per_image: money(price.per_image),
        per_second: money(price.per_second),
        per_search: money(price.per_search),
    }
}

fn rates(rates: &LlmRates) -> Rates {
    Rates {
        input: Nanos(rates.input),
        output: Nanos(rates.output),
        cache_read: rates.cached_input.map(Nanos),
        cache_write: rates.cache_write.map(Nanos),
        cache_write_long: rates.cache_write_1h.map(Nanos),
        reasoning: rates.reasoning.map(Nanos),
        input_audio: rates.input_audio.map(Nanos),
        input_image: rates.input_image.map(Nanos),
        output_audio: rates.output_audio.map(Nanos),
        output_image: rates.output_image.map(Nanos),
    }
}

/// Definitions name deployments that there are, so each has a place.
fn route(written: &LlmRoute, places: &Places<'_>) -> Result<Route, GatewayError> {
    let all =
        |routes: &[LlmRoute]| routes.iter().map(|one| route(one, places)).collect::<Result<Vec<_>, _>>();
    Ok(match written {
        LlmRoute::Deployment(name) => Route::Deployment(places.get(name).copied().unwrap_or_default()),
        LlmRoute::Fallback(routes) => Route::Fallback(all(routes)?),
        LlmRoute::Latency(routes) => Route::Latency(all(routes)?),
        LlmRoute::Cost(routes) => Route::Cost(all(routes)?),
        LlmRoute::Weighted(routes) => {
            let shares = routes.iter().map(|(one, weight)| Ok((route(one, places)?, *weight)));
            Route::Weighted(shares.collect::<Result<_, GatewayError>>()?)
        }
        LlmRoute::Conditional { when, otherwise } => {
            let when = when.iter().map(|(text, one)| {
                let condition = Condition::parse(text).map_err(|error| GatewayError::Invalid {
                    field: "if",
                    reason: format!("`{text}`, {error}"),
                })?;
                Ok((condition, route(one, places)?))
            });
            Route::Conditional(
                when.collect::<Result<_, GatewayError>>()?,
                Box::new(route(otherwise, places)?),
            )
        }
        LlmRoute::Sticky { by, within } => {
            let by = match by {
                LlmStickiness::Session => Stickiness::Session,
                LlmStickiness::User => Stickiness::User,
                LlmStickiness::Key => Stickiness::Key,
                LlmStickiness::Header(name) => Stickiness::Header(name.clone()),
            };
            Route::Sticky(by, all(within)?)
        }
    })
}
