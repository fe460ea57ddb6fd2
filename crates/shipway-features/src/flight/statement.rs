//! A query on its way: what a ticket or a prepared statement holds, so that the server need not remember it.

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use bytes::Bytes;
use datafusion::{common::ParamValues, scalar::ScalarValue};
use prost::Message as _;

use crate::{
    Features, FeaturesError, Planned,
    error::{damaged, invalid},
};

/// The longest query, in bytes.
const QUERY_BYTES: usize = 256 << 10;
/// The largest parameters, in bytes as they are sent.
const PARAMETER_BYTES: usize = 256 << 10;
const VERSION: u32 = 1;

/// A query with its parameters.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Statement {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    query: String,
    /// One row as an Arrow IPC stream; empty without parameters.
    #[prost(bytes = "vec", tag = "3")]
    parameters: Vec<u8>,
}

impl Statement {
    /// A query without parameters, within its bound.
    pub(crate) fn of(query: String) -> Result<Self, FeaturesError> {
        if query.len() > QUERY_BYTES {
            let (got, limit) = (query.len() as u64, QUERY_BYTES as u64);
            return Err(FeaturesError::TooLarge { what: "query in bytes", got, limit });
        }
        Ok(Self { version: VERSION, query, parameters: Vec::new() })
    }

    /// The same query with the values of `row`, which has exactly one row.
    pub(crate) fn bound(self, row: &RecordBatch) -> Result<Self, FeaturesError> {
        if row.num_rows() != 1 {
            return Err(invalid(format!(
                "the parameters have {} rows; a query is run with exactly one",
                row.num_rows()
            )));
        }
        let mut writer = StreamWriter::try_new(Vec::new(), &row.schema())?;
        writer.write(row)?;
        let parameters = writer.into_inner()?;
        if parameters.len() > PARAMETER_BYTES {
            let (got, limit) = (parameters.len() as u64, PARAMETER_BYTES as u64);
            return Err(FeaturesError::TooLarge { what: "parameters in bytes", got, limit });
        }
        Ok(Self { parameters, ..self })
    }

    /// The bytes that a client carries and gives back.
    pub(crate) fn handle(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// What a client gave back. It is only a query: whoever forges one may ask it openly as well.
    pub(crate) fn from_handle(handle: &[u8]) -> Result<Self, FeaturesError> {
        let statement = Self::decode(handle).map_err(|_| damaged("the ticket"))?;
        if statement.version != VERSION {
            return Err(invalid("the ticket is of another version of this server"));
        }
        let parameters = statement.parameters;
        Ok(Self { parameters, ..Self::of(statement.query)? })
    }

    /// The query alone.
    pub(crate) fn into_query(self) -> String {
        self.query
    }

    /// Plans the query with its parameters.
    pub(crate) async fn plan(&self, features: &Features) -> Result<Planned, FeaturesError> {
        let planned = features.query(&self.query).await?;
        let Some(values) = self.values()? else { return Ok(planned) };
        let frame = planned.frame.with_param_values(values)?;
        Ok(Planned { frame, rows: None })
    }

    fn values(&self) -> Result<Option<ParamValues>, FeaturesError> {
        if self.parameters.is_empty() {
            return Ok(None);
        }
        let mut batches = StreamReader::try_new(self.parameters.as_slice(), None)?;
        let Some(row) = batches.next().transpose()?.filter(|row| row.num_rows() == 1) else {
            return Err(damaged("the parameters in the ticket"));
        };
        let values = row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
        Ok(Some(ParamValues::from(values.collect::<Result<Vec<_>, _>>()?)))
    }
}

/// The parameters of a plan in their order, with the types that the planner found; null where it found none.
pub(crate) fn parameters_of(planned: &Planned) -> Result<Schema, FeaturesError> {
    let found = planned.frame.logical_plan().get_parameter_types()?;
    let mut fields: Vec<(usize, Field)> = Vec::with_capacity(found.len());
    for (name, data_type) in found {
        let place = name
            .trim_start_matches('$')
            .parse()
            .map_err(|_| invalid(format!("parameter {name}: parameters are numbered, as in $1 and $2")))?;
        fields.push((place, Field::new(name, data_type.unwrap_or(DataType::Null), true)));
    }
    fields.sort_by_key(|(place, _)| *place);
    Ok(Schema::new(fields.into_iter().map(|(_, field)| field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn row(values: Vec<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        RecordBatch::try_from_iter([("0", column)]).unwrap()
    }

    #[test]
    fn a_handle_gives_back_the_query_and_its_parameters() {
        let statement = Statement::of("SELECT $1".to_owned()).unwrap().bound(&row(vec![7])).unwrap();
        let back = Statement::from_handle(&statement.handle()).unwrap();
        assert_eq!(back, statement);
        let Some(ParamValues::List(values)) = back.values().unwrap() else { panic!("no values") };
        assert_eq!(values[0].value(), &ScalarValue::Int64(Some(7)));
    }

    #[test]
    fn a_query_beyond_its_bound_is_refused_also_inside_a_handle() {
        let long = "x".repeat(QUERY_BYTES + 1);
        assert!(Statement::of(long.clone()).is_err());
        let forged = Statement { version: VERSION, query: long, parameters: Vec::new() };
        assert!(Statement::from_handle(&forged.handle()).is_err());
    }

    #[test]
    fn parameters_are_one_row() {
        let statement = || Statement::of("SELECT $1".to_owned()).unwrap();
        assert!(statement().bound(&row(vec![])).is_err());
        assert!(statement().bound(&row(vec![1, 2])).is_err());
    }

    #[test]
    fn bytes_that_are_no_handle_are_refused() {
        for bytes in [&b"\xff\xff\xff"[..], b"", b"{}", b"\x08\x02"] {
            assert!(Statement::from_handle(bytes).is_err(), "{bytes:?}");
        }
    }
}
