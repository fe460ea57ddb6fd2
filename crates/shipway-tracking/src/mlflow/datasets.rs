//! Endpoints of evaluation data sets and their records.

use serde_json::{Map, Value, json};
use shipway_core::Permission::{Read, Write};
use shipway_web::{Path, Routes};

use super::{
    Answer, Body, both,
    here::Here,
    message::Message,
    view::{self, Fields},
};
use crate::{
    error::TrackingError,
    model::{EvaluationDataset, EvaluationRecord},
    service::{NewDataset, SearchRequest, Tracking},
};

/// The greatest body of records.
const RECORDS_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "3.0/mlflow/datasets/create", Write, create);
    let routes = both!(routes, post, "3.0/mlflow/datasets/search", Read, search);
    let routes = both!(routes, get, "3.0/mlflow/datasets/search", Read, search);
    let routes = both!(routes, get, "3.0/mlflow/datasets/{dataset_id}", Read, get);
    let routes = both!(routes, delete, "3.0/mlflow/datasets/{dataset_id}", Write, delete);
    let routes = both!(routes, patch, "3.0/mlflow/datasets/{dataset_id}/tags", Write, set_tags);
    let routes = both!(routes, delete, "3.0/mlflow/datasets/{dataset_id}/tags/{key}", Write, delete_tag);
    let records = Routes::new();
    let records = both!(
        records,
        post_with_limit,
        "3.0/mlflow/datasets/{dataset_id}/records",
        Write,
        RECORDS_BYTES,
        upsert_records
    );
    let records = both!(records, get, "3.0/mlflow/datasets/{dataset_id}/records", Read, get_records);
    let records = both!(records, delete, "3.0/mlflow/datasets/{dataset_id}/records", Write, delete_records);
    let records =
        both!(records, get, "3.0/mlflow/datasets/{dataset_id}/experiment-ids", Read, experiment_ids);
    let records =
        both!(records, post, "3.0/mlflow/datasets/{dataset_id}/add-experiments", Write, add_experiments);
    let records = both!(
        records,
        post,
        "3.0/mlflow/datasets/{dataset_id}/remove-experiments",
        Write,
        remove_experiments
    );
    routes.merge(records)
}

fn dataset(dataset: &EvaluationDataset) -> Value {
    let tags: Map<String, Value> =
        dataset.tags.iter().map(|tag| (tag.key.clone(), tag.value.as_str().into())).collect();
    let profile = (dataset.records > 0).then(|| json!({ "num_records": dataset.records }).to_string());
    Fields::default()
        .set("dataset_id", dataset.dataset_id.as_str())
        .set("name", dataset.name.as_str())
        .set("tags", Value::Object(tags).to_string())
        .text("schema", &dataset.schema)
        .optional("profile", profile)
        .set("digest", dataset.digest.as_str())
        .set("created_time", dataset.created_ms)
        .set("last_update_time", dataset.updated_ms)
        .text("created_by", &dataset.created_by)
        .text("last_updated_by", &dataset.updated_by)
        .list("experiment_ids", dataset.experiment_ids.iter().map(|id| id.to_string().into()).collect())
        .value()
}

/// A record, as clients read it out of the text that the answer holds.
fn record(record: &EvaluationRecord) -> Value {
    let source = record.source.as_ref();
    let source_object =
        source.map(|source| json!({ "source_type": source.kind, "source_data": source.data.clone() }));
    Fields::default()
        .set("dataset_record_id", record.record_id.as_str())
        .set("dataset_id", record.dataset_id.as_str())
        .set("inputs", record.inputs.clone())
        .optional("outputs", record.outputs.clone())
        .optional("expectations", record.expectations.clone())
        .set("tags", record.tags.clone())
        .optional("source", source_object)
        .optional("source_id", source.and_then(|source| source.id()))
        .optional("source_type", source.map(|source| source.kind))
        .set("created_time", record.created_ms)
        .set("last_update_time", record.updated_ms)
        .text("created_by", &record.created_by)
        .text("last_updated_by", &record.updated_by)
        .value()
}

