//! The compiled tree and its evaluation. Every node is a total function of the row.

use std::borrow::Cow;

use shipway_core::Value;

use crate::scope::Row;

/// A tree whose types were checked when it was compiled.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// The value at a position of the row.
    Column(usize),
    Literal(Value),
    /// Null if the argument is null, else what the function says.
    One(fn(&Value) -> Value, Box<Self>),
    /// Null if one of the arguments is null.
    Two(fn(&Value, &Value) -> Value, Box<[Self; 2]>),
    /// Null if one of the arguments is null.
    Many(fn(&[Value]) -> Value, Box<[Self]>),
    /// The function decides about nulls itself.
    WithNulls(fn(&[Value]) -> Value, Box<[Self]>),
    Compare(Comparison, Box<[Self; 2]>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    IsNull(Box<Self>),
    /// Whether a truth value is this one; never null.
    Is(bool, Box<Self>),
    IsDistinct(Box<[Self; 2]>),
    /// The value, then the list.
    In(Box<Self>, Box<[Self]>),
    /// The first branch whose condition is true, or the last value.
    Case(Box<[(Self, Self)]>, Box<Self>),
    /// The first that is not null.
    Coalesce(Box<[Self]>),
}

/// A comparison of two values of one type. NaN equals NaN and comes after every other number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = left.cmp(right);
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The comparison with its sides exchanged.
    pub(crate) const fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

impl Node {
    /// The value for `row`.
    pub(crate) fn evaluate<'a>(&'a self, row: Row<'a>) -> Cow<'a, Value> {
        match self {
            Self::Column(position) => Cow::Borrowed(row.get(*position)),
            Self::Literal(value) => Cow::Borrowed(value),
            Self::Case(branches, otherwise) => {
                let taken = branches.iter().find(|(condition, _)| condition.truth(row) == Some(true));
                taken.map_or(otherwise.as_ref(), |(_, value)| value).evaluate(row)
            }
            Self::Coalesce(values) => {
                let mut values = values.iter().map(|value| value.evaluate(row));
                values.find(|value| !value.is_null()).unwrap_or(Cow::Owned(Value::Null))
            }
            computed => Cow::Owned(computed.compute(row)),
        }
    }

    /// The truth for `row`; none for null.
    pub(crate) fn truth(&self, row: Row<'_>) -> Option<bool> {
        match self.evaluate(row).as_ref() {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    fn compute(&self, row: Row<'_>) -> Value {
        match self {
            Self::One(function, argument) => {
                let argument = argument.evaluate(row);
                if argument.is_null() { Value::Null } else { function(&argument) }
            }
            Self::Two(function, sides) => Self::both(sides, row, function),
            Self::Compare(comparison, sides) => {
                Self::both(sides, row, |left, right| Value::Bool(comparison.holds(left, right)))
            }
            Self::Many(function, arguments) => {
                let values: Vec<Value> =
                    arguments.iter().map(|argument| argument.evaluate(row).into_owned()).collect();
                if values.iter().any(Value::is_null) { Value::Null } else { function(&values) }
            }
            Self::WithNulls(function, arguments) => {
                let values: Vec<Value> =
                    arguments.iter().map(|argument| argument.evaluate(row).into_owned()).collect();
                function(&values)
            }
            Self::And(sides) => truth_value(match sides[0].truth(row) {
                Some(false) => Some(false),
                left => match sides[1].truth(row) {
                    Some(false) => Some(false),
                    right => left.and(right),
                },
            }),
            Self::Or(sides) => truth_value(match sides[0].truth(row) {
                Some(true) => Some(true),
                left => match sides[1].truth(row) {
                    Some(true) => Some(true),
                    right => left.and(right),
                },
            }),
            Self::IsNull(value) => Value::Bool(value.evaluate(row).is_null()),
            Self::Is(wanted, value) => Value::Bool(value.truth(row) == Some(*wanted)),
            Self::IsDistinct(sides) => Value::Bool(sides[0].evaluate(row) != sides[1].evaluate(row)),
            Self::In(value, list) => is_in(&value.evaluate(row), list, row),
            Self::Column(_) | Self::Literal(_) | Self::Case(..) | Self::Coalesce(_) => {
                self.evaluate(row).into_owned()
            }
        }
    }

    fn both(sides: &[Self; 2], row: Row<'_>, function: impl Fn(&Value, &Value) -> Value) -> Value {
        let left = sides[0].evaluate(row);
        if left.is_null() {
            return Value::Null;
        }
        let right = sides[1].evaluate(row);
        if right.is_null() { Value::Null } else { function(&left, &right) }
    }

    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(_) | Self::Literal(_) => Vec::new(),
            Self::One(_, child) | Self::IsNull(child) | Self::Is(_, child) => vec![child],
            Self::Two(_, sides)
            | Self::Compare(_, sides)
            | Self::And(sides)
            | Self::Or(sides)
            | Self::IsDistinct(sides) => sides.iter().collect(),
            Self::Many(_, children) | Self::WithNulls(_, children) | Self::Coalesce(children) => {
                children.iter().collect()
            }
            Self::In(value, list) => std::iter::once(value.as_ref()).chain(list.iter()).collect(),
            Self::Case(branches, otherwise) => branches
                .iter()
                .flat_map(|(condition, value)| [condition, value])
                .chain(std::iter::once(otherwise.as_ref()))
                .collect(),
        }
    }

    /// The same, computed now if it depends on no column.
    pub(crate) fn folded(self) -> Self {
        let is_constant = !matches!(self, Self::Column(_) | Self::Literal(_))
            && self.children().iter().all(|child| matches!(child, Self::Literal(_)));
        if is_constant { Self::Literal(self.compute(Row::new(&[], &[]))) } else { self }
    }

    /// Adds the positions that it reads.
    pub(crate) fn reads(&self, into: &mut Vec<usize>) {
        if let Self::Column(position) = self
            && !into.contains(position)
        {
            into.push(*position);
        }
        self.children().into_iter().for_each(|child| child.reads(into));
    }
}

/// True if one of the list equals it; null if none does and one is null.
fn is_in(value: &Value, list: &[Node], row: Row<'_>) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    let mut has_null = false;
    for candidate in list {
        let candidate = candidate.evaluate(row);
        if candidate.is_null() {
            has_null = true;
        } else if candidate.as_ref() == value {
            return Value::Bool(true);
        }
    }
    if has_null { Value::Null } else { Value::Bool(false) }
}

fn truth_value(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Bool)
}
