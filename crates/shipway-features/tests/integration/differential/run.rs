//! One seed: definitions, a stream of events through requests, loads, deaths and restarts, and every path against the oracle.

use std::{
    collections::{BTreeMap, HashSet},
    ops::AddAssign,
    sync::Arc,
};

use futures::TryStreamExt as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value as Json, json};
use shipway_core::{Clock as _, Timestamp, Value};
use shipway_definitions::DefinitionSet;
use shipway_features::{
    ArrivalRule, FeaturesError, Spine, TrainingSet,
    offline::{AsOf, EngineSettings, Pins, TrainingSetRequest, training_set_with},
};

use super::{
    definitions,
    events::{Known, Stream},
    judge::{Judge, Question, Seen},
};
use crate::{
    offline::world::rows_of,
    world::{DAY, HOUR, MINUTE, World, parse},
};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) steps: usize,
    pub(crate) events: usize,
    pub(crate) questions: usize,
}

/// Values compared, by path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Compared {
    pub(crate) reads: usize,
    pub(crate) rebuilt: usize,
    /// States that were built anew beside the one that was read, compared with it, and swapped in.
    pub(crate) swapped: usize,
    pub(crate) offline: usize,
    pub(crate) by_arrival: usize,
    pub(crate) refused: usize,
}

impl AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.rebuilt += other.rebuilt;
        self.swapped += other.swapped;
        self.offline += other.offline;
        self.by_arrival += other.by_arrival;
        self.refused += other.refused;
    }
}

struct Run {
    seed: u64,
    random: StdRng,
    world: World,
    definitions: DefinitionSet,
    stream: Stream,
    judge: Judge,
    ids: HashSet<String>,
    token: String,
    /// Whether every view has its state.
    is_built: bool,
    /// Whether events take the place of earlier ones with their ids.
    are_corrected: bool,
    compared: Compared,
}

pub(crate) fn run(seed: u64, size: Size, are_corrected: bool) -> Compared {
    let mut random = StdRng::seed_from_u64(seed);
    let definitions = definitions::random(&mut random, are_corrected);
    // Before and after 1970.
    let stream = Stream::starting(if random.random_bool(0.3) { -10 } else { 60 });
    let world = World::new(&definitions.first);
    if are_corrected {
        world.clock.set(Timestamp(stream.newest));
    }
    world.block_on(world.features().built()).unwrap();
    let mut run = Run {
        seed,
        random,
        definitions: parse(&definitions.first),
        world,
        stream,
        judge: Judge::default(),
        ids: HashSet::new(),
        token: String::new(),
        is_built: false,
        are_corrected,
        compared: Compared::default(),
    };
    for step in 0..size.steps {
        if step == size.steps / 2 {
            run.world.begins_to_apply(&definitions.second);
            run.definitions = parse(&run.world.definitions);
        }
        run.step(size);
    }
    run.ingest(size.events);
    run.is_whole();
    run.reads_everything(size);
    run.trains(size);
    run.compared
}

impl Run {
    fn step(&mut self, size: Size) {
        match self.random.random_range(0..18) {
            0 => self.world.dies_and_returns(),
            1 => self.world.restarts(),
            // Of events that are corrected no file is loaded; their states are lost now and then.
            2 if self.are_corrected => self.world.loses_its_states(),
            2 | 3 if !self.are_corrected => self.load(size.events * 5),
            4..=10 => self.ingest(size.events),
            11 | 12 => self.rebuild(),
            _ => {
                for _ in 0..4 {
                    let q = self.moment();
                    let with_token = !self.token.is_empty() && self.random.random_bool(0.5);
                    self.read("first", q, with_token);
                }
            }
        }
    }

    /// Begins to build the state of some view anew, beside whatever comes.
    fn rebuild(&mut self) {
        let views: Vec<String> = self.definitions.views.keys().map(ToString::to_string).collect();
        let view = views.choose(&mut self.random).unwrap();
        self.world.block_on(self.world.features().begin_rebuild(view, None)).unwrap();
    }

    /// Waits for all builds. Whatever was built anew had the answers of the state that it replaced.
    fn is_whole(&mut self) {
        self.world.block_on(self.world.features().built()).unwrap();
        self.is_built = true;
        let records = self.world.block_on(self.world.features().builds(1_000)).unwrap();
        for record in records.iter().filter(|record| record.keys.is_some()) {
            assert_eq!(
                record.differing,
                Some(0),
                "seed {}: {record:?}\n{}",
                self.seed,
                self.world.definitions
            );
            self.compared.swapped += 1;
        }
    }

    fn ingest(&mut self, most: usize) {
        let known = &self.judge.known;
        let events = if self.are_corrected {
            self.stream.corrections(&mut self.random, most, known)
        } else {
            self.stream.events(&mut self.random, most, known)
        };
        if self.are_corrected {
            // So that what was known at the moments of events is asked about too.
            self.world.clock.set(Timestamp(self.stream.newest));
        }
        let answer = self.world.ingests("stream", &events);
        assert_eq!((answer.late, answer.quarantined, answer.refused.len()), (0, 0, 0), "seed {}", self.seed);
        let fresh = self.fresh(events);
        let first = offset(&answer.token) - fresh.len() as u64;
        for (position, json) in fresh.into_iter().enumerate() {
            self.know(json, first + position as u64);
        }
        self.token = answer.token;
    }

