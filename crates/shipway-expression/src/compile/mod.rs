//! Text to tree: the parser's syntax tree is walked once; names, types and constants are settled on the way.
//!
//! - `literals`: numbers, texts, typed texts, intervals
//! - `operators`: arithmetic, comparisons, conditions
//! - `calls`: functions and what SQL writes like them

mod calls;
mod literals;
mod operators;

use shipway_core::{DataType, DecimalType, Value};
use sqlparser::{
    ast::{AccessExpr, CastKind, Expr, Ident, Spanned, Subscript},
    dialect::GenericDialect,
    parser::{Parser, ParserError},
    tokenizer::Token,
};

use crate::{
    LONGEST_TEXT,
    error::{ExpressionError, Place, Refusal},
    node::Node,
    scope::Scope,
    values,
};

/// How deep the parser and this compiler go.
pub(crate) const DEEPEST: usize = 100;

/// The type of a part of an expression. Null is of no type yet; an interval is a length of time in microseconds, which no
/// column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Interval,
    Value(DataType),
}

impl Kind {
    pub(crate) const BOOL: Self = Self::Value(DataType::Bool);
    pub(crate) const INT: Self = Self::Value(DataType::Int);
    pub(crate) const FLOAT: Self = Self::Value(DataType::Float);
    pub(crate) const TEXT: Self = Self::Value(DataType::Text);
    pub(crate) const TIMESTAMP: Self = Self::Value(DataType::Timestamp);

    pub(crate) const fn data_type(self) -> Option<DataType> {
        match self {
            Self::Value(data_type) => Some(data_type),
            Self::Null | Self::Interval => None,
        }
    }

    pub(crate) fn word(self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Interval => "interval".to_owned(),
            Self::Value(data_type) => data_type.to_string(),
        }
    }

    pub(crate) fn with_article(self) -> String {
        match self {
            Self::Null => "null and of no type".to_owned(),
            Self::Interval => "an interval".to_owned(),
            Self::Value(data_type) => data_type.to_string(),
        }
    }
}

/// A tree and its type.
pub(crate) type Typed = (Node, Kind);

type Compiled = Result<Typed, ExpressionError>;

/// Compiles `text` over the columns of `scope`.
pub(crate) fn compile(text: &str, scope: &Scope) -> Compiled {
    if text.len() > LONGEST_TEXT {
        return Err(Refusal::TooLong { got: text.len(), limit: LONGEST_TEXT }.at(None));
    }
    let dialect = GenericDialect {};
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(DEEPEST).try_with_sql(text).map_err(syntax)?;
    let parsed = parser.parse_expr().map_err(syntax)?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let what = format!("expected the end of the expression, found {}", rest.token);
        return Err(Refusal::Syntax(what).at(place_of(&rest.span)));
    }
    compile_parsed(&parsed, scope)
}

/// Compiles what was parsed as a part of something else.
pub(crate) fn compile_parsed(parsed: &Expr, scope: &Scope) -> Compiled {
    Compiler { scope }.compile(parsed, 0)
}

/// The parser writes the place behind its message.
pub(crate) fn syntax(error: ParserError) -> ExpressionError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return Refusal::TooDeep(DEEPEST).at(None),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (what, place) = match message.rsplit_once(" at Line: ") {
        Some((what, place)) => (what, place.split_once(", Column: ")),
        None => (message.as_str(), None),
    };
    let place = place.and_then(|(line, character)| {
        Some(Place { line: line.trim().parse().ok()?, character: character.trim().parse().ok()? })
    });
    let mut letters = what.chars();
    let first = letters.next().map(char::to_lowercase);
    Refusal::Syntax(first.into_iter().flatten().chain(letters).collect()).at(place)
}

fn place_of(span: &sqlparser::tokenizer::Span) -> Option<Place> {
    let start = span.start;
    (start.line > 0).then_some(Place { line: start.line, character: start.column })
}

pub(crate) fn place(of: &impl Spanned) -> Option<Place> {
    place_of(&of.span())
}

