//! Entries of the ledger. JSON with a version, so that they can be read for ever and by eyes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;
use shipway_dialects::{Made, Usage};

use super::Labels;
use crate::model::{Chain, KeptResponse, Side, owner};

const VERSION: u32 = 1;

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A call has reserved.
    Opened(Opened),
    /// A call is over.
    Settled(Box<CallFact>),
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    entry: T,
}

/// A call that has reserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Its id.
    pub call: String,
    /// When it began, in microseconds.
    pub at_us: i64,
    /// Whom it is charged to.
    pub chain: Chain,
    /// Who sent it.
    pub caller: String,
    /// The model, by its own name.
    pub model: String,
    /// Which API it came by.
    pub api: String,
    /// What it reserved, in billionths of a dollar.
    pub reserved_nanos: i64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The provider refused it, and so did we.
    Refused,
    /// No provider answered.
    Failed,
    /// The stream ended before its end.
    Broken,
    /// A guardrail refused it, or broke off its answer.
    Blocked,
    /// The caller went away.
    Abandoned,
    /// The server was killed while it ran.
    Lost,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Refused,
        Self::Failed,
        Self::Broken,
        Self::Blocked,
        Self::Abandoned,
        Self::Lost,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Blocked => "blocked",
            Self::Abandoned => "abandoned",
            Self::Lost => "lost",
        }
    }
}

/// Tokens of a call, none of them in two fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Of the request, without those that the provider had in its cache or put into it.
    pub input: u64,
    /// Of the request, out of the provider's cache.
    pub cache_read: u64,
    /// Of the request, into the provider's cache.
    pub cache_write: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Of the answer, for reasoning.
    pub reasoning: u64,
}

/// What prices depend on beside the counts of tokens: enough to compute the cost of a call again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Priced {
    /// Which version of the price list was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// The tier of service that the answer says, or else the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Those of the tokens into the provider's cache that it keeps for an hour or more.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_long: u64,
    /// Tokens of sound in the request.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_audio: u64,
    /// Tokens of images in the request.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_image: u64,
    /// Tokens of sound in the answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_audio: u64,
    /// Tokens of images in the answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_image: u64,
    /// Images that were made.
    #[serde(skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Sound that was heard or made, in thousandths of a second.
    #[serde(skip_serializing_if = "is_zero")]
    pub milliseconds: u64,
    /// Searches of the web.
    #[serde(skip_serializing_if = "is_zero")]
    pub searches: u64,
    /// What was charged beside the tokens, in billionths of a dollar: for attempts that did not answer, or all that was reserved because
    /// nobody says what was used. It is part of the cost, and no price list changes it.
    #[serde(skip_serializing_if = "is_nothing")]
    pub beside_nanos: i64,
}

impl Priced {
    pub(crate) fn of(
        usage: &Usage,
        made: Made,
        as_of: Option<String>,
        service_tier: Option<String>,
        beside_nanos: i64,
    ) -> Self {
        Self {
            as_of,
            service_tier,
            cache_write_long: usage.cache_write_long,
            input_audio: usage.input_audio,
            input_image: usage.input_image,
            output_audio: usage.output_audio,
            output_image: usage.output_image,
            images: made.images,
            milliseconds: made.milliseconds,
            searches: usage.searches,
            beside_nanos,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_nothing(nanos: &i64) -> bool {
    *nanos == 0
}

impl TokenCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.input + self.cache_read + self.cache_write + self.output
    }
}

/// One attempt at one deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFact {
    /// The deployment.
    pub deployment: String,
    /// Why it was asked: a strategy, a fallback after something, a hedge. Empty in entries of older servers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What came of it: `answered`, `cancelled` because another one answered first, or what went wrong.
    pub result: String,
    /// The status of the provider's answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took to the beginning of an answer, or to the failure.
    pub took_us: i64,
    /// The API that the deployment was asked by, where that is not the one of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_to: Option<String>,
    /// Members of the call that were left out or changed for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
}

/// Where an answer lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAt {
    /// The provider.
    pub provider: String,
    /// Its id there.
    pub id: String,
}

/// What a guardrail found in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictFact {
    /// The guardrail.
    pub guardrail: String,
    /// In which direction.
    pub on: Side,
    /// What became of it: `blocked`, `redacted`, `annotated`, `rerouted`, `shadowed`; `failed` where another model should have judged and
    /// did not, and that counts for nothing.
    pub verdict: String,
    /// How much was found.
    pub findings: u64,
    /// What kinds of things; never what they were.
    pub labels: Vec<String>,
    /// How long it looked.
    pub took_us: u64,
}

