//! The states of many keys out of one published state: one look into the store for all that nobody holds, each decoded once.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    error::FeaturesError,
    materialise::views::decode,
    state::{
        KeyState, ViewLayout,
        cache::{Lookup, StateCache},
    },
};

/// So many keys are looked up at once. Whoever reads one of them meanwhile waits for no more than these.
const AT_ONCE: usize = 512;

/// A state that is needed.
pub(crate) struct Wanted<'a> {
    pub(crate) layout: &'a ViewLayout,
    pub(crate) key: Bytes,
}

/// A state as it was found; none when there never was an event of its key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) state: Option<Arc<KeyState>>,
    /// Whether it was decoded before: then it is read often.
    pub(crate) is_hot: bool,
}

/// The states of `wanted`, in their order, as they are in the published state with the number `published`, which `load`
/// reads: the stored bytes of some keys, in their order.
pub(crate) fn states(
    cache: &StateCache,
    published: u64,
    wanted: &[Wanted<'_>],
    load: impl Fn(&[Bytes]) -> Result<Vec<Option<Bytes>>, FeaturesError>,
) -> Result<Vec<Found>, FeaturesError> {
    let mut found = vec![Found::default(); wanted.len()];
    for (found, wanted) in found.chunks_mut(AT_ONCE).zip(wanted.chunks(AT_ONCE)) {
        together(cache, published, wanted, found, &load)?;
    }
    Ok(found)
}

fn together(
    cache: &StateCache,
    published: u64,
    wanted: &[Wanted<'_>],
    found: &mut [Found],
    load: impl Fn(&[Bytes]) -> Result<Vec<Option<Bytes>>, FeaturesError>,
) -> Result<(), FeaturesError> {
    let (mut leads, mut flights) = (Vec::new(), Vec::new());
    for (position, wanted) in wanted.iter().enumerate() {
        match cache.find(&wanted.key, published) {
            Lookup::Ready(state) => found[position] = Found { state: Some(state), is_hot: true },
            Lookup::Lead(lead) => leads.push((position, lead)),
            Lookup::Follow(flight) => flights.push((position, flight)),
        }
    }
    if !leads.is_empty() {
        let keys: Vec<Bytes> = leads.iter().map(|(_, lead)| lead.key().clone()).collect();
        for ((position, lead), stored) in leads.into_iter().zip(load(&keys)?) {
            let layout = wanted[position].layout;
            found[position].state = lead.land(stored, |stored| decode(layout, stored))?;
        }
    }
    // All that is led here has landed, so nobody who is waited for can be waiting for this read.
    for (position, flight) in flights {
        let Wanted { layout, key } = &wanted[position];
        found[position].state = match flight.wait() {
            Some(state) => state,
            None => {
                let stored = load(std::slice::from_ref(key))?.pop().flatten();
                stored.map(|stored| decode(layout, &stored).map(Arc::new)).transpose()?
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use shipway_definitions::{DefinitionFile, DefinitionSet};

    use super::*;
    use crate::{
        error::damaged,
        model::schema::SourceSchema,
        state::{RecentEvent, codec},
    };

    const DEFINITIONS: &str = "
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: sales
event_time: at
columns: { at: timestamp, shop: text, product: text }
---
kind: view
name: latest_sale
entity: shop
source: sales
latest: [product]
";

    /// A view, and a state of it whose stored form is worth keeping.
    fn fixture() -> (ViewLayout, Bytes) {
        let file = DefinitionFile { path: "definitions.yaml".into(), text: DEFINITIONS.to_owned() };
        let set = DefinitionSet::parse(&[file]).unwrap();
        let schema = SourceSchema::new(&set.source("sales").unwrap().definition).unwrap();
        let view = set.view("latest_sale").unwrap();
        let layout = ViewLayout::new(&view.definition, view.hash, &schema).unwrap();
        let mut state = KeyState::empty(&layout);
        for number in 0..20_i64 {
            let values = Box::new([shipway_core::Value::text("a product with a name")]);
            let event = RecentEvent { time: shipway_core::Timestamp(number), id: "id".into(), values };
            state.apply(&layout, &layout.reach(shipway_core::Timestamp(number)), event);
        }
        let stored = codec::encode(&layout, &state);
        (layout, stored)
    }

    fn wanted<'a>(layout: &'a ViewLayout, keys: &[&'static str]) -> Vec<Wanted<'a>> {
        keys.iter().map(|key| Wanted { layout, key: Bytes::from_static(key.as_bytes()) }).collect()
    }

    #[test]
    fn reads_of_one_key_at_the_same_time_look_into_the_store_once() {
        const READERS: usize = 8;
        let (layout, stored) = fixture();
        let cache = StateCache::new(1 << 20);
        let loads = AtomicUsize::new(0);
        // The look into the store ends when everybody else has asked for the same key.
        let load = |keys: &[Bytes]| {
            loads.fetch_add(keys.len(), Ordering::Relaxed);
            while cache.followers() < READERS - 1 {
                thread::yield_now();
            }
            Ok(vec![Some(stored.clone()); keys.len()])
        };
        let read = || states(&cache, 7, &wanted(&layout, &["hot"]), load).unwrap().remove(0).state.unwrap();
        let found: Vec<Arc<KeyState>> = thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        });
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert!(found.iter().all(|state| Arc::ptr_eq(state, &found[0])), "decoded once");
        assert_eq!(cache.followers(), 0);
    }

    #[test]
    fn one_look_into_the_store_brings_all_keys_of_a_request_and_a_second_request_needs_none() {
        let (layout, stored) = fixture();
        let cache = StateCache::new(1 << 20);
        let loads = std::cell::RefCell::new(Vec::new());
        let load = |keys: &[Bytes]| {
            loads.borrow_mut().push(keys.len());
            Ok(keys.iter().map(|key| (key != "nobody").then(|| stored.clone())).collect())
        };
        let read = |published, keys: &[&'static str]| {
            let found = states(&cache, published, &wanted(&layout, keys), load).unwrap();
            found.iter().map(|found| (found.state.is_some(), found.is_hot)).collect::<Vec<_>>()
        };
        // A key that stands twice in a request follows itself.
        assert_eq!(
            read(1, &["a", "b", "a", "nobody"]),
            [(true, false), (true, false), (true, false), (false, false)]
        );
        assert_eq!(*loads.borrow(), [3]);
        assert_eq!(read(1, &["b", "a"]), [(true, true), (true, true)]);
        assert_eq!(*loads.borrow(), [3], "the same published state: nothing to look for");
        assert_eq!(read(2, &["a"]), [(true, false)]);
        assert_eq!(*loads.borrow(), [3, 1], "another published state may hold other bytes");
    }

    #[test]
    fn who_follows_a_read_that_failed_reads_for_himself() {
        let (layout, stored) = fixture();
        let cache = StateCache::new(1 << 20);
        let Lookup::Lead(lead) = cache.find(&Bytes::from_static(b"a"), 1) else { unreachable!() };
        let read =
            || states(&cache, 1, &wanted(&layout, &["a"]), |keys| Ok(vec![Some(stored.clone()); keys.len()]));
        thread::scope(|scope| {
            let follower = scope.spawn(read);
            while cache.followers() < 1 {
                thread::yield_now();
            }
            assert!(lead.land(Some(stored.clone()), |_| Err(damaged("a state"))).is_err());
            assert!(follower.join().unwrap().unwrap()[0].state.is_some());
        });
        assert!(matches!(cache.find(&Bytes::from_static(b"a"), 1), Lookup::Lead(_)), "the flight is over");
    }
}
