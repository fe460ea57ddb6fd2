//! Use cases of assessments: what people, models and code think of a trace.

use serde_json::Value;
use shipway_core::Digest;

use crate::{
    error::{Thing, TrackingError},
    model::{Assessment, AssessmentValue, Pair, bounds},
    service::{Tracking, names::new_id, traces},
    store::{self, Rows},
};

/// What a client wants changed; `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AssessmentChange {
    pub(crate) name: Option<String>,
    pub(crate) value: Option<AssessmentValue>,
    pub(crate) rationale: Option<String>,
    /// Added to what is there.
    pub(crate) metadata: Vec<Pair>,
    pub(crate) valid: Option<bool>,
}

/// An assessment that comes with its trace. One without an id gets the same id however often the trace is told.
pub(super) fn arriving(mut assessment: Assessment, trace_id: &str, index: usize) -> Assessment {
    trace_id.clone_into(&mut assessment.trace_id);
    if assessment.assessment_id.is_empty() {
        let Assessment { name, created_ms, .. } = &assessment;
        let digest = Digest::of(format!("{trace_id}|{index}|{name}|{created_ms}")).to_string();
        let letters = digest.chars().filter(char::is_ascii_alphanumeric).rev().take(32);
        assessment.assessment_id = format!("a-{}", letters.collect::<String>());
    }
    assessment
}

async fn find(rows: &mut impl Rows, trace_id: &str, id: &str) -> Result<Assessment, TrackingError> {
    if let Some(found) = store::traces::assessments::by_id(rows, trace_id, id).await? {
        return Ok(found);
    }
    traces::find(rows, trace_id).await?;
    Err(TrackingError::missing(Thing::Assessment, id))
}

impl Tracking {
    /// Records an assessment; the one that it overrides does not hold any more.
    pub(crate) async fn create_assessment(
        &self,
        mut assessment: Assessment,
    ) -> Result<Assessment, TrackingError> {
        bounds::assessment(&assessment)?;
        let mut transaction = self.begin().await?;
        traces::find(&mut transaction, &assessment.trace_id).await?;
        if assessment.assessment_id.is_empty() {
            assessment.assessment_id = format!("a-{}", new_id());
        } else if store::traces::assessments::exists(&mut transaction, &assessment.assessment_id).await? {
            let name = assessment.assessment_id;
            return Err(TrackingError::Exists { thing: Thing::Assessment, name });
        }
        if let Some(overridden) = &assessment.overrides {
            let trace_id = &assessment.trace_id;
            if !store::traces::assessments::set_valid(&mut transaction, trace_id, overridden, false).await? {
                return Err(TrackingError::missing(Thing::Assessment, overridden));
            }
        }
        store::traces::assessments::put(&mut transaction, &assessment).await?;
        transaction.commit().await?;
        Ok(assessment)
    }

    pub(crate) async fn assessment(&self, trace_id: &str, id: &str) -> Result<Assessment, TrackingError> {
        find(&mut self.reader(), trace_id, id).await
    }

    /// Changes an assessment. Its kind, its source and its span stay.
    pub(crate) async fn update_assessment(
        &self,
        trace_id: &str,
        id: &str,
        change: AssessmentChange,
    ) -> Result<Assessment, TrackingError> {
        let mut transaction = self.begin().await?;
        let mut assessment = find(&mut transaction, trace_id, id).await?;
        if let Some(value) = change.value {
            let (old, new) = (assessment.value.kind(), value.kind());
            if old != new {
                let reason = format!("Cannot update {} value on a {} assessment.", new.word(), old.word());
                return Err(TrackingError::invalid("assessment", reason));
            }
            assessment.value = value;
        }
        assessment.name = change.name.unwrap_or(assessment.name);
        assessment.rationale = change.rationale.or(assessment.rationale);
        assessment.valid = change.valid.unwrap_or(assessment.valid);
        for pair in change.metadata {
            assessment.metadata.retain(|old| old.key != pair.key);
            assessment.metadata.push(pair);
        }
        assessment.updated_ms = self.now_ms();
        bounds::assessment(&assessment)?;
        store::traces::assessments::put(&mut transaction, &assessment).await?;
        transaction.commit().await?;
        Ok(assessment)
    }

    /// Takes an assessment away; what it overrode holds again. One that is not there is gone already.
    pub(crate) async fn delete_assessment(&self, trace_id: &str, id: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        traces::find(&mut transaction, trace_id).await?;
        let Some(found) = store::traces::assessments::by_id(&mut transaction, trace_id, id).await? else {
            return Ok(());
        };
        if let Some(overridden) = &found.overrides {
            store::traces::assessments::set_valid(&mut transaction, trace_id, overridden, true).await?;
        }
        store::traces::assessments::delete(&mut transaction, id).await?;
        Ok(transaction.commit().await?)
    }
}

/// A number without a fraction is a whole number: JSON of protobuf knows floats only.
pub(crate) fn whole(value: Value) -> Value {
    match &value {
        Value::Number(number) => match number.as_f64() {
            Some(float)
                if number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 =>
            {
                Value::from(float as i64)
            }
            _ => value,
        },
        _ => value,
    }
}
