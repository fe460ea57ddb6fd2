//! Endpoints of runs themselves.

use axum::extract::State;
use serde_json::json;
use shipway_core::Permission::{Read, Write};
use shipway_web::Routes;

use super::{
    Answer, Body, both,
    experiments::{VIEWS, search_request},
    message::Message,
    view,
};
use crate::{
    model::{Lifecycle, RunStatus, View},
    service::{NewRun, RunChange, Tracking},
};

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

async fn create(State(tracking): State<Tracking>, message: Message) -> Answer {
    let new = NewRun {
        experiment_id: message.text_or_empty("experiment_id")?,
        user_id: message.text_or_empty("user_id")?,
        name: message.text_or_empty("run_name")?,
        start_ms: message.integer("start_time")?,
        tags: message.pairs("tags")?,
    };
    let run = tracking.create_run(new).await?;
    Ok(Body(json!({ "run": view::run(&run) })))
}

pub(super) async fn get(State(tracking): State<Tracking>, message: Message) -> Answer {
    let run = tracking.run(&message.run_id()?).await?;
    Ok(Body(json!({ "run": view::run(&run) })))
}

async fn update(State(tracking): State<Tracking>, message: Message) -> Answer {
    let change = RunChange {
        status: message.word("status", &STATUSES)?,
        end_ms: message.integer("end_time")?,
        name: message.text("run_name")?,
    };
    let info = tracking.update_run(&message.run_id()?, change).await?;
    Ok(Body(json!({ "run_info": view::run_info(&info) })))
}

async fn delete(State(tracking): State<Tracking>, message: Message) -> Answer {
    tracking.move_run(&message.run_id()?, Lifecycle::Deleted).await?;
    Ok(Body::empty())
}

async fn restore(State(tracking): State<Tracking>, message: Message) -> Answer {
    tracking.move_run(&message.run_id()?, Lifecycle::Active).await?;
    Ok(Body::empty())
}

pub(super) async fn search(State(tracking): State<Tracking>, message: Message) -> Answer {
    let wanted = message.word("run_view_type", &VIEWS)?.unwrap_or(View::Active);
    let experiments = message.texts("experiment_ids")?;
    let found = tracking.search_runs(&experiments, wanted, &search_request(&message)?).await?;
    Ok(Body(view::page("runs", &found, view::run)))
}

async fn delete_tag(State(tracking): State<Tracking>, message: Message) -> Answer {
    tracking.delete_run_tag(&message.run_id()?, &message.required_text("key")?).await?;
    Ok(Body::empty())
}
