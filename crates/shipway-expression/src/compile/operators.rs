//! Operators: arithmetic, comparisons, conditions, and the forms that choose between values.

use shipway_core::{DataType, Value};
use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::{
    Compiled, Compiler, Kind, Typed, decimal_of, place, rescaled, scale_of, unified, unified_all, widened,
    with_scale,
};
use crate::{
    error::{ExpressionError, Refusal},
    node::{Comparison, Node},
    values::{decimals, numbers, texts, time},
};

/// What an operator does with values of one type.
type Binary = fn(&Value, &Value) -> Value;

impl Compiler<'_> {
    pub(super) fn operator(&self, expr: &Expr, depth: usize) -> Compiled {
        let node = match expr {
            Expr::UnaryOp { op, expr: inner } => return self.unary(expr, *op, inner, depth),
            Expr::BinaryOp { left, op, right } => return self.binary(expr, (left, op, right), depth),
            Expr::Case { operand, conditions, else_result, .. } => {
                let mut branches = Vec::with_capacity(conditions.len());
                for branch in conditions {
                    branches.push((&branch.condition, &branch.result));
                }
                return self.case(operand.as_deref(), &branches, else_result.as_deref(), depth);
            }
            Expr::IsNull(inner) => Node::IsNull(Box::new(self.compile(inner, depth)?.0)),
            Expr::IsNotNull(inner) => not(Node::IsNull(Box::new(self.compile(inner, depth)?.0))),
            Expr::IsTrue(inner) => Node::Is(true, Box::new(self.truth(inner, "IS TRUE", depth)?)),
            Expr::IsFalse(inner) => Node::Is(false, Box::new(self.truth(inner, "IS FALSE", depth)?)),
            Expr::IsNotTrue(inner) => not(Node::Is(true, Box::new(self.truth(inner, "IS NOT TRUE", depth)?))),
            Expr::IsNotFalse(inner) => {
                not(Node::Is(false, Box::new(self.truth(inner, "IS NOT FALSE", depth)?)))
            }
            Expr::IsUnknown(inner) => Node::IsNull(Box::new(self.truth(inner, "IS UNKNOWN", depth)?)),
            Expr::IsNotUnknown(inner) => {
                not(Node::IsNull(Box::new(self.truth(inner, "IS NOT UNKNOWN", depth)?)))
            }
            Expr::IsDistinctFrom(left, right) => Node::IsDistinct(self.alike(expr, left, right, depth)?),
            Expr::IsNotDistinctFrom(left, right) => {
                not(Node::IsDistinct(self.alike(expr, left, right, depth)?))
            }
            Expr::Between { expr: value, negated, low, high } => {
                let low = Node::Compare(Comparison::GreaterOrEqual, self.alike(expr, value, low, depth)?);
                let high = Node::Compare(Comparison::LessOrEqual, self.alike(expr, value, high, depth)?);
                negated_if(*negated, Node::And(Box::new([low.folded(), high.folded()])).folded())
            }
            Expr::InList { expr: value, list, negated } => {
                let mut values = vec![(self.compile(value, depth)?, place(value.as_ref()))];
                for item in list {
                    values.push((self.compile(item, depth)?, place(item)));
                }
                let (mut nodes, _) = unified_all("the value and the list", values)?;
                let list = nodes.split_off(1);
                let value = nodes.pop().unwrap_or(Node::Literal(Value::Null));
                negated_if(*negated, Node::In(Box::new(value), list.into()).folded())
            }
            Expr::Like { negated, any: false, expr: value, pattern, escape_char: None } => {
                self.like(expr, (value, pattern), (texts::like, *negated), depth)?
            }
            Expr::ILike { negated, any: false, expr: value, pattern, escape_char: None } => {
                self.like(expr, (value, pattern), (texts::ilike, *negated), depth)?
            }
            other => return Err(Refusal::NotInLanguage(other.to_string()).at(place(other))),
        };
        Ok((node, Kind::BOOL))
    }

    /// A condition.
    fn truth(&self, expr: &Expr, operator: &str, depth: usize) -> Result<Node, ExpressionError> {
        match self.compile(expr, depth)? {
            (node, Kind::BOOL | Kind::Null) => Ok(node),
            (_, kind) => {
                let (operator, got) = (operator.to_owned(), kind.word());
                Err(Refusal::Operands { operator, got }.at(place(expr)))
            }
        }
    }

    /// Two values of one type.
    fn alike(
        &self,
        whole: &Expr,
        left: &Expr,
        right: &Expr,
        depth: usize,
    ) -> Result<Box<[Node; 2]>, ExpressionError> {
        let (left, right) = (self.compile(left, depth)?, self.compile(right, depth)?);
        let (left, right, _) = unified(left, right).map_err(|(left, right)| {
            let got = format!("{} and {}", left.word(), right.word());
            Refusal::Operands { operator: "a comparison".to_owned(), got }.at(place(whole))
        })?;
        Ok(Box::new([left, right]))
    }

    fn unary(&self, whole: &Expr, operator: UnaryOperator, inner: &Expr, depth: usize) -> Compiled {
        if operator == UnaryOperator::Not {
            return Ok((not(self.truth(inner, "NOT", depth)?), Kind::BOOL));
        }
        let (node, kind) = self.compile(inner, depth)?;
        match (operator, kind) {
            (UnaryOperator::Plus, Kind::INT | Kind::FLOAT | Kind::Interval | Kind::Null) => Ok((node, kind)),
            (UnaryOperator::Minus, Kind::INT | Kind::Interval | Kind::Null) => {
                Ok((Node::One(numbers::negate_int, Box::new(node)), kind))
            }
            (UnaryOperator::Minus, Kind::Value(DataType::Decimal(decimal))) => {
                let kind = Kind::Value(DataType::Decimal(decimal));
                Ok((Node::One(decimals::negate, Box::new(node)), kind))
            }
            (UnaryOperator::Minus, Kind::FLOAT) => {
                Ok((Node::One(numbers::negate_float, Box::new(node)), kind))
            }
            (UnaryOperator::Plus | UnaryOperator::Minus, kind) => {
                let (operator, got) = (operator.to_string(), kind.word());
                Err(Refusal::Operands { operator, got }.at(place(whole)))
            }
            (other, _) => Err(Refusal::NotInLanguage(format!("the operator {other}")).at(place(whole))),
        }
    }

    fn binary(
        &self,
        whole: &Expr,
        (left, operator, right): (&Expr, &BinaryOperator, &Expr),
        depth: usize,
    ) -> Compiled {
        use BinaryOperator as Sql;
        if let Sql::And | Sql::Or = operator {
            let word = operator.to_string();
            let sides = Box::new([self.truth(left, &word, depth)?, self.truth(right, &word, depth)?]);
            let node = if *operator == Sql::And { Node::And(sides) } else { Node::Or(sides) };
            return Ok((node, Kind::BOOL));
        }
        let comparison = match operator {
            Sql::Eq => Some(Comparison::Equal),
            Sql::NotEq => Some(Comparison::NotEqual),
            Sql::Lt => Some(Comparison::Less),
            Sql::LtEq => Some(Comparison::LessOrEqual),
            Sql::Gt => Some(Comparison::Greater),
            Sql::GtEq => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        let (left, right) = (self.compile(left, depth)?, self.compile(right, depth)?);
        let kinds = (left.1, right.1);
        let found = match (comparison, operator) {
            (Some(comparison), _) => unified(left, right)
                .ok()
                .map(|(left, right, _)| (Node::Compare(comparison, Box::new([left, right])), Kind::BOOL)),
            (
                None,
                Sql::Plus | Sql::Minus | Sql::Multiply | Sql::Divide | Sql::Modulo | Sql::StringConcat,
            ) => arithmetic(operator, left, right),
            (None, other) => {
                return Err(Refusal::NotInLanguage(format!("the operator {other}")).at(place(whole)));
            }
        };
        found.ok_or_else(|| {
            let got = format!("{} and {}", kinds.0.word(), kinds.1.word());
            Refusal::Operands { operator: operator.to_string(), got }.at(place(whole))
        })
    }

    fn like(
        &self,
        whole: &Expr,
        (value, pattern): (&Expr, &Expr),
        (function, negated): (Binary, bool),
        depth: usize,
    ) -> Result<Node, ExpressionError> {
        let sides = [self.compile(value, depth)?, self.compile(pattern, depth)?];
        match sides {
            [(value, Kind::TEXT | Kind::Null), (pattern, Kind::TEXT | Kind::Null)] => {
                Ok(negated_if(negated, Node::Two(function, Box::new([value, pattern])).folded()))
            }
            [(_, left), (_, right)] => {
                let got = format!("{} and {}", left.word(), right.word());
                Err(Refusal::Operands { operator: "LIKE".to_owned(), got }.at(place(whole)))
            }
        }
    }

    /// `CASE WHEN condition THEN …` and `CASE operand WHEN value THEN …`.
    fn case(
        &self,
        operand: Option<&Expr>,
        branches: &[(&Expr, &Expr)],
        otherwise: Option<&Expr>,
        depth: usize,
    ) -> Compiled {
        let (mut conditions, mut results) = (Vec::new(), Vec::new());
        for (condition, result) in branches {
            conditions.push(match operand {
                None => self.truth(condition, "WHEN", depth)?,
                Some(operand) => {
                    let sides = self.alike(condition, operand, condition, depth)?;
                    Node::Compare(Comparison::Equal, sides).folded()
                }
            });
            results.push((self.compile(result, depth)?, place(*result)));
        }
        results.push(match otherwise {
            Some(otherwise) => (self.compile(otherwise, depth)?, place(otherwise)),
            None => ((Node::Literal(Value::Null), Kind::Null), None),
        });
        let (mut results, kind) = unified_all("the branches of CASE", results)?;
        let otherwise = results.pop().unwrap_or(Node::Literal(Value::Null));
        let branches: Vec<(Node, Node)> = conditions.into_iter().zip(results).collect();
        Ok((Node::Case(branches.into(), Box::new(otherwise)), kind))
    }
}

