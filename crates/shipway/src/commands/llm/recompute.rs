//! `llm recompute`: what recorded calls cost at the prices in force, or at those of files, beside what was charged. Nothing is changed.

use std::{
    collections::{BTreeMap, HashMap},
    process::ExitCode,
};

use serde_json::{Value as Json, json};
use shipway_core::Timestamp;
use shipway_definitions::{DefinitionFile, DefinitionSet};
use shipway_dialects::{Extras, Nanos, Price, Usage};

use super::{Context, items, shown};
use crate::{
    arguments::{LlmRecompute, RecomputeBy},
    failure::CommandFailure,
    output,
    serve::price_of_definition,
};

/// Calls that are read at once.
const PAGE: usize = 20_000;

/// The price of each deployment, by the names of model and deployment.
type Prices = HashMap<(String, String), Price>;

/// Columns of the table of calls, in the order in which they are read.
const COLUMNS: &str = "call, at, key, model, deployment, service_tier, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, \
     reasoning_tokens, cost_nanos, cache_write_long_tokens, input_audio_tokens, input_image_tokens, output_audio_tokens, \
     output_image_tokens, searches, images, milliseconds, beside_nanos, outcome";

pub(super) async fn run(context: &Context, options: &LlmRecompute) -> Result<ExitCode, CommandFailure> {
    let prices = match options.prices.is_empty() {
        true => in_force(&context.client.get("/llm/models").await?)?,
        false => of_files(options)?,
    };
    let bounds = bounds(options)?;
    let mut sums: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    let mut last = String::new();
    loop {
        // Ids grow with time, so the next page begins behind the last id.
        let query = format!(
            "SELECT {COLUMNS} FROM llm_calls WHERE call > '{last}'{bounds} ORDER BY call LIMIT {PAGE}"
        );
        let answer = context.client.post("/sql", &json!({ "query": query })).await?;
        let rows: Vec<&Json> = items(&answer, "rows").collect();
        for row in &rows {
            let call = Recorded::read(row)
                .ok_or_else(|| CommandFailure::new(format!("a row of llm_calls cannot be read: {row}")))?;
            sums.entry(call.group(&options.by)).or_default().add(&call, &prices);
            last.clone_from(&call.call);
        }
        if rows.len() < PAGE {
            break;
        }
    }
    let answer = as_json(&sums, &options.by);
    shown(context, &answer, || print(&sums, &options.by))
}

/// The bounds of the query. Days are read before they stand in it, and names are quoted.
fn bounds(options: &LlmRecompute) -> Result<String, CommandFailure> {
    let mut bounds = String::new();
    for (day, sign) in [(&options.since, ">="), (&options.until, "<")] {
        let Some(day) = day else { continue };
        let moment = Timestamp::parse(day).map_err(|_| {
            CommandFailure::new(format!("{day} is no day")).with_hint("write it as 2026-11-01")
        })?;
        bounds.push_str(&format!(" AND at {sign} to_timestamp_micros({})", moment.0));
    }
    if let Some(model) = &options.model {
        bounds.push_str(&format!(" AND model = '{}'", model.replace('\'', "''")));
    }
    Ok(bounds)
}

fn in_force(answer: &Json) -> Result<Prices, CommandFailure> {
    let mut prices = Prices::new();
    for model in items(answer, "models") {
        for deployment in items(model, "deployments").filter(|one| !one["full_price"].is_null()) {
            let price = serde_json::from_value(deployment["full_price"].clone()).map_err(|error| {
                CommandFailure::new(format!("a price of the server cannot be read: {error}"))
            })?;
            let name = |of: &Json| of["name"].as_str().unwrap_or_default().to_owned();
            prices.insert((name(model), name(deployment)), price);
        }
    }
    Ok(prices)
}

fn of_files(options: &LlmRecompute) -> Result<Prices, CommandFailure> {
    let mut files = Vec::new();
    for path in &options.prices {
        files.push(DefinitionFile::new(path.display().to_string(), fs_err::read_to_string(path)?));
    }
    let set = DefinitionSet::parse(&files).map_err(|errors| CommandFailure::new(errors.to_string()))?;
    let mut prices = Prices::new();
    for model in set.llm_models.values().map(|versioned| &versioned.definition) {
        for deployment in &model.deployments {
            if let Some(price) = &deployment.price {
                let names = (model.name.to_string(), deployment.name.to_string());
                prices.insert(names, price_of_definition(price));
            }
        }
    }
    Ok(prices)
}

