//! A question about calls in SQL. Pure: every text in it is quoted here.

use shipway_gateway::Question;

/// What rows of the table of calls must fulfil; `true` where nothing is asked.
pub(super) fn conditions(question: &Question) -> String {
    let mut all: Vec<String> = question
        .equal
        .iter()
        .map(|(column, value)| format!("calls.\"{column}\" = {}", quoted(value)))
        .collect();
    if let Some(group) = &question.group {
        all.push(holds("groups", &format!("/{group}/")));
    }
    for (name, value) in &question.tags {
        all.push(holds("tags", &format!("{}:{}", json(name), json(value))));
    }
    all.extend(of_guardrails(question));
    if let Some(status) = question.status {
        all.push(format!("calls.status = {status}"));
    }
    if let Some(nanos) = question.min_cost_nanos {
        all.push(format!("calls.cost_nanos >= {nanos}"));
    }
    if let Some(us) = question.min_took_us {
        all.push(format!("calls.took_us >= {us}"));
    }
    if let Some(since) = question.since {
        all.push(format!("calls.at >= to_timestamp_micros({})", since.0));
    }
    if let Some(until) = question.until {
        all.push(format!("calls.at < to_timestamp_micros({})", until.0));
    }
    if let Some(before) = &question.before {
        all.push(format!("calls.call < {}", quoted(before)));
    }
    if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
}

/// Whether anything is asked but words, bounds of time and where to go on.
pub(super) fn asks_for_facts(question: &Question) -> bool {
    let Question { equal, group, tags, status, guardrail, verdict, min_cost_nanos, min_took_us, .. } =
        question;
    !equal.is_empty()
        || group.is_some()
        || !tags.is_empty()
        || status.is_some()
        || guardrail.is_some()
        || verdict.is_some()
        || min_cost_nanos.is_some()
        || min_took_us.is_some()
}

/// Where every phrase stands in `column`. A phrase has letters, digits and spaces only.
pub(super) fn has_phrases(column: &str, phrases: &[String]) -> String {
    let each = phrases.iter().map(|phrase| format!("{column} LIKE {}", quoted(&format!("%{phrase}%"))));
    each.collect::<Vec<_>>().join(" AND ")
}

/// Guardrails are JSON, as the ledger writes them: name, side, verdict.
fn of_guardrails(question: &Question) -> Option<String> {
    let verdict = question.verdict.as_deref().map(|word| format!("\"verdict\":{}", json(word)));
    let found = match (&question.guardrail, verdict) {
        (None, None) => return None,
        (None, Some(verdict)) => return Some(holds("guardrails", &verdict)),
        (Some(name), None) => return Some(holds("guardrails", &format!("\"guardrail\":{}", json(name)))),
        (Some(name), Some(verdict)) => ["input", "output"].map(|side| {
            holds("guardrails", &format!("\"guardrail\":{},\"on\":\"{side}\",{verdict}", json(name)))
        }),
    };
    Some(format!("({})", found.join(" OR ")))
}

fn holds(column: &str, part: &str) -> String {
    format!("strpos(calls.{column}, {}) > 0", quoted(part))
}

pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_quoted() {
        let question = Question {
            equal: vec![("user", "o'neil".to_owned())],
            group: Some("search".to_owned()),
            tags: vec![("te\"am".to_owned(), "it's".to_owned())],
            guardrail: Some("emails".to_owned()),
            verdict: Some("redacted".to_owned()),
            status: Some(200),
            ..Question::default()
        };
        assert_eq!(
            conditions(&question),
            "calls.\"user\" = 'o''neil' AND strpos(calls.groups, '/search/') > 0 \
             AND strpos(calls.tags, '\"te\\\"am\":\"it''s\"') > 0 \
             AND (strpos(calls.guardrails, '\"guardrail\":\"emails\",\"on\":\"input\",\"verdict\":\"redacted\"') > 0 \
             OR strpos(calls.guardrails, '\"guardrail\":\"emails\",\"on\":\"output\",\"verdict\":\"redacted\"') > 0) \
             AND calls.status = 200"
        );
        assert!(asks_for_facts(&question));
        assert_eq!(conditions(&Question::default()), "true");
        assert!(!asks_for_facts(&Question::default()));
        assert_eq!(
            has_phrases("words", &[" a b ".to_owned(), " c ".to_owned()]),
            "words LIKE '% a b %' AND words LIKE '% c %'"
        );
    }

    /// Conditions on findings stand on how the ledger writes them.
    #[test]
    fn findings_are_written_name_first_then_side_then_verdict() {
        let fact = shipway_gateway::VerdictFact {
            guardrail: "emails".to_owned(),
            on: shipway_gateway::Side::Input,
            verdict: "redacted".to_owned(),
            findings: 1,
            labels: Vec::new(),
            took_us: 5,
        };
        let written = serde_json::to_string(&fact).unwrap();
        assert!(
            written.starts_with(r#"{"guardrail":"emails","on":"input","verdict":"redacted","#),
            "{written}"
        );
    }
}
