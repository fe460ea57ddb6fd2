use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shipway_condition::Facts;

use super::*;

/// Six deployments, of which some are missing, left out, known, or dear.
struct Played {
    missing: BTreeSet<usize>,
    ill: BTreeSet<usize>,
    waits: BTreeMap<usize, u64>,
    costs: BTreeMap<usize, i64>,
    facts: Facts<'static>,
    session: Option<String>,
    chance: Box<dyn FnMut(u64) -> u64>,
}

fn played() -> Played {
    Played {
        missing: BTreeSet::new(),
        ill: BTreeSet::new(),
        waits: BTreeMap::new(),
        costs: BTreeMap::new(),
        facts: Facts::default(),
        session: None,
        chance: Box::new(|_| 0),
    }
}

impl Outlook for Played {
    fn is_there(&self, place: usize) -> bool {
        !self.missing.contains(&place)
    }

    fn is_well(&self, place: usize) -> bool {
        !self.ill.contains(&place)
    }

    fn wait(&self, place: usize) -> Option<u64> {
        self.waits.get(&place).copied()
    }

    fn cost(&self, place: usize) -> Option<i64> {
        self.costs.get(&place).copied()
    }

    fn holds(&self, condition: &Condition) -> bool {
        condition.holds(&self.facts)
    }

    fn session(&self, _: &Stickiness) -> Option<String> {
        self.session.clone()
    }

    fn draw(&self, session: &str, place: usize) -> u64 {
        crate::stick::draw("m", session, &format!("d{place}"))
    }

    fn chance(&mut self, below: u64) -> u64 {
        (self.chance)(below)
    }
}

fn at(place: usize) -> Route {
    Route::Deployment(place)
}

fn all(count: usize) -> Vec<Route> {
    (0..count).map(at).collect()
}

fn places(route: &Route, outlook: &mut Played) -> Vec<usize> {
    order(route, outlook).into_iter().map(|candidate| candidate.place).collect()
}

#[test]
fn strategies_nest_and_a_deployment_is_tried_once() {
    let route = Route::Fallback(vec![Route::Weighted(vec![(at(0), 3), (at(1), 1)]), at(2), at(0)]);
    let mut outlook = Played { chance: Box::new(|_| 2), ..played() };
    assert_eq!(places(&route, &mut outlook), [0, 1, 2]);
    outlook.chance = Box::new(|sum| sum - 1);
    assert_eq!(places(&route, &mut outlook), [1, 0, 2]);
    outlook.missing.insert(1);
    assert_eq!(places(&route, &mut outlook), [0, 2]);
}

#[test]
fn the_fastest_of_the_healthy_is_first_and_one_without_figures_is_tried() {
    let route = Route::Latency(all(2));
    let mut outlook = Played { waits: BTreeMap::from([(0, 900), (1, 100)]), ..played() };
    assert_eq!(places(&route, &mut outlook), [1, 0]);
    outlook.ill.insert(1);
    assert_eq!(places(&route, &mut outlook), [0, 1]);
    outlook.ill.clear();
    outlook.waits.remove(&0);
    assert_eq!(places(&route, &mut outlook), [0, 1]);
}

#[test]
fn of_many_the_better_of_two_by_chance_is_first() {
    let route = Route::Latency(all(4));
    let waits = BTreeMap::from([(0, 400), (1, 300), (2, 200), (3, 100)]);
    let mut outlook = Played { waits, chance: Box::new(|below| below - 1), ..played() };
    // By their waits they are 3, 2, 1, 0; the last two of them are drawn.
    assert_eq!(places(&route, &mut outlook), [1, 3, 2, 0]);
    outlook.chance = Box::new(|_| 0);
    assert_eq!(places(&route, &mut outlook), [3, 2, 1, 0]);
}

#[test]
fn the_cheapest_is_first_and_an_unknown_price_last() {
    let route = Route::Cost(all(3));
    let mut outlook = Played { costs: BTreeMap::from([(0, 9), (2, 4)]), ..played() };
    let candidates = order(&route, &mut outlook);
    assert_eq!(candidates.iter().map(|one| one.place).collect::<Vec<_>>(), [2, 0, 1]);
    assert_eq!(candidates[0].why, "cost");
}

#[test]
fn the_first_condition_that_holds_decides_and_others_are_not_tried() {
    let condition = |text: &str| Condition::parse(text).unwrap();
    let route = Route::Conditional(
        vec![
            (condition("stream"), at(0)),
            (condition("input_tokens > 10"), Route::Latency(vec![at(1), at(2)])),
        ],
        Box::new(at(3)),
    );
    let mut outlook = played();
    assert_eq!(order(&route, &mut outlook), [Candidate { place: 3, why: "no condition".to_owned() }]);
    outlook.facts.input_tokens = 11;
    let candidates = order(&route, &mut outlook);
    assert_eq!((candidates.len(), candidates[0].why.as_str()), (2, "condition 2, latency"));
    outlook.facts.stream = true;
    assert_eq!(places(&route, &mut outlook), [0]);
}

#[test]
fn a_session_stays_where_it_is_and_only_those_of_a_lost_deployment_move() {
    let route = Route::Sticky(Stickiness::Session, all(5));
    let first = |session: usize, missing: Option<usize>| {
        let mut outlook = Played {
            session: Some(format!("s{session}")),
            missing: missing.into_iter().collect(),
            ..played()
        };
        places(&route, &mut outlook)
    };
    let mut counts = [0; 5];
    for session in 0..1_000 {
        let before = first(session, None);
        assert_eq!(before, first(session, None));
        counts[before[0]] += 1;
        let after = first(session, Some(2));
        assert_eq!(after[0], if before[0] == 2 { before[1] } else { before[0] });
    }
    assert!(counts.iter().all(|count| (140..260).contains(count)), "{counts:?}");
}

proptest! {
    #[test]
    fn every_deployment_is_tried_and_each_is_first_as_often_as_its_weight_says(weights in prop::collection::vec(1u32..20, 1..6)) {
        let route = Route::Weighted(weights.iter().enumerate().map(|(place, weight)| (at(place), *weight)).collect());
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut first = vec![0; weights.len()];
        for drawn in 0..sum {
            let mut is_first = true;
            let chance = move |_| if std::mem::take(&mut is_first) { drawn } else { 0 };
            let places = places(&route, &mut Played { chance: Box::new(chance), ..played() });
            prop_assert_eq!(places.len(), weights.len());
            first[places[0]] += 1;
        }
        prop_assert_eq!(first, weights);
    }

    /// Whatever the strategy, everyone who is there is tried once.
    #[test]
    fn no_strategy_loses_anyone(kind in 0..4, waits in prop::collection::btree_map(0usize..6, 0u64..1_000, 0..6), seed in any::<u64>()) {
        let route = match kind {
            0 => Route::Latency(all(6)),
            1 => Route::Cost(all(6)),
            2 => Route::Sticky(Stickiness::User, all(6)),
            _ => Route::Fallback(vec![Route::Latency(all(3)), Route::Cost(all(6))]),
        };
        let mut state = seed;
        let chance = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below.max(1)
        };
        let mut found = places(&route, &mut Played { waits, chance: Box::new(chance), ..played() });
        found.sort_unstable();
        prop_assert_eq!(found, [0, 1, 2, 3, 4, 5]);
    }
}
