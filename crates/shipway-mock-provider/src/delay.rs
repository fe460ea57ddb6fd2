//! How long something takes: always as long, up to some more, or as percentiles say. Drawn from a number, so that a run can be repeated.

use std::time::Duration;

/// A duration, or a distribution of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Delay {
    #[default]
    None,
    Always(Duration),
    /// The percentiles 50, 90, 95 and 99, in this order.
    Percentiles([Duration; 4]),
}

impl Delay {
    /// Reads `20ms`, or `10ms/20ms/40ms/90ms` for the percentiles.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let times = text.split('/').map(parse_duration).collect::<Result<Vec<_>, _>>()?;
        match times.as_slice() {
            [one] if one.is_zero() => Ok(Self::None),
            [one] => Ok(Self::Always(*one)),
            [p50, p90, p95, p99] => Ok(Self::Percentiles([*p50, *p90, *p95, *p99])),
            _ => Err(format!("`{text}` is neither one time nor the percentiles 50/90/95/99")),
        }
    }

    pub(crate) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The duration for a number in [0, 1): linear between the percentiles, the last one above 99.
    pub(crate) fn draw(&self, chance: f64) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Always(time) => *time,
            Self::Percentiles(times) => {
                const AT: [f64; 4] = [0.50, 0.90, 0.95, 0.99];
                let Some(upper) = AT.iter().position(|at| chance < *at) else { return times[3] };
                let Some(lower) = upper.checked_sub(1) else { return times[0] };
                let part = (chance - AT[lower]) / (AT[upper] - AT[lower]);
                times[lower] + times[upper].saturating_sub(times[lower]).mul_f64(part)
            }
        }
    }
}

/// Reads `300us`, `20ms`, `1.5s`, `2m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{text}` is no time: 300us, 20ms, 1.5s or 2m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no time: 300us, 20ms, 1.5s or 2m"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| format!("`{text}` is too long"))
}

/// Numbers that look drawn by chance and are the same in every run (SplitMix64, of Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.next() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(parse_duration("300us").unwrap(), Duration::from_micros(300));
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        for wrong in ["", "20", "ms", "-1s", "20 ms", "1.2.3s", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn percentiles_are_met_and_nothing_exceeds_the_last() {
        let delay = Delay::parse("10ms/20ms/40ms/90ms").unwrap();
        let mut chance = Chance::new(7);
        let mut drawn: Vec<_> = (0..10_000).map(|_| delay.draw(chance.unit())).collect();
        drawn.sort_unstable();
        let near = |at: usize, ms: u64| {
            let off = drawn[at].abs_diff(Duration::from_millis(ms));
            assert!(off < Duration::from_millis(ms / 5), "{at}: {:?}", drawn[at]);
        };
        near(4_000, 10);
        near(9_000, 20);
        near(9_500, 40);
        assert_eq!(*drawn.last().unwrap(), Duration::from_millis(90));
        assert!(Delay::parse("1ms/2ms").is_err());
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            [chance.unit(), chance.unit(), chance.unit()].map(f64::to_bits)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
