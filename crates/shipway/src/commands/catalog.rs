//! `features list`: every feature, found by what is known about it.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::Context;
use crate::{
    arguments::FeatureSearch,
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

/// So many characters of a description are shown in a table.
const SHOWN: usize = 60;

pub(super) async fn list(context: &Context, search: &FeatureSearch) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get(&format!("/features{}", query(search))).await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = answer["features"].as_array().into_iter().flatten().map(row);
    output::table(
        &["feature", "type", "entity", "owner", "pii", "tags", "taken by", "description"],
        rows.collect(),
        "no features match",
    );
    Ok(ExitCode::SUCCESS)
}

fn row(feature: &Json) -> Vec<String> {
    let joined = |name: &str| {
        let items: Vec<_> = feature[name].as_array().into_iter().flatten().map(output::cell).collect();
        if items.is_empty() { "-".to_owned() } else { items.join(", ") }
    };
    let named = |name| member(feature, name);
    let deprecated = &feature["deprecated"];
    let text = match deprecated.is_null() {
        true => named("description"),
        false => {
            let instead = deprecated["use"].as_str().map(|text| format!("; use {text}")).unwrap_or_default();
            format!("deprecated: {}{instead}", member(deprecated, "reason"))
        }
    };
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let (tags, services) = (joined("tags"), joined("services"));
    vec![named("name"), named("type"), named("entity"), named("owner"), named("pii"), tags, services, shown]
}

fn query(search: &FeatureSearch) -> String {
    let FeatureSearch { tag, owner, pii, deprecated, view, entity, service, text } = search;
    let given = [
        ("tag", tag.as_deref()),
        ("owner", owner.as_deref()),
        ("pii", pii.as_deref()),
        ("deprecated", deprecated.then_some("true")),
        ("view", view.as_deref()),
        ("entity", entity.as_deref()),
        ("service", service.as_deref()),
        ("text", text.as_deref()),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value?))));
    let given: Vec<_> = given.collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}
