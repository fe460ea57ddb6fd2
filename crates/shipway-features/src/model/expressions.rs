//! Expressions compiled: those of a view over rows of its source (which events count, and the columns derived from them), and
//! those of a service over rows of a request. Stream, bulk, offline and online all ask these forms.

use shipway_core::{DataType, Name, Value};
use shipway_definitions::{ColumnOrigin, Service, View};
use shipway_expression::{Condition, Expression, ExpressionError, Row, Scope};

/// The compiled expressions of one view. Positions from the width of the source's rows on are those of derived columns.
#[derive(Debug, Clone)]
pub(crate) struct ViewExpressions {
    filter: Option<Expression>,
    derived: Vec<Expression>,
    /// The condition needs no derived column, so it is asked before they are computed.
    filters_first: bool,
}

impl ViewExpressions {
    /// Compiles those of `view`, if it has any, for rows of `width` values. `position` says where a row holds a column of the
    /// source.
    pub(crate) fn new(
        view: &View,
        width: usize,
        position: impl Fn(&Name) -> Option<usize>,
    ) -> Result<Option<Self>, ExpressionError> {
        if !view.has_expressions() {
            return Ok(None);
        }
        let mut scope = Scope::new();
        for (column, data_type) in &view.column_types {
            if let Some(position) = position(column) {
                scope.add(column.as_str(), *data_type, position);
            }
        }
        let mut derived = Vec::with_capacity(view.derived.len());
        for column in &view.derived {
            derived.push(Expression::compile(&column.expression, &scope)?);
            scope.add(column.name.as_str(), column.data_type, width + derived.len() - 1);
        }
        let filter = view.filter.as_ref().map(|text| Expression::condition(text, &scope)).transpose()?;
        let filters_first = filter.as_ref().is_some_and(|filter| filter.reads().iter().all(|at| *at < width));
        Ok(Some(Self { filter, derived, filters_first }))
    }

    /// The derived columns of a row of the source; none when the row does not count.
    pub(crate) fn derive(&self, values: &[Value]) -> Option<Vec<Value>> {
        if self.filters_first && !self.counts(values, &[]) {
            return None;
        }
        let derived = self.derived(values);
        (self.filters_first || self.counts(values, &derived)).then_some(derived)
    }

    /// The derived columns of any row of the source, and whether it counts.
    pub(crate) fn derive_of_any(&self, values: &[Value]) -> (Vec<Value>, bool) {
        let derived = self.derived(values);
        let counts = self.counts(values, &derived);
        (derived, counts)
    }

    fn counts(&self, values: &[Value], derived: &[Value]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_true(Row::new(values, derived)))
    }

    fn derived(&self, values: &[Value]) -> Vec<Value> {
        let mut derived = Vec::with_capacity(self.derived.len());
        for expression in &self.derived {
            let value = expression.evaluate(Row::new(values, &derived)).into_owned();
            derived.push(value);
        }
        derived
    }

    /// Whether the value at `position` of a row of the source is read.
    pub(crate) fn reads(&self, position: usize) -> bool {
        self.filter.iter().chain(&self.derived).any(|expression| expression.reads().contains(&position))
    }

    /// Comparisons of columns of the source that hold for every row that counts.
    pub(crate) fn necessary(&self, width: usize) -> Vec<Condition> {
        let conditions = self.filter.as_ref().map(Expression::necessary).unwrap_or_default();
        conditions.into_iter().filter(|condition| condition.column < width).collect()
    }
}

/// The computed columns of a service, compiled over rows of its keys, the moment, and its other columns.
#[derive(Debug)]
pub(crate) struct Computed {
    expressions: Vec<Expression>,
}

impl Computed {
    /// Compiles those of `service`, if it has any.
    pub(crate) fn new(service: &Service) -> Result<Option<Self>, ExpressionError> {
        if service.computed.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<(&str, DataType)> = service
            .columns()
            .iter()
            .filter(|column| column.origin != ColumnOrigin::Computed)
            .map(|column| (column.name.as_str(), column.data_type))
            .collect();
        let mut expressions = Vec::with_capacity(service.computed.len());
        for computed in &service.computed {
            let scope = Service::scope(&service.entity_keys, columns.iter().copied());
            expressions.push(Expression::compile(&computed.expression, &scope)?);
            columns.push((computed.name.as_str(), computed.data_type));
        }
        Ok(Some(Self { expressions }))
    }

    /// Adds the computed columns to the other columns of a row. `head` holds the keys and the moment.
    pub(crate) fn extend(&self, head: &[Value], columns: &mut Vec<Value>) {
        for expression in &self.expressions {
            let value = expression.evaluate(Row::new(head, columns)).into_owned();
            columns.push(value);
        }
    }

    /// Whether any of them reads the value at `position` of the row.
    pub(crate) fn reads(&self, position: usize) -> bool {
        self.expressions.iter().any(|expression| expression.reads().contains(&position))
    }
}
