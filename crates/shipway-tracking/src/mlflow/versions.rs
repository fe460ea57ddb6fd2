//! Endpoints of model versions.

use serde_json::{Value, json};
use shipway_core::{
    Permission::{Manage, Read, Write},
    ResourceType,
};
use shipway_web::{Caller, Routes};

use super::{
    Answer, Body, WireError, both, experiments::search_request, here::Here, message::Message,
    registry::model_key, view,
};
use crate::{
    error::TrackingError,
    model::{ModelVersion, Stage},
    service::{NewVersion, Tracking},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/model-versions/create", Write, create);
    let routes = both!(routes, get, "2.0/mlflow/model-versions/get", Read, get);
    let routes = both!(routes, get, "2.0/mlflow/model-versions/search", Read, search);
    let routes = both!(routes, get, "2.0/mlflow/model-versions/get-download-uri", Read, download_uri);
    let routes = both!(routes, patch, "2.0/mlflow/model-versions/update", Write, update);
    let routes = both!(routes, post, "2.0/mlflow/model-versions/transition-stage", Manage, transition);
    let routes = both!(routes, delete, "2.0/mlflow/model-versions/delete", Manage, delete);
    let routes = both!(routes, post, "2.0/mlflow/model-versions/set-tag", Write, set_tag);
    let routes = both!(routes, delete, "2.0/mlflow/model-versions/delete-tag", Write, delete_tag);
    let routes = both!(routes, post, "2.0/mlflow/registered-models/get-latest-versions", Read, latest);
    both!(routes, get, "2.0/mlflow/registered-models/get-latest-versions", Read, latest)
}

/// A version's number, which the wire writes as a text.
pub(crate) fn version_number(message: &Message) -> Result<i64, WireError> {
    message.integer("version")?.ok_or_else(|| message.missing("version"))
}

fn stage(word: &str) -> Result<Stage, WireError> {
    let known: Vec<&str> = Stage::ALL.iter().map(|stage| stage.word()).collect();
    let unknown = || {
        TrackingError::invalid(
            "stage",
            format!("Invalid Model Version stage: {word}. Value must be one of {}", known.join(", ")),
        )
    };
    Ok(Stage::from_word(word).ok_or_else(unknown)?)
}

fn body(version: &ModelVersion) -> Body {
    Body(json!({ "model_version": view::model_version(version) }))
}

async fn create(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let new = NewVersion {
        name: model_key(&tracking, &message)?,
        source: message.required_text("source")?,
        run_id: message.text_or_empty("run_id")?,
        model_id: message.text_or_empty("model_id")?,
        run_link: message.text_or_empty("run_link")?,
        description: message.text_or_empty("description")?,
        tags: message.pairs("tags")?,
    };
    Ok(body(&tracking.create_model_version(&caller.name, new).await?))
}

async fn get(Here(tracking): Here, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    Ok(body(&tracking.model_version(&name, version_number(&message)?).await?))
}

pub(super) async fn search(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let visible = caller.access.visible_in(ResourceType::RegisteredModel, tracking.workspace().as_str());
    let found = tracking.search_model_versions(&visible, &search_request(&message)?).await?;
    Ok(Body(view::page("model_versions", &found, view::model_version)))
}

async fn download_uri(Here(tracking): Here, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    let version = tracking.model_version(&name, version_number(&message)?).await?;
    let uri = match (version.artifact_root.as_str(), version.artifact_folder.as_str()) {
        ("", _) => version.source,
        (root, "") => view::artifact_uri(root),
        (root, folder) => view::artifact_uri(&format!("{root}/{folder}")),
    };
    Ok(Body(json!({ "artifact_uri": uri })))
}

async fn update(Here(tracking): Here, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    let description = message.text_or_empty("description")?;
    Ok(body(&tracking.describe_model_version(&name, version_number(&message)?, &description).await?))
}

async fn transition(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    let to = stage(&message.required_text("stage")?)?;
    let archive = message.flag("archive_existing_versions")?.unwrap_or_default();
    let version = (name.as_str(), version_number(&message)?);
    Ok(body(&tracking.move_to_stage(&caller.name, version, to, archive).await?))
}

async fn delete(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    tracking.delete_model_version(&caller.name, &name, version_number(&message)?).await?;
    Ok(Body::empty())
}

async fn set_tag(Here(tracking): Here, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    tracking.set_model_version_tag(&name, version_number(&message)?, message.pair()?).await?;
    Ok(Body::empty())
}

async fn delete_tag(Here(tracking): Here, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    let key = message.required_text("key")?;
    tracking.delete_model_version_tag(&name, version_number(&message)?, &key).await?;
    Ok(Body::empty())
}

async fn latest(Here(tracking): Here, message: Message) -> Answer {
    let stages = message.texts("stages")?.iter().map(|word| stage(word)).collect::<Result<Vec<_>, _>>()?;
    let versions = tracking.latest_versions(&model_key(&tracking, &message)?, &stages).await?;
    let list: Vec<Value> = versions.iter().map(view::model_version).collect();
    Ok(Body(view::Fields::default().list("model_versions", list).value()))
}
