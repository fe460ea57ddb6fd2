//! Endpoints of runs themselves.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shipway_core::Permission::{Read, Write};
use shipway_web::Routes;

use super::{
    Answer, Body, WireError, both,
    experiments::{VIEWS, search_request},
    here::Here,
    message::Message,
    run_view::{NamedInfoView, NamedRunView, RunsView},
};
use crate::{
    error::TrackingError,
    model::{Lifecycle, Run, RunStatus, View},
    service::{Found, NewRun, RunChange, Tracking},
};

/// An answer that is written already.
type Written = Result<Response, WireError>;

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/runs/create", Write, create);
    let routes = both!(routes, get, "2.0/mlflow/runs/get", Read, get);
    let routes = both!(routes, post, "2.0/mlflow/runs/update", Write, update);
    let routes = both!(routes, post, "2.0/mlflow/runs/delete", Write, delete);
    let routes = both!(routes, post, "2.0/mlflow/runs/restore", Write, restore);
    let routes = both!(routes, post, "2.0/mlflow/runs/search", Read, search);
    both!(routes, post, "2.0/mlflow/runs/delete-tag", Write, delete_tag)
}

const STATUSES: [(&str, i64, RunStatus); 5] = [
    ("RUNNING", 1, RunStatus::Running),
    ("SCHEDULED", 2, RunStatus::Scheduled),
    ("FINISHED", 3, RunStatus::Finished),
    ("FAILED", 4, RunStatus::Failed),
    ("KILLED", 5, RunStatus::Killed),
];

async fn create(Here(tracking): Here, message: Message) -> Written {
    let new = NewRun {
        experiment_id: message.text_or_empty("experiment_id")?,
        user_id: message.text_or_empty("user_id")?,
        name: message.text_or_empty("run_name")?,
        start_ms: message.integer("start_time")?,
        tags: message.pairs("tags")?,
    };
    let run = tracking.create_run(new).await?;
    Ok(written(&NamedRunView::of(&run)))
}

async fn get(Here(tracking): Here, message: Message) -> Written {
    Ok(written(&NamedRunView::of(&found_one(&tracking, &message).await?)))
}

async fn found_one(tracking: &Tracking, message: &Message) -> Result<Run, WireError> {
    Ok(tracking.run(&message.run_id()?).await?)
}

async fn update(Here(tracking): Here, message: Message) -> Written {
    let change = RunChange {
        status: message.word("status", &STATUSES)?,
        end_ms: message.integer("end_time")?,
        name: message.text("run_name")?,
    };
    let info = tracking.update_run(&message.run_id()?, change).await?;
    Ok(written(&NamedInfoView::of(&info)))
}

async fn delete(Here(tracking): Here, message: Message) -> Answer {
    tracking.move_run(&message.run_id()?, Lifecycle::Deleted).await?;
    Ok(Body::empty())
}

async fn restore(Here(tracking): Here, message: Message) -> Answer {
    tracking.move_run(&message.run_id()?, Lifecycle::Active).await?;
    Ok(Body::empty())
}

async fn search(Here(tracking): Here, message: Message) -> Written {
    Ok(written(&RunsView::of(&found(&tracking, &message).await?)))
}

async fn found(tracking: &Tracking, message: &Message) -> Result<Found<Run>, WireError> {
    let wanted = message.word("run_view_type", &VIEWS)?.unwrap_or(View::Active);
    let experiments = message.texts("experiment_ids")?;
    Ok(tracking.search_runs(&experiments, wanted, &search_request(message)?).await?)
}

/// The answer of [`get`], for those who add to it.
pub(super) async fn get_value(tracking: &Tracking, message: &Message) -> Answer {
    value(&NamedRunView::of(&found_one(tracking, message).await?))
}

/// The answer of [`search`], for those who add to it.
pub(super) async fn search_value(tracking: &Tracking, message: &Message) -> Answer {
    value(&RunsView::of(&found(tracking, message).await?))
}

fn value(view: &impl Serialize) -> Answer {
    serde_json::to_value(view)
        .map(Body)
        .map_err(|error| TrackingError::invalid("body", error.to_string()).into())
}

fn written(view: &impl Serialize) -> Response {
    axum::Json(view).into_response()
}

async fn delete_tag(Here(tracking): Here, message: Message) -> Answer {
    tracking.delete_run_tag(&message.run_id()?, &message.required_text("key")?).await?;
    Ok(Body::empty())
}
