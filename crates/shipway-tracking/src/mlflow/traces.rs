//! Endpoints of traces, REST 3.0, and those of REST 2.0 that have no other form.

use axum::{
    body::Body as StreamBody,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use http::{HeaderMap, header};
use serde_json::json;
use shipway_core::Permission::{Read, Write};
use shipway_web::{Path, Routes};

use super::{
    Answer, Body, WireError, artifacts, assessments, both,
    here::Here,
    message::Message,
    trace_view::{TraceWriter, trace_info},
    view,
};
use crate::{
    artifact_path::ArtifactPath,
    error::TrackingError,
    model::TraceState,
    service::{NewTrace, Part, SearchRequest, TraceDeletion, Tracking},
};

/// The file that clients write the spans of a trace to, where they do not send them.
const SPANS_FILE: &str = "traces.json";
const ATTACHMENTS: &str = "attachments";

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "3.0/mlflow/traces", Write, start);
    let routes = both!(routes, post, "3.0/mlflow/traces/search", Read, search);
    let routes = both!(routes, get, "3.0/mlflow/traces/get", Read, get_whole);
    let routes = both!(routes, get, "3.0/mlflow/traces/batchGet", Read, get_wholes);
    let routes = both!(routes, post, "3.0/mlflow/traces/batchGetInfos", Read, get_infos);
    let routes = both!(routes, get, "3.0/mlflow/traces/{trace_id}", Read, get_info);
    let routes = both!(routes, patch, "3.0/mlflow/traces/{trace_id}/tags", Write, set_tag);
    let routes = both!(routes, delete, "3.0/mlflow/traces/{trace_id}/tags", Write, delete_tag);
    let routes = both!(routes, patch, "2.0/mlflow/traces/{request_id}/tags", Write, set_tag);
    let routes = both!(routes, delete, "2.0/mlflow/traces/{request_id}/tags", Write, delete_tag);
    let routes = both!(routes, post, "3.0/mlflow/traces/delete-traces", Write, delete);
    let routes = both!(routes, post, "2.0/mlflow/traces/delete-traces", Write, delete);
    let routes = both!(routes, post, "2.0/mlflow/traces/link-to-run", Write, link_to_run);
    let routes = both!(routes, post, "2.0/mlflow/traces/link-prompts", Write, link_prompts);
    let routes = routes.get("/ajax-api/2.0/mlflow/get-trace-artifact", Read, artifact);
    routes.get("/ajax-api/3.0/mlflow/get-trace-artifact", Read, artifact)
}

pub(crate) const STATES: [(&str, i64, TraceState); 4] = [
    ("STATE_UNSPECIFIED", 0, TraceState::Unspecified),
    ("OK", 1, TraceState::Ok),
    ("ERROR", 2, TraceState::Error),
    ("IN_PROGRESS", 3, TraceState::InProgress),
];

/// The experiment that a location names, if it names one.
fn experiment_of(location: &Message) -> Result<Option<String>, WireError> {
    if location.value("mlflow_experiment").is_none() {
        return Ok(None);
    }
    Ok(Some(location.message("mlflow_experiment")?.required_text("experiment_id")?))
}

fn new_trace(info: &Message) -> Result<NewTrace, WireError> {
    let location = info.message("trace_location")?;
    let experiment_id = experiment_of(&location)?.ok_or_else(|| location.missing("mlflow_experiment"))?;
    let assessments =
        info.messages("assessments")?.iter().map(assessments::read).collect::<Result<Vec<_>, _>>()?;
    Ok(NewTrace {
        trace_id: info.required_text("trace_id")?,
        experiment_id,
        timestamp_ms: info.timestamp_ms("request_time")?.unwrap_or_default(),
        execution_ms: info.duration_ms("execution_duration")?,
        state: info.word("state", &STATES)?.unwrap_or(TraceState::Unspecified),
        client_request_id: info.text("client_request_id")?,
        request_preview: info.text("request_preview")?,
        response_preview: info.text("response_preview")?,
        tags: info.map("tags")?,
        metadata: info.map("trace_metadata")?,
        assessments,
        finalized: true,
    })
}

async fn start(Here(tracking): Here, message: Message) -> Answer {
    let new = new_trace(&message.message("trace")?.message("trace_info")?)?;
    let info = tracking.start_trace(new).await?;
    Ok(Body(json!({ "trace": { "trace_info": trace_info(&info) } })))
}

async fn get_info(Here(tracking): Here, Path(trace_id): Path<String>) -> Answer {
    let info = tracking.trace_info(&trace_id).await?;
    Ok(Body(json!({ "trace": { "trace_info": trace_info(&info) } })))
}

