//! Guardrails: what they found so far, and what they would find in a text.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use shipway_web::{Json, Problem};

use crate::{
    error::{GatewayError, Thing},
    guard::{Guardrail, Tally, Tried, try_text},
    model::Side,
    service::Gateway,
};

/// The longest text that is tried.
const LONGEST_TEXT: usize = 1 << 20;

/// Every guardrail with its counts since the server started.
pub(super) async fn list(State(gateway): State<Gateway>) -> Json<Value> {
    let installed = gateway.installed();
    let guardrails = installed.guardrails().into_iter().map(|guardrail| {
        let spec = &guardrail.spec;
        let models = installed.models().iter().filter(|model| model.spec.guardrails.contains(&spec.name));
        json!({
            "name": spec.name,
            "on": spec.on.word(),
            "action": spec.action.word(),
            "find": spec.detector,
            "models": models.map(|model| model.spec.name.as_str()).collect::<Vec<_>>(),
            "input": tally(guardrail, Side::Input),
            "output": tally(guardrail, Side::Output),
        })
    });
    Json(json!({ "guardrails": guardrails.collect::<Value>() }))
}

fn tally(guardrail: &Guardrail, side: Side) -> Value {
    let Tally { looked, found, findings, failed, took } = guardrail.counts.tally(side);
    json!({ "looked": looked, "found": found, "findings": findings, "failed": failed, "took_us": took.as_micros() })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TryBody {
    text: String,
    /// Which guardrails; empty: all that read texts.
    #[serde(default)]
    guardrails: Vec<String>,
}

/// What guardrails would find in a text. The text is not kept, and what is found is not said back.
pub(super) async fn try_them(
    State(gateway): State<Gateway>,
    Json(body): Json<TryBody>,
) -> Result<Json<Value>, Problem> {
    if body.text.len() > LONGEST_TEXT {
        return Err(GatewayError::invalid("text", format!("it is longer than {LONGEST_TEXT} bytes")).into());
    }
    let installed = gateway.installed();
    let all = installed.guardrails();
    if let Some(unknown) =
        body.guardrails.iter().find(|name| !all.iter().any(|known| known.spec.name == **name))
    {
        return Err(GatewayError::missing(Thing::Guardrail, unknown).into());
    }
    let is_meant = |guardrail: &Guardrail| {
        guardrail.spec.detector.reads_texts()
            && (body.guardrails.is_empty() || body.guardrails.contains(&guardrail.spec.name))
    };
    let meant: Vec<_> = all.into_iter().filter(|guardrail| is_meant(guardrail)).cloned().collect();
    let (findings, redacted) = try_text(&meant, &body.text);
    let findings = findings.into_iter().map(|Tried { guardrail, range, label }| {
        let (line, column) = place(&body.text, range.start);
        json!({
            "guardrail": guardrail.spec.name,
            "action": guardrail.spec.action.word(),
            "label": label,
            "line": line,
            "column": column,
            "bytes": range.len(),
        })
    });
    Ok(Json(json!({ "findings": findings.collect::<Value>(), "text": redacted })))
}

/// Line and column of a place, both from 1, the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
