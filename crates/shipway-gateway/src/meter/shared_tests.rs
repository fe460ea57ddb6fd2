//! Laws of limits that several servers share, whatever happens: messages that are lost, kills, silences, clocks that are set back.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use proptest::prelude::*;
use shipway_core::Timestamp;
use shipway_dialects::Nanos;

use super::*;
use crate::model::{Budget, OnOutage};

const NOW: Timestamp = Timestamp(1_796_040_000_000_000);
const SECOND: i64 = 1_000_000;

fn key() -> Scope {
    Scope::Key("k".to_owned())
}

fn group() -> Scope {
    Scope::Group("all".parse().unwrap())
}

/// One server: what it has in memory, and what its ledger says.
struct Peer {
    name: String,
    meter: Meter,
    epoch: u32,
    running: Vec<Reservation>,
    ledger: Spent,
}

/// Several servers and what they share.
struct World {
    peers: Vec<Peer>,
    pools: HashMap<Scope, Pool>,
    limits: HashMap<Scope, Limits>,
    now: Timestamp,
    silent: BTreeSet<String>,
    began: Vec<(i64, i64)>,
}

impl World {
    fn new(servers: usize, limits: &HashMap<Scope, Limits>) -> Self {
        let mut world = Self {
            peers: Vec::new(),
            pools: HashMap::new(),
            limits: limits.clone(),
            now: NOW,
            silent: BTreeSet::new(),
            began: Vec::new(),
        };
        for index in 0..servers {
            let (meter, ledger) = (world.meter(Spent::default()), Spent::default());
            world.peers.push(Peer { name: index.to_string(), meter, epoch: 0, running: Vec::new(), ledger });
            world.exchange(index, None, Luck::Good);
        }
        world
    }

    fn meter(&self, spent: Spent) -> Meter {
        let meter =
            Meter::starting_from(self.limits.keys().map(|scope| (scope.clone(), spent.clone()))).shared();
        for (scope, limits) in &self.limits {
            meter.set_limits(scope, limits.clone());
        }
        meter
    }

    fn chain() -> Chain {
        vec![key(), group()]
    }

    fn exchange(&mut self, index: usize, needs: Option<Amount>, luck: Luck) {
        let peer = &mut self.peers[index];
        let needs = needs.map(|asked| {
            let mut needs = Needs::default();
            needs.add(asked);
            needs
        });
        let scopes = self.limits.keys().map(|scope| (scope.clone(), needs)).collect();
        let said = peer.meter.says(&peer.epoch.to_string(), &scopes, luck != Luck::GivesBack);
        if luck == Luck::Unsaid {
            return peer.meter.hears_nothing(scopes.into_keys());
        }
        // Who speaks is not silent; others may find out late.
        self.silent.remove(&peer.name);
        let mut told = Vec::new();
        for (scope, limits, says) in said {
            let pool = self.pools.entry(scope.clone()).or_default();
            // As it is kept.
            *pool = serde_json::from_str(&serde_json::to_string(pool).unwrap()).unwrap();
            told.push((scope, pool.hear(&peer.name, &says, &limits, (self.now, &self.silent))));
        }
        if luck == Luck::Unheard {
            return peer.meter.hears_nothing(scopes.into_keys());
        }
        peer.meter.hears(told, Instant::now());
    }

    fn begin(&mut self, index: usize, asked: Amount, asks: bool) -> bool {
        let mut taken = self.peers[index].meter.take(&Self::chain(), Some(asked), self.now);
        if taken.is_err() && asks {
            self.exchange(index, Some(asked), Luck::Good);
            taken = self.peers[index].meter.take(&Self::chain(), Some(asked), self.now);
        }
        let Ok(reservation) = taken else { return false };
        self.began.push((self.now.0, reservation.asked.tokens));
        self.peers[index].running.push(reservation);
        true
    }