async fn search(Here(tracking): Here, message: Message) -> Answer {
    if message.value("locations").is_none() {
        return Err(message.missing("locations"));
    }
    let mut experiments = Vec::new();
    for location in message.messages("locations")? {
        experiments.extend(experiment_of(&location)?);
    }
    let request = SearchRequest {
        filter: message.text_or_empty("filter")?,
        order_by: message.texts("order_by")?,
        max_results: message.integer("max_results")?,
        page_token: message.text_or_empty("page_token")?,
    };
    let found = tracking.search_traces(&experiments, &request).await?;
    Ok(Body(view::page("traces", &found, trace_info)))
}

fn trace_ids(message: &Message) -> Result<(Vec<String>, Option<Vec<String>>), WireError> {
    let ids = message.texts("trace_ids")?;
    if ids.is_empty() {
        return Err(message.missing("trace_ids"));
    }
    let scope = message.value("experiment_ids").map(|_| message.texts("experiment_ids")).transpose()?;
    Ok((ids, scope))
}

async fn get_infos(Here(tracking): Here, message: Message) -> Answer {
    let (ids, scope) = trace_ids(&message)?;
    let infos = tracking.trace_infos(&ids, scope.as_deref()).await?;
    Ok(Body(view::Fields::default().list("trace_infos", infos.iter().map(trace_info).collect()).value()))
}

/// An answer that is written while its traces are read. When reading breaks off, so does the answer.
fn streamed(
    parts: BoxStream<'static, Result<Part, TrackingError>>,
    around: (&'static str, &'static str),
    only_spans: bool,
) -> StreamBody {
    let mut writer = TraceWriter::new(only_spans);
    let fixed = |text: &'static str| stream::once(async move { Ok(Bytes::from_static(text.as_bytes())) });
    let parts = parts.map(move |part| part.map(|part| writer.write(part)));
    StreamBody::from_stream(fixed(around.0).chain(parts).chain(fixed(around.1)))
}

fn as_json(body: StreamBody) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn get_whole(Here(tracking): Here, message: Message) -> Result<Response, WireError> {
    let allow_partial = message.flag("allow_partial")?.unwrap_or_default();
    let parts = tracking.whole_trace(&message.required_text("trace_id")?, allow_partial).await?;
    Ok(as_json(streamed(parts, ("{\"trace\":", "}"), false)))
}

async fn get_wholes(Here(tracking): Here, message: Message) -> Result<Response, WireError> {
    let (ids, scope) = trace_ids(&message)?;
    let parts = tracking.whole_traces(&ids, scope.as_deref()).await?;
    Ok(as_json(streamed(parts, ("{\"traces\":[", "]}"), false)))
}

async fn set_tag(Here(tracking): Here, Path(trace_id): Path<String>, message: Message) -> Answer {
    tracking.set_trace_tag(&trace_id, message.pair()?).await?;
    Ok(Body::empty())
}

async fn delete_tag(Here(tracking): Here, Path(trace_id): Path<String>, message: Message) -> Answer {
    tracking.delete_trace_tag(&trace_id, &message.required_text("key")?).await?;
    Ok(Body::empty())
}

async fn delete(Here(tracking): Here, message: Message) -> Answer {
    let deletion = TraceDeletion {
        experiment_id: message.required_text("experiment_id")?,
        until_ms: message.integer("max_timestamp_millis")?,
        limit: message.integer("max_traces")?,
        trace_ids: message.texts("request_ids")?,
    };
    let deleted = tracking.delete_traces(&deletion).await?;
    Ok(Body(json!({ "traces_deleted": deleted })))
}

async fn link_to_run(Here(tracking): Here, message: Message) -> Answer {
    tracking.link_traces(&message.texts("trace_ids")?, &message.required_text("run_id")?).await?;
    Ok(Body::empty())
}

async fn link_prompts(Here(tracking): Here, message: Message) -> Answer {
    let mut prompts = Vec::new();
    for prompt in message.messages("prompt_versions")? {
        let version = prompt.integer("version")?.ok_or_else(|| prompt.missing("version"))?;
        prompts.push((prompt.required_text("name")?, version));
    }
    tracking.link_prompts(&message.required_text("trace_id")?, &prompts).await?;
    Ok(Body::empty())
}

/// The spans of a trace as a file, also of one that is not complete; or a file that its client attached to it.
async fn artifact(Here(tracking): Here, headers: HeaderMap, message: Message) -> Result<Response, WireError> {
    let trace_id = message.required_text("request_id")?;
    let info = tracking.trace_info(&trace_id).await?;
    let below = match message.text("path")?.filter(|path| !path.is_empty()) {
        Some(path) => Some(format!("{ATTACHMENTS}/{}", ArtifactPath::parse(&path)?.as_str())),
        None if info.has_spans_here() => None,
        None => Some(SPANS_FILE.to_owned()),
    };
    if let Some(below) = below {
        let path = ArtifactPath::parse(&format!("{}/{below}", info.artifact_root))?;
        return artifacts::send(&tracking, &headers, &path).await;
    }
    let parts = tracking.whole_trace(&trace_id, true).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"traces.json\""),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, streamed(parts, ("{\"spans\":[", "]}"), true)).into_response())
}
