//! Use cases of spans: recording them as they arrive, and reading them in pieces.
//!
//! Spans may come before a client tells of their trace, after it, twice, or without anybody ever telling of it. A trace that was
//! told keeps what it was told; one that was not is what its spans say.

use std::collections::HashMap;

use serde_json::{Map, Value};
use shipway_core::{Access, Permission, ResourceType};
use shipway_store::Transaction;

use crate::{
    error::TrackingError,
    model::{
        Experiment, Lifecycle, Pair, TraceInfo, TraceState, bounds,
        trace::{TRACKING_STORE, key, tokens_of},
    },
    otlp::{ReceivedSpan, Role, preview, value::spaced},
    service::{Tracking, experiments, runs, traces::artifact_root},
    store::{
        self,
        pairs::{TRACE_METADATA, TRACE_TAGS},
        traces::spans::Node,
    },
};

/// How many spans one transaction writes, so that other writers come in between.
const RECORDED_AT_ONCE: usize = 2_000;
const NANOS_PER_MS: i64 = 1_000_000;
/// The kinds of tokens that every sum names, and those that it names where a span does.
const TOKENS: [&str; 3] = ["input_tokens", "output_tokens", "total_tokens"];
const CACHE_TOKENS: [&str; 3] =
    ["cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation_input_tokens_above_1hr"];
const MONEY: [&str; 3] = ["input_cost", "output_cost", "total_cost"];

impl Tracking {
    /// Records spans, of one trace or of many; one that is there already is replaced. Traces of which the root is among the spans
    /// are linked to the run, if one is named. Spans of a trace of another experiment need the right to write there.
    pub(crate) async fn record_spans(
        &self,
        experiment_id: &str,
        spans: Vec<ReceivedSpan>,
        run_id: Option<&str>,
        access: &Access,
    ) -> Result<(), TrackingError> {
        let experiment = experiments::find(&mut self.reader(), experiment_id).await?;
        experiments::must_be(&experiment, Lifecycle::Active)?;
        if let Some(run_id) = run_id {
            runs::find(&mut self.reader(), run_id).await?;
        }
        let mut finished: Vec<String> =
            spans.iter().filter(|span| span.is_root()).map(|span| span.stored.trace_id.clone()).collect();
        let mut by_trace = grouped(spans);
        while !by_trace.is_empty() {
            let some = take_some(&mut by_trace);
            let mut transaction = self.begin().await?;
            record(&mut transaction, &experiment, &some, access).await?;
            transaction.commit().await?;
        }
        finished.sort_unstable();
        finished.dedup();
        if let Some(run_id) = run_id {
            for some in finished.chunks(bounds::TRACE_LINKS) {
                self.link_traces(some, run_id).await?;
            }
        }
        Ok(())
    }
}

/// The spans of each trace, in the order of their arrival; of a span that comes twice the last counts.
fn grouped(spans: Vec<ReceivedSpan>) -> Vec<Vec<ReceivedSpan>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut seen: HashMap<(usize, String), usize> = HashMap::new();
    let mut grouped: Vec<Vec<ReceivedSpan>> = Vec::new();
    for span in spans {
        let place = *places.entry(span.stored.trace_id.clone()).or_insert_with(|| {
            grouped.push(Vec::new());
            grouped.len() - 1
        });
        let group = &mut grouped[place];
        match seen.get(&(place, span.stored.span_id.clone())) {
            Some(index) => group[*index] = span,
            None => {
                seen.insert((place, span.stored.span_id.clone()), group.len());
                group.push(span);
            }
        }
    }
    grouped.reverse();
    grouped
}

/// As many spans as go into one transaction, from the end; a large trace is taken in parts.
fn take_some(by_trace: &mut Vec<Vec<ReceivedSpan>>) -> Vec<Vec<ReceivedSpan>> {
    let mut some = Vec::new();
    let mut room = RECORDED_AT_ONCE;
    while let Some(mut spans) = by_trace.pop() {
        if spans.len() > room {
            let rest = spans.split_off(room);
            by_trace.push(rest);
        }
        room -= spans.len();
        if !spans.is_empty() {
            some.push(spans);
        }
        if room == 0 {
            break;
        }
    }
    some
}

/// Refuses spans of a trace that is in another experiment than they say, unless the caller may write there too.
async fn must_be_writable(
    transaction: &mut Transaction,
    named: &Experiment,
    info: &TraceInfo,
    access: &Access,
) -> Result<(), TrackingError> {
    let id = info.experiment_id;
    let home = store::workspaces::of_experiment(transaction, id).await?.unwrap_or_default();
    let may_write = || access.allows_in(ResourceType::Experiment, &id.to_string(), &home, Permission::Write);
    if home == named.workspace && may_write() {
        return Ok(());
    }
    Err(TrackingError::TraceOfAnother { trace: info.trace_id.clone() })
}

