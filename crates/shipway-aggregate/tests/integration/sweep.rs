//! A window that slides along sorted events gives the oracle's value at every query time.

use proptest::prelude::*;
use shipway_aggregate::{EventOrder, SlidingWindow, Window, oracle};

use crate::laws::{aggregations, awkward_time, events_of};

fn windows() -> Vec<Window> {
    ["1s", "5m", "6m", "1h", "6h", "12h", "1d", "12d", "30d", "lifetime"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2500))]

    #[test]
    fn a_sliding_window_equals_the_oracle(
        (aggregation, mut events) in prop::sample::select(aggregations())
            .prop_flat_map(|aggregation| (Just(aggregation), events_of(aggregation, 60))),
        window in prop::sample::select(windows()),
        mut queries in prop::collection::vec(awkward_time(), 1..20),
    ) {
        events.sort_by_key(|event| event.time);
        queries.sort();
        let mut sliding = SlidingWindow::new(aggregation, window);
        let mut next = 0;
        for q in queries {
            while next < events.len() && events[next].time < q {
                let event = &events[next];
                let at = EventOrder { time: event.time, event_id: &event.event_id };
                sliding.push_in(&event.value, &event.bucket, at).unwrap();
                next += 1;
            }
            prop_assert_eq!(sliding.value_at(q), oracle::value(&events, aggregation, window, q));
        }
    }
}
