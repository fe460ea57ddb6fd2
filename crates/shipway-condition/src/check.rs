//! Types of conditions: what cannot be judged is refused when it is read.

use std::fmt;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, SourceInfo, operators},
};

use crate::{FACTS, NotACondition};

/// The type of a part of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole,
    /// A number with a fraction.
    Fraction,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Wholes,
    /// Texts by their names.
    Tags,
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Flag => "true or false",
            Self::Whole => "a whole number",
            Self::Fraction => "a number with a fraction",
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Wholes => "a list of whole numbers",
            Self::Tags => "texts by name",
        })
    }
}

impl Type {
    const fn is_number(self) -> bool {
        matches!(self, Self::Whole | Self::Fraction)
    }

    const fn has_order(self) -> bool {
        matches!(self, Self::Whole | Self::Fraction | Self::Text)
    }
}

/// Refuses what is not true or false, whatever a call is like.
pub(crate) fn check(expression: &IdedExpr, places: &SourceInfo) -> Result<(), NotACondition> {
    let checker = Checker { places };
    match checker.type_of(expression)? {
        Type::Flag => Ok(()),
        other => {
            Err(checker.refuse(expression, format!("a condition is true or false, and this is {other}")))
        }
    }
}

struct Checker<'a> {
    places: &'a SourceInfo,
}

impl Checker<'_> {
    fn refuse(&self, at: &IdedExpr, problem: String) -> NotACondition {
        let offset = self.places.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        NotACondition { at: offset + 1, problem, hint: None }
    }

    fn type_of(&self, expression: &IdedExpr) -> Result<Type, NotACondition> {
        match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.fact(expression, name),
            Expr::Select(select) => match self.type_of(&select.operand)? {
                Type::Tags if select.test => Ok(Type::Flag),
                Type::Tags => Ok(Type::Text),
                other => Err(self.refuse(expression, format!("{other} has no member {}", select.field))),
            },
            Expr::List(list) => self.list(expression, &list.elements),
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(_) => {
                let problem = "loops such as exists, all, map and filter are not part of conditions";
                Err(self.refuse(expression, problem.to_owned()))
            }
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.refuse(expression, "this is not part of conditions".to_owned()))
            }
        }
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Result<Type, NotACondition> {
        match literal {
            LiteralValue::Boolean(_) => Ok(Type::Flag),
            LiteralValue::Int(_) => Ok(Type::Whole),
            LiteralValue::Double(_) => Ok(Type::Fraction),
            LiteralValue::String(_) => Ok(Type::Text),
            LiteralValue::Bytes(_) | LiteralValue::Null | LiteralValue::UInt(_) => {
                let problem = "conditions know texts, whole numbers, fractions, true and false";
                Err(self.refuse(at, problem.to_owned()))
            }
        }
    }

    fn fact(&self, at: &IdedExpr, name: &str) -> Result<Type, NotACondition> {
        if let Some((_, kind)) = FACTS.iter().find(|(fact, _)| *fact == name) {
            return Ok(*kind);
        }
        let facts: Vec<&str> = FACTS.iter().map(|(fact, _)| *fact).collect();
        let hint = Some(format!("what can be asked for: {}", facts.join(", ")));
        Err(NotACondition { hint, ..self.refuse(at, format!("{name} is nothing that is known of a call")) })
    }

    fn list(&self, at: &IdedExpr, elements: &[IdedExpr]) -> Result<Type, NotACondition> {
        let mut kind = None;
        for element in elements {
            let own = self.type_of(element)?;
            if kind.is_some_and(|kind| kind != own) {
                return Err(self.refuse(element, "a list has things of one type".to_owned()));
            }
            kind = Some(own);
        }
        match kind {
            Some(Type::Text) => Ok(Type::Texts),
            Some(Type::Whole) => Ok(Type::Wholes),
            None => Err(self.refuse(at, "the list is empty".to_owned())),
            Some(other) => Err(self.refuse(at, format!("a list of {other} is not part of conditions"))),
        }
    }

    fn call(&self, at: &IdedExpr, call: &CallExpr) -> Result<Type, NotACondition> {
        let mut kinds = Vec::new();
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            kinds.push(self.type_of(argument)?);
        }
        let name = call.func_name.as_str();
        let found = match (name, kinds.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [Type::Flag, Type::Flag])
            | (operators::LOGICAL_NOT, [Type::Flag])
            | (operators::IN, [Type::Text, Type::Texts | Type::Tags])
            | (operators::IN, [Type::Whole, Type::Wholes])
            | ("contains" | "startsWith" | "endsWith", [Type::Text, Type::Text]) => Some(Type::Flag),
            (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => {
                (one == other || one.is_number() && other.is_number()).then_some(Type::Flag)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [one, other],
            ) => {
                let fits = one.has_order() && (one == other || one.is_number() && other.is_number());
                fits.then_some(Type::Flag)
            }
            (operators::ADD, [Type::Text, Type::Text]) => Some(Type::Text),
            (
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE,
                [one, other],
            ) => (one.is_number() && one == other).then_some(*one),
            (operators::MODULO, [Type::Whole, Type::Whole])
            | ("size", [Type::Text | Type::Texts | Type::Tags | Type::Wholes]) => Some(Type::Whole),
            (operators::NEGATE, [one]) => one.is_number().then_some(*one),
            (operators::CONDITIONAL, [Type::Flag, one, other]) => (one == other).then_some(*one),
            (operators::INDEX, [Type::Tags, Type::Text] | [Type::Texts, Type::Whole]) => Some(Type::Text),
            (operators::INDEX, [Type::Wholes, Type::Whole]) => Some(Type::Whole),
            _ => None,
        };
        found.ok_or_else(|| self.unfit(at, name, &kinds))
    }

    fn unfit(&self, at: &IdedExpr, name: &str, kinds: &[Type]) -> NotACondition {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        let shown = name.trim_matches(['_', '@']).replace("_?_:_", "? :");
        NotACondition {
            hint: Some(
                "conditions know && || ! == != < <= > >= + - * / % ? : in, size(…), has(tags.…), contains, startsWith, endsWith"
                    .to_owned(),
            ),
            ..self.refuse(at, format!("{shown} cannot be used with {}", kinds.join(" and ")))
        }
    }
}
