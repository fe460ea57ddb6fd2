//! Creating a table, and adding columns to one that exists.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use deltalake::{
    kernel::{StructField, engine::arrow_conversion::TryIntoKernel as _},
    operations::create::CreateBuilder,
    protocol::SaveMode,
};

use crate::{
    Lake, LakeError, durable,
    table::{TableHandle, schema_of},
    timestamp_type,
};

impl Lake {
    /// Creates the table, or checks that `schema` agrees with the table that exists and adds the columns it lacks.
    ///
    /// An added column must allow nulls. A column's type never changes. Types are stored in their plain form: timestamps
    /// in microseconds UTC, every kind of text as UTF-8.
    pub async fn ensure_table(&self, name: &str, schema: SchemaRef) -> Result<(), LakeError> {
        let wanted = stored_schema(&schema)?;
        let handle = self.handle(name)?;
        let _turn = handle.commits().await;
        let table = match handle.newest().await? {
            Some(table) => table,
            None => {
                Box::pin(create(&handle, &wanted)).await?;
                match handle.newest().await? {
                    Some(table) => table,
                    None => return Err(LakeError::Replaced { table: name.to_owned() }),
                }
            }
        };
        let added = added_columns(name, schema_of(name, &table)?.as_ref(), &wanted)?;
        if added.is_empty() {
            return Ok(());
        }
        let adding = table.add_columns().with_fields(kernel_fields(&added)?);
        let table =
            Box::pin(async { adding.await }).await.map_err(LakeError::storage(name, "add columns"))?;
        if let Some(state) = table.state {
            handle.sync_commit(state.version()).await?;
            handle.remember(state).await;
        }
        Ok(())
    }
}

async fn create(handle: &TableHandle, schema: &Schema) -> Result<(), LakeError> {
    let failed = || LakeError::storage(handle.name(), "be created");
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    CreateBuilder::new()
        .with_log_store(handle.unloaded()?.log_store())
        .with_table_name(handle.name())
        .with_columns(kernel_fields(&fields)?)
        .with_save_mode(SaveMode::Ignore)
        .await
        .map_err(failed())?;
    handle.sync_commit(0).await?;
    let root = handle.folder().parent().unwrap_or(handle.folder()).to_owned();
    durable::sync(root, handle.name().to_owned()).await
}

pub(crate) fn kernel_fields(fields: &[FieldRef]) -> Result<Vec<StructField>, LakeError> {
    fields
        .iter()
        .map(|field| {
            field.as_ref().try_into_kernel().map_err(|_| LakeError::UnsupportedType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            })
        })
        .collect()
}

/// The columns that `wanted` has and the table lacks, or why the two contradict each other.
fn added_columns(table: &str, existing: &Schema, wanted: &Schema) -> Result<Vec<FieldRef>, LakeError> {
    let refused = |column: &str, reason: String| {
        Err(LakeError::Incompatible { table: table.to_owned(), column: column.to_owned(), reason })
    };
    let mut added = Vec::new();
    for field in wanted.fields() {
        match existing.field_with_name(field.name()) {
            Ok(present) if !present.data_type().equals_datatype(field.data_type()) => {
                let reason = format!("is {}, not {}", present.data_type(), field.data_type());
                return refused(field.name(), reason);
            }
            Ok(present) if field.is_nullable() && !present.is_nullable() => {
                return refused(field.name(), "does not allow nulls".to_owned());
            }
            Ok(_) => {}
            Err(_) if !field.is_nullable() => {
                return refused(field.name(), "is new and does not allow nulls".to_owned());
            }
            Err(_) => added.push(field.clone()),
        }
    }
    for present in existing.fields() {
        if !present.is_nullable() && wanted.field_with_name(present.name()).is_err() {
            return refused(present.name(), "does not allow nulls and is not in the new schema".to_owned());
        }
    }
    Ok(added)
}