    fn end(&mut self, index: usize, which: usize, share: i64) {
        let peer = &mut self.peers[index];
        if peer.running.is_empty() {
            return;
        }
        let call = peer.running.swap_remove(which % peer.running.len());
        let used = Amount { nanos: call.asked.nanos * share / 100, tokens: call.asked.tokens * share / 100 };
        peer.meter.settle(&call, used);
        peer.ledger.add(call.began, used.nanos);
    }

    /// It is killed and starts again: what ran is charged what it had reserved.
    fn kill(&mut self, index: usize) {
        let mut ledger = self.peers[index].ledger.clone();
        for call in self.peers[index].running.drain(..) {
            ledger.add(call.began, call.asked.nanos);
        }
        let meter = self.meter(ledger.clone());
        let peer = &mut self.peers[index];
        (peer.meter, peer.ledger) = (meter, ledger);
        peer.epoch += 1;
        self.exchange(index, None, Luck::Good);
    }

    /// It was not heard of for so long that others take back what it had leased, and does not let anybody in on that.
    fn is_silent(&mut self, index: usize) {
        self.peers[index].meter.loses_contact();
        self.silent.insert(self.peers[index].name.clone());
        self.now.0 += 20 * SECOND;
    }

    fn spent_and_reserved(&self) -> i64 {
        let of =
            |peer: &Peer| peer.ledger.total() + peer.running.iter().map(|call| call.asked.nanos).sum::<i64>();
        self.peers.iter().map(of).sum()
    }

    fn running(&self) -> usize {
        self.peers.iter().map(|peer| peer.running.len()).sum()
    }

