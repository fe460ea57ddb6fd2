//! What this server may use of the limits of one key or group before it asks the store that several servers share. Pure.

use std::time::{Duration, Instant};

use shipway_core::Timestamp;

use super::{
    Amount, Bound,
    account::Spent,
    pool::{Ask, Elsewhere, Granted, Says, Told},
};
use crate::model::Limits;

/// So many calls like those that wait are asked for together with them.
const CALLS_AHEAD: i64 = 8;
/// So many times what was used since it was asked last is asked for ahead.
const TIMES_AHEAD: i64 = 4;
/// After so many full rounds without use everything is given back.
const IDLE_ROUNDS: u32 = 5;

/// For how long it is believed that nothing is left: so often callers that are refused may ask the store, all of them together.
const CURRENT: Duration = Duration::from_millis(100);

/// Which accounts a round is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Those that will soon have nothing left, and those whose lease somebody waits for.
    Quick,
    /// Whatever changed, or holds something.
    Full,
}

/// One of the things that are limited.
#[derive(Debug, Clone, Copy, Default)]
struct Stake {
    /// Up to where it may be used.
    ceiling: i64,
    /// Used and reserved when the store was asked last.
    before: i64,
    granted: Granted,
}

/// What was used, and what is reserved by calls that run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) money: (i64, i64),
    pub(crate) requests: (i64, i64),
    pub(crate) tokens: (i64, i64),
    pub(crate) places: (i64, i64),
}

impl Used {
    fn all(&self) -> [(i64, i64); 4] {
        [self.money, self.requests, self.tokens, self.places]
    }
}

/// What calls that wait would use: the least of them, and all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    least: Amount,
    sum: Amount,
    calls: i64,
}

impl Needs {
    pub(crate) fn add(&mut self, asked: Amount) {
        let least = |before: i64, now: i64| if self.calls == 0 { now } else { before.min(now) };
        self.least = Amount {
            nanos: least(self.least.nanos, asked.nanos),
            tokens: least(self.least.tokens, asked.tokens),
        };
        self.sum = Amount {
            nanos: self.sum.nanos.saturating_add(asked.nanos),
            tokens: self.sum.tokens.saturating_add(asked.tokens),
        };
        self.calls += 1;
    }
}

/// Why a call does not begin on what is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) bound: Bound,
    /// The store was asked a moment ago, so that the rest holds.
    pub(crate) is_current: bool,
    /// The store may have more.
    pub(crate) may_have_more: bool,
    /// Others hold enough that they do not use.
    pub(crate) is_elsewhere: bool,
}

impl Short {
    /// Asking would not help.
    pub(crate) fn known(bound: Bound) -> Self {
        Self { bound, is_current: true, may_have_more: false, is_elsewhere: false }
    }
}

/// A part of what several servers share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Share {
    money: Stake,
    requests: Stake,
    tokens: Stake,
    places: Stake,
    /// Since this process began; of money the account knows.
    requests_used: i64,
    tokens_used: i64,
    tokens_busy: i64,
    /// Something was used or came back since the store was told last.
    pub(crate) is_dirty: bool,
    /// Rounds without use while something was held.
    idle_rounds: u32,
    is_asked_back: bool,
    told: Told,
    told_at: Option<Instant>,
}

impl Share {
    /// Of an account with what was spent earlier, which the store may not have heard of.
    pub(crate) fn with_news() -> Self {
        Self { is_dirty: true, ..Self::default() }
    }

    pub(crate) fn reserve(&mut self, asked: Amount) {
        self.is_dirty = true;
        self.requests_used += 1;
        self.tokens_busy = self.tokens_busy.saturating_add(asked.tokens);
    }

    pub(crate) fn settle(&mut self, asked: Amount, used: Amount) {
        self.is_dirty = true;
        self.tokens_busy = self.tokens_busy.saturating_sub(asked.tokens);
        self.tokens_used = self.tokens_used.saturating_add(used.tokens);
    }

    pub(crate) fn used(&self, spent: &Spent, reserved: i64, running: u32) -> Used {
        Used {
            money: (spent.total(), reserved),
            requests: (self.requests_used, 0),
            tokens: (self.tokens_used, self.tokens_busy),
            places: (0, i64::from(running)),
        }
    }

