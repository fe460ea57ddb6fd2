//! A compiled expression, and what can be known about it without a row.

use std::borrow::Cow;

use shipway_core::{DataType, Value};
use sqlparser::ast::Expr;

use crate::{
    compile,
    error::{ExpressionError, Refusal},
    node::{Comparison, Node},
    scope::{Row, Scope},
};

/// A text, compiled over the columns of a scope. Compiling costs microseconds, a row some tens of nanoseconds.
#[derive(Debug, Clone)]
pub struct Expression {
    node: Node,
    data_type: DataType,
    reads: Vec<usize>,
}

/// A comparison of a column with a value that must be true wherever an expression is.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The position of the column.
    pub column: usize,
    /// How it compares.
    pub comparison: Comparison,
    /// The value on the right; never null.
    pub value: Value,
}

impl Expression {
    /// Compiles `text`. Refuses what is not one deterministic expression over the columns of `scope`, and a result that no
    /// column can hold.
    pub fn compile(text: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        Self::typed(compile::compile(text, scope)?)
    }

    /// The same of what was parsed as a part of something else.
    pub(crate) fn of(parsed: &Expr, scope: &Scope) -> Result<Self, ExpressionError> {
        Self::typed(compile::compile_parsed(parsed, scope)?)
    }

    fn typed((node, kind): compile::Typed) -> Result<Self, ExpressionError> {
        let data_type = kind.data_type().ok_or_else(|| {
            let expected = match kind {
                compile::Kind::Null => "say its type with CAST(NULL AS …)",
                _ => "write EXTRACT(EPOCH FROM …) for seconds",
            };
            Refusal::Result { got: kind.with_article(), expected }.at(None)
        })?;
        let mut reads = Vec::new();
        node.reads(&mut reads);
        Ok(Self { node, data_type, reads })
    }

    /// Compiles a condition: an expression that is true, false or null.
    pub fn condition(text: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        Self::compile(text, scope)?.into_condition()
    }

    /// The same of what was parsed as a part of something else.
    pub(crate) fn condition_of(parsed: &Expr, scope: &Scope) -> Result<Self, ExpressionError> {
        Self::of(parsed, scope)?.into_condition()
    }

    fn into_condition(self) -> Result<Self, ExpressionError> {
        if self.data_type != DataType::Bool {
            let expected = "write a condition, such as amount > 0";
            return Err(Refusal::Result { got: self.data_type.to_string(), expected }.at(None));
        }
        Ok(self)
    }

    /// The type of its values.
    pub const fn data_type(&self) -> DataType {
        self.data_type
    }

    /// The positions of the columns that it reads, each once.
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// The value for `row`. Never fails: what has no answer is null.
    pub fn evaluate<'a>(&'a self, row: Row<'a>) -> Cow<'a, Value> {
        self.node.evaluate(row)
    }

    /// Whether it is true for `row`; false and null are not.
    pub fn is_true(&self, row: Row<'_>) -> bool {
        self.node.truth(row) == Some(true)
    }

    /// Comparisons of single columns that hold wherever it is true, so that rows can be left out before it is asked.
    pub fn necessary(&self) -> Vec<Condition> {
        let mut conditions = Vec::new();
        necessary(&self.node, &mut conditions);
        conditions
    }
}

fn necessary(node: &Node, into: &mut Vec<Condition>) {
    match node {
        Node::And(sides) => sides.iter().for_each(|side| necessary(side, into)),
        Node::Compare(comparison, sides) => {
            let (column, comparison, value) = match sides.as_ref() {
                [Node::Column(column), Node::Literal(value)] => (*column, *comparison, value),
                [Node::Literal(value), Node::Column(column)] => (*column, comparison.turned(), value),
                _ => return,
            };
            if !value.is_null() {
                into.push(Condition { column, comparison, value: value.clone() });
            }
        }
        _ => {}
    }
}
