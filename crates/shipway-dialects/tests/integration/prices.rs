//! What usage costs: exact, rounded once, never less than it is.

use proptest::prelude::*;
use serde_json::json;
use shipway_dialects::{Extras, Modifier, Nanos, Price, Rates, Tier, Usage};

fn nanos(text: &str) -> Nanos {
    text.parse().unwrap()
}

fn rates(input: &str, output: &str) -> Rates {
    Rates { input: nanos(input), output: nanos(output), ..Rates::default() }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

#[test]
fn money_is_written_and_read_exactly() {
    assert_eq!(nanos("2.5").to_string(), "2.500000000");
    assert_eq!(nanos("-0.000000001"), Nanos(-1));
    assert_eq!(Nanos(-1).to_string(), "-0.000000001");
    for wrong in ["", ".5", "1.", "1.0000000001", "1e3", "+1", "1_0", "99999999999"] {
        assert!(wrong.parse::<Nanos>().is_err(), "{wrong}");
    }
    let read: Vec<Nanos> = serde_json::from_value(json!(["0.15", 0.15, 3, 0.0028])).unwrap();
    assert_eq!(read, [Nanos(150_000_000), Nanos(150_000_000), Nanos(3_000_000_000), Nanos(2_800_000)]);
}

#[test]
fn each_kind_of_token_has_its_price() {
    let price = Price {
        per_million_tokens: Rates {
            cache_read: Some(nanos("0.30")),
            cache_write: Some(nanos("3.75")),
            cache_write_long: Some(nanos("6")),
            output_audio: Some(nanos("80")),
            ..rates("3", "15")
        },
        ..Price::default()
    };
    let usage = Usage {
        input: 1_000,
        cache_read: 10_000,
        cache_write: 2_000,
        cache_write_long: 500,
        output: 300,
        output_audio: 100,
        reasoning: 50,
        ..Usage::default()
    };

    // 3,000 + 3,000 + 7,500 + 3,000 + 200 × 15 + 100 × 80 millionths of a dollar.
    assert_eq!(price.cost(&usage, &Extras::default()), nanos("0.0275"));
}

#[test]
fn a_part_without_a_price_costs_what_the_whole_costs() {
    let price = Price { per_million_tokens: rates("1", "2"), ..Price::default() };
    let usage = Usage {
        input: 1,
        cache_read: 1,
        cache_write: 1,
        cache_write_long: 1,
        output: 2,
        reasoning: 1,
        output_image: 1,
        ..Usage::default()
    };

    assert_eq!(price.cost(&usage, &Extras::default()), Nanos(8_000));
}

#[test]
fn a_long_input_moves_the_whole_call_into_its_tier() {
    let tier = |above, input| Tier { above_input_tokens: above, per_million_tokens: rates(input, "10") };
    let price = Price {
        per_million_tokens: rates("1", "5"),
        tiers: vec![tier(1_000, "3"), tier(200, "2")],
        ..Price::default()
    };
    let cost = |input| price.cost(&tokens(input, 0), &Extras::default());

    assert_eq!(cost(200), Nanos(200_000));
    assert_eq!(cost(201), Nanos(402_000));
    assert_eq!(cost(1_001), Nanos(3_003_000));
    let cached = Usage { input: 1, cache_read: 200, ..Usage::default() };
    assert_eq!(
        price.cost(&cached, &Extras::default()),
        Nanos(402_000),
        "what comes out of a cache is context too"
    );
}

#[test]
fn tiers_of_service_and_things_that_are_no_tokens_are_charged() {
    let price = Price {
        per_million_tokens: rates("10", "10"),
        modifiers: vec![Modifier { service_tier: "batch".to_owned(), factor_millionths: 500_000 }],
        per_request: nanos("0.01"),
        per_image: nanos("0.04"),
        per_second: nanos("0.0001"),
        per_search: nanos("0.01"),
        ..Price::default()
    };
    let usage = Usage { searches: 2, ..tokens(100, 0) };
    let extras = Extras { service_tier: Some("batch"), images: 3, milliseconds: 1_500 };

    assert_eq!(price.cost(&usage, &extras), nanos("0.15065"));
    assert_eq!(price.cost(&tokens(100, 0), &Extras::default()), nanos("0.011"));
}

#[test]
fn a_fraction_is_rounded_up_once() {
    let price = Price { per_million_tokens: rates("0.0028", "0.0001"), ..Price::default() };

    assert_eq!(price.cost(&tokens(1, 0), &Extras::default()), Nanos(3));
    assert_eq!(price.cost(&tokens(5, 0), &Extras::default()), Nanos(14));
    assert_eq!(price.cost(&tokens(1, 1), &Extras::default()), Nanos(3), "2.8 and 0.1 are 2.9");
    assert_eq!(price.cost(&Usage::default(), &Extras::default()), Nanos::ZERO);
}

#[test]
fn a_price_is_read_from_what_people_write() {
    let price: Price = serde_json::from_value(json!({
        "per_million_tokens": {"input": 0.15, "output": "0.60", "cache_read": 0.075},
        "tiers": [{"above_input_tokens": 200_000, "per_million_tokens": {"input": 0.3, "output": 1.2}}],
    }))
    .unwrap();
    assert_eq!(price.per_million_tokens.cache_read, Some(nanos("0.075")));
    let read: Price = serde_json::from_value(serde_json::to_value(&price).unwrap()).unwrap();
    assert_eq!(read, price);

    assert!(
        serde_json::from_value::<Price>(
            json!({"per_million_tokens": {"input": 1, "output": 1, "cached": 1}})
        )
        .is_err()
    );
}

fn usages() -> impl Strategy<Value = Usage> {
    (prop::array::uniform4(0_u64..2_000_000), 0_u64..100_000, 0.0..1.0).prop_map(|(input, output, share)| {
        Usage {
            input: input[0],
            cache_read: input[1],
            cache_write: input[2],
            cache_write_long: input[3],
            output,
            reasoning: (output as f64 * share) as u64,
            ..Usage::default()
        }
    })
}

fn money() -> impl Strategy<Value = Nanos> {
    (0_i64..200_000_000_000).prop_map(Nanos)
}

proptest! {
    #[test]
    fn no_call_is_charged_less_than_it_costs_nor_a_nano_more(usage in usages(), rates in prop::array::uniform5(money())) {
        let [input, output, read, write, long] = rates;
        let price = Price { per_million_tokens: Rates { input, output, cache_read: Some(read), cache_write: Some(write), cache_write_long: Some(long), ..Rates::default() }, ..Price::default() };

        let charged = i128::from(price.cost(&usage, &Extras::default()).0) * 1_000_000;

        let exact: i128 = [(usage.input, input), (usage.output, output), (usage.cache_read, read), (usage.cache_write, write), (usage.cache_write_long, long)]
            .into_iter().map(|(tokens, rate)| i128::from(tokens) * i128::from(rate.0)).sum();
        prop_assert!(charged >= exact && charged < exact + 1_000_000);
    }

    #[test]
    fn what_is_reserved_covers_what_is_used_within_the_estimate(usage in usages(), input in money(), output in money(), read in money(), reasoning in money()) {
        let price = Price { per_million_tokens: Rates { input, output, cache_read: Some(read.min(input)), reasoning: Some(reasoning), ..Rates::default() }, ..Price::default() };

        let reserved = price.reserve(usage.total_input(), usage.output, &Extras::default());

        prop_assert!(reserved >= price.cost(&usage, &Extras::default()));
    }
}

/// A price with everything: parts, tiers whose rates rise, a modifier, things that are no tokens.
fn prices() -> impl Strategy<Value = Price> {
    let parts = prop::array::uniform10(0_i64..50_000_000_000);
    (parts, 1_u64..1_000_000, 0_u32..3_000_000, 0_i64..1_000_000_000).prop_map(
        |(parts, above, factor, each)| {
            let rates = |more: i64| {
                let part = |place: usize| Some(Nanos(parts[place] + more));
                Rates {
                    input: Nanos(parts[0] + more),
                    output: Nanos(parts[1] + more),
                    cache_read: part(2),
                    cache_write: part(3),
                    cache_write_long: part(4),
                    reasoning: part(5),
                    input_audio: part(6),
                    input_image: part(7),
                    output_audio: part(8),
                    output_image: part(9),
                }
            };
            let tier = |above, more| Tier { above_input_tokens: above, per_million_tokens: rates(more) };
            Price {
                per_million_tokens: rates(0),
                tiers: vec![tier(above * 2, 2_000_000_000), tier(above, 1_000_000_000)],
                modifiers: vec![Modifier { service_tier: "flex".to_owned(), factor_millionths: factor }],
                per_request: Nanos(each),
                per_search: Nanos(each),
                ..Price::default()
            }
        },
    )
}

proptest! {
    /// One more token of any kind, with tiers that do not get cheaper, never makes a call cheaper.
    #[test]
    fn more_never_costs_less(usage in usages(), price in prices(), kind in 0_usize..6, more in 1_u64..100_000, flex: bool) {
        let extras = Extras { service_tier: flex.then_some("flex"), ..Extras::default() };
        let mut larger = usage;
        match kind {
            0 => larger.input += more,
            1 => larger.cache_read += more,
            2 => larger.cache_write += more,
            3 => larger.cache_write_long += more,
            4 => larger.output += more,
            _ => larger.searches += more,
        }
        prop_assert!(price.cost(&larger, &extras) >= price.cost(&usage, &extras));
    }

    /// What a call costs is the exact sum of its parts, rounded up once, with tiers and modifiers as without.
    #[test]
    fn the_cost_is_the_exact_sum_of_its_parts(usage in usages(), price in prices(), flex: bool) {
        let extras = Extras { service_tier: flex.then_some("flex"), ..Extras::default() };
        let total = usage.total_input();
        let tier = price.tiers.iter().filter(|tier| total > tier.above_input_tokens).max_by_key(|tier| tier.above_input_tokens);
        let rates = tier.map_or(price.per_million_tokens, |tier| tier.per_million_tokens);
        let factor = if flex { i128::from(price.modifiers[0].factor_millionths) } else { 1_000_000 };
        let parts = [
            (usage.input, Some(rates.input)),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write, rates.cache_write),
            (usage.cache_write_long, rates.cache_write_long),
            (usage.output - usage.reasoning, Some(rates.output)),
            (usage.reasoning, rates.reasoning),
        ];
        let tokens: i128 = parts.iter().map(|(count, rate)| i128::from(*count) * i128::from(rate.unwrap().0)).sum();
        // In millionths of millionths of a nano.
        let exact = tokens * factor + i128::from(price.per_request.0) * 1_000_000_000_000;
        let charged = i128::from(price.cost(&usage, &extras).0) * 1_000_000_000_000;
        prop_assert!(charged >= exact && charged < exact + 1_000_000_000_000);
    }

    /// What is reserved covers what is charged, with everything that a price can have.
    #[test]
    fn what_is_reserved_covers_any_price(usage in usages(), price in prices(), flex: bool) {
        let extras = Extras { service_tier: flex.then_some("flex"), ..Extras::default() };
        prop_assert!(price.reserve(usage.total_input(), usage.output, &extras) >= price.cost(&usage, &extras));
    }
}