/// A call that is over: one wide event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallFact {
    /// Its id, which its answer carries.
    pub call: String,
    /// When it began, in microseconds.
    pub at_us: i64,
    /// How long it took to its end.
    pub took_us: i64,
    /// How long it took to the first event of a stream, or to the head of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<i64>,
    /// Whom it is charged to.
    pub chain: Chain,
    /// Who sent it.
    pub caller: String,
    /// Whom the caller says that they act for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The model, by its own name.
    pub model: String,
    /// The name that the caller asked for.
    pub asked: String,
    /// Which API it came by.
    pub api: String,
    /// Whether a stream was asked for.
    pub is_stream: bool,
    /// The deployment that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// What the provider calls the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// Every attempt, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptFact>,
    /// What guardrails found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<VerdictFact>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status that the caller got; none: nobody was there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its tokens.
    pub tokens: TokenCounts,
    /// What else it used that has a price of its own, and how: nothing in entries of older servers.
    #[serde(default, skip_serializing_if = "Priced::is_default")]
    pub priced: Priced,
    /// What it cost, in billionths of a dollar.
    pub cost_nanos: i64,
    /// What it had reserved.
    pub reserved_nanos: i64,
    /// The tokens are not what the provider said: they were counted by us, or are what was reserved.
    pub is_estimated: bool,
    /// The price is not known, and the cost stands at nothing.
    pub is_unpriced: bool,
    /// What the cache of the model did: `hit`, `miss`, `bypass`; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// What a hit would have cost at its provider, in billionths of a dollar.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub saved_nanos: i64,
    /// The answer that its provider keeps for later calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptAt>,
    /// What its caller says about it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What is kept of its words, if they reach their table: `full`, `redacted`; `shed` where there was no room for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the answer.
    pub response_bytes: u64,
}

impl Entry {
    /// The form in which it is kept.
    pub(crate) fn bytes(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(&Versioned { v: VERSION, entry: self }).map(Bytes::from)
    }

    /// Takes an entry back from the form in which it is kept.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let Versioned { v, entry } = serde_json::from_slice::<Versioned<Self>>(bytes)?;
        if v > VERSION {
            return Err(serde::de::Error::custom(format!(
                "the entry has version {v}; this server reads up to {VERSION}"
            )));
        }
        Ok(entry)
    }
}

impl CallFact {
    /// The response that its provider keeps, and whose it is.
    pub(crate) fn kept_response(&self) -> Option<KeptResponse> {
        let KeptAt { provider, id } = self.kept.clone()?;
        let owner = owner(&self.chain, &self.caller);
        Some(KeptResponse { id, provider, owner, created: Timestamp(self.at_us) })
    }

    /// A call that was running when the server was killed: it is charged what it had reserved.
    pub(crate) fn lost(opened: &Opened, now: Timestamp) -> Self {
        Self {
            call: opened.call.clone(),
            at_us: opened.at_us,
            took_us: now.0.saturating_sub(opened.at_us).max(0),
            first_token_us: None,
            chain: opened.chain.clone(),
            caller: opened.caller.clone(),
            user: None,
            model: opened.model.clone(),
            asked: opened.model.clone(),
            api: opened.api.clone(),
            is_stream: false,
            deployment: None,
            upstream_model: None,
            attempts: Vec::new(),
            guardrails: Vec::new(),
            outcome: Outcome::Lost,
            status: None,
            error: Some("the server was killed while the call ran".to_owned()),
            tokens: TokenCounts::default(),
            priced: Priced::default(),
            cost_nanos: opened.reserved_nanos,
            reserved_nanos: opened.reserved_nanos,
            is_estimated: true,
            is_unpriced: false,
            cache: None,
            saved_nanos: 0,
            kept: None,
            labels: Labels::default(),
            content: None,
            request_bytes: 0,
            response_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 wrote must be read for ever.
    const GOLDEN_OPENED: &str = r#"{"v":1,"opened":{"call":"c1","at_us":1800000000000000,"chain":["key/ab","group/team"],"caller":"key ab","model":"chat","api":"openai_chat","reserved_nanos":1500}}"#;
    const GOLDEN_SETTLED: &str = r#"{"v":1,"settled":{"call":"c1","at_us":1800000000000000,"took_us":2000,"first_token_us":900,"chain":["key/ab","group/team"],"caller":"key ab","user":"u","model":"chat","asked":"gpt","api":"openai_chat","is_stream":true,"deployment":"eu","upstream_model":"gpt-5","attempts":[{"deployment":"us","result":"overloaded","status":503,"took_us":400},{"deployment":"eu","result":"answered","status":200,"took_us":500}],"outcome":"answered","status":200,"tokens":{"input":10,"cache_read":5,"cache_write":0,"output":7,"reasoning":2},"cost_nanos":1234,"reserved_nanos":1500,"is_estimated":false,"is_unpriced":false,"request_bytes":100,"response_bytes":200}}"#;

    #[test]
    fn entries_of_version_1_are_read_and_written_as_they_were() {
        for golden in [GOLDEN_OPENED, GOLDEN_SETTLED] {
            let entry = Entry::read(golden.as_bytes()).unwrap();
            assert_eq!(std::str::from_utf8(&entry.bytes().unwrap()).unwrap(), golden);
        }
        let added = r#""why":"hedge after 20 ms","result":"answered""#;
        let told = GOLDEN_SETTLED.replace(r#""result":"answered""#, added).replace(
            r#""cost_nanos""#,
            r#""priced":{"as_of":"2026-11-01","service_tier":"flex","cache_write_long":3,"beside_nanos":9},"cost_nanos""#,
        );
        let entry = Entry::read(told.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&entry.bytes().unwrap()).unwrap(), told);
        let labelled = GOLDEN_SETTLED.replace(
            r#""request_bytes""#,
            r#""labels":{"session":"s","prompt":"greeting@3","trace":"ab","tags":{"team":"ops"}},"content":"full","request_bytes""#,
        );
        let entry = Entry::read(labelled.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&entry.bytes().unwrap()).unwrap(), labelled);
        let newer = GOLDEN_OPENED.replace("\"v\":1", "\"v\":2");
        assert!(Entry::read(newer.as_bytes()).unwrap_err().to_string().contains("version 2"));
    }
}
