//! What holds for all models: retries, timeouts, cooldown, fallbacks, aliases.

use super::{Losses, section::Section};
use crate::yaml::{Content, Node};

const MOST_RETRIES: u32 = 5;
/// A cooldown that never comes.
const NEVER: u32 = 1000;

/// Settings of the router and of the library, the router's first.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) retries: RetriesByCause,
    pub(super) timeout_seconds: Option<f64>,
    pub(super) stream_timeout_seconds: Option<f64>,
    pub(super) failures: Option<u32>,
    pub(super) pause_seconds: Option<f64>,
    pub(super) fallbacks: Vec<Fallback>,
    /// For every model.
    pub(super) default_fallbacks: Vec<Fallback>,
    /// For prompts that are too long.
    pub(super) on_context_window: Vec<Fallback>,
    /// For prompts that a policy refuses.
    pub(super) on_content_policy: Vec<Fallback>,
    pub(super) strategy: Strategy,
    pub(super) aliases: Vec<Alias>,
}

/// How calls are spread over the deployments of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Strategy {
    #[default]
    Chance,
    Latency,
    Cost,
}

/// How often something is tried again; none: as the server has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RetriesByCause {
    pub(super) all: Option<u32>,
    pub(super) rate_limit: Option<u32>,
    pub(super) overloaded: Option<u32>,
    pub(super) timeout: Option<u32>,
}

/// A model that answers when another does not.
#[derive(Debug, Clone)]
pub(super) struct Fallback {
    /// The model that did not answer; of one for every model, nothing.
    pub(super) of: String,
    pub(super) to: String,
    pub(super) place: String,
    pub(super) line: u64,
}

/// Why a model did not answer.
#[derive(Debug, Clone, Copy)]
enum FallbackKind {
    Any,
    ContextWindow,
    ContentPolicy,
}

/// A further name of a model.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) place: String,
    pub(super) line: u64,
}

impl Settings {
    /// Takes the sections of settings out of the file.
    pub(super) fn read(whole: &mut Section<'_>, losses: &mut Losses) -> Self {
        let mut settings = Self::default();
        for name in ["router_settings", "litellm_settings"] {
            if let Some(mut section) = whole.inner(name, losses) {
                settings.add(&mut section, losses);
                section.leave(losses, reason_in_settings);
            }
        }
        if let Some(section) = whole.inner("general_settings", losses) {
            section.leave(losses, reason_in_general);
        }
        if let Some(section) = whole.inner("environment_variables", losses) {
            section.leave(losses, |_| {
                "values of the environment are not copied: start the server with it where it is needed"
                    .to_owned()
            });
        }
        settings
    }

    fn add(&mut self, section: &mut Section<'_>, losses: &mut Losses) {
        let retries = section.count("num_retries", MOST_RETRIES, losses);
        self.retries.all = self.retries.all.or(retries);
        if let Some(mut policy) = section.inner("retry_policy", losses) {
            let mut count = |name: &str| policy.count(name, MOST_RETRIES, losses);
            self.retries.rate_limit = self.retries.rate_limit.or(count("RateLimitErrorRetries"));
            self.retries.overloaded = self.retries.overloaded.or(count("InternalServerErrorRetries"));
            self.retries.timeout = self.retries.timeout.or(count("TimeoutErrorRetries"));
            policy.leave(losses, |_| "a call that is wrong is not tried again".to_owned());
        }
        for name in ["timeout", "request_timeout"] {
            let found =
                section.number(name, losses).map(|(_, seconds)| seconds).filter(|seconds| *seconds > 0.0);
            self.timeout_seconds = self.timeout_seconds.or(found);
        }
        let found = section.number("stream_timeout", losses).map(|(_, seconds)| seconds);
        self.stream_timeout_seconds = self.stream_timeout_seconds.or(found.filter(|seconds| *seconds > 0.0));
        // So many are allowed: the next one is the one too many.
        let failures = section.count("allowed_fails", NEVER - 1, losses).map(|allowed| allowed + 1);
        self.failures = self.failures.or(failures);
        let pause = section.number("cooldown_time", losses).map(|(_, seconds)| seconds);
        self.pause_seconds = self.pause_seconds.or(pause.filter(|seconds| *seconds > 0.0));
        let never = section.take("disable_cooldowns");
        if never.is_some_and(|field| matches!(field.node.content, Content::Bool(true))) {
            self.failures = Some(NEVER);
            self.pause_seconds = Some(1.0);
        }
        for (name, kind) in [
            ("fallbacks", FallbackKind::Any),
            ("context_window_fallbacks", FallbackKind::ContextWindow),
            ("content_policy_fallbacks", FallbackKind::ContentPolicy),
        ] {
            if let Some(field) = section.take(name) {
                self.add_fallbacks(kind, &field.place, field.node, losses);
            }
        }
        if let Some(field) = section.take("default_fallbacks") {
            let named = names(&field.place, field.node, losses);
            let found =
                named.into_iter().map(|(to, place, line)| Fallback { of: String::new(), to, place, line });
            self.default_fallbacks.extend(found);
        }
        if let Some(aliases) = section.inner("model_group_alias", losses) {
            self.add_aliases(aliases, losses);
        }
        match section.text("routing_strategy", losses) {
            None | Some((_, "simple-shuffle")) => {}
            Some((_, "latency-based-routing")) => self.strategy = Strategy::Latency,
            Some((_, "cost-based-routing")) => self.strategy = Strategy::Cost,
            Some((field, strategy)) => {
                let reason = format!(
                    "calls are spread by chance, by weight; {strategy} is not carried: a route may be by latency or by cost"
                );
                losses.say(field.line, field.place, reason);
            }
        }
    }

