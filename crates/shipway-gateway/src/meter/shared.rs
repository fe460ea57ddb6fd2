//! What the accounts of this server say to the store that several servers share, and what they hear from it.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use shipway_core::Timestamp;

use super::{
    Account, Amount, Contact, Counts, Elsewhere, Meter, Needs, Reservation, Round, Says, Short, Told,
    share::Share,
};
use crate::model::{Chain, Limits, Scope};

/// For how long after a message to the store a lease holds that is for a time only: half as long as others wait before they take it.
const FRESH: Duration = Duration::from_secs(10);

/// How the store is reached.
#[derive(Debug)]
pub(crate) struct Freshness {
    began: Instant,
    fresh_until_us: AtomicU64,
    is_away: AtomicBool,
}

impl Freshness {
    fn new() -> Self {
        let (fresh_until_us, is_away) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { began: Instant::now(), fresh_until_us, is_away }
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    fn contact(&self) -> Contact {
        let now = self.micros(Instant::now());
        Contact {
            is_fresh: now < self.fresh_until_us.load(Ordering::Acquire),
            is_away: self.is_away.load(Ordering::Acquire),
        }
    }
}

impl Meter {
    /// The same meter, of a server that shares limits with others.
    pub(crate) fn shared(mut self) -> Self {
        for account in self.accounts().values_mut() {
            account.share = Some(Box::new(Share::with_news()));
        }
        self.sharing = Some(Freshness::new());
        self
    }

    /// The account of `scope`, which is made if there is none.
    pub(super) fn account<'a>(
        &self,
        accounts: &'a mut HashMap<Scope, Account>,
        scope: &Scope,
    ) -> &'a mut Account {
        let is_shared = self.sharing.is_some();
        accounts.entry(scope.clone()).or_insert_with(|| Account::new(is_shared))
    }

    /// Reserves as far as leases go, where several servers share limits. `asked`: none for a call that uses neither tokens nor money whatever happens.
    pub(crate) fn take(
        &self,
        chain: &Chain,
        asked: Option<Amount>,
        now: Timestamp,
    ) -> Result<Reservation, (Scope, Short)> {
        let usual = Contact { is_fresh: true, is_away: false };
        let contact = self.sharing.as_ref().map_or(usual, Freshness::contact);
        self.take_by(chain, asked, now, contact)
    }

    /// The same while the store does not answer, although that may not be known yet.
    pub(crate) fn take_in_an_outage(
        &self,
        chain: &Chain,
        asked: Option<Amount>,
        now: Timestamp,
    ) -> Result<Reservation, (Scope, Short)> {
        let is_fresh = self.sharing.as_ref().is_some_and(|freshness| freshness.contact().is_fresh);
        self.take_by(chain, asked, now, Contact { is_fresh, is_away: true })
    }

    fn take_by(
        &self,
        chain: &Chain,
        asked: Option<Amount>,
        now: Timestamp,
        contact: Contact,
    ) -> Result<Reservation, (Scope, Short)> {
        self.reserve_if(chain, (asked.unwrap_or_default(), Counts::CALL), now, |account| {
            account.refuses_shared(asked, now, contact)
        })
    }

    /// As after a long time without an answer.
    #[cfg(test)]
    pub(crate) fn loses_contact(&self) {
        if let Some(freshness) = &self.sharing {
            freshness.fresh_until_us.store(0, Ordering::Release);
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        self.sharing.as_ref().is_some_and(|freshness| freshness.is_away.load(Ordering::Acquire))
    }

    /// The accounts that a round is about.
    pub(crate) fn due(&self, round: Round) -> Vec<Scope> {
        let accounts = self.accounts();
        let due = accounts.iter().filter(|(_, account)| {
            let share = account.share.as_ref();
            share.is_some_and(|share| share.is_due(round, &account.spent, account.reserved, account.running))
        });
        due.map(|(scope, _)| scope.clone()).collect()
    }

    /// What is said of these accounts. `keeps`: leases are kept; else all that is not in use is given back.
    pub(crate) fn says(
        &self,
        epoch: &str,
        scopes: &HashMap<Scope, Option<Needs>>,
        keeps: bool,
    ) -> Vec<(Scope, Limits, Says)> {
        let mut accounts = self.accounts();
        let mut said = Vec::with_capacity(scopes.len());
        for (scope, needs) in scopes {
            let account = self.account(&mut accounts, scope);
            let Some(share) = &mut account.share else { continue };
            let used = (&account.spent, account.reserved, account.running);
            let says = share.says(epoch, &account.limits, used, needs.as_ref(), keeps);
            said.push((scope.clone(), account.limits.clone(), says));
        }
        said
    }

    /// The store has answered what was said at `asked`.
    pub(crate) fn hears(&self, told: Vec<(Scope, Told)>, asked: Instant) {
        let Some(freshness) = &self.sharing else { return };
        let mut accounts = self.accounts();
        if !freshness.contact().is_fresh {
            // Others may have taken over what was leased for a time; what is heard now is not among it.
            for account in accounts.values_mut() {
                if let Some(share) = &mut account.share {
                    share.lapse(account.running);
                }
            }
        }
        for (scope, told) in told {
            let account = self.account(&mut accounts, &scope);
            account.spent.takes_in(&told.spent);
            if let Some(share) = &mut account.share {
                share.hears(told);
            }
        }
        freshness.fresh_until_us.fetch_max(freshness.micros(asked + FRESH), Ordering::AcqRel);
        freshness.is_away.store(false, Ordering::Release);
    }

    /// The store has not answered what was said of these accounts.
    pub(crate) fn hears_nothing(&self, scopes: impl Iterator<Item = Scope>) {
        let mut accounts = self.accounts();
        for scope in scopes {
            if let Some(share) = accounts.get_mut(&scope).and_then(|account| account.share.as_mut()) {
                share.hears_nothing();
            }
        }
        if let Some(freshness) = &self.sharing {
            freshness.is_away.store(true, Ordering::Release);
        }
    }

    /// Somebody waits for what others have leased of these.
    pub(crate) fn ask_back(&self, scopes: &[Scope]) {
        let mut accounts = self.accounts();
        for scope in scopes {
            if let Some(share) = accounts.get_mut(scope).and_then(|account| account.share.as_mut()) {
                share.ask_back();
            }
        }
    }

    /// What others have used.
    pub(crate) fn hears_of(&self, elsewhere: Vec<(Scope, Elsewhere)>) {
        let mut accounts = self.accounts();
        for (scope, elsewhere) in elsewhere {
            if let Some(share) = &mut self.account(&mut accounts, &scope).share {
                share.hears_of(elsewhere);
            }
        }
    }
}
