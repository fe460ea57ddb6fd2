//! What the entries of the ledger come to. Pure: the same entries, the same books.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;

use super::{CallFact, Entry, Opened};
use crate::{
    meter::Spent,
    model::{KeptResponse, Scope},
};

/// The books up to an offset of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Books {
    next: u64,
    /// Calls that are not settled, by their id.
    open: BTreeMap<String, Opened>,
    spent: HashMap<Scope, Spent>,
    /// Every settled call, whoever it is charged to.
    all: Spent,
    /// Responses that providers keep, of entries since they were taken last. Not written down: whoever writes the books down writes these
    /// beside them.
    #[serde(skip)]
    kept: Vec<KeptResponse>,
}

impl Books {
    /// Enters the entry at `offset`. An entry that is in the books already changes nothing.
    pub(crate) fn enter(&mut self, offset: u64, entry: Entry) {
        if offset < self.next {
            return;
        }
        self.next = offset + 1;
        match entry {
            Entry::Opened(opened) => drop(self.open.insert(opened.call.clone(), opened)),
            Entry::Settled(fact) => self.settle(&fact),
        }
    }

    fn settle(&mut self, fact: &CallFact) {
        self.open.remove(&fact.call);
        let at = Timestamp(fact.at_us);
        for scope in &fact.chain {
            self.spent.entry(scope.clone()).or_default().add(at, fact.cost_nanos);
        }
        self.all.add(at, fact.cost_nanos);
        self.kept.extend(fact.kept_response());
    }

    /// Goes on from another offset, where a ledger begins anew.
    pub(crate) fn go_on_from(&mut self, next: u64) {
        self.next = next;
    }

    /// The offset of the first entry that is not in them.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn kept(&self) -> &[KeptResponse] {
        &self.kept
    }

    /// They are written down.
    pub(crate) fn forget_kept(&mut self) {
        self.kept.clear();
    }

    pub(crate) fn open(&self) -> &BTreeMap<String, Opened> {
        &self.open
    }

    pub(crate) fn spent(&self) -> &HashMap<Scope, Spent> {
        &self.spent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Window;

    fn opened(call: &str, nanos: i64) -> Opened {
        Opened {
            call: call.to_owned(),
            at_us: 1_800_000_000_000_000,
            chain: vec![Scope::Key(call[..1].to_owned())],
            caller: "k".to_owned(),
            model: "m".to_owned(),
            api: "openai_chat".to_owned(),
            reserved_nanos: nanos,
        }
    }

    fn settled(opened: &Opened, nanos: i64) -> Entry {
        Entry::Settled(Box::new(CallFact {
            cost_nanos: nanos,
            ..CallFact::lost(opened, Timestamp(opened.at_us))
        }))
    }

    proptest! {
        /// Wherever a snapshot was taken, and whatever was read twice after it, the books are the same, and their sum is that of the calls.
        #[test]
        fn the_sum_of_the_books_is_the_sum_of_the_calls(
            calls in prop::collection::vec((0u8..3, 0i64..1_000_000, any::<bool>()), 0..60),
            cut in 0usize..120,
        ) {
            let mut entries = Vec::new();
            let mut sum = 0;
            for (index, (key, nanos, is_settled)) in calls.iter().enumerate() {
                let opened = opened(&format!("{key}-{index}"), *nanos);
                if *is_settled {
                    sum += nanos / 2;
                    entries.push(Entry::Opened(opened.clone()));
                    entries.push(settled(&opened, nanos / 2));
                } else {
                    entries.push(Entry::Opened(opened));
                }
            }
            let mut whole = Books::default();
            for (offset, entry) in entries.iter().enumerate() {
                whole.enter(offset as u64, entry.clone());
            }
            let mut again = Books::default();
            for (offset, entry) in entries.iter().enumerate().take(cut) {
                again.enter(offset as u64, entry.clone());
            }
            let mut again: Books = serde_json::from_str(&serde_json::to_string(&again).unwrap()).unwrap();
            for (offset, entry) in entries.iter().enumerate() {
                again.enter(offset as u64, entry.clone());
            }
            prop_assert_eq!(&whole, &again);
            let now = Timestamp(1_800_000_000_000_000);
            let of_keys: i64 = whole.spent().values().map(|spent| spent.within(Window::Total, now)).sum();
            prop_assert_eq!((of_keys, whole.all.within(Window::Total, now)), (sum, sum));
            let open = calls.iter().filter(|(_, _, is_settled)| !is_settled);
            prop_assert_eq!(whole.open().len(), open.clone().count());
            // What a crash left is charged what it had reserved, and then nothing is open.
            let reserved: i64 = open.map(|(_, nanos, _)| nanos).sum();
            let mut after = whole.clone();
            for fact in whole.settle_open(now) {
                let next = after.next();
                after.enter(next, Entry::Settled(Box::new(fact)));
            }
            prop_assert!(after.open().is_empty());
            prop_assert_eq!(after.all.within(Window::Total, now), sum + reserved);
        }
    }
}