async fn record(
    transaction: &mut Transaction,
    experiment: &Experiment,
    by_trace: &[Vec<ReceivedSpan>],
    access: &Access,
) -> Result<(), TrackingError> {
    let ids: Vec<String> =
        by_trace.iter().filter_map(|spans| Some(spans.first()?.stored.trace_id.clone())).collect();
    let mut known = store::traces::rows_of(transaction, &ids).await?;
    for (trace_id, spans) in ids.iter().zip(by_trace) {
        let mut info = match known.remove(trace_id) {
            Some(info) => {
                if info.experiment_id != experiment.id {
                    must_be_writable(transaction, experiment, &info, access).await?;
                }
                info
            }
            None => {
                let info = unheard_of(experiment, trace_id, spans);
                store::traces::add(transaction, &info).await?;
                info
            }
        };
        let stored: Vec<_> = spans.iter().map(|span| span.stored.clone()).collect();
        store::traces::spans::put(transaction, &stored).await?;
        learn(&mut info, spans);
        store::traces::update(transaction, &info).await?;
        sum_up(transaction, &info, spans).await?;
        TRACE_TAGS.set(transaction, &trace_id.as_str().into(), &tags(spans)).await?;
        let user = spans.iter().find_map(|span| span.user.clone());
        let user =
            user.map(|user| Pair::new(key::USER, user)).filter(|pair| bounds::trace_metadata(pair).is_ok());
        let root = spans.iter().rev().find(|span| span.is_root());
        let told = root.into_iter().flat_map(|root| root.metadata.iter().cloned());
        let pairs: Vec<Pair> = user.into_iter().chain(told).collect();
        if !pairs.is_empty() {
            TRACE_METADATA.add(transaction, &trace_id.as_str().into(), &pairs).await?;
        }
    }
    Ok(())
}

fn start_ms(spans: &[ReceivedSpan]) -> i64 {
    let start = spans.iter().map(|span| span.stored.start_ns).min().unwrap_or_default();
    start.div_euclid(NANOS_PER_MS)
}

fn end_ms(spans: &[ReceivedSpan]) -> Option<i64> {
    let end = spans.iter().filter_map(|span| span.stored.end_ns).max()?;
    Some(end.div_euclid(NANOS_PER_MS))
}

/// A trace that nobody has told of yet.
fn unheard_of(experiment: &Experiment, trace_id: &str, spans: &[ReceivedSpan]) -> TraceInfo {
    TraceInfo {
        trace_id: trace_id.to_owned(),
        experiment_id: experiment.id,
        timestamp_ms: start_ms(spans),
        execution_ms: end_ms(spans).map(|end| end - start_ms(spans)),
        state: TraceState::InProgress,
        client_request_id: None,
        request_preview: None,
        response_preview: None,
        name: None,
        session_id: None,
        finalized: false,
        artifact_root: artifact_root(experiment, trace_id),
        tags: Vec::new(),
        metadata: Vec::new(),
        assessments: Vec::new(),
    }
}

/// What spans say of their trace: when it began and ended, how it went, what went in and came out.
fn learn(info: &mut TraceInfo, spans: &[ReceivedSpan]) {
    if !info.finalized {
        let known_end = info.execution_ms.map(|execution| info.timestamp_ms + execution);
        let end = known_end.into_iter().chain(end_ms(spans)).max();
        info.timestamp_ms = info.timestamp_ms.min(start_ms(spans));
        info.execution_ms = end.map(|end| end - info.timestamp_ms);
    }
    if info.session_id.is_none() {
        info.session_id = spans.iter().find_map(|span| span.session_id.clone());
    }
    let Some(root) = spans.iter().rev().find(|span| span.is_root()) else { return };
    if info.state.is_open() {
        info.state = if root.stored.status == "ERROR" { TraceState::Error } else { TraceState::Ok };
    }
    if let (None, Some(inputs)) = (&info.request_preview, &root.inputs) {
        info.request_preview = Some(preview(inputs, Role::User));
    }
    if let (None, Some(outputs)) = (&info.response_preview, &root.outputs) {
        info.response_preview = Some(preview(outputs, Role::Assistant));
    }
    // The last one, as of all tags.
    if let Some(tag) = root.tags.iter().rev().find(|tag| tag.key == key::TRACE_NAME) {
        info.name = Some(tag.value.clone());
    }
}

/// What the sender says of itself comes first, so that the tags that a user chose win. Where spans lie is nobody's to say.
fn tags(spans: &[ReceivedSpan]) -> Vec<Pair> {
    let mut tags: Vec<Pair> = Vec::new();
    if let Some(span) = spans.iter().find(|span| !span.resource_tags.is_empty()) {
        tags.extend(span.resource_tags.iter().cloned());
    }
    if let Some(root) = spans.iter().rev().find(|span| span.is_root()) {
        let own = [key::TRACE_NAME, key::ARTIFACT_LOCATION];
        tags.extend(root.tags.iter().filter(|tag| !own.contains(&tag.key.as_str())).cloned());
    }
    tags.push(Pair::new(key::SPANS_LOCATION, TRACKING_STORE));
    tags
}

