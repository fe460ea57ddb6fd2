//! What several servers use of the limits of one key or group, and what each of them may use without asking. Pure.
//!
//! Nothing is moved to and fro: each server says what it has used in all, and gets a *ceiling* up to which it may go on. What lies between
//! is its lease, and counts as used. So a message that is sent twice changes nothing, and what a server does not say any more, because it
//! was killed, stays within what was counted already.
//!
//! For every limit, at every moment: what all have used + what all may still use without asking ≤ the limit, unless calls cost more than
//! they had reserved, a limit was lowered, or a server went on by itself because it was told to (`on_outage: allow`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;

use super::account::Spent;
use crate::model::{Limits, Window};

const SECOND_US: i64 = 1_000_000;
/// What was used counts for a minute, and for the second in which that began.
const COUNTS_US: i64 = 61 * SECOND_US;
/// What the lease of a silent server may be used for until it notices by itself: it counts so much longer.
const SILENT_US: i64 = 20 * SECOND_US;
/// A server gets what its call needs, or one part in so many, for each server, of what is left.
const PARTS_FOR_EACH: i64 = 2;

/// What was used within the last minute: by how long ago, so that a clock that is set back or forth moves nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Aged(Vec<(i64, i64)>);

impl Aged {
    fn passes(&mut self, elapsed_us: i64) {
        for (age, _) in &mut self.0 {
            *age = age.saturating_add(elapsed_us);
        }
        self.0.retain(|(age, _)| *age < COUNTS_US);
    }

    fn add(&mut self, amount: i64, age_us: i64) {
        if amount <= 0 {
            return;
        }
        // Of one second together. The older age counts; that is why things count for a second longer than a minute.
        match self.0.iter_mut().find(|(age, _)| *age >= age_us && *age < age_us + SECOND_US) {
            Some((_, sum)) => *sum = sum.saturating_add(amount),
            None => self.0.push((age_us, amount)),
        }
    }

    fn sum(&self) -> i64 {
        self.0.iter().map(|(_, amount)| *amount).fold(0, i64::saturating_add)
    }

    /// After how long at least `amount` is forgotten.
    fn free_after(&self, amount: i64) -> Option<i64> {
        let mut by_age = self.0.clone();
        by_age.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
        let mut freed = 0;
        by_age.into_iter().find_map(|(age, used)| {
            freed += used;
            (freed >= amount).then_some(COUNTS_US - age)
        })
    }
}

/// What a server has used since it started, and up to where it may go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    used: i64,
    busy: i64,
    ceiling: i64,
}

impl Held {
    fn leased(self) -> i64 {
        (self.ceiling - self.used).max(self.busy)
    }

    /// What nobody uses at the moment.
    fn idle(self) -> i64 {
        (self.ceiling - self.used - self.busy).max(0)
    }
}

/// One server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    /// Of its process: what it counts beside money begins anew with it.
    epoch: String,
    spent: Spent,
    money: Held,
    requests: Held,
    tokens: Held,
    places: Held,
    is_hungry: bool,
}

/// The limits of one key or group, as all servers use them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pool {
    now_us: i64,
    requests: Aged,
    tokens: Aged,
    members: BTreeMap<String, Member>,
}

/// What a server says of one of the things that are limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Used in all, since it started; of money for ever.
    pub(crate) used: i64,
    /// Reserved by calls that run.
    pub(crate) busy: i64,
    /// The ceiling that it does not pass before it has an answer.
    pub(crate) floor: i64,
    /// The ceiling that the least of the calls needs that wait; not above `floor`: none waits.
    pub(crate) need: i64,
    /// The ceiling that would do for a while.
    pub(crate) want: i64,
}

/// What a server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) epoch: String,
    pub(crate) spent: Spent,
    pub(crate) money: Ask,
    pub(crate) requests: Ask,
    pub(crate) tokens: Ask,
    pub(crate) places: Ask,
}

/// What it is told of one of the things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) ceiling: i64,
    /// How far above what it uses now it could come, by what others hold.
    pub(crate) left: i64,
    /// What others hold and do not use, and could give back.
    pub(crate) idle_elsewhere: i64,
}

impl Granted {
    /// What was asked for is not there, and would be if others gave back what they do not use.
    fn is_hungry(&self, ask: &Ask) -> bool {
        let needed = ask.need - ask.used.saturating_add(ask.busy);
        ask.need > self.ceiling && needed <= self.left.saturating_add(self.idle_elsewhere)
    }
}

