//! Batches that become rows of a table: the wire's form of a table load.

use arrow::array::RecordBatch;
use arrow_flight::{
    FlightData,
    decode::FlightRecordBatchStream,
    error::FlightError,
    sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use shipway_lake::files::FileFormat;
use tonic::{Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::{
    Features, FeaturesError, LoadAnswer, LoadRequest,
    error::invalid,
    flight::metadata::{CATALOG, SCHEMA},
    routes::arrow_stream,
};

/// The call header that names a load, so that sending it again adds nothing.
const LOAD_ID_HEADER: &str = "x-shipway-load-id";

/// Where batches go.
pub(crate) struct Target {
    pub(crate) table: String,
    pub(crate) load_id: Option<String>,
    pub(crate) may_create: bool,
    pub(crate) may_append: bool,
}

impl Target {
    /// A table that is made where it does not exist.
    pub(crate) fn table(table: String, metadata: &MetadataMap) -> Self {
        Self { table, load_id: load_id(metadata), may_create: true, may_append: true }
    }

    /// What an ingest command asks for.
    pub(crate) fn of_ingest(
        command: CommandStatementIngest,
        metadata: &MetadataMap,
    ) -> Result<Self, FeaturesError> {
        if command.temporary {
            return Err(invalid("temporary tables do not exist here"));
        }
        if command.transaction_id.is_some() {
            return Err(invalid("transactions do not exist here: every upload is one of its own"));
        }
        if command.catalog.as_deref().is_some_and(|name| !name.is_empty() && name != CATALOG)
            || command.schema.as_deref().is_some_and(|name| !name.is_empty() && name != SCHEMA)
        {
            return Err(invalid(format!("tables are in catalog {CATALOG} and schema {SCHEMA} only")));
        }
        let options = command.table_definition_options.unwrap_or_default();
        let may_create = options.if_not_exist() == TableNotExistOption::Create;
        let may_append = match options.if_exists() {
            TableExistsOption::Append => true,
            TableExistsOption::Replace => {
                return Err(invalid(format!(
                    "table {}: a table is not replaced by an upload; append to it, or load into a new one",
                    command.table
                )));
            }
            TableExistsOption::Fail | TableExistsOption::Unspecified => false,
        };
        let load_id = command.options.get("load_id").cloned().or_else(|| load_id(metadata));
        Ok(Self { table: command.table, load_id, may_create, may_append })
    }
}

fn load_id(metadata: &MetadataMap) -> Option<String> {
    metadata.get(LOAD_ID_HEADER)?.to_str().ok().map(str::to_owned)
}

/// Loads all batches or none, by the way of every table load: the same names, types, bounds and ids.
///
/// Without a load id of the client each upload counts, also of rows that were sent before.
pub(crate) async fn load(
    features: &Features,
    target: Target,
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<LoadAnswer, FeaturesError> {
    let exists = features.lake().exists(&target.table).await?;
    if exists && !target.may_append {
        return Err(invalid(format!("table {} exists already", target.table)));
    }
    if !exists && !target.may_create {
        // The error of the lake names the nearest table.
        features.lake().table(&target.table).await?;
    }
    let batches = sent(data).await?;
    let request = LoadRequest {
        table: target.table,
        format: FileFormat::Arrow,
        load_id: Some(target.load_id.unwrap_or_else(|| format!("flight-{}", Uuid::now_v7()))),
        wait: true,
    };
    features.load(request, Box::pin(arrow_stream::encode(batches)?)).await
}

/// The single row of parameters that a client binds.
pub(crate) async fn row(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<RecordBatch, FeaturesError> {
    let mut batches = sent(data).await?;
    let mut first = None;
    while let Some(batch) = batches.try_next().await? {
        if batch.num_rows() > 0 && first.replace(batch).is_some() {
            return Err(invalid("a query is run with one row of parameters"));
        }
    }
    Ok(first.unwrap_or_else(|| RecordBatch::new_empty(batches.schema())))
}

/// The batches that a client sends, as they come.
async fn sent(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<SendableRecordBatchStream, FeaturesError> {
    let mut batches = FlightRecordBatchStream::new_from_flight_data(data.map_err(FlightError::from));
    // The columns are known once the first batch has come, or the end.
    let first = batches.next().await.transpose().map_err(unreadable)?;
    let schema = batches.schema().cloned().ok_or_else(|| invalid("the upload has no columns"))?;
    let rest = batches.map_err(|error| DataFusionError::External(Box::new(unreadable(error))));
    let all = stream::iter(first.map(Ok)).chain(rest).boxed();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
}

fn unreadable(error: FlightError) -> FeaturesError {
    match error {
        FlightError::Tonic(status) => invalid(format!("the upload ended early: {}", status.message())),
        other => invalid(format!("the upload cannot be read: {other}")),
    }
}
