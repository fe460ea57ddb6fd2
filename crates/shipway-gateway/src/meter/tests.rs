//! The laws of the meter: reserve with everyone or nobody, budgets hold, sums agree.

use proptest::prelude::*;
use shipway_core::Name;
use shipway_dialects::Nanos;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

fn key() -> Scope {
    Scope::Key("k".to_owned())
}

fn group(name: &str) -> Scope {
    Scope::Group(Name::new(name).unwrap())
}

fn budget(nanos: i64, window: Window) -> Limits {
    let budgets = vec![Budget { dollars: Nanos(nanos), window }];
    Limits { budgets, ..Limits::default() }
}

fn amount(nanos: i64, tokens: i64) -> Amount {
    Amount { nanos, tokens }
}

#[test]
fn a_call_reserves_with_everyone_or_with_nobody() {
    let meter = Meter::default();
    let chain: Chain = vec![key(), group("team")];
    meter.set_limits(&key(), Limits { requests_per_minute: Some(2), ..Limits::default() });
    meter.set_limits(&group("team"), budget(100, Window::Day));
    let first = meter.reserve(&chain, amount(60, 10), NOW).unwrap();
    let (scope, bound) = meter.reserve(&chain, amount(60, 10), NOW).unwrap_err();
    assert_eq!(scope, group("team"));
    assert!(matches!(bound, Bound::Budget { left_nanos: 40, asked_nanos: 60, .. }), "{bound:?}");
    // The refused call has used nothing of the key's rate.
    meter.settle(&first, amount(10, 10));
    meter.reserve(&chain, amount(60, 10), NOW).unwrap();
    let (scope, bound) = meter.reserve(&chain, amount(1, 1), NOW).unwrap_err();
    assert_eq!(scope, key());
    assert!(matches!(bound, Bound::Requests { limit: 2, free_us: Some(_) }), "{bound:?}");
    let usage = meter.usage(&group("team"), NOW);
    assert_eq!((usage.reserved_nanos, usage.running, usage.calls), (60, 1, 1));
    assert!(usage.spent.iter().all(|(_, nanos)| *nanos == 10));
}

#[test]
fn tokens_that_were_reserved_and_not_used_are_given_back_to_the_minute() {
    let meter = Meter::default();
    let chain: Chain = vec![key()];
    let limits = Limits { tokens_per_minute: Some(1_000), concurrency: Some(2), ..Limits::default() };
    meter.set_limits(&key(), limits);
    let first = meter.reserve(&chain, amount(0, 900), NOW).unwrap();
    assert!(matches!(
        meter.reserve(&chain, amount(0, 200), NOW).unwrap_err().1,
        Bound::Tokens { asked: 200, .. }
    ));
    meter.settle(&first, amount(0, 100));
    assert_eq!(meter.standing(&chain, NOW)[1].map(|(limit, left, _)| (limit, left)), Some((1_000, 900)));
    let _second = meter.reserve(&chain, amount(0, 200), NOW).unwrap();
    let _third = meter.reserve(&chain, amount(0, 200), NOW).unwrap();
    assert!(matches!(
        meter.reserve(&chain, amount(0, 1), NOW).unwrap_err().1,
        Bound::Concurrency { limit: 2 }
    ));
    let never = meter.reserve(&vec![key()], amount(0, 2_000), NOW).unwrap_err().1;
    assert!(matches!(never, Bound::Concurrency { .. } | Bound::Tokens { free_us: None, .. }));
}

#[test]
fn a_budget_begins_anew_with_its_window_and_a_new_one_counts_what_was_spent_before() {
    let meter = Meter::default();
    let chain: Chain = vec![key()];
    let call = meter.reserve(&chain, amount(50, 0), NOW).unwrap();
    meter.settle(&call, amount(50, 0));
    meter.set_limits(&key(), budget(60, Window::Hour));
    assert!(meter.reserve(&chain, amount(20, 0), NOW).is_err());
    let next = Window::Hour.end(NOW).unwrap();
    assert!(meter.reserve(&chain, amount(20, 0), next).is_ok());
    meter.set_limits(&key(), budget(60, Window::Total));
    assert!(meter.reserve(&chain, amount(20, 0), next).is_err());
}

#[test]
fn a_used_up_budget_refuses_calls_that_cost_nothing_too() {
    let meter = Meter::default();
    let chain: Chain = vec![key()];
    meter.set_limits(&key(), budget(0, Window::Day));
    assert!(meter.reserve(&chain, amount(0, 0), NOW).is_err());
}