/// What all servers but one have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// In the order of [`Window::ALL`].
    pub(crate) spent: [i64; 5],
    pub(crate) reserved: i64,
    pub(crate) running: i64,
    pub(crate) calls: u64,
}

/// What a server is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) money: Granted,
    pub(crate) requests: Granted,
    pub(crate) tokens: Granted,
    pub(crate) places: Granted,
    /// Of each budget, in the order of the limits: what neither is spent nor reserved nor leased elsewhere.
    pub(crate) budgets: Vec<i64>,
    /// After how long one more request fits.
    pub(crate) requests_free_us: Option<i64>,
    /// After how long all tokens of the last minute are forgotten.
    pub(crate) tokens_free_us: Option<i64>,
    /// Somebody waits for what others hold.
    pub(crate) gives_back: bool,
    pub(crate) elsewhere: Elsewhere,
    /// What it is known to have spent, which may be more than it knows itself after a kill.
    pub(crate) spent: Spent,
}

impl Pool {
    /// Whether a server waits for what others hold.
    pub(crate) fn is_hungry(&self) -> bool {
        self.members.values().any(|member| member.is_hungry)
    }

    /// Whether a server is known here.
    pub(crate) fn has(&self, server: &str) -> bool {
        self.members.contains_key(server)
    }

    /// Notes what `server` says and answers it. `now` is the store's; `silent` are servers that have not been heard of for so long that they let
    /// nobody in any more.
    pub(crate) fn hear(
        &mut self,
        server: &str,
        says: &Says,
        limits: &Limits,
        (now, silent): (Timestamp, &BTreeSet<String>),
    ) -> Told {
        self.passes(now);
        self.end_leases(silent, server);
        self.note(server, says);
        let alive = self.alive(silent, server);
        let mut told = self.grant(server, says, limits, (now, alive));
        let is_hungry = told.money.is_hungry(&says.money)
            || told.requests.is_hungry(&says.requests)
            || told.tokens.is_hungry(&says.tokens)
            || told.places.is_hungry(&says.places);
        if let Some(member) = self.members.get_mut(server) {
            member.is_hungry = is_hungry;
            told.spent = member.spent.clone();
        }
        let others = self.members.iter().filter(|(name, _)| *name != server && !silent.contains(*name));
        told.gives_back |= others.clone().any(|(_, member)| member.is_hungry);
        told.elsewhere = self.elsewhere(server, now);
        told
    }

    /// What all servers but `server` have used.
    pub(crate) fn elsewhere(&self, server: &str, now: Timestamp) -> Elsewhere {
        let mut sum = Elsewhere::default();
        for (_, member) in self.members.iter().filter(|(name, _)| *name != server) {
            for (sum, window) in sum.spent.iter_mut().zip(Window::ALL) {
                *sum = sum.saturating_add(member.spent.within(window, now));
            }
            sum.reserved = sum.reserved.saturating_add(member.money.busy);
            sum.running += member.places.busy;
            sum.calls += member.spent.calls;
        }
        sum
    }

    fn passes(&mut self, now: Timestamp) {
        let elapsed = now.0.saturating_sub(self.now_us).max(0);
        self.now_us = now.0;
        self.requests.passes(elapsed);
        self.tokens.passes(elapsed);
    }

    fn alive(&self, silent: &BTreeSet<String>, server: &str) -> i64 {
        let others = self.members.keys().filter(|name| *name != server && !silent.contains(*name));
        i64::try_from(others.count()).unwrap_or(i64::MAX - 1) + 1
    }

    /// What a silent server had leased of requests, tokens and places is over; it may have been used up to now. Its money stays leased until it
    /// says what it has spent: that is on its disk.
    fn end_leases(&mut self, silent: &BTreeSet<String>, server: &str) {
        for name in silent.iter().filter(|name| *name != server) {
            if let Some(member) = self.members.get_mut(name) {
                member.end_leases(&mut self.requests, &mut self.tokens, -SILENT_US);
            }
        }
    }

    fn note(&mut self, server: &str, says: &Says) {
        let member = self.members.entry(server.to_owned()).or_default();
        if member.epoch != says.epoch {
            member.end_leases(&mut self.requests, &mut self.tokens, 0);
            member.requests = Held::default();
            member.tokens = Held::default();
            member.epoch.clone_from(&says.epoch);
        }
        member.spent.takes_in(&says.spent);
        for (held, ask, recent) in [
            (&mut member.requests, &says.requests, &mut self.requests),
            (&mut member.tokens, &says.tokens, &mut self.tokens),
        ] {
            recent.add(ask.used - held.used, 0);
            held.used = held.used.max(ask.used);
        }
        member.money.used = member.spent.total();
        for (held, ask) in [
            (&mut member.money, &says.money),
            (&mut member.requests, &says.requests),
            (&mut member.tokens, &says.tokens),
            (&mut member.places, &says.places),
        ] {
            held.busy = ask.busy;
            // Not above what it has here: a lease that was ended meanwhile is not taken up again.
            held.ceiling = ask.floor.min(held.ceiling).max(held.used + held.busy);
        }
    }

