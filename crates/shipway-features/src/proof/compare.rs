//! Served against replayed, cell by cell, bit for bit, and the cause of a difference.

use arrow::array::RecordBatch;
use shipway_core::{DataType, Value};
use shipway_definitions::{ColumnOrigin, Service};

use super::{
    Cause, Difference, ProofError, VerificationReport,
    log::{Identity, served_name},
    report::LISTED,
};
use crate::offline::Column;

/// One feature column of a chunk of vectors, three times.
struct Compared {
    view: String,
    feature: String,
    served: Column,
    /// As of the arrival that was served.
    replayed: Column,
    /// As known now.
    known: Column,
}

/// Compares the vectors of one chunk: `replayed` as of arrival, `known` as of event time, the same rows in both.
pub(crate) fn compare(
    service: &Service,
    replayed: &RecordBatch,
    known: &RecordBatch,
    report: &mut VerificationReport,
) -> Result<(), ProofError> {
    let identity = Identity::read(replayed)?;
    let columns = columns_of(service, replayed, known)?;
    let rows = replayed.num_rows();
    let (mut differs, mut is_late) = (vec![false; rows], vec![false; rows]);
    for column in &columns {
        let counts = report.views.entry(column.view.clone()).or_default();
        counts.compared += rows as u64;
        for row in 0..rows {
            let [served, replayed, known] =
                [&column.served, &column.replayed, &column.known].map(|c| c.value(row));
            if served == replayed && served == known {
                continue;
            }
            let cause = cause(&served, &replayed, &known);
            let (listed, history) = if cause == Cause::LateEvent {
                is_late[row] = true;
                (&mut report.late, known)
            } else {
                differs[row] = true;
                counts.differing += 1;
                (&mut report.differences, replayed)
            };
            if listed.len() < LISTED {
                let (request_id, row, at) = identity.of(row);
                let (view, feature) = (column.view.clone(), column.feature.clone());
                listed.push(Difference {
                    request_id,
                    row,
                    at,
                    view,
                    feature,
                    served,
                    replayed: history,
                    cause,
                });
            }
        }
    }
    report.compared += rows as u64;
    report.differing += differs.iter().filter(|differs| **differs).count() as u64;
    report.late_events += is_late.iter().filter(|is_late| **is_late).count() as u64;
    Ok(())
}

fn cause(served: &Value, replayed: &Value, known: &Value) -> Cause {
    if served == replayed {
        Cause::LateEvent
    } else if served == known {
        Cause::StoreLag
    } else {
        Cause::Defect
    }
}

fn columns_of(
    service: &Service,
    replayed: &RecordBatch,
    known: &RecordBatch,
) -> Result<Vec<Compared>, ProofError> {
    let read = |batch: &RecordBatch, name: &str, data_type: DataType| {
        let array = batch.column_by_name(name);
        let missing = || ProofError::MissingColumn { table: "replay".to_owned(), column: name.to_owned() };
        Ok::<_, ProofError>(Column::read(array.ok_or_else(missing)?, data_type)?)
    };
    let mut columns = Vec::new();
    for column in service.columns() {
        // A computed column is one of the service itself.
        let (view, feature) = match &column.origin {
            ColumnOrigin::Feature { view, feature } => (view.to_string(), feature.to_string()),
            ColumnOrigin::Computed => (service.name.to_string(), column.name.clone()),
            ColumnOrigin::Request => continue,
        };
        columns.push(Compared {
            view,
            feature,
            served: read(replayed, &served_name(&column.name), column.data_type)?,
            replayed: read(replayed, &column.name, column.data_type)?,
            known: read(known, &column.name, column.data_type)?,
        });
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_one_cause() {
        let [one, two, three] = [Value::Int(1), Value::Int(2), Value::Int(3)];
        assert_eq!(cause(&one, &one, &two), Cause::LateEvent);
        assert_eq!(cause(&two, &one, &two), Cause::StoreLag);
        assert_eq!(cause(&three, &one, &two), Cause::Defect);
        assert_eq!(cause(&three, &one, &one), Cause::Defect);
    }
}
