//! Decides whether a condition on a call holds. Conditions are written in CEL, the Common Expression Language.
//!
//! What is allowed is less than all of CEL: comparisons, logic, arithmetic, `in`, `size`, `contains`, `startsWith`, `endsWith` and `has`, over
//! the facts of a call. There are no loops and no macros that make them, so judging a condition takes time in proportion to its length and
//! that of the facts. Every condition is checked when it is read: a name that does not exist or a type that does not fit is refused there,
//! with its place, and not found out while a call waits. Pure.
//!
//! - `check`: types
//! - `facts`: what a condition may look at
//! - here: reading and judging
#![deny(missing_docs)]

mod check;
mod facts;

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, Program, Value, parser::Parser};

pub use facts::{FACTS, Facts};

/// The longest condition, in bytes.
pub const LONGEST_BYTES: usize = 1_000;
/// How deep a condition may nest.
const DEEPEST: u16 = 32;

/// What is known while a condition is judged: the functions of the language.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition that was checked. Cheap to clone.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    program: Arc<Program>,
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct NotACondition {
    /// Which character of the text, from 1.
    pub at: usize,
    /// What is wrong there.
    pub problem: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl Condition {
    /// Reads and checks a condition.
    pub fn parse(text: &str) -> Result<Self, NotACondition> {
        let refused = |at: usize, problem: String| NotACondition { at, problem, hint: None };
        if text.len() > LONGEST_BYTES {
            return Err(refused(1, format!("it is longer than {LONGEST_BYTES} bytes")));
        }
        if deepest(text) > usize::from(DEEPEST) {
            return Err(refused(1, format!("it nests deeper than {DEEPEST} levels")));
        }
        let parsed = Parser::new().max_recursion_depth(DEEPEST * 2).parse_with_source_info(text);
        let (expression, places) = parsed.map_err(|errors| {
            let first = errors.errors.first();
            let at = first.map_or(1, |error| usize::try_from(error.pos.1).unwrap_or(1).max(1));
            let problem = first.map_or_else(|| "it cannot be read".to_owned(), |error| in_words(&error.msg));
            refused(at, problem)
        })?;
        check::check(&expression, &places)?;
        let program = ENVIRONMENT.compile(text).map_err(|errors| refused(1, errors.to_string()))?;
        Ok(Self { text: text.into(), program: Arc::new(program) })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for a call. What has no answer, such as a division by zero or a tag that the call does not have, does not hold.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        facts.put_into(&mut context);
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }
}

/// Two conditions are the same if they are written alike.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Condition").field(&self.text).finish()
    }
}

/// What the parser says, without its list of everything that could have stood there.
fn in_words(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting {").next().unwrap_or(message);
    message.replace("'<EOF>'", "the end")
}

/// How deep brackets and signs nest, also within quotes: the parser must not be sent deeper than its stack allows.
fn deepest(text: &str) -> usize {
    let (mut open, mut signs, mut deepest) = (0_usize, 0_usize, 0_usize);
    for character in text.chars().filter(|character| !character.is_whitespace()) {
        match character {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        signs = if matches!(character, '!' | '-') { signs + 1 } else { 0 };
        deepest = deepest.max(open).max(signs);
    }
    deepest
}

#[cfg(test)]
mod tests;
