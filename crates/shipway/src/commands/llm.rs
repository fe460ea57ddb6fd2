//! `llm`: models of language, virtual keys, groups, what they cost.

mod cache;
mod guardrails;
mod labels;
mod recompute;
mod secrets;
mod tail;
mod traces;

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::{Llm, LlmGroups, LlmGuardrails, LlmKeys, LlmLimits, LlmOnOutage, LlmTraces},
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

pub(super) async fn run(context: &Context, action: &Llm) -> Result<ExitCode, CommandFailure> {
    match action {
        Llm::Models => models(context).await,
        Llm::Keys(action) => keys(context, action).await,
        Llm::Groups(action) => groups(context, action).await,
        Llm::Users(action) => labels::run(context, "user", action).await,
        Llm::Tags(action) => labels::run(context, "tag", action).await,
        Llm::Secrets(action) => secrets::run(context, action).await,
        Llm::Guardrails { action: None } => guardrails::list(context).await,
        Llm::Guardrails { action: Some(LlmGuardrails::Try { file, guardrails: named }) } => {
            guardrails::try_them(context, file.as_deref(), named).await
        }
        Llm::Cache { model } => cache::list(context, model.as_deref()).await,
        Llm::Cost => cost(context).await,
        Llm::Tail { limit } => tail::run(context, *limit).await,
        Llm::Traces { action: None, filter } => traces::list(context, filter).await,
        Llm::Traces { action: Some(LlmTraces::Show { call }), .. } => traces::show(context, call).await,
        Llm::Recompute(options) => recompute::run(context, options).await,
    }
}

fn shown(context: &Context, answer: &Json, text: impl FnOnce()) -> Result<ExitCode, CommandFailure> {
    match context.format {
        Format::Json => output::json(answer),
        Format::Text => text(),
    }
    Ok(ExitCode::SUCCESS)
}

fn done(context: &Context, what: &str) -> Result<ExitCode, CommandFailure> {
    shown(context, &json!({ "done": what }), || output::line(what))
}

/// The limits as the API takes them.
fn limits(limits: &LlmLimits) -> Result<Json, CommandFailure> {
    let budget = |text: &String| {
        let (dollars, window) = text.split_once('/').ok_or_else(|| {
            CommandFailure::new(format!("budget {text}: there is no window"))
                .with_hint("write dollars and a window: 100/month; hour, day, week, month or total")
        })?;
        Ok(json!({ "dollars": dollars, "window": window }))
    };
    let budgets: Vec<Json> = limits.budgets.iter().map(budget).collect::<Result<_, CommandFailure>>()?;
    let on_outage = match limits.on_outage {
        LlmOnOutage::Refuse => "refuse",
        LlmOnOutage::Allow => "allow",
    };
    Ok(json!({
        "budgets": budgets,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrency": limits.concurrency,
        "on_outage": on_outage,
    }))
}

fn items<'a>(answer: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    answer[name].as_array().into_iter().flatten()
}

async fn models(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/llm/models").await?;
    shown(context, &answer, || {
        let rows = items(&answer, "models").flat_map(|model| {
            items(model, "deployments").map(|deployment| {
                let state = match (deployment["is_configured"] == true, deployment["state"].as_str()) {
                    (false, _) => "its provider is not configured".to_owned(),
                    (true, Some("left_out")) => {
                        format!("left out until {}", output::moment_of(deployment, "paused_until"))
                    }
                    (true, Some("on_trial")) => "the next call tries it".to_owned(),
                    (true, _) => "ready".to_owned(),
                };
                vec![
                    member(model, "name"),
                    member(deployment, "name"),
                    member(deployment, "provider"),
                    member(deployment, "model"),
                    state,
                ]
            })
        });
        output::table(
            &["model", "deployment", "provider", "its model", "state"],
            rows.collect(),
            "no models",
        );
    })
}

async fn keys(context: &Context, action: &LlmKeys) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    let path = |id: &str| format!("/llm/keys/{}", segment(id));
    match action {
        LlmKeys::List => {
            let answer = client.get("/llm/keys").await?;
            shown(context, &answer, || list_keys(&answer))
        }
        LlmKeys::Create {
            name,
            group,
            models,
            routes,
            tools,
            no_tools,
            user,
            tags,
            days,
            limits: bounds,
        } => {
            let bound = *no_tools || !tools.is_empty();
            let body = json!({
                "name": name, "group": group, "models": models, "routes": routes, "tools": bound.then_some(tools),
                "user": user, "tags": BTreeMap::from_iter(tags.iter().cloned()), "days": days, "limits": limits(bounds)?,
            });
            let answer = client.post("/llm/keys", &body).await?;
            shown(context, &answer, || show_secret(&answer))
        }
        LlmKeys::Limit { id, limits: bounds } => {
            client.put(&format!("{}/limits", path(id)), &limits(bounds)?).await?;
            done(context, &format!("key {id} has other limits"))
        }
        LlmKeys::Rotate { id, grace_seconds } => {
            let body = json!({ "grace_seconds": grace_seconds });
            let answer = client.post(&format!("{}/rotate", path(id)), &body).await?;
            shown(context, &answer, || show_secret(&answer))
        }
        LlmKeys::Revoke { id } => {
            client.delete(&path(id)).await?;
            done(context, &format!("key {id} is refused from now on"))
        }
    }
}