/// What a random caller does next.
#[derive(Debug, Clone)]
enum Step {
    Begin { key: usize, nanos: i64 },
    End { which: usize, share: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begin = (0usize..3, 1i64..1_000).prop_map(|(key, nanos)| Step::Begin { key, nanos });
    let end = (0usize..64, 0i64..=100).prop_map(|(which, share)| Step::End { which, share });
    prop::collection::vec(prop_oneof![begin, end], 0..200)
}

proptest! {
    /// Calls cost at most what was reserved here, so a budget is never passed at all.
    #[test]
    fn budgets_hold_and_what_groups_spent_is_what_their_calls_cost(steps in steps(), own in 1i64..5_000, shared in 1i64..10_000) {
        let meter = Meter::default();
        let keys: Vec<Scope> = (0..3).map(|index| Scope::Key(index.to_string())).collect();
        for key in &keys {
            meter.set_limits(key, budget(own, Window::Total));
        }
        meter.set_limits(&group("all"), budget(shared, Window::Total));
        let (mut running, mut cost) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Begin { key, nanos } => {
                    let chain: Chain = vec![keys[key].clone(), group("all")];
                    running.extend(meter.reserve(&chain, amount(nanos, 0), NOW));
                }
                Step::End { which, share } if !running.is_empty() => {
                    let call: Reservation = running.swap_remove(which % running.len());
                    let used = call.asked.nanos * share / 100;
                    meter.settle(&call, amount(used, 0));
                    cost += used;
                }
                Step::End { .. } => {}
            }
            let total = |scope: &Scope| meter.usage(scope, NOW).spent.last().unwrap().1;
            let reserved: i64 = running.iter().map(|call| call.asked.nanos).sum();
            prop_assert_eq!(total(&group("all")), cost);
            prop_assert_eq!(keys.iter().map(total).sum::<i64>(), cost);
            prop_assert_eq!(meter.usage(&group("all"), NOW).reserved_nanos, reserved);
            prop_assert!(cost + reserved <= shared);
            for key in &keys {
                prop_assert!(total(key) + meter.usage(key, NOW).reserved_nanos <= own);
            }
        }
    }

    /// A call that costs more than was reserved passes a budget by no more than that.
    #[test]
    fn a_budget_is_passed_by_no_more_than_calls_in_flight_cost_beyond_what_they_reserved(
        calls in prop::collection::vec((1i64..500, 0i64..1_000), 1..60),
        limit in 1i64..5_000,
    ) {
        let meter = Meter::default();
        let chain: Chain = vec![key()];
        meter.set_limits(&key(), budget(limit, Window::Total));
        let mut in_flight = Vec::new();
        for (asked, used) in calls {
            if let Ok(call) = meter.reserve(&chain, amount(asked, 0), NOW) {
                in_flight.push((call, used));
            }
            if in_flight.len() > 3 {
                let (call, used) = in_flight.remove(0);
                let beyond: i64 = (used - call.asked.nanos).max(0);
                let before = meter.usage(&key(), NOW);
                let held = before.spent.last().unwrap().1 + before.reserved_nanos;
                meter.settle(&call, amount(used, 0));
                let after = meter.usage(&key(), NOW);
                prop_assert!(after.spent.last().unwrap().1 + after.reserved_nanos <= held.max(limit) + beyond);
            }
        }
    }
}

#[test]
fn a_connection_is_one_of_the_calls_at_once_and_what_begins_over_it_counts_when_it_begins() {
    let meter = Meter::default();
    let chain: Chain = vec![key()];
    let budgets = budget(100, Window::Day).budgets;
    let limits = Limits {
        concurrency: Some(1),
        requests_per_minute: Some(1),
        tokens_per_minute: Some(1_000),
        budgets,
        ..Limits::default()
    };
    meter.set_limits(&key(), limits);
    let connection = meter.connect(&chain, NOW).unwrap();
    assert!(matches!(meter.connect(&chain, NOW).unwrap_err().1, Bound::Concurrency { limit: 1 }));
    let mut ahead = meter.reserve_ahead(&chain, amount(60, 900), NOW).unwrap();
    // It holds money and nothing else yet.
    let more = meter.reserve_ahead(&chain, amount(60, 900), NOW).unwrap_err().1;
    assert!(matches!(more, Bound::Budget { left_nanos: 40, .. }), "{more:?}");
    assert_eq!(meter.refuses_rates(&chain, 900, NOW), None);
    let later = Timestamp(NOW.0 + 3_600_000_000);
    meter.begin(&mut ahead, later);
    meter.begin(&mut ahead, later);
    assert!(matches!(meter.refuses_rates(&chain, 0, later), Some((_, Bound::Requests { limit: 1, .. }))));
    meter.settle(&ahead, amount(30, 100));
    let unused = meter.reserve_anyway(&chain, amount(500, 0), later);
    assert_eq!(meter.usage(&key(), later).reserved_nanos, 500);
    meter.give_back(&unused);
    meter.settle(&connection, Amount::default());
    let usage = meter.usage(&key(), later);
    assert_eq!((usage.reserved_nanos, usage.running, usage.calls), (0, 0, 2));
    assert!(usage.spent.iter().all(|(_, nanos)| *nanos == 30), "{usage:?}");
    let minute_later = Timestamp(later.0 + 62_000_000);
    assert!(meter.reserve_ahead(&chain, amount(70, 900), minute_later).is_ok());
}
