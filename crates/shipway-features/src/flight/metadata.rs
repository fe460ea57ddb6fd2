//! What the server has and can do, in the wire's tables.

use arrow::array::RecordBatch;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, Nullable, Searchable,
    SqlInfo, SqlSupportedTransaction, XdbcDataType,
    metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
};

use crate::{Features, FeaturesError};

/// The one catalog.
pub(crate) const CATALOG: &str = "shipway";
/// The one schema.
pub(crate) const SCHEMA: &str = "lake";
const TABLE: &str = "TABLE";

pub(crate) fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch, FeaturesError> {
    let mut answer = query.into_builder();
    answer.append(CATALOG);
    Ok(answer.build()?)
}

pub(crate) fn schemas(query: CommandGetDbSchemas) -> Result<RecordBatch, FeaturesError> {
    let mut answer = query.into_builder();
    answer.append(CATALOG, SCHEMA);
    Ok(answer.build()?)
}

pub(crate) async fn tables(
    features: &Features,
    query: CommandGetTables,
) -> Result<RecordBatch, FeaturesError> {
    let mut answer = query.into_builder();
    for table in features.lake().tables().await? {
        answer.append(CATALOG, SCHEMA, &table.name, TABLE, &table.schema)?;
    }
    Ok(answer.build()?)
}

pub(crate) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, FeaturesError> {
    let mut answer = query.into_builder();
    answer.append(TABLE);
    Ok(answer.build()?)
}

/// The properties that clients ask for before they choose how to speak.
pub(crate) fn sql_info() -> Result<SqlInfoData, FeaturesError> {
    let mut known = SqlInfoDataBuilder::new();
    known.append(SqlInfo::FlightSqlServerName, "Shipway");
    known.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    known.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    // Statements read only; uploads are the one way to write.
    known.append(SqlInfo::FlightSqlServerReadOnly, false);
    known.append(SqlInfo::FlightSqlServerSql, true);
    known.append(SqlInfo::FlightSqlServerSubstrait, false);
    known.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    known.append(SqlInfo::FlightSqlServerCancel, false);
    known.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    known.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    known.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    known.append(SqlInfo::SqlDdlCatalog, false);
    known.append(SqlInfo::SqlDdlSchema, false);
    known.append(SqlInfo::SqlDdlTable, false);
    Ok(known.build()?)
}

/// The types that columns have.
pub(crate) fn types() -> Result<XdbcTypeInfoData, FeaturesError> {
    let mut known = XdbcTypeInfoDataBuilder::new();
    let types = [
        ("BOOLEAN", XdbcDataType::XdbcBit, 1, None),
        ("BIGINT", XdbcDataType::XdbcBigint, 64, None),
        ("DOUBLE", XdbcDataType::XdbcDouble, 53, None),
        ("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, Some("'")),
        ("TIMESTAMP WITH TIME ZONE", XdbcDataType::XdbcTimestamp, 32, Some("'")),
        ("DATE", XdbcDataType::XdbcDate, 10, Some("'")),
    ];
    for (name, data_type, size, quote) in types {
        let is_number = matches!(data_type, XdbcDataType::XdbcBigint | XdbcDataType::XdbcDouble);
        known.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type,
            sql_data_type: data_type,
            column_size: Some(size),
            literal_prefix: quote.map(str::to_owned),
            literal_suffix: quote.map(str::to_owned),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: data_type == XdbcDataType::XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            auto_increment: Some(false),
            local_type_name: Some(name.to_owned()),
            num_prec_radix: is_number.then_some(2),
            ..XdbcTypeInfo::default()
        });
    }
    Ok(known.build()?)
}