/// A call as its row says it.
#[derive(Debug, Clone, Default)]
struct Recorded {
    call: String,
    day: String,
    key: Option<String>,
    model: String,
    deployment: Option<String>,
    service_tier: Option<String>,
    usage: Usage,
    images: u64,
    milliseconds: u64,
    cost_nanos: i64,
    beside_nanos: i64,
    /// Tokens were charged: a call that was refused, or that has no usage, costs what it did.
    is_used: bool,
}

impl Recorded {
    fn read(row: &Json) -> Option<Self> {
        let names: Vec<&str> = COLUMNS.split(',').map(str::trim).collect();
        let of = |name: &str| match row.as_array() {
            Some(values) => values.get(names.iter().position(|column| *column == name)?),
            None => row.get(name),
        };
        let text = |name: &str| of(name).and_then(Json::as_str).map(str::to_owned);
        // Columns that older rows do not have are null there.
        let count = |name: &str| of(name).and_then(Json::as_u64).unwrap_or(0);
        let cache_write_long = count("cache_write_long_tokens");
        let usage = Usage {
            input: count("input_tokens"),
            cache_read: count("cache_read_tokens"),
            cache_write: count("cache_write_tokens").saturating_sub(cache_write_long),
            cache_write_long,
            output: count("output_tokens"),
            reasoning: count("reasoning_tokens"),
            input_audio: count("input_audio_tokens"),
            input_image: count("input_image_tokens"),
            output_audio: count("output_audio_tokens"),
            output_image: count("output_image_tokens"),
            searches: count("searches"),
        };
        let (images, milliseconds) = (count("images"), count("milliseconds"));
        Some(Self {
            call: text("call")?,
            day: text("at")?.get(..10)?.to_owned(),
            key: text("key"),
            model: text("model")?,
            deployment: text("deployment"),
            service_tier: text("service_tier"),
            usage,
            images,
            milliseconds,
            cost_nanos: of("cost_nanos")?.as_i64()?,
            beside_nanos: of("beside_nanos").and_then(Json::as_i64).unwrap_or(0),
            is_used: usage != Usage::default() || images + milliseconds > 0,
        })
    }

    fn group(&self, by: &[RecomputeBy]) -> Vec<String> {
        let part = |by: &RecomputeBy| match by {
            RecomputeBy::Model => {
                format!("{}/{}", self.model, self.deployment.as_deref().unwrap_or("-"))
            }
            RecomputeBy::Day => self.day.clone(),
            RecomputeBy::Key => self.key.clone().unwrap_or_else(|| "-".to_owned()),
        };
        by.iter().map(part).collect()
    }

    /// What it costs at `prices`; none where they do not know its deployment. What was charged beside the tokens stays.
    fn cost_at(&self, prices: &Prices) -> Option<i64> {
        if !self.is_used {
            return Some(self.cost_nanos);
        }
        let price = prices.get(&(self.model.clone(), self.deployment.clone()?))?;
        let (images, milliseconds) = (self.images, self.milliseconds);
        let extras = Extras { service_tier: self.service_tier.as_deref(), images, milliseconds };
        Some(price.cost(&self.usage, &extras).0.saturating_add(self.beside_nanos))
    }
}

/// What the calls of a group come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    calls: u64,
    charged: i64,
    computed: i64,
    /// Calls that come to something else.
    different: u64,
    /// Calls whose price is not known: they stand in both sums with what was charged.
    unpriced: u64,
}

impl Sums {
    fn add(&mut self, call: &Recorded, prices: &Prices) {
        let computed = call.cost_at(prices);
        self.calls += 1;
        self.charged = self.charged.saturating_add(call.cost_nanos);
        self.computed = self.computed.saturating_add(computed.unwrap_or(call.cost_nanos));
        self.different += u64::from(computed.is_some_and(|computed| computed != call.cost_nanos));
        self.unpriced += u64::from(computed.is_none());
    }

    fn difference(&self) -> i64 {
        self.computed.saturating_sub(self.charged)
    }
}

