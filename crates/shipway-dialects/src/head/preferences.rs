//! Which providers a client wishes for, in the words of OpenRouter's clients: the member `provider` of a request.
//!
//! It is for whoever chooses the provider, so it does not go on to one. What is not known here is refused: a wish such as
//! `data_collection: deny` that is silently not kept would be worse than none.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    dialect::Dialect,
    head::{BadRequest, Head},
    json::{Kind, Reader},
    price::Nanos,
};

/// The most names in one list.
const MOST_NAMES: usize = 64;

/// Which providers a client wishes for. Names are those of deployments or of their providers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// These first, in this order.
    #[serde(default)]
    pub order: Vec<String>,
    /// None but these.
    #[serde(default)]
    pub only: Vec<String>,
    /// None of these.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Whether others are asked when those in `order` do not answer; without an order, whether anyone but the first is.
    #[serde(default = "yes")]
    pub allow_fallbacks: bool,
    /// What comes first where `order` does not say.
    #[serde(default)]
    pub sort: Option<SortBy>,
    /// What is too dear is not asked.
    #[serde(default)]
    pub max_price: MaxPrice,
}

/// What a client would have first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    /// The cheapest.
    Price,
    /// The one that writes fastest.
    Throughput,
    /// The one that answers soonest.
    Latency,
}

/// Bounds of prices: dollars for a million tokens, for a request, for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPrice {
    /// Of the input.
    #[serde(default)]
    pub prompt: Option<Nanos>,
    /// Of the output.
    #[serde(default)]
    pub completion: Option<Nanos>,
    /// Of each request.
    #[serde(default)]
    pub request: Option<Nanos>,
    /// Of each image that is made.
    #[serde(default)]
    pub image: Option<Nanos>,
}

const fn yes() -> bool {
    true
}

impl Head {
    /// Reads the member `provider`. What is no object is not ours, and stays where it is.
    pub(super) fn read_preferences(&mut self, value: &mut Reader<'_>) -> Result<(), BadRequest> {
        let wrong = |problem: String| BadRequest::Field { field: "provider".to_owned(), problem };
        let (name_at, kind) = (value.name_position(), value.kind()?);
        let range = value.skip()?;
        if kind != Kind::Object {
            return Ok(());
        }
        if self.places.preferences.is_some() {
            return Err(wrong("it is given twice".to_owned()));
        }
        let preferences: Preferences =
            serde_json::from_slice(value.slice(range.clone())).map_err(|error| {
                let error = error.to_string();
                // The position is one within the member, which nobody sees.
                wrong(error.split(" at line ").next().unwrap_or_default().to_owned())
            })?;
        let lists = [&preferences.order, &preferences.only, &preferences.ignore];
        if lists.iter().any(|list| list.len() > MOST_NAMES) {
            return Err(wrong(format!("a list of it has more than {MOST_NAMES} names")));
        }
        self.preferences = Some(preferences);
        self.places.preferences = Some(name_at..range.end);
        Ok(())
    }
}

/// Takes the client's preferences out of a request; every other byte stays. `head` must have been read from this very body; what comes
/// back is the body that goes on, and its own head. Without preferences nothing is copied.
pub fn take_preferences(dialect: Dialect, body: Bytes, head: Head) -> Result<(Bytes, Head), BadRequest> {
    let Some(member) = head.places.preferences.clone() else { return Ok((body, head)) };
    let rest = without_member(&body, member);
    let own = Head::read(dialect, &rest)?;
    Ok((rest, Head { preferences: head.preferences, ..own }))
}

/// The body without a member of its object, and without the comma that belongs to it.
pub(crate) fn without_member(body: &[u8], member: Range<usize>) -> Bytes {
    let (mut start, mut end) = (member.start, member.end);
    let after = body[end..].iter().position(|byte| !byte.is_ascii_whitespace()).map(|skipped| end + skipped);
    match after.filter(|at| body[*at] == b',') {
        Some(comma) => end = comma + 1,
        // The last member: the comma before it goes.
        None => {
            let before = body[..start].iter().rposition(|byte| !byte.is_ascii_whitespace());
            start = before.filter(|at| body[*at] == b',').unwrap_or(start);
        }
    }
    let mut rest = Vec::with_capacity(body.len() - (end - start));
    rest.extend_from_slice(&body[..start]);
    rest.extend_from_slice(&body[end..]);
    Bytes::from(rest)
}
