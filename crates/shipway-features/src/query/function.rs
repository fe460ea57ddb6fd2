//! The table function `training_set`: what its arguments mean, and which calls are known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider},
    error::{DataFusionError, Result},
    logical_expr::Expr,
};

use crate::{ArrivalRule, Spine, TrainingSet};

const USAGE: &str = "training_set takes a service, a spine (a table or a query) and the name of its time column, all as text; \
                     and then, if wanted, 'event_time' or 'arrival'";

/// One call, by its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    service: String,
    spine: String,
    time: String,
    as_of_arrival: bool,
}

impl Call {
    fn new(arguments: &[Expr]) -> Result<Self> {
        let texts: Option<Vec<&str>> = arguments.iter().map(text).collect();
        let (service, spine, time, as_of) = match texts.as_deref() {
            Some([service, spine, time]) => (service, spine, time, "event_time"),
            Some([service, spine, time, as_of]) => (service, spine, time, *as_of),
            _ => return Err(DataFusionError::Plan(USAGE.to_owned())),
        };
        let as_of_arrival = match as_of {
            "event_time" => false,
            "arrival" => true,
            _ => return Err(DataFusionError::Plan(USAGE.to_owned())),
        };
        let [service, spine, time] = [service, spine, time].map(|text| (*text).to_owned());
        Ok(Self { service, spine, time, as_of_arrival })
    }

    /// The training set that this call asks for.
    pub(crate) fn wanted(&self) -> TrainingSet {
        // A name has no space in it, and a query has.
        let is_query = self.spine.contains(char::is_whitespace);
        TrainingSet {
            service: self.service.clone(),
            spine: if is_query { Spine::Sql(self.spine.clone()) } else { Spine::Table(self.spine.clone()) },
            time: self.time.clone(),
            arrival: if self.as_of_arrival { ArrivalRule::Received } else { ArrivalRule::Any },
            from: None,
            to: None,
            labels: Vec::new(),
        }
    }
}

fn text(argument: &Expr) -> Option<&str> {
    match argument {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// The function as the planner of one query sees it.
#[derive(Debug, Default)]
pub(crate) struct TrainingSetFunction {
    known: Mutex<HashMap<Call, Arc<dyn TableProvider>>>,
    unknown: Mutex<Vec<Call>>,
}

impl TrainingSetFunction {
    /// Its name in SQL.
    pub(crate) const NAME: &'static str = "training_set";

    /// The calls that were met since last time and are not known.
    pub(crate) fn take_unknown(&self) -> Vec<Call> {
        std::mem::take(&mut *self.unknown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on `call` is this table.
    pub(crate) fn learn(&self, call: Call, table: Arc<dyn TableProvider>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(call, table);
    }
}

impl TableFunctionImpl for TrainingSetFunction {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let call = Call::new(arguments.exprs())?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known.get(&call) {
            return Ok(Arc::clone(table));
        }
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        Err(DataFusionError::Plan("the training set is not known yet".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn a_spine_without_a_space_is_a_table_and_any_other_is_a_query() {
        let table = Call::new(&[lit("s"), lit("flights"), lit("q")]).unwrap().wanted();
        assert!(matches!(table.spine, Spine::Table(name) if name == "flights"));
        let query = Call::new(&[lit("s"), lit("select * from flights"), lit("q")]).unwrap().wanted();
        assert!(matches!(query.spine, Spine::Sql(_)));
    }

    #[test]
    fn a_call_states_which_events_count() {
        let rule =
            |as_of| Call::new(&[lit("s"), lit("t"), lit("q"), lit(as_of)]).map(|call| call.wanted().arrival);
        assert!(matches!(rule("event_time"), Ok(ArrivalRule::Any)));
        assert!(matches!(rule("arrival"), Ok(ArrivalRule::Received)));
        assert!(rule("yesterday").is_err());
    }

    #[test]
    fn arguments_are_texts_and_none_is_missing() {
        assert!(Call::new(&[lit("s"), lit("t")]).is_err());
        assert!(Call::new(&[lit("s"), lit("t"), lit(3)]).is_err());
    }
}
