//! What can go wrong in the gateway, in words for a person.

mod said;

use std::{borrow::Cow, fmt::Write as _};

use shipway_core::{Failure, Kind};
use shipway_dialects::{BadRequest, Nanos};
use shipway_log::LogError;
use shipway_store::StoreError;

use crate::{
    ledger::CarryError,
    meter::Bound,
    model::{Denied, Scope},
    vault::Unopened,
};

/// The families of things that the gateway keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A virtual key.
    Key,
    /// A group.
    Group,
    /// A user that limits hold for.
    User,
    /// A tag that limits hold for.
    Tag,
    /// A model.
    Model,
    /// A guardrail.
    Guardrail,
    /// A response that a provider keeps.
    Response,
    /// A call that was made.
    Call,
    /// What was asked and answered in a call.
    Content,
    /// A file that lies at a provider.
    File,
    /// A batch of calls that a provider works off.
    Batch,
    /// A secret of a provider.
    Secret,
    /// Something that could be done with a model.
    Verb,
}

impl Thing {
    const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Group => "group",
            Self::User => "user",
            Self::Tag => "tag",
            Self::Model => "model",
            Self::Guardrail => "guardrail",
            Self::Response => "response",
            Self::Call => "call",
            Self::Content => "content of call",
            Self::File => "file",
            Self::Batch => "batch",
            Self::Secret => "secret",
            Self::Verb => "method",
        }
    }
}

