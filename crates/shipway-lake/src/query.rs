//! Read-only SQL: what is not a query is refused before anything of it runs.

use datafusion::{
    common::TableReference,
    dataframe::DataFrame,
    execution::{SendableRecordBatchStream, context::SQLOptions},
    prelude::SessionContext,
    sql::{parser::Statement as Parsed, sqlparser::ast::Statement},
};
use shipway_core::nearest;

use crate::{Lake, LakeError};

impl Lake {
    /// Runs one query and streams its rows. Only queries: whatever would change a table, a file or a setting is refused.
    ///
    /// Errors of the stream turn back into [`LakeError`] through `From`. Dropping the stream stops the query. How many
    /// rows to take is the caller's decision.
    pub async fn sql(&self, query: &str) -> Result<SendableRecordBatchStream, LakeError> {
        let planned = self.query(query).await?;
        Ok(planned.execute_stream().await?)
    }

    /// Plans one query without running it, under the same rules as [`Lake::sql`].
    pub async fn query(&self, query: &str) -> Result<DataFrame, LakeError> {
        self.query_in(&self.session(), query).await
    }

    /// [`Lake::query`] in a session that the caller made by [`Lake::session`] and may have given table functions.
    pub async fn query_in(&self, session: &SessionContext, query: &str) -> Result<DataFrame, LakeError> {
        plan_query(session, query).await
    }
}

/// Plans one query in a session of the lake, where the caller may have registered tables of its own.
pub(crate) async fn plan_query(session: &SessionContext, query: &str) -> Result<DataFrame, LakeError> {
    let state = session.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(query, &dialect)?;
    refuse_other_than_queries(&statement)?;
    for reference in state.resolve_table_references(&statement)? {
        check_reference(session, &reference)?;
    }
    let plan = state.statement_to_plan(statement).await?;
    // A query can hide a change, as in EXPLAIN INSERT; the plan cannot.
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|refusal| LakeError::ReadOnly {
            statement: refused_statement(&refusal.strip_backtrace()),
        })?;
    Ok(DataFrame::new(state, plan))
}

fn refuse_other_than_queries(parsed: &Parsed) -> Result<(), LakeError> {
    let is_query = match parsed {
        Parsed::Statement(statement) => matches!(
            statement.as_ref(),
            Statement::Query(_)
                | Statement::Explain { .. }
                | Statement::ExplainTable { .. }
                | Statement::ShowTables { .. }
                | Statement::ShowColumns { .. }
        ),
        Parsed::Explain(explain) => return refuse_other_than_queries(&explain.statement),
        _ => false,
    };
    if is_query {
        return Ok(());
    }
    let words: Vec<String> = parsed.to_string().split_whitespace().take(2).map(str::to_uppercase).collect();
    Err(LakeError::ReadOnly { statement: words.join(" ") })
}

fn refused_statement(refusal: &str) -> String {
    refusal.rsplit(": ").next().unwrap_or(refusal).to_uppercase()
}

/// Unknown tables are found before planning, so that the error can name the nearest one.
fn check_reference(session: &SessionContext, reference: &TableReference) -> Result<(), LakeError> {
    let state = session.state();
    // A call of a table function looks like a table of that name here.
    if reference.schema().is_none() && state.table_functions().contains_key(reference.table()) {
        return Ok(());
    }
    let options = state.config().options().catalog.clone();
    let catalog_name = reference.catalog().unwrap_or(&options.default_catalog);
    let schema_name = reference.schema().unwrap_or(&options.default_schema);
    if schema_name == "information_schema" {
        return Ok(());
    }
    let schema = session.catalog(catalog_name).and_then(|catalog| catalog.schema(schema_name));
    let Some(schema) = schema else {
        return Err(LakeError::UnknownTable { name: reference.to_string(), nearest: None });
    };
    if schema.table_exist(reference.table()) {
        return Ok(());
    }
    let names = schema.table_names();
    let nearest = nearest(reference.table(), names.iter().map(String::as_str)).map(str::to_owned);
    Err(LakeError::UnknownTable { name: reference.table().to_owned(), nearest })
}
