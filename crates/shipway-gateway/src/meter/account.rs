//! What one key or group has used, and whether it may use more. Pure.

use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;

use super::{
    Amount, Bound, Counts, Reservation,
    rate::Rate,
    share::{Share, Short},
};
use crate::model::{Limits, OnOutage, Window};

/// What was spent in the newest window of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// In the order of [`Window::ALL`]: when the window began, in microseconds, and what was spent since.
    windows: [(i64, i64); 5],
    /// Calls that were settled.
    pub(crate) calls: u64,
}

impl Spent {
    /// Adds what a call cost that began at `at`. It counts in the windows in which it began: one that is over stays over.
    pub(crate) fn add(&mut self, at: Timestamp, nanos: i64) {
        self.calls += 1;
        for (kind, (start, spent)) in Window::ALL.into_iter().zip(&mut self.windows) {
            let window = kind.start(at).0;
            if window > *start {
                (*start, *spent) = (window, nanos);
            } else if window == *start || kind == Window::Total {
                *spent = spent.saturating_add(nanos);
            }
        }
    }

    /// What was spent in the window that holds `now`.
    pub(crate) fn within(&self, window: Window, now: Timestamp) -> i64 {
        let place = Window::ALL.iter().position(|kind| *kind == window).unwrap_or_default();
        let (start, spent) = self.windows[place];
        if window == Window::Total || window.start(now).0 == start { spent } else { 0 }
    }

    /// What was spent in the window that holds `now`, or in one after it.
    pub(crate) fn within_or_later(&self, window: Window, now: Timestamp) -> i64 {
        let place = Window::ALL.iter().position(|kind| *kind == window).unwrap_or_default();
        let (start, spent) = self.windows[place];
        if window == Window::Total || start >= window.start(now).0 { spent } else { 0 }
    }

    /// What was ever spent.
    pub(crate) fn total(&self) -> i64 {
        self.windows[Window::ALL.len() - 1].1
    }

    /// Takes in what the same account is said to have spent elsewhere or earlier; of each window the later one and the greater sum count.
    pub(crate) fn takes_in(&mut self, other: &Self) {
        for (kind, (own, other)) in Window::ALL.into_iter().zip(self.windows.iter_mut().zip(other.windows)) {
            *own = if kind == Window::Total { (own.0, own.1.max(other.1)) } else { (*own).max(other) };
        }
        self.calls = self.calls.max(other.calls);
    }
}

/// A key or a group in the meter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) limits: Limits,
    pub(crate) spent: Spent,
    /// Of calls that run.
    pub(crate) reserved: i64,
    pub(crate) running: u32,
    requests: Rate,
    tokens: Rate,
    /// Where several servers share the limits: what this one may use of them.
    pub(crate) share: Option<Box<Share>>,
}

/// How the store that several servers share is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contact {
    /// A moment ago.
    pub(crate) is_fresh: bool,
    /// The last try failed.
    pub(crate) is_away: bool,
}

impl Account {
    /// One that has spent this, and that nothing bounds yet.
    pub(crate) fn having_spent(spent: Spent) -> Self {
        Self { spent, ..Self::default() }
    }

    /// One of a server that shares its limits with others, or does not.
    pub(crate) fn new(is_shared: bool) -> Self {
        Self { share: is_shared.then(|| Box::new(Share::default())), ..Self::default() }
    }

    /// Why a call may not begin that uses neither tokens nor money whatever happens, or nothing.
    pub(crate) fn refuses_at_all(&mut self, now: Timestamp) -> Option<Bound> {
        self.refuses_at_once().or_else(|| self.refuses_requests(now))
    }

    /// Why no more may run at once, or nothing.
    pub(crate) fn refuses_at_once(&self) -> Option<Bound> {
        let limit = self.limits.concurrency.filter(|limit| self.running >= *limit)?;
        Some(Bound::Concurrency { limit })
    }

    fn refuses_requests(&mut self, now: Timestamp) -> Option<Bound> {
        if let Some(limit) = self.limits.requests_per_minute {
            let used = self.requests.used(now.0);
            let limit_now = i64::try_from(limit).unwrap_or(i64::MAX);
            if used >= limit_now {
                let free_us = self.requests.free_after(now.0, used - limit_now + 1);
                return Some(Bound::Requests { limit, free_us });
            }
        }
        None
    }

    /// Why a call may not begin, or nothing.
    pub(crate) fn refuses(&mut self, ask: Amount, now: Timestamp) -> Option<Bound> {
        self.refuses_at_all(now)
            .or_else(|| self.refuses_tokens(ask.tokens, now))
            .or_else(|| self.refuses_money(ask.nanos, now))
    }

    /// Why one more request of so many tokens has no room within the minute, or nothing.
    pub(crate) fn refuses_rates(&mut self, tokens: i64, now: Timestamp) -> Option<Bound> {
        self.refuses_requests(now).or_else(|| self.refuses_tokens(tokens, now))
    }

    fn refuses_tokens(&mut self, asked: i64, now: Timestamp) -> Option<Bound> {
        if let Some(limit) = self.limits.tokens_per_minute {
            let used = self.tokens.used(now.0);
            let beyond = used.saturating_add(asked) - i64::try_from(limit).unwrap_or(i64::MAX);
            if beyond > 0 {
                let free_us = self.tokens.free_after(now.0, beyond);
                return Some(Bound::Tokens { limit, asked, free_us });
            }
        }
        None
    }