    fn most_in_a_minute(&self) -> usize {
        let within =
            |from: i64| self.began.iter().filter(|(at, _)| (from..from + 60 * SECOND).contains(at)).count();
        self.began.iter().map(|(from, _)| within(*from)).max().unwrap_or(0)
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    /// It does not arrive.
    Unsaid,
    /// Its answer does not.
    Unheard,
    /// All that is not in use is given back.
    GivesBack,
}

#[derive(Debug, Clone)]
enum Step {
    Begin {
        server: usize,
        nanos: i64,
        tokens: i64,
        asks: bool,
    },
    End {
        server: usize,
        which: usize,
        share: i64,
    },
    Exchange {
        server: usize,
        luck: Luck,
    },
    AskBack {
        server: usize,
    },
    Kill {
        server: usize,
    },
    Silent {
        server: usize,
    },
    Pass {
        us: i64,
    },
    /// The clock of the store is set back.
    Back {
        us: i64,
    },
}

fn steps(servers: usize) -> impl Strategy<Value = Vec<Step>> {
    let luck = prop_oneof![Just(Luck::Good), Just(Luck::Unsaid), Just(Luck::Unheard), Just(Luck::GivesBack)];
    let step = prop_oneof![
        8 => (0..servers, 1i64..500, 0i64..300, prop::bool::weighted(0.8))
            .prop_map(|(server, nanos, tokens, asks)| Step::Begin { server, nanos, tokens, asks }),
        6 => (0..servers, 0usize..64, 0i64..=100)
            .prop_map(|(server, which, share)| Step::End { server, which, share }),
        4 => (0..servers, luck).prop_map(|(server, luck)| Step::Exchange { server, luck }),
        1 => (0..servers).prop_map(|server| Step::AskBack { server }),
        1 => (0..servers).prop_map(|server| Step::Kill { server }),
        1 => (0..servers).prop_map(|server| Step::Silent { server }),
        3 => (0i64..8 * SECOND).prop_map(|us| Step::Pass { us }),
        1 => (0i64..90 * SECOND).prop_map(|us| Step::Back { us }),
    ];
    prop::collection::vec(step, 0..150)
}

fn limits(budget: i64, requests: Option<u64>, tokens: Option<u64>, concurrency: Option<u32>) -> Limits {
    Limits {
        budgets: vec![Budget { dollars: Nanos(budget), window: Window::Total }],
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        concurrency,
        ..Limits::default()
    }
}

impl World {
    fn goes(&mut self, step: Step) {
        match step {
            Step::Begin { server, nanos, tokens, asks } => {
                self.begin(server, Amount { nanos, tokens }, asks);
            }
            Step::End { server, which, share } => self.end(server, which, share),
            Step::Exchange { server, luck } => self.exchange(server, None, luck),
            Step::AskBack { server } => {
                self.peers[server].meter.ask_back(&Self::chain());
                self.exchange(server, None, Luck::Good);
            }
            Step::Kill { server } => self.kill(server),
            Step::Silent { server } => self.is_silent(server),
            Step::Pass { us } => self.now.0 += us,
            Step::Back { us } => {
                // Real time goes on: what began is that much younger by the clock.
                self.now.0 -= us;
                self.began.iter_mut().for_each(|(at, _)| *at -= us);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Calls cost at most what they reserved: then no limit is passed, whatever is killed, lost or set back.
    #[test]
    fn no_limit_is_passed_by_several_servers(
        servers in 1usize..5,
        steps in steps(4),
        own in 500i64..20_000,
        shared in 500i64..20_000,
        requests in 1u64..40,
        tokens in 1u64..3_000,
        concurrency in 1u32..12,
    ) {
        let of_key = limits(own, Some(requests), Some(tokens), None);
        let of_group = limits(shared, None, None, Some(concurrency));
        let mut world = World::new(servers, &HashMap::from([(key(), of_key), (group(), of_group)]));
        let mut was_silent = false;
        for step in steps {
            world.goes(on(step, servers));
            prop_assert!(world.spent_and_reserved() <= own.min(shared));
            prop_assert!(world.most_in_a_minute() as u64 <= requests);
            let in_flight: i64 =
                world.peers.iter().flat_map(|peer| &peer.running).map(|call| call.asked.tokens).sum();
            // What runs at a server that nobody hears of is not counted for longer than a minute.
            was_silent |= !world.silent.is_empty();
            prop_assert!(was_silent || in_flight <= i64::try_from(tokens).unwrap());
        }
    }

    #[test]
    fn no_more_calls_run_at_once_at_several_servers(
        servers in 1usize..5,
        steps in steps(4),
        concurrency in 1u32..12,
    ) {
        let of_group = Limits { concurrency: Some(concurrency), ..Limits::default() };
        let mut world =
            World::new(servers, &HashMap::from([(key(), Limits::default()), (group(), of_group)]));
        for step in steps.into_iter().filter(|step| !matches!(step, Step::Silent { .. })) {
            world.goes(on(step, servers));
            prop_assert!(world.running() <= concurrency as usize);
        }
    }

    /// What nobody has used can be used in the end, to the last billionth, by whomever.
    #[test]
    fn nothing_is_lost_for_ever(
        servers in 1usize..5,
        steps in steps(4),
        budget in 500i64..20_000,
        requests in 1u64..40,
        tokens in 1u64..3_000,
        concurrency in 1u32..12,
        who in 0usize..4,
    ) {
        let of_key = limits(budget, Some(requests), Some(tokens), Some(concurrency));
        let mut world =
            World::new(servers, &HashMap::from([(key(), of_key), (group(), Limits::default())]));
        for step in steps {
            world.goes(on(step, servers));
        }
        for index in 0..servers {
            while !world.peers[index].running.is_empty() {
                world.end(index, 0, 50);
            }
            world.exchange(index, None, Luck::GivesBack);
        }
        world.now.0 += 90 * SECOND;
        let left = budget - world.spent_and_reserved();
        let who = who % servers;
        let money = |nanos: i64| Amount { nanos, tokens: 0 };
        let beyond = world.begin(who, money(left + 1), true);
        prop_assert!(!beyond);
        if left > 0 {
            let tokens = i64::try_from(tokens).unwrap();
            let all = world.begin(who, Amount { nanos: left, tokens }, true);
            prop_assert!(all);
            let more = world.begin(who, money(1), true);
            prop_assert!(!more);
        }
    }

    /// Without anything going wrong a limit of requests is used up to its end, and not beyond.
    #[test]
    fn requests_are_let_in_up_to_the_limit_exactly(
        servers in 1usize..5,
        who in prop::collection::vec(0usize..4, 100),
        requests in 1u64..120,
    ) {
        let of_key = Limits { requests_per_minute: Some(requests), ..Limits::default() };
        let mut world =
            World::new(servers, &HashMap::from([(key(), of_key), (group(), Limits::default())]));
        for server in who {
            if !world.begin(server % servers, Amount::default(), true) {
                // Somebody waits: the others look, and give back what they do not use; then it asks again.
                for index in 0..servers {
                    world.peers[index].meter.ask_back(&[key()]);
                    world.exchange(index, None, Luck::Good);
                }
                world.begin(server % servers, Amount::default(), true);
            }
        }
        prop_assert_eq!(world.began.len() as u64, requests.min(100));
    }
}

/// Steps are made for four servers.
fn on(step: Step, servers: usize) -> Step {
    match step {
        Step::Begin { server, nanos, tokens, asks } => {
            Step::Begin { server: server % servers, nanos, tokens, asks }
        }
        Step::End { server, which, share } => Step::End { server: server % servers, which, share },
        Step::Exchange { server, luck } => Step::Exchange { server: server % servers, luck },
        Step::AskBack { server } => Step::AskBack { server: server % servers },
        Step::Kill { server } => Step::Kill { server: server % servers },
        Step::Silent { server } => Step::Silent { server: server % servers },
        other => other,
    }
}

/// What was fail-open adds to what the limit lets through, and no more than the limit for each server.
#[test]
fn in_an_outage_a_key_that_is_let_through_is_judged_by_what_each_server_knows_itself() {
    let of_key = Limits { on_outage: OnOutage::Allow, ..limits(1_000, None, None, None) };
    let mut world = World::new(2, &HashMap::from([(key(), of_key), (group(), Limits::default())]));
    assert!(world.begin(0, Amount { nanos: 600, tokens: 0 }, true));
    for index in 0..2 {
        world.exchange(index, None, Luck::Unsaid);
        while world.begin(index, Amount { nanos: 100, tokens: 0 }, false) {}
    }
    assert_eq!(world.spent_and_reserved(), 2_000);
    // When the store is back, all of it counts.
    for index in 0..2 {
        world.exchange(index, None, Luck::Good);
        assert!(!world.begin(index, Amount { nanos: 1, tokens: 0 }, true));
    }
}

#[test]
fn in_an_outage_a_key_goes_on_as_far_as_its_lease_goes_and_no_further() {
    let mut world = World::new(
        2,
        &HashMap::from([(key(), limits(1_000, None, None, None)), (group(), Limits::default())]),
    );
    assert!(world.begin(0, Amount { nanos: 10, tokens: 0 }, true));
    world.exchange(0, None, Luck::Unsaid);
    let before = world.spent_and_reserved();
    while world.begin(0, Amount { nanos: 10, tokens: 0 }, false) {}
    let leased = world.spent_and_reserved();
    assert!(leased > before && leased < 1_000, "{leased}");
}

#[test]
fn what_a_killed_server_had_leased_stays_counted_until_it_says_what_it_spent() {
    let mut world = World::new(
        2,
        &HashMap::from([(key(), limits(1_000, None, None, None)), (group(), Limits::default())]),
    );
    assert!(world.begin(0, Amount { nanos: 400, tokens: 0 }, true));
    world.is_silent(0);
    world.exchange(1, None, Luck::Good);
    assert!(!world.begin(1, Amount { nanos: 601, tokens: 0 }, true));
    world.silent.clear();
    world.kill(0);
    // What ran is charged; what was leased beside it is free.
    assert!(world.begin(1, Amount { nanos: 600, tokens: 0 }, true));
}
