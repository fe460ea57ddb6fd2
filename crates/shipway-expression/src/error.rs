//! Why a text is not an expression: the thing first, then the remedy, at its place.

use std::fmt;

use shipway_core::nearest;

/// A place in the text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in it.
    pub character: u64,
}

/// A text that is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong.
    pub refusal: Refusal,
    /// Where, if the text says so.
    pub place: Option<Place>,
}

/// What can be wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is no SQL.
    #[error("{0}")]
    Syntax(String),
    /// It is longer than [`crate::LONGEST_TEXT`].
    #[error("the expression has {got} bytes, {limit} are the most")]
    TooLong {
        /// Its length.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// It is nested too deeply.
    #[error("the expression is nested more than {0} levels deep")]
    TooDeep(usize),
    /// SQL that is not part of the language.
    #[error("{0} is not part of the expression language")]
    NotInLanguage(String),
    /// A column that is not in scope.
    #[error("column {name} does not exist here")]
    UnknownColumn {
        /// The name as it was written.
        name: String,
        /// The columns in scope.
        known: Vec<String>,
    },
    /// A function that is not in the table.
    #[error("function {name} does not exist")]
    UnknownFunction {
        /// The name as it was written.
        name: String,
        /// The function that is most like it.
        nearest: Option<&'static str>,
    },
    /// A function whose answer changes from call to call.
    #[error("{0} gives another answer each time")]
    NotDeterministic(String),
    /// An aggregate.
    #[error("{0} is an aggregate; an expression sees one row")]
    Aggregate(String),
    /// Arguments that a function does not take.
    #[error("{function} does not take ({got})")]
    Arguments {
        /// The function.
        function: String,
        /// The types of the arguments.
        got: String,
        /// The signatures that there are.
        signatures: Vec<String>,
    },
    /// Operands that an operator does not take.
    #[error("{operator} does not take {got}")]
    Operands {
        /// The operator.
        operator: String,
        /// The types of its operands.
        got: String,
    },
    /// Values of which one is taken, of different types.
    #[error("{what} are {left} and {right}")]
    Branches {
        /// Which values.
        what: &'static str,
        /// The type of the ones before.
        left: String,
        /// The type of this one.
        right: String,
    },
    /// A cast that there is no rule for.
    #[error("{from} cannot be cast to {to}")]
    NoCast {
        /// The type of the value.
        from: String,
        /// The type that was asked for.
        to: String,
    },
    /// A literal that is not what it should be.
    #[error("{text} is not {expected}")]
    Literal {
        /// The literal.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A part of a query that needs more than one event.
    #[error("{0} cannot be asked of one event at a time")]
    NotOnStreams(String),
    /// A computed column of a query without a name.
    #[error("{0} has no name")]
    Nameless(String),
    /// A result that no column can hold, or not the one that is asked for.
    #[error("the result is {got}")]
    Result {
        /// What the result is.
        got: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Refusal {
    /// What the writer can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Syntax(_) => "write one SQL expression, such as price * quantity".to_owned(),
            Self::TooLong { .. } | Self::TooDeep(_) => "split it into derived columns".to_owned(),
            Self::NotInLanguage(_) => "docs/expressions.md lists what an expression may hold".to_owned(),
            Self::UnknownColumn { name, known } => {
                match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean {near}?"),
                    None if known.is_empty() => "there are no columns here".to_owned(),
                    None => format!("the columns are {}", known.join(", ")),
                }
            }
            Self::UnknownFunction { nearest, .. } => match nearest {
                Some(near) => format!("did you mean {near}?"),
                None => "docs/expressions.md lists the functions".to_owned(),
            },
            Self::NotDeterministic(_) => {
                "a value must come out again when it is computed again; in `compute`, `at` is the moment of the row"
                    .to_owned()
            }
            Self::Aggregate(_) => "aggregate over events with `aggregate:`, over what is derived here".to_owned(),
            Self::Arguments { signatures, .. } => format!("it is {}", signatures.join(", or ")),
            Self::Operands { .. } => "cast one of them, such as CAST(text_column AS DOUBLE)".to_owned(),
            Self::Branches { .. } => "make them one type with CAST(… AS …)".to_owned(),
            Self::NoCast { .. } => "docs/expressions.md lists the casts".to_owned(),
            Self::NotOnStreams(_) => {
                "select columns from one source, LEFT JOIN views, and filter with WHERE; aggregate in a view"
                    .to_owned()
            }
            Self::Nameless(text) => format!("write {text} AS name"),
            Self::Literal { .. } => return None,
            Self::Result { expected, .. } => (*expected).to_owned(),
        })
    }

    pub(crate) fn at(self, place: Option<Place>) -> ExpressionError {
        ExpressionError { refusal: self, place }
    }
}

impl ExpressionError {
    /// What the writer can do about it.
    pub fn hint(&self) -> Option<String> {
        self.refusal.hint()
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(formatter)?;
        match self.place {
            Some(Place { line: 1, character }) => write!(formatter, " (at character {character})"),
            Some(Place { line, character }) => {
                write!(formatter, " (at line {line}, character {character})")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExpressionError {}
