//! Limits and budgets of keys and groups: reserve before a call, settle after it.
//!
//! One lock holds all accounts, so a call reserves with its key and with every group above it, or with none of them; on one server the
//! limits are exact. It is held for about a microsecond.
//!
//! - `account`: what one key or group has used; pure
//! - `rate`: how much within the last minute; pure

mod account;
mod rate;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use shipway_core::Timestamp;

pub(crate) use account::{Account, Spent};

use crate::model::{Budget, Chain, Limits, Scope, Window};

/// What a call uses: money and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Billionths of a dollar.
    pub nanos: i64,
    /// Tokens of the request and of the answer.
    pub tokens: i64,
}

/// The bound that a call would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Calls at once.
    Concurrency {
        /// The limit.
        limit: u32,
    },
    /// Calls within a minute.
    Requests {
        /// The limit.
        limit: u64,
        /// After how many microseconds one more is let through.
        free_us: Option<i64>,
    },
    /// Tokens within a minute.
    Tokens {
        /// The limit.
        limit: u64,
        /// What the call would reserve.
        asked: i64,
        /// After how many microseconds there is room for it; none: never.
        free_us: Option<i64>,
    },
    /// Money.
    Budget {
        /// The budget.
        budget: Budget,
        /// What is left of it.
        left_nanos: i64,
        /// What the call would reserve.
        asked_nanos: i64,
        /// After how many microseconds it begins anew; none: never.
        free_us: Option<i64>,
    },
}

/// What is reserved for a call that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Whom it is charged to.
    pub chain: Chain,
    /// What was reserved.
    pub asked: Amount,
    /// When.
    pub began: Timestamp,
    /// What it counts as beside its money.
    pub counts: Counts,
}

/// What a reservation counts as beside its money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// One of the calls at once.
    pub at_once: bool,
    /// A request, and its tokens, within the minute.
    pub rates: bool,
}

impl Counts {
    const CALL: Self = Self { at_once: true, rates: true };
    const CONNECTION: Self = Self { at_once: true, rates: false };
    const MONEY: Self = Self { at_once: false, rates: false };
}

/// What a key or a group has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Spent in the present window of each kind, in billionths of a dollar.
    pub spent: Vec<(Window, i64)>,
    /// Reserved by calls that run.
    pub reserved_nanos: i64,
    /// Calls that run.
    pub running: u32,
    /// Calls that were settled.
    pub calls: u64,
}

/// How a rate limit stands: the limit, what is left, and in how many microseconds all of it is back.
pub type Standing = (u64, u64, i64);

/// The accounts of all keys and groups.
#[derive(Debug, Default)]
pub struct Meter {
    accounts: Mutex<HashMap<Scope, Account>>,
}

