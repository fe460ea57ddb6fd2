//! Reads a gate. It refers to nothing that is defined here, so what is read is the definition.

use shipway_core::Length;

use crate::{
    Gate, Requirement, Rule,
    parse::reader::{Fields, Head, Reader},
    yaml::{Content, Node},
};

pub(super) const FIELDS: &[&str] =
    &["kind", "name", "model", "alias", "require", "description", "owner", "tags"];
pub(crate) const REQUIREMENT_FIELDS: &[&str] = &[
    "metric",
    "dataset",
    "beats",
    "by",
    "at_least",
    "at_most",
    "evaluation",
    "verified",
    "within",
    "vectors",
];

/// What belongs to a metric only, and what to a replay only.
const OF_METRIC: [&str; 5] = ["dataset", "beats", "by", "at_least", "at_most"];
const OF_REPLAY: [&str; 2] = ["within", "vectors"];

/// How old a replay may be where a gate does not say.
const DEFAULT_WITHIN_US: i64 = 86_400_000_000;

/// A gate as it is written; `None` where a part could not be read.
#[derive(Debug)]
pub(crate) struct GateDraft {
    pub(crate) gate: Option<Gate>,
}

pub(super) fn read(head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> GateDraft {
    let model = fields.required("model", reader).and_then(|node| reader.text("model", node));
    let alias = fields.required("alias", reader).and_then(|node| reader.text("alias", node));
    let requirements = match fields.required("require", reader) {
        Some(node) => {
            reader.list("require", node).iter().filter_map(|node| read_requirement(node, reader)).collect()
        }
        None => Vec::new(),
    };
    let gate = model.zip(alias).map(|(model, alias)| Gate {
        name: head.name,
        model: model.value,
        alias: alias.value,
        requirements,
        description: head.description,
        owner: head.owner,
        tags: head.tags,
    });
    GateDraft { gate }
}

fn read_requirement(node: &Node, reader: &mut Reader<'_>) -> Option<Requirement> {
    let fields = Fields::of(node, REQUIREMENT_FIELDS, " in require", reader)?;
    if let Some(deployment) = fields.optional("verified") {
        return read_verified(deployment, &fields, reader);
    }
    refuse_foreign(&OF_REPLAY, "verified", &fields, reader);
    match (fields.optional("metric"), fields.optional("evaluation")) {
        (Some(metric), None) => read_metric(metric, &fields, reader),
        (None, Some(evaluation)) => {
            refuse_foreign(&OF_METRIC, "a metric", &fields, reader);
            let word = reader.text("evaluation", evaluation)?;
            if word.value == "own_artifact" {
                return Some(Requirement::OwnArtifact);
            }
            let hint = Some("write evaluation: own_artifact".to_owned());
            reader.refuse(word.line, format!("evaluation {} does not exist", word.value), hint);
            None
        }
        (Some(_), Some(evaluation)) => {
            let hint = "make two requirements of them".to_owned();
            reader.refuse(evaluation.line, "metric and evaluation in one requirement".to_owned(), Some(hint));
            None
        }
        (None, None) => {
            let hint =
                "write `metric: …` with a rule, `evaluation: own_artifact`, or `verified: …`".to_owned();
            let message = "a requirement without metric, evaluation or verified".to_owned();
            reader.refuse(node.line, message, Some(hint));
            None
        }
    }
}

fn refuse_foreign(words: &[&str], owner: &str, fields: &Fields<'_>, reader: &mut Reader<'_>) {
    for word in words {
        if let Some(node) = fields.optional(word) {
            let hint = "make it a requirement of its own".to_owned();
            reader.refuse(node.line, format!("{word} belongs to {owner}"), Some(hint));
        }
    }
}

fn read_verified(deployment: &Node, fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Requirement> {
    refuse_foreign(&OF_METRIC, "a metric", fields, reader);
    refuse_foreign(&["metric", "evaluation"], "a requirement of its own", fields, reader);
    let deployment = reader.name("deployment", deployment);
    let within = match fields.optional("within") {
        Some(node) => reader.length("within", node)?.value,
        None => Length::from_micros(DEFAULT_WITHIN_US)?,
    };
    let vectors = match fields.optional("vectors") {
        None => 1,
        Some(Node { content: Content::Int(number), .. }) if *number >= 1 => u64::try_from(*number).ok()?,
        Some(node) => {
            let hint = Some("write a whole number from 1".to_owned());
            reader.refuse(node.line, "vectors is the least number of vectors to compare".to_owned(), hint);
            return None;
        }
    };
    Some(Requirement::Verified { deployment: deployment?.value, within, vectors })
}

fn read_metric(metric: &Node, fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Requirement> {
    let metric = reader.text("metric", metric);
    let dataset = fields.optional("dataset").map(|node| reader.text("dataset", node));
    let rule = read_rule(fields, reader);
    let dataset = match dataset {
        Some(read) => Some(read?.value),
        None => None,
    };
    Some(Requirement::Metric { metric: metric?.value, dataset, rule: rule? })
}

fn read_rule(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Rule> {
    let by = fields.optional("by");
    let rules: Vec<(&str, &Node)> = ["beats", "at_least", "at_most"]
        .into_iter()
        .filter_map(|name| Some((name, fields.optional(name)?)))
        .collect();
    let [(word, node)] = rules.as_slice() else {
        let hint = "write exactly one of `beats: holder`, `at_least: …`, `at_most: …`".to_owned();
        let message =
            if rules.is_empty() { "a metric without a rule" } else { "a metric with more than one rule" };
        reader.refuse(fields.line, message.to_owned(), Some(hint));
        return None;
    };
    if let (Some(by), true) = (by, *word != "beats") {
        reader.refuse(by.line, "by belongs to beats".to_owned(), Some("remove it".to_owned()));
    }
    match *word {
        "at_least" => reader.number("at_least", node).map(Rule::AtLeast),
        "at_most" => reader.number("at_most", node).map(Rule::AtMost),
        _ => {
            if !matches!(&node.content, Content::Text(text) if text == "holder") {
                let hint = Some("write beats: holder".to_owned());
                reader.refuse(node.line, "beats names something other than the holder".to_owned(), hint);
                return None;
            }
            let margin = match by {
                Some(node) => reader.number("by", node)?,
                None => 0.0,
            };
            if margin < 0.0 {
                let hint = "a candidate that may be worse does not beat the holder".to_owned();
                reader.refuse(fields.line, "by is negative".to_owned(), Some(hint));
                return None;
            }
            Some(Rule::BeatsHolder { margin })
        }
    }
}