    /// Why there is no money for one more call, or nothing.
    pub(crate) fn refuses_money(&self, asked: i64, now: Timestamp) -> Option<Bound> {
        self.limits.budgets.iter().find_map(|budget| {
            let used = self.spent.within(budget.window, now).saturating_add(self.reserved);
            let left = budget.nanos().saturating_sub(used);
            (asked > left || left <= 0).then(|| Bound::Budget {
                budget: *budget,
                left_nanos: left,
                asked_nanos: asked,
                free_us: budget.window.end(now).map(|end| end.0 - now.0),
            })
        })
    }

    /// Why a call may not begin where several servers share the limits, or nothing. `ask`: none for one that uses neither tokens nor money.
    pub(crate) fn refuses_shared(
        &mut self,
        ask: Option<Amount>,
        now: Timestamp,
        contact: Contact,
    ) -> Option<Short> {
        if contact.is_away && self.limits.on_outage == OnOutage::Allow {
            // By what this server knows itself.
            let bound = match ask {
                Some(ask) => self.refuses(ask, now),
                None => self.refuses_at_all(now),
            };
            return bound.map(Short::known);
        }
        let used = (&self.spent, self.reserved, self.running);
        self.share.as_ref()?.refuses(ask, &self.limits, used, (now, contact.is_fresh))
    }

    pub(crate) fn reserve(&mut self, ask: Amount, counts: Counts, now: Timestamp) {
        if let Some(share) = &mut self.share {
            share.reserve(ask);
        }
        self.running += u32::from(counts.at_once);
        self.reserved = self.reserved.saturating_add(ask.nanos);
        if counts.rates {
            self.count(ask.tokens, now);
        }
    }

    /// Counts a request and its tokens within the minute.
    pub(crate) fn count(&mut self, tokens: i64, now: Timestamp) {
        if self.limits.requests_per_minute.is_some() {
            self.requests.add(now.0, 1);
        }
        if self.limits.tokens_per_minute.is_some() {
            self.tokens.add(now.0, tokens);
        }
    }

    /// What was reserved and never counted within a minute is not needed.
    pub(crate) fn give_back(&mut self, asked: Amount) {
        self.reserved = self.reserved.saturating_sub(asked.nanos);
    }

    /// What a call of the moment `began` was charged is changed after it was settled.
    pub(crate) fn correct(&mut self, began: Timestamp, nanos: i64) {
        if let Some(share) = &mut self.share {
            share.is_dirty = true;
        }
        self.spent.add(began, nanos);
    }

    /// The call of a reservation is over and used `used`.
    pub(crate) fn settle(&mut self, reservation: &Reservation, used: Amount) {
        let Reservation { asked, began, counts, .. } = reservation;
        if let Some(share) = &mut self.share {
            share.settle(*asked, used);
        }
        self.running = self.running.saturating_sub(u32::from(counts.at_once));
        self.reserved = self.reserved.saturating_sub(asked.nanos);
        self.spent.add(*began, used.nanos);
        if self.limits.tokens_per_minute.is_some() {
            let counted = if counts.rates { asked.tokens } else { 0 };
            self.tokens.add(began.0, used.tokens - counted);
        }
    }

    /// The limit, what is left of it, and after how many microseconds it is whole again: of requests, then of tokens.
    pub(crate) fn standing(&mut self, now: Timestamp) -> [Option<(u64, u64, i64)>; 2] {
        let limits = [self.limits.requests_per_minute, self.limits.tokens_per_minute];
        if let Some(share) = &self.share {
            let standing = share.standing(&share.used(&self.spent, self.reserved, self.running));
            let of = |place: usize| {
                let (left, free_us) = standing.get(place).copied().unwrap_or_default();
                limits.get(place).copied().flatten().map(|limit| (limit, left.min(limit), free_us))
            };
            return [of(0), of(1)];
        }
        let [requests, tokens] = [&mut self.requests, &mut self.tokens];
        let of = |limit: Option<u64>, rate: &mut Rate| {
            let limit = limit?;
            let used = rate.used(now.0);
            let left = limit.saturating_sub(u64::try_from(used).unwrap_or(0));
            Some((limit, left, rate.free_after(now.0, used).unwrap_or(0)))
        };
        [of(limits[0], requests), of(limits[1], tokens)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_counts_in_the_window_in_which_the_call_began() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let mut spent = Spent::default();
        spent.add(at("2026-11-30T10:00:00Z"), 5);
        spent.add(at("2026-12-01T09:00:00Z"), 7);
        // It began yesterday and ends today.
        spent.add(at("2026-11-30T23:59:00Z"), 11);
        let now = at("2026-12-01T09:30:00Z");
        let within = Window::ALL.map(|window| spent.within(window, now));
        assert_eq!(within, [7, 7, 23, 7, 23]);
        assert_eq!(Window::ALL.map(|window| spent.within(window, at("2027-01-04"))), [0, 0, 0, 0, 23]);
        assert_eq!(spent.calls, 3);
    }
}