impl Meter {
    /// A meter that goes on from what the ledger says was spent.
    pub(crate) fn starting_from(spent: impl IntoIterator<Item = (Scope, Spent)>) -> Self {
        let accounts = spent.into_iter().map(|(scope, spent)| (scope, Account::having_spent(spent)));
        Self { accounts: Mutex::new(accounts.collect()) }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Scope, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts limits in force; what runs goes on.
    pub fn set_limits(&self, scope: &Scope, limits: Limits) {
        self.accounts().entry(scope.clone()).or_default().limits = limits;
    }

    /// Reserves for a call with everyone in `chain`, or with none of them: then the first that refuses, and why.
    pub fn reserve(
        &self,
        chain: &Chain,
        asked: Amount,
        now: Timestamp,
    ) -> Result<Reservation, (Scope, Bound)> {
        self.reserve_if(chain, (asked, Counts::CALL), now, |account| account.refuses(asked, now))
    }

    /// The same for a call that uses neither tokens nor money whatever happens: it counts as a call, and needs no budget.
    pub(crate) fn reserve_nothing(
        &self,
        chain: &Chain,
        now: Timestamp,
    ) -> Result<Reservation, (Scope, Bound)> {
        let nothing = (Amount::default(), Counts::CALL);
        self.reserve_if(chain, nothing, now, |account| account.refuses_at_all(now))
    }

    fn reserve_if(
        &self,
        chain: &Chain,
        (asked, counts): (Amount, Counts),
        now: Timestamp,
        refuses: impl Fn(&mut Account) -> Option<Bound>,
    ) -> Result<Reservation, (Scope, Bound)> {
        let mut accounts = self.accounts();
        for scope in chain {
            if let Some(account) = accounts.get_mut(scope)
                && let Some(bound) = refuses(account)
            {
                return Err((scope.clone(), bound));
            }
        }
        for scope in chain {
            accounts.entry(scope.clone()).or_default().reserve(asked, counts, now);
        }
        Ok(Reservation { chain: chain.clone(), asked, began: now, counts })
    }

    /// Reserves for a connection: it is one of the calls at once. What is asked over it reserves by itself.
    pub(crate) fn connect(&self, chain: &Chain, now: Timestamp) -> Result<Reservation, (Scope, Bound)> {
        let nothing = (Amount::default(), Counts::CONNECTION);
        self.reserve_if(chain, nothing, now, |account| account.refuses_at_once())
    }

    /// Reserves for what may begin over a connection at any moment: money. Requests and tokens must have room for it now, and count when
    /// it [begins](Self::begin).
    pub(crate) fn reserve_ahead(
        &self,
        chain: &Chain,
        asked: Amount,
        now: Timestamp,
    ) -> Result<Reservation, (Scope, Bound)> {
        let refuses = |account: &mut Account| {
            account.refuses_rates(asked.tokens, now).or_else(|| account.refuses_money(asked.nanos, now))
        };
        self.reserve_if(chain, (asked, Counts::MONEY), now, refuses)
    }

    /// Reserves for what runs already, whether there is room for it or not.
    pub(crate) fn take(&self, chain: &Chain, asked: Amount, now: Timestamp) -> Reservation {
        let mut accounts = self.accounts();
        for scope in chain {
            accounts.entry(scope.clone()).or_default().reserve(asked, Counts::MONEY, now);
        }
        Reservation { chain: chain.clone(), asked, began: now, counts: Counts::MONEY }
    }

    /// Why one more request of so many tokens may not begin now, if it may not; nothing is reserved.
    pub(crate) fn refuses_rates(&self, chain: &Chain, tokens: i64, now: Timestamp) -> Option<(Scope, Bound)> {
        let mut accounts = self.accounts();
        chain.iter().find_map(|scope| {
            let bound = accounts.get_mut(scope)?.refuses_rates(tokens, now)?;
            Some((scope.clone(), bound))
        })
    }

    /// What was reserved ahead begins: from here on it is a request of this moment.
    pub(crate) fn begin(&self, reservation: &mut Reservation, now: Timestamp) {
        if std::mem::replace(&mut reservation.counts.rates, true) {
            return;
        }
        reservation.began = now;
        let mut accounts = self.accounts();
        for scope in &reservation.chain {
            accounts.entry(scope.clone()).or_default().count(reservation.asked.tokens, now);
        }
    }

    /// Gives back what was reserved ahead and did not begin.
    pub(crate) fn give_back(&self, reservation: &Reservation) {
        let mut accounts = self.accounts();
        for scope in &reservation.chain {
            accounts.entry(scope.clone()).or_default().give_back(reservation.asked);
        }
    }

    /// Settles what a call used.
    pub fn settle(&self, reservation: &Reservation, used: Amount) {
        let mut accounts = self.accounts();
        for scope in &reservation.chain {
            let account = accounts.entry(scope.clone()).or_default();
            account.settle(reservation, used);
        }
    }

    /// Changes what a call of the moment `began` was charged, after it was settled.
    pub(crate) fn correct(&self, chain: &Chain, began: Timestamp, nanos: i64) {
        let mut accounts = self.accounts();
        for scope in chain {
            accounts.entry(scope.clone()).or_default().spent.add(began, nanos);
        }
    }

    /// What a key or a group has used so far.
    pub fn usage(&self, scope: &Scope, now: Timestamp) -> Usage {
        let accounts = self.accounts();
        let unused = Account::default();
        let account = accounts.get(scope).unwrap_or(&unused);
        Usage {
            spent: Window::ALL.iter().map(|window| (*window, account.spent.within(*window, now))).collect(),
            reserved_nanos: account.reserved,
            running: account.running,
            calls: account.spent.calls,
        }
    }

    /// The tightest limits for a minute of those in `chain`: of requests, then of tokens.
    pub fn standing(&self, chain: &Chain, now: Timestamp) -> [Option<Standing>; 2] {
        let mut accounts = self.accounts();
        let mut tightest: [Option<Standing>; 2] = [None, None];
        for scope in chain {
            let Some(account) = accounts.get_mut(scope) else { continue };
            for (tightest, standing) in tightest.iter_mut().zip(account.standing(now)) {
                let is_tighter = match (&*tightest, standing) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some((_, left_before, _)), Some((_, left, _))) => left < *left_before,
                };
                if is_tighter {
                    *tightest = standing;
                }
            }
        }
        tightest
    }
}

#[cfg(test)]
mod tests;