    /// Why a call may not begin, or nothing. `asked`: none for one that uses neither tokens nor money. `is_fresh`: the store was reached a
    /// moment ago; what is leased for a time only holds no longer than that.
    pub(crate) fn refuses(
        &self,
        asked: Option<Amount>,
        limits: &Limits,
        (spent, reserved, running): (&Spent, i64, u32),
        (now, is_fresh): (Timestamp, bool),
    ) -> Option<Short> {
        let used = self.used(spent, reserved, running);
        let is_current = self.told_at.is_some_and(|told_at| told_at.elapsed() < CURRENT);
        let short = |stake: &Stake, (used, busy): (i64, i64), more: i64, is_fresh: bool, bound: Bound| {
            let taken = used.saturating_add(busy);
            if is_fresh && taken.saturating_add(more) <= stake.ceiling {
                return None;
            }
            // What was used here since the store said what is left.
            let left = stake.granted.left.saturating_sub(taken.saturating_sub(stake.before).max(0));
            let may_have_more = more <= left;
            let is_elsewhere = !may_have_more && more <= left.saturating_add(stake.granted.idle_elsewhere);
            Some(Short { bound, is_current, may_have_more, is_elsewhere })
        };
        if let Some(limit) = limits.concurrency
            && let Some(short) = short(&self.places, used.places, 1, is_fresh, Bound::Concurrency { limit })
        {
            return Some(short);
        }
        if let Some(limit) = limits.requests_per_minute {
            let bound = Bound::Requests { limit, free_us: self.told.requests_free_us };
            if let Some(short) = short(&self.requests, used.requests, 1, is_fresh, bound) {
                return Some(short);
            }
        }
        let asked = asked?;
        if let Some(limit) = limits.tokens_per_minute {
            let bound = Bound::Tokens { limit, asked: asked.tokens, free_us: self.told.tokens_free_us };
            if let Some(short) = short(&self.tokens, used.tokens, asked.tokens, is_fresh, bound) {
                return Some(short);
            }
        }
        if limits.budgets.is_empty() {
            return None;
        }
        // A budget that is used up lets nothing through, not even what costs nothing.
        let more = asked.nanos.max(1);
        let (place, left) =
            self.told.budgets.iter().copied().enumerate().min_by_key(|(_, left)| *left).unwrap_or_default();
        let budget = limits.budgets.get(place).or(limits.budgets.first()).copied()?;
        let since = used.money.0.saturating_add(used.money.1).saturating_sub(self.money.before).max(0);
        let bound = Bound::Budget {
            budget,
            left_nanos: left.saturating_sub(since),
            asked_nanos: asked.nanos,
            free_us: budget.window.end(now).map(|end| end.0 - now.0),
        };
        short(&self.money, used.money, more, true, bound)
    }

    /// Whether the store should be told, or asked, without a call that waits.
    pub(crate) fn is_due(&self, round: Round, spent: &Spent, reserved: i64, running: u32) -> bool {
        let used = self.used(spent, reserved, running);
        let mut stakes = self.stakes().into_iter().zip(used.all());
        let mut holds = || stakes.any(|(stake, (used, busy))| stake.ceiling > used + busy);
        match round {
            Round::Full => self.is_dirty || holds(),
            Round::Quick if self.is_asked_back => holds(),
            Round::Quick => stakes.any(|(stake, (used, busy))| {
                let taken = used.saturating_add(busy);
                let consumed = taken.saturating_sub(stake.before);
                let is_bound = (1..i64::MAX).contains(&stake.granted.left);
                is_bound && consumed > stake.ceiling.saturating_sub(taken).saturating_mul(2)
            }),
        }
    }

    /// Somebody waits for what it may hold.
    pub(crate) fn ask_back(&mut self) {
        self.is_asked_back = true;
    }

