//! Use cases of evaluation data sets themselves; their records are in `evaluation_records`.

use serde_json::{Map, Value};
use shipway_core::Digest;
use shipway_store::{SqlValue, Transaction};

use crate::{
    error::{Thing, TrackingError},
    evaluation_record::USER_TAG,
    filter::{parse_filter, parse_order},
    model::{EvaluationDataset, Pair, bounds},
    service::{Found, SearchRequest, Tracking, cursor, experiments, names::new_id, workspaces},
    store::{
        self, Rows,
        dataset_search::{DatasetSearch, EVALUATION_DATASETS},
        pairs::EVALUATION_DATASET_TAGS,
    },
};

const SEARCH_DEFAULT: i64 = 1_000;
const SEARCH_MAX: i64 = 50_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct NewDataset {
    pub(crate) name: String,
    pub(crate) experiment_ids: Vec<String>,
    /// A JSON object; empty for none.
    pub(crate) tags: String,
}

pub(super) async fn find(rows: &mut impl Rows, dataset_id: &str) -> Result<EvaluationDataset, TrackingError> {
    let found = store::evaluation_datasets::by_id(rows, dataset_id).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::EvaluationDataset, dataset_id))
}

/// Names the state of a data set, so that a change of its records is seen.
pub(super) fn digest(name: &str, updated_ms: i64) -> String {
    Digest::of(format!("{name}:{updated_ms}")).hex()[..8].to_owned()
}

/// Tags as a JSON object; `None` for a null, which takes a tag away.
fn tags(text: &str) -> Result<Vec<(String, Option<String>)>, TrackingError> {
    let wrong = || TrackingError::invalid("tags", "expected a JSON object of texts");
    let read: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let value = |value: Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        // Clients write what they have in Python, where these two begin with a capital.
        Value::Bool(flag) => Ok(Some(if flag { "True" } else { "False" }.to_owned())),
        Value::Array(_) | Value::Object(_) => Err(wrong()),
    };
    let tags = read.into_iter().map(|(key, text)| Ok((key, value(text)?)));
    let tags: Vec<(String, Option<String>)> = tags.collect::<Result<_, TrackingError>>()?;
    for (key, text) in &tags {
        bounds::dataset_tag(key, text.as_deref().unwrap_or_default())?;
    }
    Ok(tags)
}

/// The ids of experiments that exist.
async fn known(rows: &mut impl Rows, ids: &[String]) -> Result<Vec<i64>, TrackingError> {
    let mut known = Vec::with_capacity(ids.len());
    for id in ids {
        known.push(experiments::find(rows, id).await?.id);
    }
    Ok(known)
}

impl Tracking {
    pub(crate) async fn create_evaluation_dataset(
        &self,
        new: NewDataset,
    ) -> Result<EvaluationDataset, TrackingError> {
        bounds::dataset_name(&new.name)?;
        let given = if new.tags.is_empty() { Vec::new() } else { tags(&new.tags)? };
        let given: Vec<Pair> =
            given.into_iter().filter_map(|(key, value)| Some(Pair { key, value: value? })).collect();
        let user = given.iter().find(|tag| tag.key == USER_TAG).map(|tag| tag.value.clone());
        let mut transaction = self.begin().await?;
        workspaces::must_exist(&mut transaction, self.workspace().as_str()).await?;
        let mut experiment_ids = known(&mut transaction, &new.experiment_ids).await?;
        experiment_ids.sort_unstable();
        experiment_ids.dedup();
        let now_ms = self.now_ms();
        let dataset = EvaluationDataset {
            dataset_id: format!("d-{}", new_id()),
            digest: digest(&new.name, now_ms),
            name: new.name,
            schema: String::new(),
            records: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
            created_by: user.clone().unwrap_or_default(),
            updated_by: user.unwrap_or_default(),
            tags: given,
            experiment_ids,
        };
        store::evaluation_datasets::insert(&mut transaction, self.workspace().as_str(), &dataset).await?;
        transaction.commit().await?;
        Ok(dataset)
    }

    pub(crate) async fn evaluation_dataset(
        &self,
        dataset_id: &str,
    ) -> Result<EvaluationDataset, TrackingError> {
        find(&mut self.reader(), dataset_id).await
    }

    /// Deletes a data set with its records; nothing happens when it is not there.
    pub(crate) async fn delete_evaluation_dataset(&self, dataset_id: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        store::evaluation_datasets::delete(&mut transaction, dataset_id).await?;
        Ok(transaction.commit().await?)
    }