    fn add_fallbacks(&mut self, kind: FallbackKind, path: &str, node: &Node, losses: &mut Losses) {
        let Content::List(items) = &node.content else {
            losses.say(node.line, path, "a list is expected");
            return;
        };
        for (place, item) in items.iter().enumerate() {
            let path = format!("{path}[{place}]");
            let Content::Map(entries) = &item.content else {
                losses.say(item.line, path, "a map from a model to its fallbacks is expected");
                continue;
            };
            for (key, to) in entries {
                let of = if key.text == "*" { String::new() } else { key.text.clone() };
                for (to, place, line) in names(&format!("{path}.{}", key.text), to, losses) {
                    let fallback = Fallback { of: of.clone(), to, place, line };
                    let those = match kind {
                        FallbackKind::Any if of.is_empty() => &mut self.default_fallbacks,
                        FallbackKind::Any => &mut self.fallbacks,
                        FallbackKind::ContextWindow => &mut self.on_context_window,
                        FallbackKind::ContentPolicy => &mut self.on_content_policy,
                    };
                    those.push(fallback);
                }
            }
        }
    }

    fn add_aliases(&mut self, mut aliases: Section<'_>, losses: &mut Losses) {
        for field in aliases.take_all() {
            let model = match &field.node.content {
                Content::Text(model) => Some(model.as_str()),
                // `{ model: …, hidden: true }`: a name that is not listed.
                Content::Map(entries) => entries.iter().find_map(|(key, node)| match &node.content {
                    Content::Text(model) if key.text == "model" => Some(model.as_str()),
                    _ => None,
                }),
                _ => None,
            };
            match model {
                Some(model) => self.aliases.push(Alias {
                    name: field.name.to_owned(),
                    model: model.trim().to_owned(),
                    place: field.place,
                    line: field.line,
                }),
                None => losses.say(field.line, field.place, "the name of a model is expected"),
            }
        }
    }
}

/// The names in a list, each with its place; what is no name is listed.
fn names(path: &str, node: &Node, losses: &mut Losses) -> Vec<(String, String, u64)> {
    let Content::List(items) = &node.content else {
        losses.say(node.line, path, "a list of names of models is expected");
        return Vec::new();
    };
    let mut found = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let place = format!("{path}[{place}]");
        match &item.content {
            Content::Text(name) => found.push((name.trim().to_owned(), place, item.line)),
            _ => losses.say(
                item.line,
                place,
                "a fallback is the name of a model; other parameters are not carried",
            ),
        }
    }
    found
}

fn reason_in_settings(name: &str) -> String {
    match name {
        "model_group_retry_policy" => "retries by model and cause: write `retries` into the model",
        "allowed_fails_policy" => "a cooldown counts failures of every kind: write `cooldown` into the model",
        "cache" | "cache_params" | "cache_responses" => {
            "answers that are kept are not carried: write `cache` into the models that keep theirs"
        }
        "callbacks" | "success_callback" | "failure_callback" | "service_callback" => {
            "calls are in the table llm_calls; nothing is called back"
        }
        "drop_params" | "modify_params" => "calls go on as they came",
        "provider_budget_config" | "max_budget" | "budget_duration" => {
            "budgets belong to keys and groups (--budget)"
        }
        "enable_pre_call_checks" => "calls are not measured against a context window before they are sent",
        _ if name.starts_with("redis") => "there is nothing to share: limits are kept by the server",
        _ => "the server has no setting of the kind",
    }
    .to_owned()
}

fn reason_in_general(name: &str) -> String {
    match name {
        "master_key" => "not copied: make keys with `llm keys create`; the operator's token is SHIPWAY_TOKEN",
        "database_url" => {
            "keys, budgets and what was spent stay there: make them anew with `llm keys` and `llm groups`"
        }
        _ => "the server has no setting of the kind",
    }
    .to_owned()
}

/// Why a part of the file is left out as a whole.
pub(super) fn reason_at_the_top(name: &str) -> String {
    match name {
        "include" => "files that are included are not read: import each by itself",
        "guardrails" | "policies" => "guardrails are not carried",
        "credential_list" => "secrets are not copied: give them to the server in its environment",
        _ => "nothing of the kind is carried",
    }
    .to_owned()
}