fn not(node: Node) -> Node {
    Node::One(numbers::not, Box::new(node.folded())).folded()
}

fn negated_if(negated: bool, node: Node) -> Node {
    if negated { not(node) } else { node }
}

/// `/` is the quotient as a float, of ints too; `div` is the whole one.
fn arithmetic(operator: &BinaryOperator, left: Typed, right: Typed) -> Option<Typed> {
    use BinaryOperator as Sql;
    let (function, kind): (Binary, Kind) = match (operator, left.1, right.1) {
        (Sql::StringConcat, Kind::TEXT | Kind::Null, Kind::TEXT | Kind::Null) => (texts::joined, Kind::TEXT),
        (Sql::Plus, Kind::TIMESTAMP, Kind::Interval) => (time::later, Kind::TIMESTAMP),
        (Sql::Plus, Kind::Interval, Kind::TIMESTAMP) => {
            return Some((Node::Two(time::later, Box::new([right.0, left.0])), Kind::TIMESTAMP));
        }
        (Sql::Minus, Kind::TIMESTAMP, Kind::Interval) => (time::earlier, Kind::TIMESTAMP),
        (Sql::Minus, Kind::TIMESTAMP, Kind::TIMESTAMP) => (time::between, Kind::Interval),
        (Sql::Minus, Kind::TIMESTAMP, Kind::TEXT) | (Sql::Minus, Kind::TEXT, Kind::TIMESTAMP) => {
            let (left, right, _) = unified(left, right).ok()?;
            return Some((Node::Two(time::between, Box::new([left, right])), Kind::Interval));
        }
        (Sql::Plus, Kind::Interval, Kind::Interval) => (numbers::add_int, Kind::Interval),
        (Sql::Minus, Kind::Interval, Kind::Interval) => (numbers::subtract_int, Kind::Interval),
        (Sql::StringConcat, ..) => return None,
        (operator, ..) => return numeric(operator, left, right),
    };
    Some((Node::Two(function, Box::new([left.0, right.0])), kind))
}