const fn word(by: RecomputeBy) -> &'static str {
    match by {
        RecomputeBy::Model => "model",
        RecomputeBy::Day => "day",
        RecomputeBy::Key => "key",
    }
}

fn as_json(sums: &BTreeMap<Vec<String>, Sums>, by: &[RecomputeBy]) -> Json {
    let dollars = |nanos: i64| Nanos(nanos).to_string();
    let groups = sums.iter().map(|(group, sums)| {
        let mut shown = json!({
            "calls": sums.calls,
            "charged_dollars": dollars(sums.charged),
            "computed_dollars": dollars(sums.computed),
            "difference_dollars": dollars(sums.difference()),
            "different_calls": sums.different,
            "unpriced_calls": sums.unpriced,
        });
        for (by, part) in by.iter().zip(group) {
            shown[word(*by)] = json!(part);
        }
        shown
    });
    json!({ "groups": groups.collect::<Vec<_>>() })
}

fn print(sums: &BTreeMap<Vec<String>, Sums>, by: &[RecomputeBy]) {
    let mut head: Vec<&str> = by.iter().copied().map(word).collect();
    head.extend(["calls", "charged", "computed", "difference", "different calls", "without a price"]);
    let rows = sums.iter().map(|(group, sums)| {
        let mut row = group.clone();
        row.push(output::count(sums.calls));
        row.extend([sums.charged, sums.computed, sums.difference()].map(|nanos| Nanos(nanos).to_string()));
        row.extend([output::count(sums.different), output::count(sums.unpriced)]);
        row
    });
    output::table(&head, rows.collect(), "no calls");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(model: &str, day: &str, input: u64, cost_nanos: i64) -> Recorded {
        Recorded {
            call: "c".to_owned(),
            day: day.to_owned(),
            model: model.to_owned(),
            deployment: Some("eu".to_owned()),
            usage: Usage { input, ..Usage::default() },
            cost_nanos,
            is_used: input > 0,
            ..Recorded::default()
        }
    }

    fn prices(dollars: &str) -> Prices {
        let rates =
            shipway_dialects::Rates { input: dollars.parse().unwrap(), ..shipway_dialects::Rates::default() };
        let price = Price { per_million_tokens: rates, ..Price::default() };
        HashMap::from([(("chat".to_owned(), "eu".to_owned()), price)])
    }

    #[test]
    fn calls_are_computed_at_the_new_price_and_what_was_charged_beside_them_stays() {
        let mut sums = Sums::default();
        let hedged = Recorded { beside_nanos: 500, ..call("chat", "2026-11-01", 10, 10_500) };
        for call in [&call("chat", "2026-11-01", 10, 10_000), &hedged, &call("chat", "2026-11-01", 0, 77)] {
            sums.add(call, &prices("2"));
        }
        sums.add(&call("other", "2026-11-01", 10, 33), &prices("2"));
        let expected = Sums {
            calls: 4,
            charged: 10_000 + 10_500 + 77 + 33,
            computed: 20_000 + 20_500 + 77 + 33,
            different: 2,
            unpriced: 1,
        };
        assert_eq!(sums, expected);
    }

    #[test]
    fn at_the_price_that_was_charged_nothing_differs() {
        let mut sums = Sums::default();
        sums.add(&call("chat", "2026-11-01", 10, 10_000), &prices("1"));
        assert_eq!((sums.difference(), sums.different), (0, 0));
    }

    #[test]
    fn a_row_is_read_also_where_it_is_older_than_some_columns() {
        let row = json!({
            "call": "c", "at": "2026-11-30T12:00:00Z", "key": null, "model": "chat", "deployment": "eu", "input_tokens": 5,
            "cache_write_tokens": 3, "cache_write_long_tokens": 2, "cost_nanos": 9, "beside_nanos": null
        });
        let call = Recorded::read(&row).unwrap();
        assert_eq!((call.usage.input, call.usage.cache_write, call.usage.cache_write_long), (5, 1, 2));
        assert_eq!(
            call.group(&[RecomputeBy::Day, RecomputeBy::Model, RecomputeBy::Key]),
            ["2026-11-30", "chat/eu", "-"]
        );
    }
}
