//! What can be typed of models of language: keys, groups, what they have used.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Llm {
    /// List the models with their deployments and how they fare
    Models,
    /// Make, list, limit, rotate and revoke virtual keys
    #[command(subcommand)]
    Keys(LlmKeys),
    /// Make, list and remove groups: projects, teams, organisations
    #[command(subcommand)]
    Groups(LlmGroups),
    /// Give users limits of their own, whatever the key: those that calls name as theirs
    #[command(subcommand)]
    Users(LlmLabels),
    /// Give tags limits of their own, whatever the key: `NAME=VALUE`, as the header `x-shipway-tag-NAME` says it
    #[command(subcommand)]
    Tags(LlmLabels),
    /// Keep secrets of providers, encrypted: put, list, delete, encrypt anew
    #[command(subcommand)]
    Secrets(LlmSecrets),
    /// List the guardrails with what they found, and try them on a text
    Guardrails {
        #[command(subcommand)]
        action: Option<LlmGuardrails>,
    },
    /// List the models that keep their answers, and how often one that is given to who asks about the same would have been wrong
    Cache {
        /// One model, with what was measured by how alike questions were
        model: Option<String>,
    },
    /// Show what keys and groups have spent in the present windows
    Cost,
    /// Show the last calls
    Tail {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "CALLS")]
        limit: u32,
    },
    /// Find calls, the newest first, by what is known of them and by what was asked and answered; show one of them wholly
    #[command(args_conflicts_with_subcommands = true)]
    Traces {
        #[command(subcommand)]
        action: Option<LlmTraces>,
        #[command(flatten)]
        filter: Box<LlmTraceFilter>,
    },
    /// Compute again what recorded calls cost, and show where that differs; nothing is changed
    Recompute(LlmRecompute),
}

/// Of one call.
#[derive(Debug, Subcommand)]
pub(crate) enum LlmTraces {
    /// Show one call wholly: attempts with their reasons, tokens, cost, times, guardrails, and what is kept of its words
    Show {
        /// Id of the call, as its answer has it in `x-shipway-call`
        call: String,
    },
}

/// Which calls. All that is given must hold.
#[derive(Debug, Args)]
pub(crate) struct LlmTraceFilter {
    /// Words that were asked or answered: all of them, as whole words, in any case; `"in quotes"` a phrase
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
    /// The model, by its own name
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// The deployment that answered
    #[arg(long, value_name = "DEPLOYMENT")]
    pub(crate) deployment: Option<String>,
    /// The key, by its id
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The group of the key, or one above it
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Whom the caller acted for
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The session
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<String>,
    /// The prompt with its version: `greeting@3`
    #[arg(long, value_name = "PROMPT")]
    pub(crate) prompt: Option<String>,
    /// The trace of the caller, in 32 hexadecimal digits
    #[arg(long, value_name = "TRACE")]
    pub(crate) trace: Option<String>,
    /// A tag; repeat for more
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    pub(crate) tags: Vec<String>,
    /// How it ended: answered, refused, failed, broken, blocked, abandoned or lost
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,
    /// The status that the caller got
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<u16>,
    /// What the cache did: hit, miss or bypass
    #[arg(long, value_name = "WORD")]
    pub(crate) cache: Option<String>,
    /// A guardrail that found something
    #[arg(long, value_name = "GUARDRAIL")]
    pub(crate) guardrail: Option<String>,
    /// What became of it: blocked, redacted, annotated, rerouted, shadowed or failed
    #[arg(long, value_name = "VERDICT")]
    pub(crate) verdict: Option<String>,
    /// Not before: 2026-11-30, 2026-11-30T12:00:00Z, or how long ago: 2h
    #[arg(long, value_name = "MOMENT")]
    pub(crate) since: Option<String>,
    /// Before this
    #[arg(long, value_name = "MOMENT")]
    pub(crate) until: Option<String>,
    /// That cost at least so many dollars
    #[arg(long, value_name = "DOLLARS")]
    pub(crate) min_dollars: Option<String>,
    /// That took at least so many milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) min_ms: Option<u32>,
    /// Only what comes behind this call, as the search before said it
    #[arg(long, value_name = "CALL")]
    pub(crate) before: Option<String>,
    /// The most calls
    #[arg(long, default_value_t = 50, value_name = "CALLS")]
    pub(crate) limit: u32,
}

/// Which calls, and at which prices.
#[derive(Debug, Args)]
pub(crate) struct LlmRecompute {
    /// Files of definitions whose prices are taken; without any, the prices in force
    #[arg(long = "prices", value_name = "FILE")]
    pub(crate) prices: Vec<PathBuf>,
    /// The first day of the calls, in UTC: 2026-11-01
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<String>,
    /// The day after the last of the calls, in UTC
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// Only calls of this model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// What the differences are added up by; repeat for more
    #[arg(long = "by", value_name = "WHAT", value_enum, default_values_t = [RecomputeBy::Model])]
    pub(crate) by: Vec<RecomputeBy>,
}

