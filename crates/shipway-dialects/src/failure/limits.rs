//! The headers that say how much a client may still ask for, and when to ask again.

use std::time::Duration;

use shipway_core::Timestamp;

use crate::dialect::{Dialect, Family};

/// One limit as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many in a window.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// When all of them are there again.
    pub reset: Duration,
}

/// The limits of a key as they stand; those that it does not have are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Requests.
    pub requests: Option<Limit>,
    /// Tokens, read and written.
    pub tokens: Option<Limit>,
    /// Tokens read, which only Anthropic tells apart.
    pub input_tokens: Option<Limit>,
    /// Tokens written, which only Anthropic tells apart.
    pub output_tokens: Option<Limit>,
}

impl RateLimits {
    fn parts(self) -> [(&'static str, Option<Limit>); 4] {
        [
            ("requests", self.requests),
            ("tokens", self.tokens),
            ("input-tokens", self.input_tokens),
            ("output-tokens", self.output_tokens),
        ]
    }

    /// The headers in the dialect's names: OpenAI's `x-ratelimit-remaining-requests` with a length of time for the
    /// reset, Anthropic's `anthropic-ratelimit-requests-remaining` with a moment. Gemini has none.
    pub fn headers(self, dialect: Dialect, now: Timestamp) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for (part, limit) in self.parts() {
            let Some(limit) = limit else { continue };
            let figures = [("limit", limit.limit.to_string()), ("remaining", limit.remaining.to_string())];
            match dialect.family() {
                // OpenAI does not tell tokens apart by their way.
                Family::OpenAi if !part.contains('-') => {
                    headers
                        .extend(figures.map(|(what, value)| (format!("x-ratelimit-{what}-{part}"), value)));
                    headers.push((format!("x-ratelimit-reset-{part}"), go_duration(limit.reset)));
                }
                Family::Anthropic => {
                    headers.extend(
                        figures.map(|(what, value)| (format!("anthropic-ratelimit-{part}-{what}"), value)),
                    );
                    let seconds = i64::try_from(limit.reset.as_secs().saturating_add(1)).unwrap_or(0);
                    let moment = now.floor_to(1_000_000).0.saturating_add(seconds.saturating_mul(1_000_000));
                    headers
                        .push((format!("anthropic-ratelimit-{part}-reset"), Timestamp(moment).to_string()));
                }
                Family::OpenAi | Family::Gemini | Family::Bedrock => {}
            }
        }
        headers
    }

    /// Reads the headers of an answer of `dialect`; `header` finds a header's value by its name in lower case. Azure
    /// says -1 or 0 for limits it does not have: these are left out.
    pub fn read<'h>(dialect: Dialect, header: impl Fn(&str) -> Option<&'h str>, now: Timestamp) -> Self {
        let read = |part: &str| {
            let named = |what: &str| match dialect.family() {
                Family::Anthropic => header(&format!("anthropic-ratelimit-{part}-{what}")),
                Family::OpenAi => header(&format!("x-ratelimit-{what}-{part}")),
                Family::Gemini | Family::Bedrock => None,
            };
            let limit = named("limit")?.trim().parse().ok().filter(|limit| *limit > 0)?;
            let remaining = named("remaining")?.trim().parse().ok()?;
            let reset = named("reset").and_then(|text| length(text, now)).unwrap_or_default();
            Some(Limit { limit, remaining, reset })
        };
        Self {
            requests: read("requests"),
            tokens: read("tokens"),
            input_tokens: read("input-tokens"),
            output_tokens: read("output-tokens"),
        }
    }
}

/// How long an answer asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. `header` finds a
/// value by its name.
pub fn retry_after<'h>(header: impl Fn(&str) -> Option<&'h str>, now: Timestamp) -> Option<Duration> {
    if let Some(millis) = header("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1_000.0).ok();
    }
    let text = header("retry-after")?.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => until(http_date(text)?, now),
    }
}

/// The headers that tell a client how long to wait: whole seconds, rounded up, and milliseconds for OpenAI's clients.
pub fn retry_headers(dialect: Dialect, wait: Duration) -> Vec<(&'static str, String)> {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    let mut headers = vec![("retry-after", millis.div_ceil(1_000).to_string())];
    if dialect.family() == Family::OpenAi {
        headers.push(("retry-after-ms", millis.to_string()));
    }
    headers
}

/// As OpenAI writes it: `12ms`, `1.5s`, `6m0s`.
fn go_duration(length: Duration) -> String {
    let (minutes, seconds, millis) = (length.as_secs() / 60, length.as_secs() % 60, length.subsec_millis());
    let fraction =
        if millis == 0 { String::new() } else { format!(".{millis:03}").trim_end_matches('0').to_owned() };
    match (minutes, seconds) {
        (0, 0) => format!("{millis}ms"),
        (0, _) => format!("{seconds}{fraction}s"),
        _ => format!("{minutes}m{seconds}{fraction}s"),
    }
}

/// A length such as `1h6m0.5s`, plain seconds, or the time until a moment in RFC 3339.
fn length(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(moment) = Timestamp::parse(text) {
        return until(moment, now);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

fn until(moment: Timestamp, now: Timestamp) -> Option<Duration> {
    let micros = moment.micros().saturating_sub(now.micros());
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form that HTTP wants.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{time}Z")).ok()
}