    /// Raises the ceilings of `server` as far as the limits let it.
    fn grant(&mut self, server: &str, says: &Says, limits: &Limits, (now, alive): (Timestamp, i64)) -> Told {
        let whole = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        let of = |held: fn(&Member) -> Held| self.members.values().map(move |member| held(member).leased());
        let rooms = [
            limits.budgets.iter().map(|budget| self.room_of_budget(budget.nanos(), budget.window, now)).min(),
            limits
                .requests_per_minute
                .map(|limit| whole(limit) - self.requests.sum() - of(|member| member.requests).sum::<i64>()),
            limits
                .tokens_per_minute
                .map(|limit| whole(limit) - self.tokens.sum() - of(|member| member.tokens).sum::<i64>()),
            limits.concurrency.map(|limit| i64::from(limit) - of(|member| member.places).sum::<i64>()),
        ];
        let budgets = limits.budgets.iter();
        let mut told = Told {
            budgets: budgets.map(|budget| self.room_of_budget(budget.nanos(), budget.window, now)).collect(),
            requests_free_us: self.requests.free_after(1),
            tokens_free_us: self.tokens.free_after(self.tokens.sum()),
            gives_back: rooms.iter().flatten().any(|room| *room < 0),
            ..Told::default()
        };
        let idle = |held: fn(&Member) -> Held| {
            let others = self.members.iter().filter(|(name, _)| *name != server);
            others.map(|(_, member)| held(member).idle()).fold(0, i64::saturating_add)
        };
        let idle_elsewhere = [
            idle(|member| member.money),
            idle(|member| member.requests),
            idle(|member| member.tokens),
            idle(|member| member.places),
        ];
        let Some(member) = self.members.get_mut(server) else { return told };
        let helds = [&mut member.money, &mut member.requests, &mut member.tokens, &mut member.places];
        let asks = [&says.money, &says.requests, &says.tokens, &says.places];
        let granted = [&mut told.money, &mut told.requests, &mut told.tokens, &mut told.places];
        for ((((held, ask), granted), room), idle) in
            helds.into_iter().zip(asks).zip(granted).zip(rooms).zip(idle_elsewhere)
        {
            let more = room.map_or(0, |room| share_of(room, held.ceiling, ask, alive));
            held.ceiling = held.ceiling.saturating_add(more);
            *granted = Granted {
                ceiling: held.ceiling,
                left: room.map_or(i64::MAX, |room| room - more + held.idle()),
                idle_elsewhere: idle,
            };
        }
        // What is left of each budget for calls here: beside what others hold.
        let own = member.money.idle();
        let taken = told.money.ceiling - says.money.floor.max(member.money.used + member.money.busy);
        told.budgets.iter_mut().for_each(|room| *room = *room - taken + own);
        told
    }

    /// What of a budget is neither spent nor leased. Windows that are yet to come, by the clock of a server that is ahead, count as well.
    fn room_of_budget(&self, nanos: i64, window: Window, now: Timestamp) -> i64 {
        let taken =
            |member: &Member| member.spent.within_or_later(window, now).saturating_add(member.money.leased());
        self.members.values().map(taken).fold(nanos, i64::saturating_sub)
    }
}

impl Member {
    fn end_leases(&mut self, requests: &mut Aged, tokens: &mut Aged, age_us: i64) {
        for (held, recent) in [(&mut self.requests, requests), (&mut self.tokens, tokens)] {
            recent.add(held.leased(), age_us);
            held.busy = 0;
            held.ceiling = held.used;
        }
        self.places = Held::default();
        self.is_hungry = false;
    }
}

/// How much more a server gets. Near the end of a limit no more than its call needs, and nothing where not even that is there.
fn share_of(room: i64, ceiling: i64, ask: &Ask, alive: i64) -> i64 {
    let needed = (ask.need - ceiling).max(0);
    let wanted = (ask.want - ceiling).max(needed);
    if needed > room || wanted <= 0 || room <= 0 {
        return 0;
    }
    wanted.min(needed.max(room / alive.saturating_mul(PARTS_FOR_EACH)))
}
