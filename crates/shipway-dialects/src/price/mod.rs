//! What a call costs, exactly: whole numbers from the price table to the ledger.

mod nanos;

use serde::{Deserialize, Serialize};

use crate::usage::Usage;

pub use nanos::{Nanos, NotMoney};

/// The prices are for so many tokens.
const TOKENS_PER_PRICE: i128 = 1_000_000;

/// One in the millionths of [`Modifier::factor_millionths`].
const MILLIONTHS: i128 = 1_000_000;

/// What tokens cost, per million of them. What has no price of its own has that of what it is a part of: cached input
/// that of input, a long cache that of a short one, sound and images that of input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Input.
    pub input: Nanos,
    /// Output.
    pub output: Nanos,
    /// Input that came out of a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Nanos>,
    /// Input that was written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Nanos>,
    /// Input that was written to a cache for an hour or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Nanos>,
    /// Output that is reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Nanos>,
    /// Input that is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<Nanos>,
    /// Input that is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_image: Option<Nanos>,
    /// Output that is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<Nanos>,
    /// Output that is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_image: Option<Nanos>,
}

/// Other rates for calls with a long input: they hold for all tokens of such a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The tier holds where the whole input, cached or not, has more tokens than this.
    pub above_input_tokens: u64,
    /// What tokens cost then.
    pub per_million_tokens: Rates,
}

/// A tier of service, or a way of calling, that changes what tokens cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modifier {
    /// Its name, such as `batch`, `flex` or `priority`, as requests and answers say it.
    pub service_tier: String,
    /// What the tokens' cost is multiplied by, in millionths: 500,000 is half.
    pub factor_millionths: u32,
}

/// The price of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What tokens cost, per million.
    pub per_million_tokens: Rates,
    /// Rates for long inputs. The one with the highest bound that the input is above holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Tiers of service. One that is not named here costs what everything costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<Modifier>,
    /// Each call, whatever it uses.
    #[serde(default)]
    pub per_request: Nanos,
    /// Each image that is made.
    #[serde(default)]
    pub per_image: Nanos,
    /// Each second of sound or film, read or made; parts of a second in proportion.
    #[serde(default)]
    pub per_second: Nanos,
    /// Each search of the web that the provider runs.
    #[serde(default)]
    pub per_search: Nanos,
}

/// What a call used beside what its usage says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras<'a> {
    /// The tier of service that it had.
    pub service_tier: Option<&'a str>,
    /// Images that were made.
    pub images: u64,
    /// Sound or film, in thousandths of a second.
    pub milliseconds: u64,
}

impl Price {
    /// What `usage` costs. Everything is added up exactly and rounded once, up to the next nano-unit: no call is
    /// charged less than it costs, and none more than one nano-unit above.
    pub fn cost(&self, usage: &Usage, extras: &Extras<'_>) -> Nanos {
        let rates = self.rates_for(usage.total_input());
        let factor = self.factor(extras.service_tier);
        // In millionths of a millionth of a nano-unit: prices are for a million tokens, factors are in millionths.
        let tokens = rates.cost(usage).saturating_mul(factor);
        let mut fixed = i128::from(self.per_request.0);
        fixed = fixed.saturating_add(i128::from(self.per_image.0).saturating_mul(i128::from(extras.images)));
        fixed =
            fixed.saturating_add(i128::from(self.per_search.0).saturating_mul(i128::from(usage.searches)));
        let seconds = i128::from(self.per_second.0).saturating_mul(i128::from(extras.milliseconds));
        let unit = TOKENS_PER_PRICE * MILLIONTHS;
        let sum = tokens
            .saturating_add(fixed.saturating_mul(unit))
            .saturating_add(seconds.saturating_mul(unit / 1_000));
        Nanos(i64::try_from(ceiling(sum, unit)).unwrap_or(i64::MAX))
    }

    /// The most that a call is taken to cost before it is made: `input_tokens` at the dearest rate that an input can
    /// have, and `output_tokens` likewise. What was really used is charged in the end.
    pub fn reserve(&self, input_tokens: u64, output_tokens: u64, extras: &Extras<'_>) -> Nanos {
        let tier = self.rates_for(input_tokens);
        let input = [
            Some(tier.input),
            tier.cache_read,
            tier.cache_write,
            tier.cache_write_long,
            tier.input_image,
            tier.input_audio,
        ];
        let output = [Some(tier.output), tier.reasoning, tier.output_audio, tier.output_image];
        let dearest = |rates: &[Option<Nanos>]| rates.iter().flatten().copied().max().unwrap_or_default();
        let rates = Rates { input: dearest(&input), output: dearest(&output), ..Rates::default() };
        let usage = Usage { input: input_tokens, output: output_tokens, ..Usage::default() };
        let flat = Self { per_million_tokens: rates, tiers: Vec::new(), ..self.clone() };
        flat.cost(&usage, extras)
    }

    fn rates_for(&self, input_tokens: u64) -> Rates {
        self.tiers
            .iter()
            .filter(|tier| input_tokens > tier.above_input_tokens)
            .max_by_key(|tier| tier.above_input_tokens)
            .map_or(self.per_million_tokens, |tier| tier.per_million_tokens)
    }

    fn factor(&self, service_tier: Option<&str>) -> i128 {
        self.modifiers
            .iter()
            .find(|modifier| Some(modifier.service_tier.as_str()) == service_tier)
            .map_or(MILLIONTHS, |modifier| i128::from(modifier.factor_millionths))
    }
}

impl Rates {
    /// In millionths of a nano-unit, exactly.
    fn cost(&self, usage: &Usage) -> i128 {
        let cache_read = self.cache_read.unwrap_or(self.input);
        let cache_write = self.cache_write.unwrap_or(self.input);
        let input_media = usage.input_audio.saturating_add(usage.input_image);
        // Sound and images have their price whether the model reasons or not; reasoning is text.
        let output_media = usage.output_audio.saturating_add(usage.output_image);
        let written = usage.output.saturating_sub(output_media);
        let reasoning = usage.reasoning.min(written);
        [
            (usage.input.saturating_sub(input_media), self.input),
            (usage.input_audio, self.input_audio.unwrap_or(self.input)),
            (usage.input_image, self.input_image.unwrap_or(self.input)),
            (usage.cache_read, cache_read),
            (usage.cache_write, cache_write),
            (usage.cache_write_long, self.cache_write_long.unwrap_or(cache_write)),
            (written - reasoning, self.output),
            (reasoning, self.reasoning.unwrap_or(self.output)),
            (usage.output_audio, self.output_audio.unwrap_or(self.output)),
            (usage.output_image, self.output_image.unwrap_or(self.output)),
        ]
        .into_iter()
        .fold(0_i128, |sum, (tokens, rate)| {
            sum.saturating_add(i128::from(rate.0).saturating_mul(i128::from(tokens)))
        })
    }
}

fn ceiling(amount: i128, unit: i128) -> i128 {
    amount.div_euclid(unit) + i128::from(amount.rem_euclid(unit) != 0)
}