fn body(of: &EvaluationDataset) -> Body {
    Body(json!({ "dataset": dataset(of) }))
}

async fn create(Here(tracking): Here, message: Message) -> Answer {
    let new = NewDataset {
        name: message.required_text("name")?,
        experiment_ids: message.texts("experiment_ids")?,
        tags: message.text_or_empty("tags")?,
    };
    Ok(body(&tracking.create_evaluation_dataset(new).await?))
}

async fn get(Here(tracking): Here, Path(dataset_id): Path<String>) -> Answer {
    Ok(body(&tracking.evaluation_dataset(&dataset_id).await?))
}

async fn delete(Here(tracking): Here, Path(dataset_id): Path<String>) -> Answer {
    tracking.delete_evaluation_dataset(&dataset_id).await?;
    Ok(Body::empty())
}

async fn search(Here(tracking): Here, message: Message) -> Answer {
    let request = SearchRequest {
        filter: message.text_or_empty("filter_string")?,
        order_by: message.texts("order_by")?,
        max_results: message.integer("max_results")?,
        page_token: message.text_or_empty("page_token")?,
    };
    let experiments = message.texts("experiment_ids")?;
    let found = tracking.search_evaluation_datasets(&experiments, &request).await?;
    Ok(Body(view::page("datasets", &found, dataset)))
}

async fn set_tags(Here(tracking): Here, Path(dataset_id): Path<String>, message: Message) -> Answer {
    let tags = message.required_text("tags")?;
    Ok(body(&tracking.set_evaluation_dataset_tags(&dataset_id, &tags).await?))
}

async fn delete_tag(Here(tracking): Here, Path((dataset_id, key)): Path<(String, String)>) -> Answer {
    tracking.delete_evaluation_dataset_tag(&dataset_id, &key).await?;
    Ok(Body::empty())
}

async fn upsert_records(Here(tracking): Here, Path(dataset_id): Path<String>, message: Message) -> Answer {
    let records = message.required_text("records")?;
    let upserted = tracking.upsert_evaluation_records(&dataset_id, &records).await?;
    Ok(Body(json!({ "inserted_count": upserted.inserted, "updated_count": upserted.updated })))
}

async fn get_records(Here(tracking): Here, Path(dataset_id): Path<String>, message: Message) -> Answer {
    let max_results = message.integer("max_results")?;
    let token = message.text_or_empty("page_token")?;
    let found = tracking.evaluation_records(&dataset_id, max_results, &token).await?;
    let records: Vec<Value> = found.items.iter().map(record).collect();
    let fields = Fields::default().set("records", Value::from(records).to_string());
    Ok(Body(fields.optional("next_page_token", found.next_page_token).value()))
}

async fn delete_records(Here(tracking): Here, Path(dataset_id): Path<String>, message: Message) -> Answer {
    let ids = message.texts("dataset_record_ids")?;
    let deleted = tracking.delete_evaluation_records(&dataset_id, &ids).await?;
    Ok(Body(json!({ "deleted_count": deleted })))
}

/// A data set that is not there belongs to no experiment.
async fn experiment_ids(Here(tracking): Here, Path(dataset_id): Path<String>) -> Answer {
    let ids = match tracking.evaluation_dataset(&dataset_id).await {
        Ok(dataset) => dataset.experiment_ids,
        Err(TrackingError::Missing { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let list = ids.iter().map(|id| id.to_string().into()).collect();
    Ok(Body(Fields::default().list("experiment_ids", list).value()))
}

async fn add_experiments(Here(tracking): Here, Path(dataset_id): Path<String>, message: Message) -> Answer {
    let ids = message.texts("experiment_ids")?;
    Ok(body(&tracking.add_dataset_to_experiments(&dataset_id, &ids).await?))
}

async fn remove_experiments(
    Here(tracking): Here,
    Path(dataset_id): Path<String>,
    message: Message,
) -> Answer {
    let ids = message.texts("experiment_ids")?;
    Ok(body(&tracking.remove_dataset_from_experiments(&dataset_id, &ids).await?))
}
