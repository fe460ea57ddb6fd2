//! Endpoints of logged models.

use serde_json::json;
use shipway_core::Permission::{Read, Write};
use shipway_web::{Path, Routes};

use super::{Answer, Body, WireError, both, here::Here, message::Message, view};
use crate::{
    artifact_path::ArtifactPath,
    model::ModelStatus,
    service::{LoggedModelSearch, NewLoggedModel, OrderRequest, Tracking},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/logged-models", Write, create);
    let routes = both!(routes, post, "2.0/mlflow/logged-models/search", Read, search);
    let routes = both!(routes, get, "2.0/mlflow/logged-models/{model_id}", Read, get);
    let routes = both!(routes, patch, "2.0/mlflow/logged-models/{model_id}", Write, finalize);
    let routes = both!(routes, delete, "2.0/mlflow/logged-models/{model_id}", Write, delete);
    let routes = both!(routes, patch, "2.0/mlflow/logged-models/{model_id}/tags", Write, set_tags);
    let routes =
        both!(routes, delete, "2.0/mlflow/logged-models/{model_id}/tags/{tag_key}", Write, delete_tag);
    let routes =
        both!(routes, get, "2.0/mlflow/logged-models/{model_id}/artifacts/directories", Read, list_artifacts);
    both!(routes, post, "2.0/mlflow/logged-models/{model_id}/params", Write, log_params)
}

const STATUSES: [(&str, i64, ModelStatus); 4] = [
    ("LOGGED_MODEL_STATUS_UNSPECIFIED", 0, ModelStatus::Unspecified),
    ("LOGGED_MODEL_PENDING", 1, ModelStatus::Pending),
    ("LOGGED_MODEL_READY", 2, ModelStatus::Ready),
    ("LOGGED_MODEL_UPLOAD_FAILED", 3, ModelStatus::UploadFailed),
];

async fn create(Here(tracking): Here, message: Message) -> Answer {
    let new = NewLoggedModel {
        experiment_id: message.required_text("experiment_id")?,
        name: message.text_or_empty("name")?,
        model_type: message.text_or_empty("model_type")?,
        source_run_id: message.text_or_empty("source_run_id")?,
        params: message.pairs("params")?,
        tags: message.pairs("tags")?,
    };
    let model = tracking.create_logged_model(new).await?;
    Ok(Body(json!({ "model": view::logged_model(&model) })))
}

async fn get(Here(tracking): Here, Path(model_id): Path<String>) -> Answer {
    let model = tracking.logged_model(&model_id).await?;
    Ok(Body(json!({ "model": view::logged_model(&model) })))
}

async fn finalize(Here(tracking): Here, Path(model_id): Path<String>, message: Message) -> Answer {
    let status = message.word("status", &STATUSES)?.ok_or_else(|| message.missing("status"))?;
    let model = tracking.finalize_logged_model(&model_id, status).await?;
    Ok(Body(json!({ "model": view::logged_model(&model) })))
}

async fn delete(Here(tracking): Here, Path(model_id): Path<String>) -> Answer {
    tracking.delete_logged_model(&model_id).await?;
    Ok(Body::empty())
}

async fn set_tags(Here(tracking): Here, Path(model_id): Path<String>, message: Message) -> Answer {
    let model = tracking.set_logged_model_tags(&model_id, &message.pairs("tags")?).await?;
    Ok(Body(json!({ "model": view::logged_model(&model) })))
}

async fn delete_tag(Here(tracking): Here, Path((model_id, key)): Path<(String, String)>) -> Answer {
    tracking.delete_logged_model_tag(&model_id, &key).await?;
    Ok(Body::empty())
}

async fn log_params(Here(tracking): Here, Path(model_id): Path<String>, message: Message) -> Answer {
    tracking.log_logged_model_params(&model_id, &message.pairs("params")?).await?;
    Ok(Body::empty())
}

async fn list_artifacts(Here(tracking): Here, Path(model_id): Path<String>, message: Message) -> Answer {
    let folder = ArtifactPath::parse(&message.text_or_empty("artifact_directory_path")?)?;
    let (root, entries) = tracking.list_model_artifacts(&model_id, &folder).await?;
    let fields = view::Fields::default().set("root_uri", view::artifact_uri(&root));
    Ok(Body(fields.list("files", view::files(folder.as_str(), &entries)).value()))
}

fn dataset(message: &Message) -> Result<Option<(String, String)>, WireError> {
    let name = message.text_or_empty("dataset_name")?;
    let digest = message.text_or_empty("dataset_digest")?;
    Ok((!name.is_empty()).then_some((name, digest)))
}

async fn search(Here(tracking): Here, message: Message) -> Answer {
    let mut datasets = Vec::new();
    for one in message.messages("datasets")? {
        datasets.push(dataset(&one)?.ok_or_else(|| one.missing("dataset_name"))?);
    }
    let mut order_by = Vec::new();
    for one in message.messages("order_by")? {
        order_by.push(OrderRequest {
            field: one.required_text("field_name")?,
            ascending: one.flag("ascending")?.unwrap_or(true),
            dataset: dataset(&one)?,
        });
    }
    let request = LoggedModelSearch {
        experiment_ids: message.texts("experiment_ids")?,
        filter: message.text_or_empty("filter")?,
        datasets,
        order_by,
        max_results: message.integer("max_results")?,
        page_token: message.text_or_empty("page_token")?,
    };
    let found = tracking.search_logged_models(&request).await?;
    Ok(Body(view::page("models", &found, view::logged_model)))
}
