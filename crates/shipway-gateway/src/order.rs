//! In which order deployments are tried. Pure: chance comes from outside.

use crate::model::Route;

/// The places of deployments in the order in which `route` has them tried, each once. `chance` gives numbers below its argument.
pub(crate) fn order(route: &Route, chance: &mut impl FnMut(u64) -> u64) -> Vec<usize> {
    let mut places = Vec::new();
    add(route, chance, &mut places);
    places
}

fn add(route: &Route, chance: &mut impl FnMut(u64) -> u64, places: &mut Vec<usize>) {
    match route {
        Route::Deployment(place) => {
            if !places.contains(place) {
                places.push(*place);
            }
        }
        Route::Fallback(routes) => routes.iter().for_each(|route| add(route, chance, places)),
        Route::Weighted(routes) => {
            let mut left: Vec<&(Route, u32)> = routes.iter().collect();
            while !left.is_empty() {
                let sum: u64 = left.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let mut drawn = chance(sum.max(1));
                let taken = left.iter().position(|(_, weight)| {
                    let is_it = drawn < u64::from(*weight);
                    drawn = drawn.saturating_sub(u64::from(*weight));
                    is_it
                });
                let (route, _) = left.remove(taken.unwrap_or_default());
                add(route, chance, places);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(place: usize) -> Route {
        Route::Deployment(place)
    }

    #[test]
    fn strategies_nest_and_a_deployment_is_tried_once() {
        let route = Route::Fallback(vec![Route::Weighted(vec![(at(0), 3), (at(1), 1)]), at(2), at(0)]);
        assert_eq!(order(&route, &mut |_| 2), [0, 1, 2]);
        assert_eq!(order(&route, &mut |sum| sum - 1), [1, 0, 2]);
    }

    proptest! {
        #[test]
        fn every_deployment_is_tried_and_each_is_first_as_often_as_its_weight_says(weights in prop::collection::vec(1u32..20, 1..6)) {
            let route = Route::Weighted(weights.iter().enumerate().map(|(place, weight)| (at(place), *weight)).collect());
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut first = vec![0; weights.len()];
            for drawn in 0..sum {
                let mut is_first = true;
                let places = order(&route, &mut |_| if std::mem::take(&mut is_first) { drawn } else { 0 });
                prop_assert_eq!(places.len(), weights.len());
                first[places[0]] += 1;
            }
            prop_assert_eq!(first, weights);
        }
    }
}
