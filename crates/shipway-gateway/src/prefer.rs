//! What a caller wishes of providers, kept among the deployments that the route leaves. Pure.

use shipway_dialects::{Preferences, Price, SortBy};

use crate::order::Candidate;

/// What decides about a deployment here.
pub(crate) struct Known<'a> {
    pub(crate) name: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) price: Option<&'a Price>,
    /// What the call is likely to cost there.
    pub(crate) cost: Option<i64>,
    /// How long it is likely to wait.
    pub(crate) wait: Option<u64>,
    pub(crate) tokens_per_second: Option<f64>,
}

impl Known<'_> {
    fn is(&self, wish: &str) -> bool {
        self.name.eq_ignore_ascii_case(wish) || self.provider.eq_ignore_ascii_case(wish)
    }

    fn is_within(&self, wishes: &Preferences) -> bool {
        let bounds = &wishes.max_price;
        let Some(price) = self.price else {
            // What is not known may be anything.
            return *bounds == shipway_dialects::MaxPrice::default();
        };
        let rates = &price.per_million_tokens;
        [
            (bounds.prompt, rates.input),
            (bounds.completion, rates.output),
            (bounds.request, price.per_request),
            (bounds.image, price.per_image),
        ]
        .iter()
        .all(|(most, own)| most.is_none_or(|most| *own <= most))
    }
}

/// The candidates that `wishes` allow, in the order that they ask for; otherwise as they were.
pub(crate) fn prefer<'a>(
    candidates: Vec<Candidate>,
    wishes: &Preferences,
    known: impl Fn(usize) -> Known<'a>,
) -> Vec<Candidate> {
    let mut left: Vec<(Candidate, Known<'a>)> = candidates
        .into_iter()
        .map(|candidate| {
            let known = known(candidate.place);
            (candidate, known)
        })
        .filter(|(_, one)| wishes.only.is_empty() || wishes.only.iter().any(|wish| one.is(wish)))
        .filter(|(_, one)| !wishes.ignore.iter().any(|wish| one.is(wish)))
        .filter(|(_, one)| one.is_within(wishes))
        .collect();
    match wishes.sort {
        None => {}
        Some(SortBy::Price) => left.sort_by_key(|(_, one)| one.cost.map_or((1, 0), |cost| (0, cost))),
        Some(SortBy::Latency) => left.sort_by_key(|(_, one)| one.wait.unwrap_or(0)),
        // Those without a figure first: one call finds out.
        Some(SortBy::Throughput) => left.sort_by(|(_, one), (_, other)| {
            let speed = |one: &Known<'_>| one.tokens_per_second.unwrap_or(f64::INFINITY);
            speed(other).total_cmp(&speed(one))
        }),
    }
    // Stable: those that `order` does not name stay behind it as they were.
    let named = |one: &Known<'_>| wishes.order.iter().position(|wish| one.is(wish));
    left.sort_by_key(|(_, one)| named(one).unwrap_or(usize::MAX));
    if !wishes.allow_fallbacks {
        match wishes.order.is_empty() {
            true => left.truncate(1),
            false => left.retain(|(_, one)| named(one).is_some()),
        }
    }
    let says = |index: usize, candidate: Candidate| {
        let why = if index == 0 { "preference of the request".to_owned() } else { candidate.why };
        Candidate { why, ..candidate }
    };
    left.into_iter().enumerate().map(|(index, (candidate, _))| says(index, candidate)).collect()
}

#[cfg(test)]
mod tests {
    use shipway_dialects::{Nanos, Rates};

    use super::*;

    const NAMES: [(&str, &str); 4] =
        [("eu", "openai"), ("us", "openai"), ("spare", "vllm"), ("late", "vllm")];

    fn asked(wishes: &str) -> Vec<usize> {
        let wishes: Preferences = serde_json::from_str(wishes).unwrap();
        let price = |dollars: i64| {
            let rates = Rates { input: Nanos(dollars * 1_000_000_000), output: Nanos(1), ..Rates::default() };
            Price { per_million_tokens: rates, ..Price::default() }
        };
        let prices = [Some(price(3)), Some(price(2)), Some(price(1)), None];
        let known = |place: usize| Known {
            name: NAMES[place].0,
            provider: NAMES[place].1,
            price: prices[place].as_ref(),
            cost: prices[place].as_ref().map(|price| price.per_million_tokens.input.0),
            wait: [Some(30), Some(40), Some(10), None][place],
            tokens_per_second: [Some(80.0), Some(20.0), Some(90.0), Some(1.0)][place],
        };
        let candidates = (0..4).map(|place| Candidate { place, why: String::new() }).collect();
        prefer(candidates, &wishes, known).into_iter().map(|one| one.place).collect()
    }

    #[test]
    fn wishes_choose_among_deployments_by_their_names_and_providers() {
        assert_eq!(asked("{}"), [0, 1, 2, 3]);
        assert_eq!(asked(r#"{"only":["OpenAI"]}"#), [0, 1]);
        assert_eq!(asked(r#"{"ignore":["openai","late"]}"#), [2]);
        assert_eq!(asked(r#"{"order":["spare","us"]}"#), [2, 1, 0, 3]);
        assert_eq!(asked(r#"{"order":["spare","us"],"allow_fallbacks":false}"#), [2, 1]);
        assert_eq!(asked(r#"{"allow_fallbacks":false}"#), [0]);
        assert_eq!(asked(r#"{"sort":"price"}"#), [2, 1, 0, 3]);
        assert_eq!(asked(r#"{"sort":"latency"}"#), [3, 2, 0, 1]);
        assert_eq!(asked(r#"{"sort":"throughput","order":["us"]}"#), [1, 2, 0, 3]);
        assert_eq!(asked(r#"{"max_price":{"prompt":2}}"#), [1, 2]);
        assert_eq!(asked(r#"{"only":["nobody"]}"#), [0_usize; 0]);
    }
}
