//! How much was used within the last minute, exact to a second and never too little. Pure.

const SECONDS: i64 = 60;
const SECOND_US: i64 = 1_000_000;

/// A sum over the last minute, kept by seconds.
///
/// The second that began a minute ago counts whole until it is over. So no minute, wherever it begins, holds more than what a limit of
/// this sum lets through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate {
    /// Second of the epoch and amount, oldest first; at most 61.
    seconds: Vec<(i64, i64)>,
    sum: i64,
}

impl Rate {
    /// What was used in the minute before `now_us`.
    pub(crate) fn used(&mut self, now_us: i64) -> i64 {
        let oldest = now_us.div_euclid(SECOND_US) - SECONDS;
        let gone = self.seconds.iter().take_while(|(second, _)| *second < oldest).count();
        for (_, amount) in self.seconds.drain(..gone) {
            self.sum -= amount;
        }
        self.sum
    }

    /// Adds to the second of `at_us`, which may be a negative amount: what was counted too much. A second that is forgotten already stays
    /// forgotten.
    pub(crate) fn add(&mut self, at_us: i64, amount: i64) {
        let second = at_us.div_euclid(SECOND_US);
        match self.seconds.binary_search_by_key(&second, |(second, _)| *second) {
            Ok(place) => self.seconds[place].1 += amount,
            Err(_) if amount < 0 => return,
            Err(place) => self.seconds.insert(place, (second, amount)),
        }
        self.sum += amount;
    }

    /// How many microseconds after `now_us` at least `amount` of what was used is forgotten; none when there is not so much.
    pub(crate) fn free_after(&mut self, now_us: i64, amount: i64) -> Option<i64> {
        self.used(now_us);
        let mut freed = 0;
        for (second, used) in &self.seconds {
            freed += used;
            if freed >= amount {
                return Some((second + SECONDS + 1) * SECOND_US - now_us);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_is_forgotten_when_it_is_a_minute_old() {
        let mut rate = Rate::default();
        rate.add(500_000, 3);
        rate.add(1_000_000, 4);
        assert_eq!(rate.used(60_900_000), 7);
        assert_eq!(rate.free_after(60_900_000, 3), Some(100_000));
        assert_eq!(rate.used(61_000_000), 4);
        assert_eq!(rate.free_after(61_000_000, 5), None);
        assert_eq!(rate.used(200_000_000), 0);
        rate.add(500_000, -3);
        assert_eq!(rate.used(200_000_000), 0);
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_than_a_limit_of_the_sum(
            steps in prop::collection::vec(0i64..5_000_000, 1..200),
            limit in 1i64..20,
        ) {
            let (mut rate, mut now, mut taken) = (Rate::default(), 0, Vec::new());
            for step in steps {
                now += step;
                if rate.used(now) < limit {
                    rate.add(now, 1);
                    taken.push(now);
                }
            }
            for from in &taken {
                let within = taken.iter().filter(|at| (*from..from + 60_000_000).contains(at)).count();
                prop_assert!(within as i64 <= limit);
            }
        }
    }
}