/// Any failure of a use case of the gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The thing named does not exist.
    #[error("{} {name} does not exist", thing.word())]
    Missing {
        /// Its family.
        thing: Thing,
        /// How the caller named it.
        name: String,
    },
    /// A field of the request is wrong or beyond a bound.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A group has keys or other groups in it.
    #[error("group {name} is not empty: {by} is in it")]
    InUse {
        /// The group.
        name: String,
        /// Something that is in it.
        by: String,
    },
    /// What was shown is a virtual key, and this server does not take it.
    #[error("the key is wrong, expired or revoked")]
    WrongKey,
    /// The key is not for this model.
    #[error("{key} may not use model {model}")]
    ModelNotAllowed {
        /// The name of the key.
        key: String,
        /// The model that was asked for.
        model: String,
    },
    /// The key is not for calls like this one.
    #[error("{key} {denied}")]
    NotGranted {
        /// Who asks.
        key: String,
        /// What it may not do.
        denied: Denied,
    },
    /// No deployment of the model speaks the API of the call, or one that it can be translated to.
    #[error("model {model} has no deployment that speaks {api}")]
    NoSuchApi {
        /// The model.
        model: String,
        /// The API.
        api: String,
    },
    /// The call goes on from a response that nobody here has made for its caller.
    #[error("Previous response with id '{id}' not found.")]
    UnknownPrevious {
        /// Its id.
        id: String,
    },
    /// The call goes on from a response that lies at another provider.
    #[error("the previous response lies at provider {provider}, where model {model} has no deployment")]
    PreviousElsewhere {
        /// The model.
        model: String,
        /// Where the response lies.
        provider: String,
    },
    /// A response lies at a provider that is not in the configuration any more.
    #[error("provider {provider}, where the response lies, is not configured")]
    ProviderGone {
        /// The provider.
        provider: String,
    },
    /// The API of the deployment has no words for what the call says.
    #[error("{0}")]
    NotTranslatable(BadRequest),
    /// Something of the call lies elsewhere, and could not be fetched for a deployment that needs it.
    #[error("{0}")]
    NotFetched(BadRequest),
    /// Providers of the model are not in the configuration.
    #[error("model {model}: no provider of it is configured")]
    NoProvider {
        /// The model.
        model: String,
    },
    /// Nobody says at which provider a file shall lie.
    #[error("at which provider the file shall lie is not said")]
    WhichProvider,
    /// Guardrails look at calls of the model, and would not see those of a file.
    #[error("guardrails look at calls of model {model}, and see none that stand in a file")]
    GuardedFile {
        /// The model.
        model: String,
    },
    /// What the caller wishes of providers leaves nobody to ask.
    #[error("model {model}: no deployment is left by the `provider` of the request")]
    NoneWished {
        /// The model.
        model: String,
    },
    /// The price is not known, and the model says to refuse then.
    #[error("model {model}: the price of deployment {deployment} is not known")]
    NoPrice {
        /// The model.
        model: String,
        /// The deployment.
        deployment: String,
    },
    /// Connections are not held to limits that several servers share.
    #[error("where several servers share limits, there are no connections of the realtime API")]
    RealtimeShared,
    /// Guardrails cannot look at what is said over a connection.
    #[error("model {model} has guardrails, which cannot look at what is said over a realtime connection")]
    RealtimeUnguarded {
        /// The model.
        model: String,
    },
    /// It would lead past the gateway, where nobody counts what is used.
    #[error("{what} would lead to the provider past this gateway, which could not count what is used")]
    RealtimeUnmetered {
        /// What was asked for.
        what: &'static str,
    },
    /// A page in a browser opens a connection without a virtual key.
    #[error("a page in a browser opens a connection, and shows no virtual key")]
    PageWithoutKey,
    /// A limit or a budget of the key or of a group of it is reached.
    #[error("{}", bound_in_words(scope, bound))]
    Limit {
        /// Whose limit it is.
        scope: Scope,
        /// The limit.
        bound: Bound,
    },
    /// The ledger cannot be written, so a call could not be charged.
    #[error("the ledger cannot be written, so no call is let through")]
    LedgerBehind,
    /// The store that several servers share cannot be reached, and what this server had leased of a limit is used up.
    #[error(
        "{scope}: the metadata database, which servers share its limits in, cannot be reached, and what this server had leased is used up"
    )]
    LimitsAway {
        /// Whose limits they are.
        scope: Scope,
    },
    /// The store that several servers share does not answer in time.
    #[error("the metadata database does not answer in time")]
    StoreSlow,
    /// A replica is started on a database whose owner does not share its limits.
    #[error("this server is a replica, and the owner of the metadata database does not share its limits")]
    NoOwner,
    /// A server that is alone is started beside others.
    #[error(
        "server {server} shares the keys and limits of this metadata database, and this server would not"
    )]
    NotAlone {
        /// One of the others.
        server: String,
    },
    /// An entry of the ledger cannot be read.
    #[error("entry {offset} of the ledger cannot be read")]
    Entry {
        /// Its offset.
        offset: u64,
        /// Why not.
        source: serde_json::Error,
    },
    /// Calls could not be made into rows of their table.
    #[error("calls could not be made into rows")]
    Rows(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An entry could not be made.
    #[error("an entry of the ledger could not be made")]
    Encoding(#[from] serde_json::Error),
    /// What is kept of a key, a group or the books cannot be read.
    #[error("what is kept of {what} cannot be read")]
    Damaged {
        /// Of what.
        what: String,
    },
    /// A secret shall be kept, and there is no key to encrypt it with.
    #[error("no key is configured that secrets could be encrypted with")]
    NoSecretsKey,
    /// A secret that is kept does not open.
    #[error("secret {name}: {why}")]
    SecretShut {
        /// Its name.
        name: String,
        /// Why.
        why: Unopened,
    },
    /// The source of random bytes failed.
    #[error("a secret could not be made")]
    NoRandomness,
    /// The client for providers could not be made.
    #[error("connections to providers could not be set up")]
    Client(#[from] reqwest::Error),
    /// The tables of calls failed.
    #[error("{}", shipway_core::failure::chain(&**.0))]
    Traces(CarryError),
    /// The event log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The metadata database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GatewayError {
    pub(crate) fn missing(thing: Thing, name: impl ToString) -> Self {
        Self::Missing { thing, name: name.to_string() }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}

fn bound_in_words(scope: &Scope, bound: &Bound) -> String {
    let mut words = match bound {
        Bound::Concurrency { limit } => format!("{scope}: {limit} calls run already, as many as may at once"),
        Bound::Requests { limit, .. } => {
            format!("{scope}: the limit of {limit} requests a minute is reached")
        }
        Bound::Tokens { limit, asked, .. } => {
            format!(
                "{scope}: the limit of {limit} tokens a minute has no room for the {asked} that the call reserves"
            )
        }
        Bound::Budget { budget, left_nanos, asked_nanos, .. } => format!(
            "{scope}: of the budget of {} dollars by {} {} is left, and the call reserves {}",
            budget.dollars,
            budget.window.word(),
            Nanos((*left_nanos).max(0)),
            Nanos(*asked_nanos),
        ),
    };
    if let Some(seconds) = bound.free_after_seconds() {
        let _ = write!(words, "; there is more in {seconds} s");
    }
    words
}

impl Bound {
    /// After how many seconds, rounded up, the same call may be let through; none: not by waiting.
    pub(crate) fn free_after_seconds(&self) -> Option<u64> {
        let free_us = match self {
            Self::Concurrency { .. } => return None,
            Self::Requests { free_us, .. } | Self::Tokens { free_us, .. } | Self::Budget { free_us, .. } => {
                *free_us
            }
        };
        Some(u64::try_from(free_us?).unwrap_or(0).div_ceil(1_000_000).max(1))
    }
}

impl Failure for GatewayError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::NotFound,
            Self::Invalid { .. }
            | Self::WhichProvider
            | Self::GuardedFile { .. }
            | Self::NoSuchApi { .. }
            | Self::NotTranslatable(_)
            | Self::NotFetched(_)
            | Self::NoneWished { .. }
            | Self::RealtimeUnguarded { .. }
            | Self::RealtimeShared
            | Self::RealtimeUnmetered { .. }
            | Self::UnknownPrevious { .. }
            | Self::PreviousElsewhere { .. } => Kind::Invalid,
            Self::InUse { .. }
            | Self::NoOwner
            | Self::NotAlone { .. }
            | Self::NoSecretsKey
            | Self::SecretShut { .. } => Kind::Conflict,
            Self::WrongKey => Kind::Unauthenticated,
            Self::ModelNotAllowed { .. }
            | Self::NotGranted { .. }
            | Self::NoPrice { .. }
            | Self::PageWithoutKey => Kind::Forbidden,
            Self::Limit { .. } => Kind::Exhausted,
            Self::NoProvider { .. }
            | Self::ProviderGone { .. }
            | Self::LedgerBehind
            | Self::LimitsAway { .. }
            | Self::StoreSlow => Kind::Unavailable,
            Self::Entry { .. }
            | Self::Encoding(_)
            | Self::Rows(_)
            | Self::Damaged { .. }
            | Self::NoRandomness
            | Self::Client(_) => Kind::Internal,
            Self::Traces(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "gateway.not_found",
            Self::Invalid { .. } => "gateway.invalid",
            Self::InUse { .. } => "gateway.group_in_use",
            Self::WrongKey => "gateway.wrong_key",
            Self::ModelNotAllowed { .. } => "gateway.model_not_allowed",
            Self::NotGranted { denied, .. } => denied.code(),
            Self::NoSuchApi { .. } => "gateway.no_such_api",
            Self::NotTranslatable(_) => "gateway.not_translatable",
            Self::NotFetched(_) => "gateway.not_fetched",
            Self::UnknownPrevious { .. } => "gateway.unknown_previous_response",
            Self::PreviousElsewhere { .. } => "gateway.previous_response_elsewhere",
            Self::NoProvider { .. } | Self::ProviderGone { .. } => "gateway.no_provider",
            Self::NoneWished { .. } => "gateway.none_wished",
            Self::WhichProvider => "gateway.which_provider",
            Self::GuardedFile { .. } => "gateway.guarded_file",
            Self::NoPrice { .. } => "gateway.no_price",
            Self::RealtimeUnguarded { .. } => "gateway.realtime_unguarded",
            Self::RealtimeShared => "gateway.realtime_shared",
            Self::RealtimeUnmetered { .. } => "gateway.realtime_unmetered",
            Self::PageWithoutKey => "gateway.page_without_key",
            Self::Limit { bound: Bound::Budget { .. }, .. } => "gateway.budget_used_up",
            Self::Limit { .. } => "gateway.rate_limited",
            Self::LedgerBehind => "gateway.ledger_behind",
            Self::LimitsAway { .. } => "gateway.limits_away",
            Self::StoreSlow => "gateway.store_slow",
            Self::NoOwner => "gateway.no_owner",
            Self::NotAlone { .. } => "gateway.not_alone",
            Self::Entry { .. } | Self::Encoding(_) | Self::Rows(_) => "gateway.ledger_unreadable",
            Self::Damaged { .. } => "gateway.damaged",
            Self::NoSecretsKey => "gateway.no_secrets_key",
            Self::SecretShut { .. } => "gateway.secret_shut",
            Self::NoRandomness => "gateway.no_randomness",
            Self::Client(_) => "gateway.no_client",
            Self::Traces(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::InUse { .. } => "move or remove what is in it first",
            Self::WrongKey => "ask whoever gave it to you for a new one: `shipway llm keys rotate`",
            Self::ModelNotAllowed { .. } => {
                "ask for a key with this model, or for another model that GET /v1/models lists"
            }
            Self::NotGranted { denied, .. } => denied.hint(),
            Self::NoSuchApi { .. }
            | Self::NotTranslatable(_)
            | Self::NotFetched(_)
            | Self::UnknownPrevious { .. }
            | Self::PreviousElsewhere { .. }
            | Self::NoneWished { .. } => self.hint_for_what_is_said(),
            Self::NoProvider { .. } | Self::ProviderGone { .. } => {
                "add the provider to the section `providers` of the server's configuration"
            }
            Self::WhichProvider => {
                "name a model in the header x-shipway-model: the file goes where the first deployment of it is that has such an API"
            }
            Self::GuardedFile { .. } => "send the calls one by one, or ask for a model without guardrails",
            Self::NoPrice { .. } => {
                "give the deployment a price, or write `unknown_price: flag` in the model's definition"
            }
            Self::RealtimeShared => "ask a server that runs alone, or call the model by another of its APIs",
            Self::RealtimeUnguarded { .. } => "ask for a model without guardrails, or by another API",
            Self::RealtimeUnmetered { .. } => {
                "open a WebSocket on GET /v1/realtime with your own key; give a page in a browser a virtual key of its own with a small budget"
            }
            Self::PageWithoutKey => "show a virtual key as the subprotocol `openai-insecure-api-key.KEY`",
            Self::Limit { bound: Bound::Concurrency { .. }, .. } => {
                "send the call again when another one is over"
            }
            Self::Limit { bound: Bound::Budget { .. }, .. } => {
                "ask for fewer output tokens, wait for the next window, or ask for a larger budget"
            }
            Self::Limit { bound: Bound::Tokens { .. }, .. } => "ask for fewer output tokens, or wait",
            Self::Limit { .. } => "wait, or ask for a higher limit",
            Self::LedgerBehind => {
                "check the disk of the server; calls are let through again as soon as it can be written"
            }
            Self::LimitsAway { .. } => {
                "send it again in a few seconds; a key or a group whose calls shall go on then has `--on-outage allow`"
            }
            Self::NoSecretsKey => {
                "set SHIPWAY_SECRETS__KEY, or the file secrets.key_file, to 32 random bytes in hexadecimal digits (`openssl rand -hex 32`), and start the server again"
            }
            Self::SecretShut { .. } => {
                "add the key that it was encrypted with to secrets.key, after the present one, or put the secret again"
            }
            Self::StoreSlow => "look at the load of PostgreSQL, and at the way to it",
            Self::NoOwner => {
                "start the server that the database belongs to with `role = \"owner\"` in the section `llm` first"
            }
            Self::NotAlone { .. } => {
                "write `role = \"owner\"` in the section `llm` of the configuration, or stop the other server and wait a minute"
            }
            Self::Damaged { .. } | Self::Entry { .. } => {
                "the data folder or the metadata database was changed from outside; restore it from a backup"
            }
            Self::Traces(error) => return error.hint(),
            Self::Log(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::Encoding(_)
            | Self::Rows(_)
            | Self::NoRandomness
            | Self::Client(_) => return None,
        };
        Some(hint.into())
    }
}