/// Names that are not quoted are lower case, as every name of a definition is.
pub(crate) fn name_of(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

struct Compiler<'s> {
    scope: &'s Scope,
}

impl Compiler<'_> {
    fn compile(&self, expr: &Expr, depth: usize) -> Compiled {
        if depth > DEEPEST {
            return Err(Refusal::TooDeep(DEEPEST).at(place(expr)));
        }
        let deeper = depth + 1;
        let (node, kind) = match expr {
            Expr::Nested(inner) => self.compile(inner, deeper)?,
            Expr::Identifier(name) => self.column(name)?,
            Expr::CompoundIdentifier(parts) => self.prefixed(parts, place(expr))?,
            Expr::Value(value) => literals::value(value)?,
            Expr::TypedString(typed) => literals::typed(typed)?,
            Expr::Interval(interval) => literals::interval(interval)?,
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, deeper)?,
            Expr::Cast {
                kind: CastKind::Cast | CastKind::TryCast | CastKind::SafeCast | CastKind::DoubleColon,
                expr: inner,
                data_type,
                array: false,
                format: None,
            } => {
                let value = self.compile(inner, deeper)?;
                values::cast::cast(value, &data_type.to_string())
                    .map_err(|refusal| refusal.at(place(expr)))?
            }
            Expr::UnaryOp { .. }
            | Expr::BinaryOp { .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::Case { .. } => self.operator(expr, deeper)?,
            other => self.call(other, deeper)?,
        };
        Ok((node.folded(), kind))
    }

    fn column(&self, ident: &Ident) -> Compiled {
        let name = name_of(ident);
        match self.scope.find(&name) {
            Some((data_type, position)) => Ok((Node::Column(position), Kind::Value(data_type))),
            None => Err(Refusal::UnknownColumn { name, known: self.scope.names() }.at(place_of(&ident.span))),
        }
    }

    /// A column with its table in front, where there are tables.
    fn prefixed(&self, parts: &[Ident], place: Option<Place>) -> Compiled {
        let names: Vec<String> = parts.iter().map(name_of).collect();
        let name = names.join(".");
        match self.scope.find(&name) {
            Some((data_type, position)) => Ok((Node::Column(position), Kind::Value(data_type))),
            None if self.scope.has_tables() => {
                Err(Refusal::UnknownColumn { name, known: self.scope.names() }.at(place))
            }
            // A feature is a column of one name.
            None => {
                let what = format!("{name} with a dot (a feature is named view__feature)");
                Err(Refusal::NotInLanguage(what).at(place))
            }
        }
    }

    /// `list[1]` counts from 1; `map['key']`.
    fn access(&self, root: &Expr, chain: &[AccessExpr], depth: usize) -> Compiled {
        let mut held = self.compile(root, depth)?;
        for access in chain {
            let AccessExpr::Subscript(Subscript::Index { index }) = access else {
                return Err(Refusal::NotInLanguage("access to a part other than by [index]".to_owned())
                    .at(place(root)));
            };
            let index = self.compile(index, depth)?;
            held = match (held.1, index.1) {
                (Kind::Value(DataType::List(item)), Kind::INT) => {
                    let sides = Box::new([held.0, index.0]);
                    (Node::Two(values::nested::item, sides), Kind::Value(item.data_type()))
                }
                (Kind::Value(DataType::Map(item)), Kind::TEXT) => {
                    let sides = Box::new([held.0, index.0]);
                    (Node::Two(values::nested::entry, sides), Kind::Value(item.data_type()))
                }
                (held, index) => {
                    let got = format!("{} and {}", held.word(), index.word());
                    return Err(Refusal::Operands { operator: "[…]".to_owned(), got }.at(place(root)));
                }
            };
        }
        Ok(held)
    }
}

