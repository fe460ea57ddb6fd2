//! A model of language in words.

use shipway_core::Sampling;
use shipway_definitions::{
    LlmContent, LlmEmbeddings, LlmGuardrail, LlmGuardrailAction, LlmGuardrailOn, LlmModel, LlmPrice,
    LlmRates, LlmSimilar,
};

use super::{Fields, for_people, joined, put, put_optional};

const NANOS_OF_A_DOLLAR: i64 = 1_000_000_000;

pub(super) fn fields(model: &LlmModel) -> Fields {
    let mut fields = Fields::new();
    if !model.called.is_empty() {
        put(&mut fields, "called", joined(&model.called));
    }
    for deployment in &model.deployments {
        let name = &deployment.name;
        put(
            &mut fields,
            format!("deployment {name}"),
            format!("{} at {}", deployment.model, deployment.provider),
        );
        let price = deployment.price.as_ref().map_or_else(|| "not known".to_owned(), price);
        put(&mut fields, format!("price of {name}"), price);
        put(
            &mut fields,
            format!("output of {name}"),
            format!("{} tokens at most", deployment.max_output_tokens),
        );
        if !deployment.output_limit.is_usual() {
            put(&mut fields, format!("limit of {name}"), deployment.output_limit.word());
        }
        if !deployment.apis.is_empty() {
            let apis = deployment.apis.iter().map(|api| api.word());
            put(&mut fields, format!("apis of {name}"), apis.collect::<Vec<_>>().join(", "));
        }
        if let Some(fetches) = deployment.fetch_media {
            let words = if fetches { "fetched, and sent as data" } else { "not fetched" };
            put(&mut fields, format!("media of {name}"), words);
        }
    }
    put(&mut fields, "route", &model.route);
    if let Some(hedge) = &model.hedge {
        put(&mut fields, "hedge", format!("after {} ms to {}", hedge.after_ms, hedge.to));
    }
    put_optional(&mut fields, "on context window", model.on_context_window.as_ref());
    put_optional(&mut fields, "on content policy", model.on_content_policy.as_ref());
    put_optional(&mut fields, "on guardrail", model.on_guardrail.as_ref());
    let (timeouts, retries, cooldown) = (&model.timeouts, &model.retries, &model.cooldown);
    put(&mut fields, "first token within", timeouts.first_token);
    put(&mut fields, "idle for", timeouts.idle);
    put(&mut fields, "total", timeouts.total);
    let retries = format!(
        "rate limit {}, overloaded {}, connection {}, timeout {}",
        retries.rate_limit, retries.overloaded, retries.connection, retries.timeout
    );
    put(&mut fields, "retries", retries);
    put(&mut fields, "cooldown", format!("{} after {} failures", cooldown.pause, cooldown.failures));
    put(&mut fields, "unknown price", model.unknown_price.word());
    if let Some(cache) = &model.cache {
        put(&mut fields, "cache", format!("for {}, shared by the same {}", cache.time, cache.scope.word()));
        if cache.together {
            put(&mut fields, "together", "who asks the same waits for the answer that is on its way");
        }
        if let Some(similar) = &cache.similar {
            put(&mut fields, "similar", similar_in_words(similar));
        }
    }
    if !model.guardrails.is_empty() {
        put(&mut fields, "guardrails", joined(&model.guardrails));
    }
    if let Some(content) = &model.content {
        put(&mut fields, "content", content_in_words(content));
    }
    if !model.lossy.is_usual() {
        put(&mut fields, "lossy", model.lossy.word());
    }
    for_people(&mut fields, model.description.as_ref(), model.owner.as_ref(), &model.tags);
    fields
}

fn similar_in_words(similar: &LlmSimilar) -> String {
    let part = |millionths: u32| f64::from(millionths) / 1e6;
    let embeddings = match &similar.embeddings {
        LlmEmbeddings::Model(name) => name.to_string(),
        LlmEmbeddings::Served(name) => format!("{name}, which is served here"),
    };
    let check = match similar.check {
        Sampling::PerMillion(share) => part(share),
        Sampling::All => 1.0,
        Sampling::Off => 0.0,
    };
    format!(
        "{} by {embeddings} from {}; answers are the same from {}; {} of them may be wrong, {check} are checked",
        similar.mode.word(),
        part(similar.least),
        part(similar.same),
        part(similar.wrong)
    )
}

fn content_in_words(content: &LlmContent) -> String {
    let share = match content.share {
        Sampling::PerMillion(share) => format!(" of {} % of calls", f64::from(share) / 1e4),
        Sampling::All | Sampling::Off => String::new(),
    };
    format!("{}{share}, up to {} KiB each way", content.keep.word(), content.most_bytes / 1024)
}

/// A guardrail in words.
pub(super) fn guardrail_fields(guardrail: &LlmGuardrail) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "on", guardrail.on.word());
    put(&mut fields, "action", action_in_words(guardrail));
    put(&mut fields, "find", guardrail.find_in_words());
    for_people(&mut fields, guardrail.description.as_ref(), guardrail.owner.as_ref(), &guardrail.tags);
    fields
}

/// What is done, and where it cannot be done, what instead.
fn action_in_words(guardrail: &LlmGuardrail) -> String {
    let action = guardrail.action.word();
    if guardrail.action == LlmGuardrailAction::Reroute && guardrail.on != LlmGuardrailOn::Input {
        return format!("{action}; of answers whole ones, and streams are blocked");
    }
    action.to_owned()
}

fn price(price: &LlmPrice) -> String {
    let mut words = rates(&price.rates) + " per million tokens";
    for tier in &price.tiers {
        words.push_str(&format!("; above {} tokens {}", tier.above, rates(&tier.rates)));
    }
    for (name, millionths) in &price.service_tiers {
        words.push_str(&format!("; {name} × {}", f64::from(*millionths) / 1e6));
    }
    for (what, nanos) in [
        ("request", price.per_request),
        ("image", price.per_image),
        ("second", price.per_second),
        ("search", price.per_search),
    ] {
        if let Some(nanos) = nanos {
            words.push_str(&format!("; {} per {what}", dollars(nanos)));
        }
    }
    if let Some(as_of) = &price.as_of {
        words.push_str(&format!("; as of {as_of}"));
    }
    words
}

fn rates(rates: &LlmRates) -> String {
    let mut words = format!("{} in, {} out", dollars(rates.input), dollars(rates.output));
    for (what, nanos) in [
        ("cached", rates.cached_input),
        ("into the cache", rates.cache_write),
        ("into the cache for an hour", rates.cache_write_1h),
        ("reasoning", rates.reasoning),
        ("sound in", rates.input_audio),
        ("images in", rates.input_image),
        ("sound out", rates.output_audio),
        ("images out", rates.output_image),
    ] {
        if let Some(nanos) = nanos {
            words.push_str(&format!(", {} {what}", dollars(nanos)));
        }
    }
    words
}

/// An amount that is never negative, without needless zeros.
fn dollars(nanos: i64) -> String {
    let (whole, rest) = (nanos / NANOS_OF_A_DOLLAR, nanos % NANOS_OF_A_DOLLAR);
    if rest == 0 {
        return format!("${whole}");
    }
    let digits = format!("{rest:09}");
    format!("${whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn an_amount_is_written_with_the_digits_that_it_has() {
        assert_eq!(dollars(250_000_000), "$0.25");
        assert_eq!(dollars(15_000_000_000), "$15");
        assert_eq!(dollars(1), "$0.000000001");
    }
}
