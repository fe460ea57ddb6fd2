//! `llm cache`: models that keep their answers, and how often one that is given to who asks about the same would have been wrong.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::{Context, items, shown};
use crate::{
    failure::CommandFailure,
    output::{self, member},
};

pub(super) async fn list(context: &Context, model: Option<&str>) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/llm/cache").await?;
    let Some(name) = model else {
        return shown(context, &answer, || {
            let rows = items(&answer, "models").map(row).collect();
            let head = [
                "model",
                "for",
                "shared by",
                "together",
                "similar",
                "from",
                "given",
                "wrong, measured",
                "advised",
            ];
            output::table(&head, rows, "no model keeps its answers");
        });
    };
    let found = items(&answer, "models").find(|known| known["model"] == name).ok_or_else(|| {
        CommandFailure::new(format!("{name} keeps no answers"))
            .with_hint("shipway llm cache lists the models that do; cache: in a model's definition says so")
    })?;
    shown(context, found, || steps(&found["similar"]))
}

fn row(model: &Json) -> Vec<String> {
    let similar = &model["similar"];
    let has_similar = similar.is_object();
    let or_none = |text: String| if has_similar { text } else { "-".to_owned() };
    let mode = match (similar["mode"].as_str(), similar["gives"].as_bool()) {
        (Some("serve"), Some(false)) => "withdrawn".to_owned(),
        (mode, _) => mode.unwrap_or("-").to_owned(),
    };
    vec![
        member(model, "model"),
        output::about(model["time_seconds"].as_f64().unwrap_or(0.0)),
        member(model, "scope"),
        if model["together"] == true { "yes" } else { "no" }.to_owned(),
        mode,
        or_none(member(similar, "least")),
        or_none(member(similar, "given")),
        or_none(wrong(&similar["from_least"])),
        or_none(advised(similar)),
    ]
}

/// How many were wrong of those that were compared, and within which bounds the rate lies.
fn wrong(compared: &Json) -> String {
    let count = |name: &str| compared[name].as_u64().unwrap_or(0);
    let all = count("same") + count("different");
    if all == 0 {
        return "nothing compared".to_owned();
    }
    let percent = |name: &str| compared[name].as_f64().unwrap_or(0.0) * 100.0;
    format!("{} of {all} ({:.1} to {:.1} %)", count("different"), percent("wrong_from"), percent("wrong_to"))
}

fn advised(similar: &Json) -> String {
    similar["advised_least"].as_f64().map_or_else(|| "measure more".to_owned(), |least| format!("{least:.3}"))
}

fn steps(similar: &Json) {
    let rows = items(similar, "steps").map(|step| {
        let from = step["similarity"].as_f64().unwrap_or(0.0);
        vec![format!("{from:.3}"), member(step, "same"), member(step, "different")]
    });
    output::table(&["alike from", "same answer", "another"], rows.collect(), "nothing was compared yet");
    if !similar.is_object() {
        return;
    }
    let count = |name: &str| similar[name].as_u64().unwrap_or(0);
    output::line(format!(
        "{} given, {} asked nevertheless, {} kept apart by their words, {} could not be compared",
        count("given"),
        count("checked"),
        count("other_words"),
        count("failed")
    ));
}