    fn load(&mut self, most: usize) {
        let rows = self.stream.events(&mut self.random, most, &self.judge.known);
        let answer = self.world.loads("stream", None, &rows);
        let Some(token) = answer.token else { return };
        let arrival = offset(&token) - 1;
        for json in self.fresh(rows) {
            self.know(json, arrival);
        }
        self.token = token;
    }

    fn fresh(&mut self, events: Vec<Json>) -> Vec<Json> {
        if self.are_corrected {
            return events;
        }
        events.into_iter().filter(|event| self.ids.insert(event["id"].as_str().unwrap().to_owned())).collect()
    }

    fn know(&mut self, json: Json, arrival: u64) {
        let received = self.world.clock.now();
        let is_gone = json["gone"] == true;
        let time = (!is_gone).then(|| json["at"].as_str().unwrap().parse().unwrap());
        let event = Known { arrival, received, time, until: None, json };
        if self.are_corrected {
            let earlier = self.judge.known.iter_mut().rev().find(|earlier| earlier.id() == event.id());
            earlier.into_iter().for_each(|earlier| earlier.until = Some((arrival, received)));
        }
        self.judge.known.push(event);
    }

    /// Often exactly the time of an event, a hop, or the edge of a window from one.
    fn moment(&mut self) -> Timestamp {
        let newest = self.stream.newest;
        let event = self.judge.known.choose(&mut self.random).and_then(|event| event.time);
        let event = event.map_or(newest, Timestamp::micros);
        let window = [MINUTE, 6 * MINUTE, HOUR, 12 * HOUR, DAY, 12 * DAY, 14 * DAY];
        Timestamp(match self.random.random_range(0..8) {
            0 => event,
            1 => event + window.choose(&mut self.random).unwrap(),
            2 => event - event.rem_euclid(5 * MINUTE) + window.choose(&mut self.random).unwrap(),
            3 => newest + self.random.random_range(0..2 * HOUR),
            4 => newest - self.random.random_range(0..DAY),
            5 => event + 1,
            _ => newest + 1,
        })
    }

    fn question(&mut self, q: Timestamp) -> Question {
        let k = ["x", "y", "xy", "", "nobody"].choose(&mut self.random).unwrap();
        let p = ["0.50", "1", "-0.50", "9999.9"].choose(&mut self.random).unwrap();
        let m = Timestamp(*[0, DAY, -1].choose(&mut self.random).unwrap()).to_string();
        let mut keys = json!({ "k": k, "n": self.random.random_range(0..2), "p": p, "m": m });
        for key in ["k", "n", "p", "m"] {
            if self.random.random_bool(0.05) {
                keys[key] = Json::Null;
            }
        }
        Question { keys, q }
    }

    fn read(&mut self, service: &str, q: Timestamp, with_token: bool) {
        let question = self.question(q);
        let mut row = question.keys.clone();
        let keys = &self.definitions.service(service).unwrap().definition.entity_keys;
        row.as_object_mut().unwrap().retain(|name, _| keys.iter().any(|(key, _)| key.as_str() == name));
        let token = with_token.then_some(self.token.as_str());
        let is_past = q.micros() <= self.stream.newest;
        match self.world.reads_service(service, &[row], q, token) {
            Ok(answer) => {
                let watermark = answer.watermarks["stream"];
                let values =
                    answer.columns.iter().cloned().zip(answer.rows[0].values.iter().cloned()).collect();
                self.agree(service, &question, Seen::Before(watermark), &values);
                if service == "second" {
                    self.compared.rebuilt += values.len();
                }
                self.compared.reads += values.len();
            }
            Err(FeaturesError::NotExact { .. }) if is_past => self.compared.refused += 1,
            Err(FeaturesError::Building { .. }) if service == "second" && !self.is_built => {}
            Err(error) => panic!("seed {}: {error:?}", self.seed),
        }
    }

    fn agree(&self, service: &str, question: &Question, seen: Seen, values: &BTreeMap<String, Value>) {
        for (column, expected) in self.judge.expected(&self.definitions, service, question, seen) {
            if values.get(&column).is_some_and(|value| is_lost_to_underflow(value, &expected)) {
                continue;
            }
            assert_eq!(
                values.get(&column),
                Some(&expected),
                "seed {}: {column} of {question:?}, {seen:?}\n{}",
                self.seed,
                self.world.definitions,
            );
        }
    }

    /// After the newest event nothing may be refused, of views that saw the stream and of those built from history.
    fn reads_everything(&mut self, size: Size) {
        let refused = self.compared.refused;
        for _ in 0..size.questions / 2 {
            let q = Timestamp(self.stream.newest + self.random.random_range(1..2 * HOUR));
            self.read("first", q, true);
            self.read("second", q, true);
        }
        assert_eq!(
            self.compared.refused, refused,
            "seed {}: a moment after every event was refused",
            self.seed
        );
    }

