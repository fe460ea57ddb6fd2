//! Endpoints of scorers.

use serde_json::{Value, json};
use shipway_core::Permission::{Read, Write};
use shipway_web::Routes;

use super::{Answer, Body, WireError, both, here::Here, message::Message, view::Fields};
use crate::{error::TrackingError, model::ScorerVersion, service::Tracking};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "3.0/mlflow/scorers/register", Write, register);
    let routes = both!(routes, get, "3.0/mlflow/scorers/list", Read, list);
    let routes = both!(routes, get, "3.0/mlflow/scorers/versions", Read, versions);
    let routes = both!(routes, get, "3.0/mlflow/scorers/get", Read, get);
    let routes = both!(routes, delete, "3.0/mlflow/scorers/delete", Write, delete);
    both!(routes, get, "3.0/mlflow/scorers/online-configs", Read, online_configs)
}

fn scorer(version: &ScorerVersion) -> Value {
    json!({
        "experiment_id": version.experiment_id,
        "scorer_name": version.name,
        "scorer_version": version.version,
        "serialized_scorer": version.serialized,
        "creation_time": version.created_ms,
        "scorer_id": version.scorer_id,
    })
}

fn page(versions: &[ScorerVersion]) -> Body {
    Body(Fields::default().list("scorers", versions.iter().map(scorer).collect()).value())
}

async fn register(Here(tracking): Here, message: Message) -> Answer {
    let experiment_id = message.required_text("experiment_id")?;
    let name = message.required_text("name")?;
    let serialized = message.required_text("serialized_scorer")?;
    let version = tracking.register_scorer(&experiment_id, &name, &serialized).await?;
    Ok(Body(json!({
        "version": version.version,
        "scorer_id": version.scorer_id,
        "experiment_id": version.experiment_id.to_string(),
        "name": version.name,
        "serialized_scorer": version.serialized,
        "creation_time": version.created_ms,
    })))
}

async fn list(Here(tracking): Here, message: Message) -> Answer {
    let one = message.text_or_empty("experiment_id")?;
    let many = message.texts("experiment_ids")?;
    let versions = match (one.as_str(), many.as_slice()) {
        ("", []) => tracking.scorers_of_experiments(None).await?,
        ("", ids) => tracking.scorers_of_experiments(Some(ids)).await?,
        (id, []) => tracking.scorers(id).await?,
        _ => {
            let reason = "Cannot specify both 'experiment_id' and 'experiment_ids'.";
            return Err(TrackingError::invalid("experiment_ids", reason).into());
        }
    };
    Ok(page(&versions))
}

/// Experiment and name of a scorer.
fn named(message: &Message) -> Result<(String, String), WireError> {
    Ok((message.required_text("experiment_id")?, message.required_text("name")?))
}

async fn versions(Here(tracking): Here, message: Message) -> Answer {
    let (experiment_id, name) = named(&message)?;
    Ok(page(&tracking.scorer_versions(&experiment_id, &name).await?))
}

async fn get(Here(tracking): Here, message: Message) -> Answer {
    let (experiment_id, name) = named(&message)?;
    let version = tracking.scorer(&experiment_id, &name, message.integer("version")?).await?;
    Ok(Body(json!({ "scorer": scorer(&version) })))
}

async fn delete(Here(tracking): Here, message: Message) -> Answer {
    let (experiment_id, name) = named(&message)?;
    tracking.delete_scorer(&experiment_id, &name, message.integer("version")?).await?;
    Ok(Body::empty())
}

/// Which scorers judge traces as they come in: none, as nothing of a scorer is run here. Clients ask whenever they read one.
async fn online_configs(_: Here, message: Message) -> Answer {
    if message.texts("scorer_ids")?.is_empty() {
        return Err(message.missing("scorer_ids"));
    }
    Ok(Body(json!({ "configs": [] })))
}