    /// What the store is told, and asked for. From here on nothing is used beyond the floors until it has answered.
    pub(crate) fn says(
        &mut self,
        epoch: &str,
        limits: &Limits,
        (spent, reserved, running): (&Spent, i64, u32),
        needs: Option<&Needs>,
        keeps: bool,
    ) -> Says {
        let used = self.used(spent, reserved, running);
        let is_idle = !std::mem::take(&mut self.is_dirty) && needs.is_none();
        self.idle_rounds = if is_idle { self.idle_rounds.saturating_add(1) } else { 0 };
        let gives_back = std::mem::take(&mut self.is_asked_back) || !keeps || self.idle_rounds > IDLE_ROUNDS;
        let needs = needs.copied().unwrap_or_default();
        // At first all that was ever used is new to the store; that is no measure of what comes.
        let has_asked = self.told_at.is_some();
        let ask = |stake: &mut Stake, (used, busy): (i64, i64), least: i64, sum: i64, is_bound: bool| {
            let taken = used.saturating_add(busy);
            let consumed = if has_asked { taken.saturating_sub(stake.before).max(0) } else { 0 };
            stake.before = taken;
            stake.ceiling = if gives_back || !is_bound { taken } else { stake.ceiling.max(taken) };
            let floor = stake.ceiling;
            if !is_bound || !keeps {
                return Ask { used, busy, floor, need: floor, want: floor };
            }
            let ahead = if gives_back { 0 } else { consumed.saturating_mul(TIMES_AHEAD) };
            let need = if needs.calls > 0 { taken.saturating_add(least) } else { floor };
            let waits =
                if needs.calls > 0 { sum.saturating_add(least.saturating_mul(CALLS_AHEAD)) } else { 0 };
            let want = need.max(taken.saturating_add(waits.max(ahead)));
            Ask { used, busy, floor, need, want }
        };
        Says {
            epoch: epoch.to_owned(),
            spent: spent.clone(),
            money: ask(
                &mut self.money,
                used.money,
                needs.least.nanos.max(1),
                needs.sum.nanos.max(1),
                !limits.budgets.is_empty(),
            ),
            requests: ask(
                &mut self.requests,
                used.requests,
                1,
                needs.calls,
                limits.requests_per_minute.is_some(),
            ),
            tokens: ask(
                &mut self.tokens,
                used.tokens,
                needs.least.tokens,
                needs.sum.tokens,
                limits.tokens_per_minute.is_some(),
            ),
            places: ask(&mut self.places, used.places, 1, needs.calls, limits.concurrency.is_some()),
        }
    }

    /// The store has answered.
    pub(crate) fn hears(&mut self, told: Told) {
        for (stake, granted) in [
            (&mut self.money, told.money),
            (&mut self.requests, told.requests),
            (&mut self.tokens, told.tokens),
            (&mut self.places, told.places),
        ] {
            stake.ceiling = granted.ceiling;
            stake.granted = granted;
        }
        self.is_asked_back = told.gives_back;
        self.told_at = Some(Instant::now());
        self.told = told;
    }

    /// The store has not answered: it is told again.
    pub(crate) fn hears_nothing(&mut self) {
        self.is_dirty = true;
    }

    /// What was leased for a time only is over.
    pub(crate) fn lapse(&mut self, running: u32) {
        self.requests.ceiling = self.requests_used;
        self.tokens.ceiling = self.tokens_used.saturating_add(self.tokens_busy);
        self.places.ceiling = i64::from(running);
        self.is_dirty = true;
    }

    pub(crate) fn elsewhere(&self) -> Elsewhere {
        self.told.elsewhere
    }

    pub(crate) fn hears_of(&mut self, elsewhere: Elsewhere) {
        self.told.elsewhere = elsewhere;
    }

    /// Of requests and of tokens: what is left, and after how long all of it is back.
    pub(crate) fn standing(&self, now_used: &Used) -> [(u64, i64); 2] {
        let left = |stake: &Stake, (used, busy): (i64, i64)| {
            let since = used.saturating_add(busy).saturating_sub(stake.before).max(0);
            u64::try_from(stake.granted.left.saturating_sub(since)).unwrap_or(0)
        };
        [
            (left(&self.requests, now_used.requests), self.told.requests_free_us.unwrap_or(0)),
            (left(&self.tokens, now_used.tokens), self.told.tokens_free_us.unwrap_or(0)),
        ]
    }

    fn stakes(&self) -> [&Stake; 4] {
        [&self.money, &self.requests, &self.tokens, &self.places]
    }
}
