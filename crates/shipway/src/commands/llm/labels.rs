//! `llm users` and `llm tags`: limits that hold for them, whatever the key.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::{done, items, limits, on_outage, shown};
use crate::{
    arguments::LlmLabels,
    client::segment,
    commands::Context,
    failure::CommandFailure,
    output::{self, member},
};

/// `kind`: user or tag.
pub(super) async fn run(
    context: &Context,
    kind: &str,
    action: &LlmLabels,
) -> Result<ExitCode, CommandFailure> {
    let path = |name: &str| format!("/llm/labels/{kind}/{}", segment(name));
    match action {
        LlmLabels::List => {
            let answer = context.client.get("/llm/labels").await?;
            let of_kind: Vec<&Json> =
                items(&answer, "labels").filter(|label| label["kind"] == kind).collect();
            let answer = json!({ "labels": of_kind });
            shown(context, &answer, || list(&answer, kind))
        }
        LlmLabels::Put { name, limits: bounds } => {
            let answer = context.client.put(&path(name), &limits(bounds)?).await?;
            shown(context, &answer, || output::line(format!("{kind} {name} has these limits")))
        }
        LlmLabels::Delete { name } => {
            context.client.delete(&path(name)).await?;
            done(context, &format!("{kind} {name} has no limits of its own"))
        }
    }
}

fn list(answer: &Json, kind: &str) {
    let rows = items(answer, "labels").map(|label| {
        let used = &label["used"];
        vec![
            member(label, "name"),
            on_outage(&label["limits"]),
            member(used, "calls"),
            member(&used["dollars"], "total"),
        ]
    });
    output::table(
        &[kind, "in an outage", "calls", "dollars"],
        rows.collect(),
        &format!("no {kind}s with limits"),
    );
}
