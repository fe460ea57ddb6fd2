//! A model of language in words.

use shipway_definitions::{LlmGuardrail, LlmModel, LlmPrice};

use super::{Fields, for_people, joined, put};

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
    }
    put(&mut fields, "route", &model.route);
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
    }
    if !model.guardrails.is_empty() {
        put(&mut fields, "guardrails", joined(&model.guardrails));
    }
    for_people(&mut fields, model.description.as_ref(), model.owner.as_ref(), &model.tags);
    fields
}

/// A guardrail in words.
pub(super) fn guardrail_fields(guardrail: &LlmGuardrail) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "on", guardrail.on.word());
    put(&mut fields, "action", guardrail.action.word());
    put(&mut fields, "find", guardrail.find_in_words());
    for_people(&mut fields, guardrail.description.as_ref(), guardrail.owner.as_ref(), &guardrail.tags);
    fields
}

fn price(price: &LlmPrice) -> String {
    let mut words = format!("{} in, {} out", dollars(price.input), dollars(price.output));
    for (what, nanos) in [("cached", price.cached_input), ("into the cache", price.cache_write)] {
        if let Some(nanos) = nanos {
            words.push_str(&format!(", {} {what}", dollars(nanos)));
        }
    }
    words + " per million tokens"
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
