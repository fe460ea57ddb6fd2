//! Endpoints of experiments.

use serde_json::{Value, json};
use shipway_core::{
    Permission::{Manage, Read, Write},
    ResourceType,
};
use shipway_web::{Caller, Routes};

use super::{Answer, Body, WireError, both, here::Here, message::Message, view};
use crate::{
    model::{Lifecycle, View},
    service::{SearchRequest, Tracking},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/experiments/create", Write, create);
    let routes = both!(routes, get, "2.0/mlflow/experiments/get", Read, get);
    let routes = both!(routes, get, "2.0/mlflow/experiments/get-by-name", Read, get_by_name);
    let routes = both!(routes, post, "2.0/mlflow/experiments/search", Read, search);
    let routes = both!(routes, get, "2.0/mlflow/experiments/search", Read, search);
    let routes = both!(routes, post, "2.0/mlflow/experiments/delete", Manage, delete);
    let routes = both!(routes, post, "2.0/mlflow/experiments/restore", Manage, restore);
    let routes = both!(routes, post, "2.0/mlflow/experiments/update", Write, update);
    let routes = both!(routes, post, "2.0/mlflow/experiments/set-experiment-tag", Write, set_tag);
    let routes = both!(routes, post, "2.0/mlflow/experiments/delete-experiment-tag", Write, delete_tag);
    both!(routes, post, "2.0/mlflow/experiments/search-datasets", Read, search_datasets)
}

pub(crate) const VIEWS: [(&str, i64, View); 3] =
    [("ACTIVE_ONLY", 1, View::Active), ("DELETED_ONLY", 2, View::Deleted), ("ALL", 3, View::All)];

/// The fields that all searches share.
pub(crate) fn search_request(message: &Message) -> Result<SearchRequest, WireError> {
    Ok(SearchRequest {
        filter: message.text_or_empty("filter")?,
        order_by: message.texts("order_by")?,
        max_results: message.integer("max_results")?,
        page_token: message.text_or_empty("page_token")?,
    })
}

async fn create(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let name = message.required_text("name")?;
    let location = message.text("artifact_location")?;
    let tags = message.pairs("tags")?;
    let id = tracking.create_experiment(&name, location.as_deref(), tags).await?;
    tracking.made(&caller, ResourceType::Experiment, &id.to_string()).await?;
    Ok(Body(json!({ "experiment_id": id.to_string() })))
}

pub(super) async fn get(Here(tracking): Here, message: Message) -> Answer {
    let experiment = tracking.experiment(&message.required_text("experiment_id")?).await?;
    Ok(Body(json!({ "experiment": view::experiment(&experiment) })))
}

async fn get_by_name(Here(tracking): Here, message: Message) -> Answer {
    let experiment = tracking.experiment_by_name(&message.required_text("experiment_name")?).await?;
    Ok(Body(json!({ "experiment": view::experiment(&experiment) })))
}

async fn search(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let wanted = message.word("view_type", &VIEWS)?.unwrap_or(View::Active);
    let visible = caller.access.visible_in(ResourceType::Experiment, tracking.workspace().as_str());
    let found = tracking.search_experiments(wanted, &visible, &search_request(&message)?).await?;
    Ok(Body(view::page("experiments", &found, view::experiment)))
}

async fn delete(Here(tracking): Here, message: Message) -> Answer {
    tracking.move_experiment(&message.required_text("experiment_id")?, Lifecycle::Deleted).await?;
    Ok(Body::empty())
}

async fn restore(Here(tracking): Here, message: Message) -> Answer {
    tracking.move_experiment(&message.required_text("experiment_id")?, Lifecycle::Active).await?;
    Ok(Body::empty())
}

async fn update(Here(tracking): Here, message: Message) -> Answer {
    let id = message.required_text("experiment_id")?;
    tracking.rename_experiment(&id, &message.required_text("new_name")?).await?;
    Ok(Body::empty())
}

async fn set_tag(Here(tracking): Here, message: Message) -> Answer {
    tracking.set_experiment_tag(&message.required_text("experiment_id")?, message.pair()?).await?;
    Ok(Body::empty())
}

async fn delete_tag(Here(tracking): Here, message: Message) -> Answer {
    let id = message.required_text("experiment_id")?;
    tracking.delete_experiment_tag(&id, &message.required_text("key")?).await?;
    Ok(Body::empty())
}

pub(super) async fn search_datasets(Here(tracking): Here, message: Message) -> Answer {
    let summaries = tracking.dataset_summaries(&message.texts("experiment_ids")?).await?;
    let summary = |(experiment_id, name, digest, context): &(i64, String, String, Option<String>)| -> Value {
        view::Fields::default()
            .set("experiment_id", experiment_id.to_string())
            .set("name", name.as_str())
            .set("digest", digest.as_str())
            .optional("context", context.as_deref())
            .value()
    };
    let list = summaries.iter().map(summary).collect();
    Ok(Body(view::Fields::default().list("dataset_summaries", list).value()))
}
