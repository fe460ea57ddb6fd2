//! Endpoints of registered models and their aliases.

use serde_json::json;
use shipway_core::{
    Permission::{Manage, Read, Write},
    ResourceType::RegisteredModel as Models,
};
use shipway_web::{Caller, Routes};

use super::{
    Answer, Body, WireError, both, experiments::search_request, here::Here, message::Message,
    versions::version_number, view,
};
use crate::{
    error::{Thing, TrackingError},
    model::RegisteredModel,
    service::Tracking,
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/registered-models/create", Write, create);
    let routes = both!(routes, get, "2.0/mlflow/registered-models/get", Read, get);
    let routes = both!(routes, get, "2.0/mlflow/registered-models/search", Read, search);
    let routes = both!(routes, post, "2.0/mlflow/registered-models/rename", Manage, rename);
    let routes = both!(routes, patch, "2.0/mlflow/registered-models/update", Write, update);
    let routes = both!(routes, delete, "2.0/mlflow/registered-models/delete", Manage, delete);
    let routes = both!(routes, post, "2.0/mlflow/registered-models/set-tag", Write, set_tag);
    let routes = both!(routes, delete, "2.0/mlflow/registered-models/delete-tag", Write, delete_tag);
    let routes = both!(routes, post, "2.0/mlflow/registered-models/alias", Manage, set_alias);
    let routes = both!(routes, delete, "2.0/mlflow/registered-models/alias", Manage, delete_alias);
    both!(routes, get, "2.0/mlflow/registered-models/alias", Read, get_by_alias)
}

fn body(model: &RegisteredModel) -> Body {
    Body(json!({ "registered_model": view::registered_model(model) }))
}

/// The key of the model that a request names.
pub(super) fn model_key(tracking: &Tracking, message: &Message) -> Result<String, WireError> {
    Ok(tracking.model_key(&message.required_text("name")?)?)
}

async fn create(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let description = message.text_or_empty("description")?;
    let tags = message.pairs("tags")?;
    let model = tracking.create_registered_model(&message.required_text("name")?, &description, tags).await?;
    tracking.made(&caller, Models, &model.name).await?;
    Ok(body(&model))
}

async fn get(Here(tracking): Here, message: Message) -> Answer {
    Ok(body(&tracking.registered_model(&model_key(&tracking, &message)?).await?))
}

async fn search(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let visible = caller.access.visible_in(Models, tracking.workspace().as_str());
    let found = tracking.search_registered_models(&visible, &search_request(&message)?).await?;
    Ok(Body(view::page("registered_models", &found, view::registered_model)))
}

async fn rename(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let new_name = message.required_text("new_name")?;
    let old_name = model_key(&tracking, &message)?;
    let model = tracking.rename_registered_model(&caller.name, &old_name, &new_name).await?;
    tracking.renamed(&caller, Models, &old_name, &model.name).await?;
    Ok(body(&model))
}

async fn update(Here(tracking): Here, message: Message) -> Answer {
    let description = message.text_or_empty("description")?;
    Ok(body(&tracking.describe_registered_model(&model_key(&tracking, &message)?, &description).await?))
}

async fn delete(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let name = model_key(&tracking, &message)?;
    tracking.registered_model(&name).await?;
    // First: if it fails half-way, nobody may do to the next model of that name what they might to this one.
    tracking.gone(&caller, Models, &name).await?;
    tracking.delete_registered_model(&caller.name, &name).await?;
    Ok(Body::empty())
}

async fn set_tag(Here(tracking): Here, message: Message) -> Answer {
    tracking.set_registered_model_tag(&model_key(&tracking, &message)?, message.pair()?).await?;
    Ok(Body::empty())
}

async fn delete_tag(Here(tracking): Here, message: Message) -> Answer {
    tracking
        .delete_registered_model_tag(&model_key(&tracking, &message)?, &message.required_text("key")?)
        .await?;
    Ok(Body::empty())
}

/// The gates before the alias judge here as they do on the native route.
async fn set_alias(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let alias = message.required_text("alias")?;
    tracking
        .promote(&caller.name, &model_key(&tracking, &message)?, &alias, version_number(&message)?)
        .await?;
    Ok(Body::empty())
}

/// One that is not there is as if it were deleted: clients send a request again that was answered but not heard.
async fn delete_alias(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let alias = message.required_text("alias")?;
    match tracking.delete_alias(&caller.name, &model_key(&tracking, &message)?, &alias).await {
        Ok(()) | Err(TrackingError::Missing { thing: Thing::Alias, .. }) => Ok(Body::empty()),
        Err(error) => Err(error.into()),
    }
}

async fn get_by_alias(Here(tracking): Here, message: Message) -> Answer {
    let alias = message.required_text("alias")?;
    let version = tracking.model_version_by_alias(&model_key(&tracking, &message)?, &alias).await?;
    Ok(Body(json!({ "model_version": view::model_version(&version) })))
}
