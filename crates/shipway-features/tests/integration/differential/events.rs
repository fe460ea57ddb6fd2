//! Random events that look for trouble.

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value as Json, json};
use shipway_core::Timestamp;

use crate::world::{DAY, HOUR, MINUTE, SECOND};

/// One event as the outside knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) arrival: u64,
    /// When it was taken in, by the server's clock.
    pub(crate) received: Timestamp,
    /// None of an event that only takes another one away.
    pub(crate) time: Option<Timestamp>,
    /// What took it away: the arrival and the moment.
    pub(crate) until: Option<(u64, Timestamp)>,
    pub(crate) json: Json,
}

impl Known {
    pub(crate) fn id(&self) -> &str {
        self.json["id"].as_str().unwrap()
    }
}

/// Makes events; remembers how far time has come.
pub(crate) struct Stream {
    pub(crate) newest: i64,
    next_id: u32,
}

impl Stream {
    /// The stream starts `day` days after (or, negative, before) 1970.
    pub(crate) fn starting(day: i64) -> Self {
        Self { newest: day * DAY, next_id: 0 }
    }

    /// Mostly a little later than before; often equal, at the start of a hop, a whole window away, late, or far apart.
    fn time(&self, random: &mut StdRng) -> i64 {
        let newest = self.newest;
        let window = [SECOND, 10 * SECOND, 6 * MINUTE, HOUR, 12 * HOUR, DAY, 12 * DAY];
        match random.random_range(0..14) {
            0 | 1 => newest,
            2 => newest - newest.rem_euclid(30 * SECOND),
            3 => newest - newest.rem_euclid(HOUR) + HOUR,
            4 => newest - random.random_range(0..2 * HOUR),
            5 => newest - random.random_range(0..13 * DAY),
            6 => newest + random.random_range(0..3 * HOUR),
            7 => newest - random.random_range(0..3) * DAY,
            8 => newest - window.choose(random).unwrap(),
            9 => newest - newest.rem_euclid(DAY) - 1,
            _ => newest + random.random_range(0..90 * SECOND),
        }
    }

    /// The next events; some are repetitions of `known` ones.
    pub(crate) fn events(&mut self, random: &mut StdRng, most: usize, known: &[Known]) -> Vec<Json> {
        let count = random.random_range(1..=most);
        (0..count)
            .map(|_| match known.choose(random) {
                Some(earlier) if random.random_bool(0.04) => earlier.json.clone(),
                _ => self.event(random),
            })
            .collect()
    }

    /// The next events of a source whose events are corrected by their ids: half of them correct `known` ones, or take them away.
    pub(crate) fn corrections(&mut self, random: &mut StdRng, most: usize, known: &[Known]) -> Vec<Json> {
        let count = random.random_range(1..=most);
        (0..count)
            .map(|_| {
                let fresh = self.event(random);
                match known.choose(random) {
                    Some(earlier) if random.random_bool(0.5) => self.correction(random, fresh, &earlier.json),
                    _ => fresh,
                }
            })
            .collect()
    }

    fn correction(&self, random: &mut StdRng, mut fresh: Json, earlier: &Json) -> Json {
        let id = &earlier["id"];
        match random.random_range(0..8) {
            0 => return json!({ "id": id, "gone": true }),
            1 => {
                let mut whole = earlier.clone();
                whole["gone"] = true.into();
                return whole;
            }
            // The same once more, as a broker does it.
            2 if !earlier["at"].is_null() => return earlier.clone(),
            // One cell, all else as it was.
            3 | 4 if !earlier["at"].is_null() => {
                let column = ["a", "b", "c", "k", "f"].choose(random).unwrap();
                let mut changed = earlier.clone();
                changed["gone"] = Json::Null;
                changed[*column] = fresh[*column].clone();
                return changed;
            }
            5 if !earlier["at"].is_null() => fresh["at"] = earlier["at"].clone(),
            _ => {}
        }
        fresh["id"] = id.clone();
        fresh
    }

    fn event(&mut self, random: &mut StdRng) -> Json {
        self.next_id += 1;
        let time = self.time(random);
        self.newest = self.newest.max(time);
        let a = [0.1, -0.0, 0.0, 1e16, -1e16, 2.5, 3e-9, 1e300, -1e300, f64::MIN_POSITIVE];
        let seen = time - random.random_range(-2..3) * DAY;
        let mut event = json!({
            // Ids whose order as text is not the order in which they came.
            "id": format!("{}-{}", self.next_id % 7, self.next_id),
            "at": Timestamp(time).to_string(),
            "k": (["x", "y", "xy", ""].choose(random).unwrap()),
            "n": (random.random_range(0..2)),
            "a": (a.choose(random).unwrap()),
            "b": (random.random_range(-5..100_i64)),
            "c": (["tea", "milk", "jam", "", "naïve"].choose(random).unwrap()),
            "d": (random.random_bool(0.5)),
            "e": (Timestamp(seen).to_string()),
            "f": decimal(random),
            "g": (0..random.random_range(0..3)).map(|_| decimal(random)).collect::<Vec<_>>(),
            "p": (["0.5", "1", "1.0", "-0.5"].choose(random).unwrap()),
            "m": (Timestamp([0, DAY, -1].choose(random).copied().unwrap()).to_string()),
        });
        if random.random_bool(0.05) {
            event["b"] = (i64::MAX / 1_000_000).into();
        }
        if random.random_bool(0.05) {
            event["a"] = (*["NaN", "Infinity", "-Infinity"].choose(random).unwrap()).into();
        }
        for column in ["k", "n", "a", "b", "c", "d", "e", "f", "g", "p", "m"] {
            if random.random_bool(0.05) {
                event[column] = Json::Null;
            }
        }
        event
    }
}

/// Cents, tenths that floats cannot hold, whole numbers as such, and numbers of seventeen digits.
fn decimal(random: &mut StdRng) -> Json {
    match random.random_range(0..8) {
        0 => json!(random.random_range(-3..4)),
        1 => json!("12345678901234567.89"),
        2 => json!("-99999999999999999.9"),
        3 => json!("-0"),
        _ => json!(format!("{}.{}", random.random_range(0..100), random.random_range(0..100))),
    }
}