/// Sums, differences, products and remainders of decimals, and of a decimal and an int, are exact. None for everything else.
fn exact(operator: &BinaryOperator, left: &Typed, right: &Typed) -> Option<Typed> {
    use BinaryOperator as Sql;
    let is_decimal = |kind: Kind| kind != Kind::INT && scale_of(kind).is_some();
    if !is_decimal(left.1) && !is_decimal(right.1) {
        return None;
    }
    let scales = (scale_of(left.1)?, scale_of(right.1)?);
    if *operator == Sql::Multiply {
        let kind = decimal_of(scales.0 + scales.1)?;
        let sides = [with_scale(left.clone(), scales.0), with_scale(right.clone(), scales.1)];
        return Some((Node::Two(decimals::multiply, Box::new(sides)), kind));
    }
    let function: Binary = match operator {
        Sql::Plus => decimals::add,
        Sql::Minus => decimals::subtract,
        Sql::Modulo => decimals::remainder,
        _ => return None,
    };
    let (left, right, kind) = rescaled(left.clone(), right.clone())?;
    Some((Node::Two(function, Box::new([left, right])), kind))
}

fn numeric(operator: &BinaryOperator, left: Typed, right: Typed) -> Option<Typed> {
    use BinaryOperator as Sql;
    if let Some(exact) = exact(operator, &left, &right) {
        return Some(exact);
    }
    let (mut left, mut right, kind) = unified(left, right).ok()?;
    if kind != Kind::INT && scale_of(kind).is_some() {
        (left, right) = (widened(left), widened(right));
    }
    let (is_int, kind) = match kind {
        Kind::INT => (true, Kind::INT),
        Kind::FLOAT | Kind::Value(DataType::Decimal(_)) => (false, Kind::FLOAT),
        // A null on both sides.
        Kind::Null => (false, Kind::FLOAT),
        Kind::Value(_) | Kind::Interval => return None,
    };
    let function: Binary = match (operator, is_int) {
        (Sql::Plus, true) => numbers::add_int,
        (Sql::Plus, false) => numbers::add_float,
        (Sql::Minus, true) => numbers::subtract_int,
        (Sql::Minus, false) => numbers::subtract_float,
        (Sql::Multiply, true) => numbers::multiply_int,
        (Sql::Multiply, false) => numbers::multiply_float,
        (Sql::Modulo, true) => numbers::remainder_int,
        (Sql::Modulo, false) => numbers::remainder_float,
        (Sql::Divide, true) => {
            let sides = Box::new([widened(left), widened(right)]);
            return Some((Node::Two(numbers::divide_float, sides), Kind::FLOAT));
        }
        (Sql::Divide, false) => numbers::divide_float,
        _ => return None,
    };
    Some((Node::Two(function, Box::new([left, right])), kind))
}