    /// Data sets that match; those of these experiments where any are named.
    pub(crate) async fn search_evaluation_datasets(
        &self,
        experiment_ids: &[String],
        request: &SearchRequest,
    ) -> Result<Found<EvaluationDataset>, TrackingError> {
        let SearchRequest { filter, order_by, max_results, page_token } = request;
        let is_among = !experiment_ids.is_empty();
        let experiment_ids = &self.experiments_here(experiment_ids).await?;
        let size = cursor::size(*max_results, SEARCH_DEFAULT, SEARCH_MAX)?;
        let identity =
            format!("evaluation_datasets|{}|{experiment_ids:?}|{filter}|{order_by:?}", self.workspace());
        let comparisons = parse_filter(filter, &EVALUATION_DATASETS)?;
        let orders = order_by
            .iter()
            .map(|clause| parse_order(clause, &EVALUATION_DATASETS))
            .collect::<Result<Vec<_>, _>>()?;
        let workspace = self.workspace().as_str();
        let mut search = DatasetSearch::new(&comparisons, &orders)?.in_workspace(workspace);
        if is_among {
            // An id that is not a number names no experiment, so it finds nothing.
            let ids: Vec<i64> = experiment_ids.iter().filter_map(|id| id.parse().ok()).collect();
            search = search.in_experiments(&ids);
        }
        let after = match cursor::read(page_token, &identity)? {
            None => None,
            Some(values) => {
                let place = values.iter().map(sql_value).collect::<Option<Vec<_>>>();
                Some(place.filter(|place| search.takes(place)).ok_or_else(cursor::refuse)?)
            }
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (rows, next) = search.run(&mut self.reader(), after, size).await?;
        let items = store::evaluation_datasets::from_rows(&mut self.reader(), &rows).await?;
        let next = next.map(|place| cursor::write(place.iter().map(json_value).collect(), &identity));
        Ok(Found { items, next_page_token: next })
    }

    /// Sets tags, given as a JSON object; one that is null is taken away.
    pub(crate) async fn set_evaluation_dataset_tags(
        &self,
        dataset_id: &str,
        text: &str,
    ) -> Result<EvaluationDataset, TrackingError> {
        let given = tags(text)?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, dataset_id).await?;
        let owner = dataset_id.into();
        for (key, value) in given {
            match value {
                Some(value) => {
                    EVALUATION_DATASET_TAGS.set(&mut transaction, &owner, &[Pair { key, value }]).await?;
                }
                None => drop(EVALUATION_DATASET_TAGS.delete(&mut transaction, &owner, &key).await?),
            }
        }
        let dataset = find(&mut transaction, dataset_id).await?;
        transaction.commit().await?;
        Ok(dataset)
    }

    /// Takes a tag away; nothing happens when it, or the data set, is not there.
    pub(crate) async fn delete_evaluation_dataset_tag(
        &self,
        dataset_id: &str,
        key: &str,
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        EVALUATION_DATASET_TAGS.delete(&mut transaction, &dataset_id.into(), key).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn add_dataset_to_experiments(
        &self,
        dataset_id: &str,
        experiment_ids: &[String],
    ) -> Result<EvaluationDataset, TrackingError> {
        let mut transaction = self.begin().await?;
        find(&mut transaction, dataset_id).await?;
        let ids = known(&mut transaction, experiment_ids).await?;
        store::evaluation_datasets::link(&mut transaction, dataset_id, &ids).await?;
        self.touched(transaction, dataset_id).await
    }

    /// Takes a data set out of experiments; those that do not have it are passed over.
    pub(crate) async fn remove_dataset_from_experiments(
        &self,
        dataset_id: &str,
        experiment_ids: &[String],
    ) -> Result<EvaluationDataset, TrackingError> {
        let mut transaction = self.begin().await?;
        let dataset = find(&mut transaction, dataset_id).await?;
        let ids: Vec<i64> = experiment_ids.iter().filter_map(|id| id.parse().ok()).collect();
        if store::evaluation_datasets::unlink(&mut transaction, dataset_id, &ids).await? == 0 {
            return Ok(dataset);
        }
        self.touched(transaction, dataset_id).await
    }

    /// Dates the change and makes it durable.
    async fn touched(
        &self,
        mut transaction: Transaction,
        dataset_id: &str,
    ) -> Result<EvaluationDataset, TrackingError> {
        let mut dataset = find(&mut transaction, dataset_id).await?;
        dataset.updated_ms = self.now_ms();
        store::evaluation_datasets::update(&mut transaction, &dataset).await?;
        transaction.commit().await?;
        Ok(dataset)
    }
}

fn sql_value(value: &Value) -> Option<SqlValue> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => number.as_i64().map(SqlValue::from),
        _ => None,
    }
}

fn json_value(value: &SqlValue) -> Value {
    match value {
        SqlValue::Int(number) => (*number).into(),
        SqlValue::Text(text) => text.as_str().into(),
        SqlValue::Null | SqlValue::Real(_) | SqlValue::Blob(_) => Value::Null,
    }
}