/// `schema` in the types that tables store. Also refuses names that not every Delta reader accepts.
pub(crate) fn stored_schema(schema: &Schema) -> Result<SchemaRef, LakeError> {
    let mut seen = BTreeSet::new();
    for field in schema.fields() {
        check_column_name(field.name())?;
        if !seen.insert(field.name().to_lowercase()) {
            return Err(LakeError::InvalidColumnName {
                column: field.name().clone(),
                reason: "another column has the same name",
            });
        }
    }
    read_schema(schema)
}

/// `schema` in the types that are read from files, under whatever names the columns have there.
pub(crate) fn read_schema(schema: &Schema) -> Result<SchemaRef, LakeError> {
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let Some(data_type) = stored_type(field.data_type()) else {
            return Err(LakeError::UnsupportedType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            });
        };
        fields.push(Field::new(field.name(), data_type, field.is_nullable()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn check_column_name(name: &str) -> Result<(), LakeError> {
    let refused = |reason| Err(LakeError::InvalidColumnName { column: name.to_owned(), reason });
    if name.is_empty() {
        return refused("it is empty");
    }
    if name.len() > 255 {
        return refused("it is longer than 255 bytes");
    }
    if name.chars().any(|character| character.is_control() || " ,;{}()=".contains(character)) {
        return refused(
            "Delta tables allow no space, comma, semicolon, bracket, equals sign or control character",
        );
    }
    Ok(())
}

fn stored_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(..) => data_type.clone(),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Timestamp(
            TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            _,
        )
        | DataType::Date64 => timestamp_type(),
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::List(item) | DataType::LargeList(item) => {
            DataType::List(Arc::new(Field::new("element", stored_type(item.data_type())?, true)))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return None };
            let [key, value] = fields.as_ref() else { return None };
            let entries = vec![
                Field::new("key", stored_type(key.data_type())?, false),
                Field::new("value", stored_type(value.data_type())?, true),
            ];
            let entries = Field::new("key_value", DataType::Struct(entries.into()), false);
            DataType::Map(Arc::new(entries), false)
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| {
                    Some(Field::new(field.name(), stored_type(field.data_type())?, field.is_nullable()))
                })
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(
            fields
                .iter()
                .map(|(name, data_type, nullable)| Field::new(*name, data_type.clone(), *nullable))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_table_may_gain_columns_that_allow_nulls_and_nothing_else() {
        let existing = schema(&[("id", DataType::Int64, false), ("delay", DataType::Float64, true)]);
        let judged = |fields: &[(&str, DataType, bool)]| added_columns("t", &existing, &schema(fields));
        let id = ("id", DataType::Int64, false);

        assert_eq!(
            judged(&[id.clone(), ("dest", DataType::Utf8, true)]).map(|added| added.len()).ok(),
            Some(1)
        );
        assert!(
            judged(&[id.clone(), ("dest", DataType::Utf8, false)]).is_err(),
            "a new column that is required"
        );
        assert!(judged(&[id.clone(), ("delay", DataType::Int64, true)]).is_err(), "another type");
        assert!(judged(&[("id", DataType::Int64, true)]).is_err(), "nulls where there are none");
        assert!(judged(&[("delay", DataType::Float64, true)]).is_err(), "a required column left out");
    }

    #[test]
    fn types_are_stored_in_their_plain_form() {
        let foreign = schema(&[
            ("at", DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Paris".into())), true),
            ("name", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8)), true),
            ("count", DataType::UInt64, true),
        ]);
        let stored = stored_schema(&foreign).unwrap();
        assert_eq!(stored.field(0).data_type(), &timestamp_type());
        assert_eq!(stored.field(1).data_type(), &DataType::Utf8);
        assert_eq!(stored.field(2).data_type(), &DataType::Int64);
    }

    #[test]
    fn column_names_are_those_that_every_reader_accepts() {
        for wrong in ["", "air time", "a,b", "a\n", "a=b", "(x)"] {
            assert!(stored_schema(&schema(&[(wrong, DataType::Int64, true)])).is_err(), "{wrong:?}");
        }
        let twice = schema(&[("a", DataType::Int64, true), ("A", DataType::Int64, true)]);
        assert!(matches!(stored_schema(&twice), Err(LakeError::InvalidColumnName { .. })));
    }
}