fn show_secret(answer: &Json) {
    let until = match answer["expires"].is_null() {
        true => "until it is revoked".to_owned(),
        false => format!("until {}", output::moment_of(answer, "expires")),
    };
    output::note(format!(
        "key {}, id {}, good {until}; it is shown this once",
        member(answer, "name"),
        member(answer, "id")
    ));
    // Alone on standard output, so that it can be piped.
    output::line(member(answer, "key"));
}

fn list_of(texts: &Json, none: &str) -> String {
    let texts: Vec<String> = texts.as_array().into_iter().flatten().map(output::cell).collect();
    if texts.is_empty() { none.to_owned() } else { texts.join(", ") }
}

fn or_dash(of: &Json, name: &str) -> String {
    if of[name].is_null() { "-".to_owned() } else { member(of, name) }
}

/// What becomes of calls while the database cannot be reached that servers share.
fn on_outage(limits: &Json) -> String {
    limits["on_outage"].as_str().unwrap_or("refuse").to_owned()
}

fn list_keys(answer: &Json) {
    let rows = items(answer, "keys").map(|key| {
        let mut expires =
            if key["expires"].is_null() { "-".to_owned() } else { output::moment_of(key, "expires") };
        if key["is_expired"] == true {
            expires.push_str(" (expired)");
        }
        vec![
            member(key, "id"),
            member(key, "name"),
            or_dash(key, "group"),
            list_of(&key["models"], "every model"),
            bounds_of(key),
            expires,
            on_outage(&key["limits"]),
            member(&key["used"], "calls"),
            member(&key["used"]["dollars"], "total"),
        ]
    });
    let head =
        ["key", "name", "group", "models", "bound to", "good until", "in an outage", "calls", "dollars"];
    output::table(&head, rows.collect(), "no keys");
}

/// Routes, tools, user and tags of a key, where it says any.
fn bounds_of(key: &Json) -> String {
    let mut bounds = Vec::new();
    if key["routes"].as_array().is_some_and(|routes| !routes.is_empty()) {
        bounds.push(list_of(&key["routes"], ""));
    }
    if key["tools"].is_array() {
        bounds.push(format!("tools: {}", list_of(&key["tools"], "none")));
    }
    if !key["user"].is_null() {
        bounds.push(format!("user {}", member(key, "user")));
    }
    let tags = key["tags"].as_object().into_iter().flatten();
    bounds.extend(tags.map(|(name, value)| format!("tag {name}={}", output::cell(value))));
    if bounds.is_empty() { "-".to_owned() } else { bounds.join("; ") }
}

async fn groups(context: &Context, action: &LlmGroups) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    match action {
        LlmGroups::List => {
            let answer = client.get("/llm/groups").await?;
            shown(context, &answer, || list_groups(&answer))
        }
        LlmGroups::Put { name, kind, parent, limits: bounds } => {
            let body = json!({ "kind": kind, "parent": parent, "limits": limits(bounds)? });
            let answer = client.put(&format!("/llm/groups/{}", segment(name)), &body).await?;
            shown(context, &answer, || output::line(format!("{kind} {name} is as you say")))
        }
        LlmGroups::Delete { name } => {
            client.delete(&format!("/llm/groups/{}", segment(name))).await?;
            done(context, &format!("removed group {name}"))
        }
    }
}

fn list_groups(answer: &Json) {
    let rows = items(answer, "groups").map(|group| {
        let used = &group["used"];
        vec![
            member(group, "name"),
            member(group, "kind"),
            or_dash(group, "parent"),
            on_outage(&group["limits"]),
            member(used, "calls"),
            member(&used["dollars"], "total"),
        ]
    });
    output::table(
        &["group", "kind", "part of", "in an outage", "calls", "dollars"],
        rows.collect(),
        "no groups",
    );
}

/// What was spent, by whom, in the present windows.
async fn cost(context: &Context) -> Result<ExitCode, CommandFailure> {
    let keys = context.client.get("/llm/keys").await?;
    let groups = context.client.get("/llm/groups").await?;
    let labels = context.client.get("/llm/labels").await?;
    let answer = json!({ "groups": groups["groups"], "keys": keys["keys"], "labels": labels["labels"] });
    shown(context, &answer, || {
        let row = |kind: &str, one: &Json| {
            let used = &one["used"];
            let mut row = vec![format!("{kind} {}", member(one, "name"))];
            row.extend(
                ["hour", "day", "week", "month", "total"].map(|window| member(&used["dollars"], window)),
            );
            row.push(member(used, "reserved_dollars"));
            row
        };
        let rows = items(&answer, "groups").map(|group| row(&member(group, "kind"), group));
        let rows = rows.chain(items(&answer, "keys").map(|key| row("key", key)));
        let rows =
            rows.chain(items(&answer, "labels").map(|label| row(&member(label, "kind"), label))).collect();
        let head = ["who", "this hour", "this day", "this week", "this month", "ever", "reserved now"];
        output::table(&head, rows, "no groups and no keys");
    })
}