/// Makes both of one type: an int or a decimal becomes a float beside a float, an int a decimal beside a decimal, null is of
/// every type, and the text of a moment beside a timestamp is that moment. None when there is no such type.
fn unified(left: Typed, right: Typed) -> Result<(Node, Node, Kind), (Kind, Kind)> {
    let kinds = (left.1, right.1);
    let moment = |node: &Node| match node {
        Node::Literal(Value::Text(text)) => {
            text.parse().ok().map(|moment| Node::Literal(Value::Timestamp(moment)))
        }
        _ => None,
    };
    match kinds {
        (one, other) if one == other => Ok((left.0, right.0, one)),
        (Kind::Null, kind) | (kind, Kind::Null) => Ok((left.0, right.0, kind)),
        (Kind::INT | Kind::Value(DataType::Decimal(_)), Kind::FLOAT) => {
            Ok((widened(left.0), right.0, Kind::FLOAT))
        }
        (Kind::FLOAT, Kind::INT | Kind::Value(DataType::Decimal(_))) => {
            Ok((left.0, widened(right.0), Kind::FLOAT))
        }
        (one, other) if scale_of(one).is_some() && scale_of(other).is_some() => {
            rescaled(left, right).ok_or(kinds)
        }
        (Kind::TEXT, Kind::TIMESTAMP) => match moment(&left.0) {
            Some(moment) => Ok((moment, right.0, Kind::TIMESTAMP)),
            None => Err(kinds),
        },
        (Kind::TIMESTAMP, Kind::TEXT) => match moment(&right.0) {
            Some(moment) => Ok((left.0, moment, Kind::TIMESTAMP)),
            None => Err(kinds),
        },
        _ => Err(kinds),
    }
}

/// The digits after the point of an exact number.
const fn scale_of(kind: Kind) -> Option<u8> {
    match kind {
        Kind::INT => Some(0),
        Kind::Value(DataType::Decimal(decimal)) => Some(decimal.scale()),
        _ => None,
    }
}

/// The type of decimals with that scale and as many digits as there can be.
fn decimal_of(scale: u8) -> Option<Kind> {
    DecimalType::new(DecimalType::MOST_DIGITS, scale).map(|decimal| Kind::Value(DataType::Decimal(decimal)))
}

/// An exact number as a decimal of that scale.
fn with_scale((node, kind): Typed, scale: u8) -> Node {
    if matches!(kind, Kind::Value(DataType::Decimal(decimal)) if decimal.scale() == scale) {
        return node;
    }
    let sides = [node, Node::Literal(Value::Int(i64::from(scale)))];
    Node::Two(values::decimals::rescaled, Box::new(sides)).folded()
}

/// Two exact numbers as decimals of the larger scale; none unless both are.
fn rescaled(left: Typed, right: Typed) -> Option<(Node, Node, Kind)> {
    let scale = scale_of(left.1)?.max(scale_of(right.1)?);
    Some((with_scale(left, scale), with_scale(right, scale), decimal_of(scale)?))
}

/// An int or a decimal as a float.
fn widened(node: Node) -> Node {
    Node::One(values::numbers::to_float, Box::new(node)).folded()
}

/// All values made of one type; `what` they are, for the message.
fn unified_all(
    what: &'static str,
    values: Vec<(Typed, Option<Place>)>,
) -> Result<(Vec<Node>, Kind), ExpressionError> {
    let mut kind = Kind::Null;
    for (value, place) in &values {
        // Only the type is of interest in this pass; literals decide nothing but their own type.
        let found = unified((Node::Literal(Value::Null), kind), (value.0.clone(), value.1));
        kind = found.map(|(.., kind)| kind).map_err(|(left, right)| {
            Refusal::Branches { what, left: left.word(), right: right.word() }.at(*place)
        })?;
    }
    let nodes = values.into_iter().map(|(value, place)| {
        let found = unified((Node::Literal(Value::Null), kind), value);
        found.map(|(_, node, _)| node).map_err(|(left, right)| {
            Refusal::Branches { what, left: left.word(), right: right.word() }.at(place)
        })
    });
    Ok((nodes.collect::<Result<_, _>>()?, kind))
}
