//! Models as the text of a file of definitions.

use std::fmt::Write as _;

use super::{
    deployment::Deployment,
    group::{Model, Route},
};

/// All models, as documents of one file.
pub(super) fn definitions(models: &[Model]) -> String {
    let documents: Vec<String> = models.iter().map(definition).collect();
    documents.join("---\n")
}

fn definition(model: &Model) -> String {
    let mut text = format!("kind: llm_model\nname: {}\n", model.name);
    if !model.called.is_empty() {
        let called: Vec<String> = model.called.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(text, "called: [{}]", called.join(", "));
    }
    text.push_str("deployments:\n");
    for (name, deployment) in &model.deployments {
        let _ = writeln!(text, "  - {}", deployed(name, deployment));
    }
    if model.deployments.len() > 1 {
        let _ = writeln!(text, "route: {}", route(&model.route));
    }
    for (name, detour) in
        [("on_context_window", &model.on_context_window), ("on_content_policy", &model.on_content_policy)]
    {
        if let Some(detour) = detour {
            let _ = writeln!(text, "{name}: {}", route(detour));
        }
    }
    let timeouts: Vec<String> = [("first_token", model.first_token_seconds), ("total", model.total_seconds)]
        .into_iter()
        .filter_map(|(name, seconds)| Some(format!("{name}: {}", length(seconds?))))
        .collect();
    if !timeouts.is_empty() {
        let _ = writeln!(text, "timeouts: {{ {} }}", timeouts.join(", "));
    }
    if let Some([rate_limit, overloaded, connection, timeout]) = model.retries {
        let _ = writeln!(
            text,
            "retries: {{ rate_limit: {rate_limit}, overloaded: {overloaded}, connection: {connection}, timeout: {timeout} }}"
        );
    }
    let failures = model.failures.map(|failures| format!("failures: {failures}"));
    let pause = model.pause_seconds.map(|seconds| format!("pause: {}", length(seconds)));
    let cooldown: Vec<String> = failures.into_iter().chain(pause).collect();
    if !cooldown.is_empty() {
        let _ = writeln!(text, "cooldown: {{ {} }}", cooldown.join(", "));
    }
    if model.lets_unknown_prices {
        text.push_str("unknown_price: flag\n");
    }
    text
}

fn deployed(name: &str, deployment: &Deployment) -> String {
    let mut parts = Vec::new();
    if name != deployment.provider {
        parts.push(format!("name: {name}"));
    }
    parts.push(format!("provider: {}", deployment.provider));
    parts.push(format!("model: {}", quoted(&deployment.model)));
    if let Some(price) = &deployment.price {
        let further = [("cached_input", &price.cached_input), ("cache_write", &price.cache_write)];
        let further: String = further
            .into_iter()
            .filter_map(|(name, dollars)| Some(format!(", {name}: {}", dollars.as_ref()?)))
            .collect();
        parts.push(format!("price: {{ input: {}{further}, output: {} }}", price.input, price.output));
    }
    if let Some(tokens) = deployment.max_output_tokens {
        parts.push(format!("max_output_tokens: {tokens}"));
    }
    if !deployment.apis.is_empty() {
        parts.push(format!("apis: [{}]", deployment.apis.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn route(written: &Route) -> String {
    match written {
        Route::Deployment(name) => name.clone(),
        Route::Fallback(routes) => listed("fallback", routes),
        Route::Latency(routes) => listed("latency", routes),
        Route::Cost(routes) => listed("cost", routes),
        Route::Weighted(shares) => {
            let shares: Vec<String> = shares
                .iter()
                .map(|(to, weight)| match weight {
                    1 => format!("{{ to: {} }}", route(to)),
                    _ => format!("{{ to: {}, weight: {weight} }}", route(to)),
                })
                .collect();
            format!("{{ weighted: [{}] }}", shares.join(", "))
        }
    }
}

fn listed(strategy: &str, routes: &[Route]) -> String {
    let routes: Vec<String> = routes.iter().map(route).collect();
    format!("{{ {strategy}: [{}] }}", routes.join(", "))
}

/// Whole seconds: what is less than one becomes one.
fn length(seconds: f64) -> String {
    format!("{:.0}s", seconds.ceil().max(1.0))
}

/// Plain where YAML reads it as text everywhere, else in quotes.
fn quoted(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "-_./".contains(character))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