/// Sums tokens and money over the whole tree, once spans bring some, unless the client told them.
async fn sum_up(
    transaction: &mut Transaction,
    info: &TraceInfo,
    spans: &[ReceivedSpan],
) -> Result<(), TrackingError> {
    let brings_usage = spans.iter().any(|span| span.stored.usage.is_some());
    let brings_cost = spans.iter().any(|span| span.stored.cost.is_some());
    if !brings_usage && !brings_cost {
        return Ok(());
    }
    let owner = info.trace_id.as_str().into();
    let told = |pairs: &[Pair], key: &str| info.finalized && pairs.iter().any(|pair| pair.key == key);
    let known = TRACE_METADATA.of(transaction, info.trace_id.as_str()).await?;
    let (sums_usage, sums_cost) =
        (brings_usage && !told(&known, key::TOKEN_USAGE), brings_cost && !told(&known, key::COST));
    if !sums_usage && !sums_cost {
        return Ok(());
    }
    let nodes = store::traces::spans::nodes_of(transaction, &info.trace_id).await?;
    let mut sums = Vec::new();
    if let Some(usage) =
        sums_usage.then(|| sum(&nodes, |node| node.usage.as_ref(), &TOKENS, &CACHE_TOKENS)).flatten()
    {
        store::traces::set_tokens(transaction, &info.trace_id, tokens_of(&usage)).await?;
        sums.push(Pair::new(key::TOKEN_USAGE, spaced(&usage)));
    }
    if let Some(cost) = sums_cost.then(|| sum(&nodes, |node| node.cost.as_ref(), &MONEY, &[])).flatten() {
        sums.push(Pair::new(key::COST, spaced(&cost)));
    }
    Ok(TRACE_METADATA.set(transaction, &owner, &sums).await?)
}

/// Sums over the spans of a tree that have data while no span above them does: a span that sums up its children must not be
/// counted together with them.
fn sum(
    nodes: &[Node],
    data: impl Fn(&Node) -> Option<&Value>,
    always: &[&str],
    sometimes: &[&str],
) -> Option<Value> {
    let by_id: HashMap<&str, &Node> = nodes.iter().map(|node| (node.span_id.as_str(), node)).collect();
    let mut children: HashMap<&str, Vec<&Node>> = HashMap::new();
    let mut open: Vec<&Node> = Vec::new();
    for node in nodes {
        match node.parent_span_id.as_deref().filter(|parent| by_id.contains_key(parent)) {
            Some(parent) => children.entry(parent).or_default().push(node),
            None => open.push(node),
        }
    }
    let mut counted: Vec<&Value> = Vec::new();
    while let Some(node) = open.pop() {
        match data(node) {
            Some(found) => counted.push(found),
            None => open.extend(children.get(node.span_id.as_str()).into_iter().flatten()),
        }
    }
    if counted.is_empty() {
        return None;
    }
    let mut sums = Map::new();
    for (kinds, is_always) in [(always, true), (sometimes, false)] {
        for kind in kinds {
            let found: Vec<&Value> = counted.iter().filter_map(|one| one.get(kind)).collect();
            if is_always || !found.is_empty() {
                sums.insert((*kind).to_owned(), total(&found));
            }
        }
    }
    Some(Value::Object(sums))
}

/// Whole numbers add up to a whole number.
fn total(numbers: &[&Value]) -> Value {
    let whole = numbers.iter().try_fold(0_i64, |sum, number| sum.checked_add(number.as_i64()?));
    match whole {
        Some(sum) => sum.into(),
        None => numbers.iter().filter_map(|number| number.as_f64()).sum::<f64>().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(id: &str, parent: Option<&str>, usage: Value) -> Node {
        Node {
            span_id: id.into(),
            parent_span_id: parent.map(str::to_owned),
            usage: (!usage.is_null()).then_some(usage),
            cost: None,
        }
    }

    #[test]
    fn what_a_span_sums_up_is_not_counted_again_below_it() {
        let usage =
            |number: i64| json!({ "input_tokens": number, "output_tokens": 1, "total_tokens": number + 1 });
        let nodes = [
            node("root", None, Value::Null),
            node("sums", Some("root"), usage(5)),
            node("part", Some("sums"), usage(2)),
            node("deep", Some("part"), usage(3)),
            node("other", Some("root"), json!({ "input_tokens": 1, "cache_read_input_tokens": 4 })),
            node("orphan", Some("unknown"), usage(10)),
        ];
        let found = sum(&nodes, |node| node.usage.as_ref(), &TOKENS, &CACHE_TOKENS).unwrap();
        assert_eq!(
            found,
            json!({
                "input_tokens": 16, "output_tokens": 2, "total_tokens": 17, "cache_read_input_tokens": 4,
            })
        );
        assert_eq!(sum(&nodes[..1], |node| node.usage.as_ref(), &TOKENS, &[]), None);
        let money =
            [node("a", None, json!({ "input_cost": 0.25 })), node("b", None, json!({ "input_cost": 0.5 }))];
        let found = sum(&money, |node| node.usage.as_ref(), &MONEY, &[]).unwrap();
        assert_eq!(found["input_cost"], json!(0.75));
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let nodes = [node("a", Some("b"), json!({ "input_tokens": 1 })), node("b", Some("a"), Value::Null)];
        assert_eq!(sum(&nodes, |node| node.usage.as_ref(), &TOKENS, &[]), None);
    }
}
