//! Read-only SQL over the tables, in which a training set is a table function.
//!
//! `training_set('service', 'spine', 'time')` stands wherever a table may stand. The spine is the name of a table or a query;
//! a fourth argument is `event_time` (the default) or `arrival`.
//!
//! - `function`: the arguments of a call, checked
//! - `table`: a training set as a table, built when it is read

mod function;
mod table;

use datafusion::{
    dataframe::DataFrame,
    datasource::source_as_provider,
    logical_expr::{LogicalPlan, TableScan},
};
use std::{any::Any, sync::Arc};

use crate::{Features, FeaturesError, TrainingSet};
use function::TrainingSetFunction;
use table::TrainingSetTable;

/// How often a query may be planned anew because it called for training sets that were not known before.
const PLANNING_ROUNDS: usize = 4;

/// A query that has been planned and not run.
pub struct Planned {
    /// The plan; executing it streams its rows.
    pub frame: DataFrame,
    /// How many rows there will be, where that is known without running it.
    pub rows: Option<u64>,
}

impl Features {
    /// Plans one query. What is not a query is refused, and so is a wrong call of `training_set`.
    ///
    /// A table function is asked for its columns in the middle of planning, where nothing can be awaited. So a first round
    /// collects the calls, their columns are found, and the query is planned again.
    pub async fn query(&self, query: &str) -> Result<Planned, FeaturesError> {
        let lake = self.lake();
        let session = lake.session();
        let function = Arc::new(TrainingSetFunction::default());
        session.register_udtf(TrainingSetFunction::NAME, Arc::clone(&function) as _);
        for _ in 0..PLANNING_ROUNDS {
            let planned = lake.query_in(&session, query).await;
            let calls = function.take_unknown();
            if calls.is_empty() {
                let frame = planned?;
                let rows = self.rows_of(frame.logical_plan()).await;
                return Ok(Planned { frame, rows });
            }
            for call in calls {
                let table = TrainingSetTable::resolve(self, call.wanted()).await?;
                function.learn(call, Arc::new(table));
            }
        }
        Err(crate::error::invalid("the query calls training_set too often"))
    }

    /// A training set as a plan, for a caller that asks for it without SQL.
    pub async fn query_training_set(&self, wanted: TrainingSet) -> Result<Planned, FeaturesError> {
        let table = TrainingSetTable::resolve(self, wanted).await?;
        let rows = table.rows();
        let frame = self.lake().session().read_table(Arc::new(table))?;
        Ok(Planned { frame, rows })
    }

    /// Rows of a plan that keeps every row of one table.
    async fn rows_of(&self, plan: &LogicalPlan) -> Option<u64> {
        let scan = whole_scan(plan)?;
        let provider = source_as_provider(&scan.source).ok()?;
        if let Some(table) = (provider.as_ref() as &dyn Any).downcast_ref::<TrainingSetTable>() {
            return table.rows();
        }
        // Anything but a table of the lake, such as a view of information_schema, may have the name of one.
        let is_of_lake = scan.table_name.schema().is_none_or(|schema| schema == "lake");
        if is_of_lake { self.lake().table(scan.table_name.table()).await.ok()?.rows } else { None }
    }
}

/// The scan under a plan that drops and adds no row.
fn whole_scan(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => Some(scan),
        LogicalPlan::Projection(projection) => whole_scan(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => whole_scan(&alias.input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => whole_scan(&sort.input),
        _ => None,
    }
}
