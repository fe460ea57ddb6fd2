//! Use cases of the records of evaluation data sets.

use serde_json::json;

use crate::{
    error::TrackingError,
    evaluation_record::{self, GivenRecord},
    model::EvaluationRecord,
    service::{
        Found, Tracking, cursor,
        evaluation_datasets::{digest, find},
        names::new_id,
    },
    store,
};

const PAGE_DEFAULT: i64 = 1_000;
const PAGE_MAX: i64 = 50_000;

/// What became of the records that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Upserted {
    pub(crate) inserted: u32,
    pub(crate) updated: u32,
}

impl Tracking {
    /// Adds records, given as a JSON list, in one transaction. One whose inputs are there already is merged into the record
    /// that has them.
    pub(crate) async fn upsert_evaluation_records(
        &self,
        dataset_id: &str,
        text: &str,
    ) -> Result<Upserted, TrackingError> {
        let given = evaluation_record::read(text)?;
        let mut transaction = self.begin().await?;
        let mut dataset = find(&mut transaction, dataset_id).await?;
        let now_ms = self.now_ms();
        let mut upserted = Upserted { inserted: 0, updated: 0 };
        for one in &given {
            let inputs = one.inputs_digest();
            match store::evaluation_records::by_inputs(&mut transaction, dataset_id, &inputs).await? {
                Some(mut record) => {
                    one.merge_into(&mut record, now_ms);
                    store::evaluation_records::update(&mut transaction, &record).await?;
                    upserted.updated += 1;
                }
                None => {
                    let record = one.begin(format!("dr-{}", new_id()), dataset_id, now_ms);
                    store::evaluation_records::insert(&mut transaction, &record, &inputs).await?;
                    upserted.inserted += 1;
                }
            }
        }
        let user = given.iter().rev().map(GivenRecord::user).find(|user| !user.is_empty());
        dataset.updated_by = user.unwrap_or_default().to_owned();
        dataset.schema = evaluation_record::extend_schema(&dataset.schema, &given);
        dataset.updated_ms = now_ms;
        dataset.digest = digest(&dataset.name, now_ms);
        store::evaluation_datasets::update(&mut transaction, &dataset).await?;
        transaction.commit().await?;
        Ok(upserted)
    }

    /// Records in the order in which they came.
    pub(crate) async fn evaluation_records(
        &self,
        dataset_id: &str,
        max_results: Option<i64>,
        page_token: &str,
    ) -> Result<Found<EvaluationRecord>, TrackingError> {
        // Clients that want the default say 0.
        let size = cursor::size(max_results.filter(|size| *size != 0), PAGE_DEFAULT, PAGE_MAX)?;
        let identity = format!("evaluation_records|{dataset_id}");
        let after = cursor::read_time_and_id(page_token, &identity)?;
        find(&mut self.reader(), dataset_id).await?;
        let (items, more) =
            store::evaluation_records::page(&mut self.reader(), dataset_id, after, size).await?;
        let next = items.last().filter(|_| more);
        let next_page_token =
            next.map(|last| cursor::write(vec![json!(last.created_ms), json!(last.record_id)], &identity));
        Ok(Found { items, next_page_token })
    }

    /// Takes records away, and says how many were there.
    pub(crate) async fn delete_evaluation_records(
        &self,
        dataset_id: &str,
        record_ids: &[String],
    ) -> Result<u64, TrackingError> {
        let mut transaction = self.begin().await?;
        find(&mut transaction, dataset_id).await?;
        let deleted = store::evaluation_records::delete(&mut transaction, dataset_id, record_ids).await?;
        transaction.commit().await?;
        Ok(deleted)
    }
}
