//! Which calls are looked for: as it is asked, and once it is known to mean something. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use shipway_core::{Length, Timestamp};
use shipway_dialects::Nanos;

use super::words::phrases;
use crate::{error::GatewayError, ledger::Outcome};

const USUAL_CALLS: usize = 50;
const MOST_CALLS: usize = 1_000;
const LONGEST_TEXT: usize = 1_000;

/// What a request asks for. What is left out is not asked; all of the rest must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskedFor {
    model: Option<String>,
    deployment: Option<String>,
    key: Option<String>,
    group: Option<String>,
    user: Option<String>,
    session: Option<String>,
    prompt: Option<String>,
    trace: Option<String>,
    tags: BTreeMap<String, String>,
    outcome: Option<String>,
    status: Option<u16>,
    cache: Option<String>,
    guardrail: Option<String>,
    verdict: Option<String>,
    since: Option<String>,
    until: Option<String>,
    min_dollars: Option<String>,
    min_ms: Option<u32>,
    text: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
}

/// A question that means something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Columns that must have exactly these values.
    pub equal: Vec<(&'static str, String)>,
    /// The group or one above it.
    pub group: Option<String>,
    /// Tags that the call has.
    pub tags: Vec<(String, String)>,
    /// The status that the caller got.
    pub status: Option<u16>,
    /// A guardrail that found something.
    pub guardrail: Option<String>,
    /// What became of a finding.
    pub verdict: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// At least so much, in billionths of a dollar.
    pub min_cost_nanos: Option<i64>,
    /// At least so long, in microseconds.
    pub min_took_us: Option<i64>,
    /// Words and phrases, as they stand in what is searched; all of them.
    pub phrases: Vec<String>,
    /// Only calls with a smaller id.
    pub before: Option<String>,
    /// The most calls.
    pub limit: usize,
}

impl Question {
    /// Judges what is asked for. `now` is what lengths of time reach back from.
    pub fn of(asked: AskedFor, now: Timestamp) -> Result<Self, GatewayError> {
        let outcome = asked.outcome.map(|word| one_of("outcome", word, &Outcome::ALL.map(Outcome::word)));
        let cache =
            asked.cache.map(|word| one_of("cache", word, &["hit", "together", "similar", "miss", "bypass"]));
        let verdicts = ["blocked", "redacted", "annotated", "rerouted", "shadowed", "failed"];
        let verdict = asked.verdict.map(|word| one_of("verdict", word, &verdicts)).transpose()?;
        let equal = [
            ("model", asked.model),
            ("deployment", asked.deployment),
            ("key", asked.key),
            ("user", asked.user),
            ("session", asked.session),
            ("prompt", asked.prompt),
            ("trace", asked.trace),
            ("outcome", outcome.transpose()?),
            ("cache", cache.transpose()?),
        ];
        let equal = equal.into_iter().filter_map(|(column, value)| Some((column, value?))).collect();
        let phrases = match asked.text {
            Some(text) if text.len() > LONGEST_TEXT => {
                return Err(GatewayError::invalid("text", format!("it is longer than {LONGEST_TEXT} bytes")));
            }
            Some(text) => phrases(&text).map_err(|reason| GatewayError::invalid("text", reason))?,
            None => Vec::new(),
        };
        let limit = asked.limit.unwrap_or(USUAL_CALLS);
        if !(1..=MOST_CALLS).contains(&limit) {
            return Err(GatewayError::invalid("limit", format!("a number from 1 to {MOST_CALLS}")));
        }
        let min_cost_nanos = asked.min_dollars.map(|text| {
            let dollars: Result<Nanos, _> = text.parse();
            dollars
                .map(|dollars| dollars.0)
                .map_err(|_| GatewayError::invalid("min_dollars", format!("{text} is no amount of dollars")))
        });
        Ok(Self {
            equal,
            group: asked.group,
            tags: asked.tags.into_iter().collect(),
            status: asked.status,
            guardrail: asked.guardrail,
            verdict,
            since: asked.since.map(|text| moment("since", &text, now)).transpose()?,
            until: asked.until.map(|text| moment("until", &text, now)).transpose()?,
            min_cost_nanos: min_cost_nanos.transpose()?,
            min_took_us: asked.min_ms.map(|ms| i64::from(ms) * 1_000),
            phrases,
            before: asked.before.map(call_id).transpose()?,
            limit,
        })
    }
}

fn one_of(field: &'static str, word: String, known: &[&str]) -> Result<String, GatewayError> {
    match known.contains(&word.as_str()) {
        true => Ok(word),
        false => Err(GatewayError::invalid(field, format!("{word} is none of {}", known.join(", ")))),
    }
}

/// A moment, or how long ago it was.
fn moment(field: &'static str, text: &str, now: Timestamp) -> Result<Timestamp, GatewayError> {
    if let Ok(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let length: Result<Length, _> = text.parse();
    let ago = length.map(|length| Timestamp(now.0.saturating_sub(length.micros())));
    ago.map_err(|_| {
        GatewayError::invalid(
            field,
            format!("{text} is no moment; write 2026-11-30, 2026-11-30T12:00:00Z or 2h"),
        )
    })
}

/// An id of a call: it becomes a part of a query.
pub(crate) fn call_id(text: String) -> Result<String, GatewayError> {
    match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(GatewayError::missing(crate::error::Thing::Call, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_796_040_000_000_000);

    fn question(json: serde_json::Value) -> Result<Question, String> {
        let asked: AskedFor = serde_json::from_value(json).map_err(|error| error.to_string())?;
        Question::of(asked, NOON).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked_is_judged_before_anything_is_looked_for() {
        let asked = question(serde_json::json!({
            "model": "chat", "outcome": "blocked", "tags": { "team": "ops" }, "since": "2h", "until": "2026-11-30T11:00:00Z",
            "min_dollars": "0.5", "min_ms": 250, "text": "\"late arrival\" Why", "before": "0".repeat(32), "limit": 7,
        }))
        .unwrap();
        assert_eq!(asked.equal, [("model", "chat".to_owned()), ("outcome", "blocked".to_owned())]);
        assert_eq!(asked.since, Some(Timestamp(NOON.0 - 7_200_000_000)));
        assert_eq!(asked.until, Some(Timestamp(NOON.0 - 3_600_000_000)));
        assert_eq!(
            (asked.min_cost_nanos, asked.min_took_us, asked.limit),
            (Some(500_000_000), Some(250_000), 7)
        );
        assert_eq!(asked.phrases, [" late arrival ", " why "]);
        assert_eq!(question(serde_json::json!({})).unwrap(), Question { limit: 50, ..Question::default() });
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        for (asked, reason) in [
            (serde_json::json!({ "modell": "x" }), "unknown field `modell`"),
            (serde_json::json!({ "outcome": "fine" }), "outcome: fine is none of answered,"),
            (serde_json::json!({ "cache": "cold" }), "cache: cold is none of hit,"),
            (serde_json::json!({ "verdict": "x" }), "verdict: x is none of blocked,"),
            (serde_json::json!({ "since": "soon" }), "since: soon is no moment"),
            (serde_json::json!({ "min_dollars": "much" }), "min_dollars: much is no amount"),
            (serde_json::json!({ "text": "?" }), "text: there is no word in it"),
            (serde_json::json!({ "limit": 0 }), "limit: a number from 1 to 1000"),
            (serde_json::json!({ "before": "' OR 1=1" }), "call ' OR 1=1 does not exist"),
        ] {
            let refused = question(asked.clone()).unwrap_err();
            assert!(refused.contains(reason), "{asked}: {refused}");
        }
    }
}
