//! Endpoints of traces, REST 2.0: a trace is told when it starts and again when it ends. Old clients write so.

use serde_json::json;
use shipway_core::Permission::{Read, Write};
use shipway_web::{Path, Routes};

use super::{
    Answer, Body, both, experiments::search_request, here::Here, message::Message, trace_view::trace_info_2,
    view,
};
use crate::{
    model::{TraceInfo, TraceState},
    service::{NewTrace, Tracking},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/traces", Write, start);
    let routes = both!(routes, get, "2.0/mlflow/traces", Read, search);
    let routes = both!(routes, patch, "2.0/mlflow/traces/{request_id}", Write, end);
    both!(routes, get, "2.0/mlflow/traces/{request_id}/info", Read, get)
}

const STATUSES: [(&str, i64, TraceState); 4] = [
    ("TRACE_STATUS_UNSPECIFIED", 0, TraceState::Unspecified),
    ("OK", 1, TraceState::Ok),
    ("ERROR", 2, TraceState::Error),
    ("IN_PROGRESS", 3, TraceState::InProgress),
];

fn body(info: &TraceInfo) -> Body {
    Body(json!({ "trace_info": trace_info_2(info) }))
}

async fn start(Here(tracking): Here, message: Message) -> Answer {
    let new = NewTrace {
        trace_id: String::new(),
        experiment_id: message.required_text("experiment_id")?,
        timestamp_ms: message.integer("timestamp_ms")?.unwrap_or_default(),
        execution_ms: None,
        state: TraceState::InProgress,
        client_request_id: None,
        request_preview: None,
        response_preview: None,
        tags: message.pairs("tags")?,
        metadata: message.pairs("request_metadata")?,
        assessments: Vec::new(),
        finalized: false,
    };
    Ok(body(&tracking.start_trace(new).await?))
}

async fn end(Here(tracking): Here, Path(trace_id): Path<String>, message: Message) -> Answer {
    let end_ms = message.integer("timestamp_ms")?.ok_or_else(|| message.missing("timestamp_ms"))?;
    let state = message.word("status", &STATUSES)?.unwrap_or(TraceState::Unspecified);
    let (tags, metadata) = (message.pairs("tags")?, message.pairs("request_metadata")?);
    Ok(body(&tracking.end_trace(&trace_id, end_ms, state, tags, metadata).await?))
}

async fn get(Here(tracking): Here, Path(trace_id): Path<String>) -> Answer {
    Ok(body(&tracking.trace_info(&trace_id).await?))
}

async fn search(Here(tracking): Here, message: Message) -> Answer {
    let experiments = message.texts("experiment_ids")?;
    if experiments.is_empty() {
        return Err(message.missing("experiment_ids"));
    }
    let found = tracking.search_traces(&experiments, &search_request(&message)?).await?;
    Ok(Body(view::page("traces", &found, trace_info_2)))
}