    fn trains(&mut self, size: Size) {
        let questions: Vec<Question> = (0..size.questions)
            .map(|_| {
                let q = self.moment();
                self.question(q)
            })
            .collect();
        let everything = offset(&self.token);
        let some = self.random.random_range(0..=everything);
        for service in ["first", "second"] {
            let everything_seen = |_: &Question| Seen::Before(u64::MAX);
            self.compared.offline += self.train(service, &questions, ArrivalRule::Any, everything_seen);
            if self.are_corrected {
                let known_then = |question: &Question| Seen::By(question.q);
                self.compared.by_arrival +=
                    self.train(service, &questions, ArrivalRule::Received, known_then);
                self.compared.by_arrival += self.trains_row_by_row(service, &questions, everything);
            }
            for watermark in [some, everything] {
                let before = BTreeMap::from([("stream".to_owned(), watermark)]);
                let rule = ArrivalRule::Before(before);
                let seen = |_: &Question| Seen::Before(watermark);
                self.compared.by_arrival += self.train(service, &questions, rule, seen);
            }
        }
    }

    /// Each row with a watermark of its own, as a replay of what was served has them.
    fn trains_row_by_row(&mut self, service: &str, questions: &[Question], everything: u64) -> usize {
        let marks: Vec<u64> = questions.iter().map(|_| self.random.random_range(0..=everything)).collect();
        let request = TrainingSetRequest {
            service: Arc::clone(self.definitions.service(service).unwrap()),
            definitions: Arc::new(self.definitions.clone()),
            spine: self.world.block_on(self.world.lake().query(&spine(questions, &marks))).unwrap(),
            time_column: "q".to_owned(),
            as_of: AsOf::ArrivalColumns(BTreeMap::from([("stream".to_owned(), "mark".to_owned())])),
            load_arrivals: BTreeMap::new(),
            labels: Vec::new(),
            pins: Pins::default(),
        };
        let settings = EngineSettings { batch_rows: 7, ..EngineSettings::default() };
        let batches: Vec<_> = self.world.block_on(async {
            let stream = training_set_with(self.world.lake(), request, &settings).await.unwrap();
            stream.try_collect().await.unwrap()
        });
        let rows = rows_of(&batches);
        assert_eq!(rows.len(), questions.len(), "seed {}: one row for each row of the spine", self.seed);
        for ((row, question), mark) in rows.iter().zip(questions).zip(marks) {
            self.agree(service, question, Seen::Before(mark), row);
        }
        rows.iter().map(BTreeMap::len).sum()
    }

    fn train(
        &self,
        service: &str,
        questions: &[Question],
        arrival: ArrivalRule,
        seen: impl Fn(&Question) -> Seen,
    ) -> usize {
        let wanted = TrainingSet {
            service: service.to_owned(),
            spine: Spine::Sql(spine(questions, &[])),
            time: "q".to_owned(),
            arrival,
            from: None,
            to: None,
            labels: Vec::new(),
        };
        let batches: Vec<_> = self.world.block_on(async {
            let stream = self.world.features().training_set(wanted).await.unwrap();
            stream.batches.try_collect().await.unwrap()
        });
        let rows = rows_of(&batches);
        assert_eq!(rows.len(), questions.len(), "seed {}: one row for each row of the spine", self.seed);
        for (row, question) in rows.iter().zip(questions) {
            self.agree(service, question, seen(question), row);
        }
        rows.iter().map(BTreeMap::len).sum()
    }
}

/// Powers of the least floats leave their range, and the digits that they lose may be a value that is no longer zero.
fn is_lost_to_underflow(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Float(value), Value::Float(expected)) => {
            let apart = (value - expected).abs();
            apart > 0.0 && apart < f64::MIN_POSITIVE
        }
        _ => false,
    }
}

/// The questions as a query, in order, each with its mark where there are some.
fn spine(questions: &[Question], marks: &[u64]) -> String {
    let row = |(place, question): (usize, &Question)| {
        let text = |key: &str| {
            question.keys[key].as_str().map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"))
        };
        let n = question.keys["n"].as_i64().map_or_else(|| "NULL".to_owned(), |number| number.to_string());
        let mark = marks.get(place).copied().unwrap_or_default();
        format!("({}, {n}, {}, {}, {}, {mark})", text("k"), text("p"), text("m"), question.q.micros())
    };
    let rows: Vec<String> = questions.iter().enumerate().map(row).collect();
    let mark = if marks.is_empty() { "" } else { ", CAST(mark AS BIGINT) AS mark" };
    let rows = rows.join(", ");
    // The key has another scale than the one that is declared: it widens.
    format!(
        "SELECT CAST(k AS VARCHAR) AS k, CAST(n AS BIGINT) AS n, CAST(p AS DECIMAL(7, 2)) AS p,
            arrow_cast(CAST(m AS TIMESTAMP), 'Timestamp(Microsecond, Some(\"UTC\"))') AS m,
            to_timestamp_micros(q) AS q{mark}
        FROM (VALUES {rows}) AS t(k, n, p, m, q, mark)"
    )
}

fn offset(token: &str) -> u64 {
    token.split_once('@').unwrap().1.parse().unwrap()
}
