//! How any error of the domain presents itself at an edge, without knowing that edge.

use std::borrow::Cow;

/// The nine kinds of failure that cross an edge. Each wire maps a kind to its own status exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong; sending it again will not help.
    Invalid,
    /// The caller did not say who it is.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The thing named does not exist.
    NotFound,
    /// The thing exists in a state that does not allow this.
    Conflict,
    /// The request is larger than a documented bound.
    TooLarge,
    /// A quota or a rate is used up; later may work.
    Exhausted,
    /// A part that is needed does not answer or is not ready; later may work.
    Unavailable,
    /// A defect, or damage, on our side.
    Internal,
}

/// What every domain error answers at an edge. `Display` is the sentence for a person and never repeats `source()`.
pub trait Failure: std::error::Error {
    /// The kind, which decides the status on each wire.
    fn kind(&self) -> Kind;

    /// A stable code, `area.what_happened`, that has a page under `docs/errors/`.
    fn code(&self) -> &'static str;

    /// What the reader can do about it, lower case, without a full stop.
    fn hint(&self) -> Option<Cow<'static, str>> {
        None
    }
}

/// The sentence of `error` followed by those of its sources, joined by `: `. For logs, at the boundary, once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