/// What differences are added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RecomputeBy {
    /// The model and its deployment.
    Model,
    /// The day on which the call began, in UTC.
    Day,
    /// The virtual key.
    Key,
}

/// What is done with guardrails.
#[derive(Debug, Subcommand)]
pub(crate) enum LlmGuardrails {
    /// Show what would be found in a text, and how it would read then; nothing is sent to a provider
    Try {
        /// The file with the text; without one, or with `-`, standard input
        file: Option<PathBuf>,
        /// A guardrail; repeat for more; without any, every one
        #[arg(long = "guardrail", value_name = "GUARDRAIL")]
        guardrails: Vec<String>,
    },
}

/// What a key or a group may use. What is left out has no bound.
#[derive(Debug, Args)]
pub(crate) struct LlmLimits {
    /// A budget of dollars in a window: `100/month`; hour, day, week, month or total; repeat for more
    #[arg(long = "budget", value_name = "DOLLARS/WINDOW")]
    pub(crate) budgets: Vec<String>,
    /// Calls that may begin within a minute
    #[arg(long, value_name = "CALLS")]
    pub(crate) requests_per_minute: Option<u64>,
    /// Tokens of calls that begin within a minute
    #[arg(long, value_name = "TOKENS")]
    pub(crate) tokens_per_minute: Option<u64>,
    /// Calls at once
    #[arg(long, value_name = "CALLS")]
    pub(crate) concurrency: Option<u32>,
    /// What becomes of calls while the database that several servers share cannot be reached, once what a server has leased is used up
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = LlmOnOutage::Refuse)]
    pub(crate) on_outage: LlmOnOutage,
}

/// What becomes of calls in an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LlmOnOutage {
    /// They are refused: no limit is passed.
    Refuse,
    /// They are let through, as far as the limit goes by what each server knows itself.
    Allow,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LlmKeys {
    /// List the keys with what they have used
    List,
    /// Make a key and print it, this once
    Create {
        /// What it is called
        name: String,
        /// The group that its calls are charged to as well
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
        /// A model that it may use; repeat for more; without any, every model
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// A route that it may ask; repeat for more; without any, every route: `chat`, `completions`, `responses`, `embeddings`,
        /// `messages`, `gemini`, `images`, `audio`, `moderations`, `files` (batches too), `realtime`
        #[arg(long = "route", value_name = "ROUTE")]
        routes: Vec<String>,
        /// A tool that its calls may offer, `*` at the end for any rest; repeat for more; without any, every tool
        #[arg(long = "tool", value_name = "TOOL", conflicts_with = "no_tools")]
        tools: Vec<String>,
        /// Its calls may offer no tools
        #[arg(long)]
        no_tools: bool,
        /// Whose its calls are, whatever they say
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// A tag of its calls, NAME=VALUE; repeat for more
        #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
        tags: Vec<(String, String)>,
        /// Days for which it is good; without it, until it is revoked
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        #[command(flatten)]
        limits: LlmLimits,
    },
    /// Give a key other limits, in the place of all that it had
    Limit {
        /// Id of the key
        id: String,
        #[command(flatten)]
        limits: LlmLimits,
    },
    /// Give a key a new secret and print it, this once
    Rotate {
        /// Id of the key
        id: String,
        /// Seconds for which the secret before is still taken
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        grace_seconds: u32,
    },
    /// Take a key back
    Revoke {
        /// Id of the key
        id: String,
    },
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum LlmLabels {
    /// List those that have limits, with what they have used
    List,
    /// Give one limits, in the place of all that it had; its calls are counted from the first time on
    Put {
        /// Its name; of a tag NAME=VALUE
        name: String,
        #[command(flatten)]
        limits: LlmLimits,
    },
    /// Take its limits away
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LlmSecrets {
    /// Keep a secret, in the place of the one of that name; its value comes from standard input
    Put {
        /// Its name, as `api_key_secret` of a provider says it
        name: String,
    },
    /// List the secrets, never their values
    List,
    /// Forget a secret
    Delete {
        /// Its name
        name: String,
    },
    /// Encrypt with the first key of the configuration what was encrypted with another one
    Rekey,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LlmGroups {
    /// List the groups with what they have used
    List,
    /// Make a group, or change the one of that name
    Put {
        /// Its name
        name: String,
        /// What it is: project, team or organisation
        #[arg(long, value_name = "KIND")]
        kind: String,
        /// The greater group that it is part of
        #[arg(long, value_name = "GROUP")]
        parent: Option<String>,
        #[command(flatten)]
        limits: LlmLimits,
    },
    /// Remove a group that nothing is in
    Delete {
        /// Its name
        name: String,
    },
}
