//! Which provider a deployment is at, and how the server is told of it.

use std::{collections::BTreeMap, fmt::Write as _};

use self::Address::{At, MustBeGiven, Usual};
use super::{
    Losses, as_name,
    cloud::{self, Members},
    not_yet,
    section::{Field, Section},
};

/// A provider that speaks an API which the server speaks: LiteLLM's word for it, what it is here, where it is, and where LiteLLM looks for
/// its secret.
pub(super) struct Known {
    pub(super) word: &'static str,
    pub(super) kind: &'static str,
    address: Address,
    secret: Option<&'static str>,
    /// Those of OpenAI's APIs that it has; empty: nobody knows of one that it lacks.
    apis: &'static [&'static str],
}

/// Where a provider is when the file does not say.
enum Address {
    /// Where `kind` says.
    Usual,
    At(&'static str),
    /// Wherever its owner runs it.
    MustBeGiven,
}

const fn known(
    word: &'static str,
    kind: &'static str,
    address: Address,
    secret: Option<&'static str>,
) -> Known {
    Known { word, kind, address, secret, apis: &[] }
}

/// One that is known to have these of OpenAI's APIs and no others.
const fn having(known: Known, apis: &'static [&'static str]) -> Known {
    Known { apis, ..known }
}

const OPENAI: &str = "openai";
const ANTHROPIC: &str = "anthropic";
const AZURE: &str = "azure";

pub(super) const KNOWN: &[Known] = &[
    known("openai", OPENAI, Usual, Some("OPENAI_API_KEY")),
    known("anthropic", ANTHROPIC, Usual, Some("ANTHROPIC_API_KEY")),
    known("gemini", "gemini", Usual, Some("GEMINI_API_KEY")),
    known("bedrock", "bedrock", Usual, None),
    known("vertex_ai", "vertex", Usual, None),
    known("azure", AZURE, MustBeGiven, Some("AZURE_API_KEY")),
    known("hosted_vllm", OPENAI, MustBeGiven, Some("HOSTED_VLLM_API_KEY")),
    known("openai_like", OPENAI, MustBeGiven, Some("OPENAI_LIKE_API_KEY")),
    known("llamafile", OPENAI, MustBeGiven, Some("LLAMAFILE_API_KEY")),
    known("lm_studio", OPENAI, MustBeGiven, Some("LM_STUDIO_API_KEY")),
    known("ollama", OPENAI, At("http://localhost:11434/v1"), None),
    known("ollama_chat", OPENAI, At("http://localhost:11434/v1"), None),
    known("groq", OPENAI, At("https://api.groq.com/openai/v1"), Some("GROQ_API_KEY")),
    having(known("deepseek", OPENAI, At("https://api.deepseek.com/v1"), Some("DEEPSEEK_API_KEY")), &["chat"]),
    having(
        known("mistral", OPENAI, At("https://api.mistral.ai/v1"), Some("MISTRAL_API_KEY")),
        &["chat", "embeddings"],
    ),
    having(
        known("together_ai", OPENAI, At("https://api.together.xyz/v1"), Some("TOGETHERAI_API_KEY")),
        &["chat", "completions", "embeddings", "images", "audio"],
    ),
    known("fireworks_ai", OPENAI, At("https://api.fireworks.ai/inference/v1"), Some("FIREWORKS_AI_API_KEY")),
    known("openrouter", OPENAI, At("https://openrouter.ai/api/v1"), Some("OPENROUTER_API_KEY")),
    known("xai", OPENAI, At("https://api.x.ai/v1"), Some("XAI_API_KEY")),
    known("perplexity", OPENAI, At("https://api.perplexity.ai"), Some("PERPLEXITYAI_API_KEY")),
    known("nvidia_nim", OPENAI, At("https://integrate.api.nvidia.com/v1"), Some("NVIDIA_NIM_API_KEY")),
    having(
        known("cerebras", OPENAI, At("https://api.cerebras.ai/v1"), Some("CEREBRAS_API_KEY")),
        &["chat", "completions"],
    ),
    having(
        known("sambanova", OPENAI, At("https://api.sambanova.ai/v1"), Some("SAMBANOVA_API_KEY")),
        &["chat", "embeddings"],
    ),
    having(
        known("deepinfra", OPENAI, At("https://api.deepinfra.com/v1/openai"), Some("DEEPINFRA_API_KEY")),
        &["chat", "completions", "embeddings"],
    ),
];

/// What LiteLLM takes for OpenAI's or Anthropic's where no provider is named.
const BARE: &[(&str, &[&str])] = &[
    (
        "openai",
        &["gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", "text-moderation-", "omni-moderation-"],
    ),
    ("anthropic", &["claude-"]),
];

/// What `os.environ/NAME` begins with.
const FROM_ENVIRONMENT: &str = "os.environ/";

/// A value of the file, or the variable of the environment that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// As it is written. Of a secret only to tell two of them apart: it is never written.
    Written(String),
    Variable(String),
}

impl Given {
    pub(super) fn of(text: &str) -> Self {
        match text.strip_prefix(FROM_ENVIRONMENT) {
            Some(name) => Self::Variable(name.trim().to_owned()),
            None => Self::Written(text.to_owned()),
        }
    }
}

/// A provider of the configuration.
#[derive(Debug, PartialEq, Eq)]
struct Provider {
    word: &'static str,
    kind: &'static str,
    address: Option<Given>,
    /// Of Azure's older paths.
    version: Option<Given>,
    secret: Option<Given>,
    cloud: Members,
}

/// Where a deployment is.
pub(super) struct Placed {
    /// The name of the provider.
    pub(super) provider: String,
    /// What that calls the model.
    pub(super) model: String,
    /// Those of OpenAI's APIs that it is known to have alone.
    pub(super) apis: &'static [&'static str],
}

/// The providers of the file, each once, with their names.
#[derive(Debug, Default)]
pub(super) struct Providers(Vec<(String, Provider)>);

impl Providers {
    /// Where a deployment is. What cannot be asked here is listed.
    pub(super) fn of(&mut self, params: &mut Section<'_>, losses: &mut Losses) -> Option<Placed> {
        let (place, written) = params.text("model", losses)?;
        let custom = params.text("custom_llm_provider", losses).map(|(_, word)| word);
        let Some((word, model)) = split(written, custom) else {
            losses.say(place.line, place.place, "which provider it is at is not said: write provider/model");
            return None;
        };
        let Some(known) = KNOWN.iter().find(|known| known.word == word) else {
            let reason = format!(
                "no kind of provider speaks the API of {word}; if an address of it is compatible with OpenAI's, \
                 write openai/ and that address"
            );
            losses.say(place.line, place.place, reason);
            return None;
        };
        if model.contains('*') {
            let reason = "a pattern of models: define each model that callers may ask for";
            losses.say(place.line, place.place, reason);
            return None;
        }
        let address = address(known, &place, params, losses)?;
        let version = if known.kind == AZURE { params.text("api_version", losses) } else { None };
        let version = version.map(|(_, text)| Given::of(text));
        let given = params.text("api_key", losses);
        let secret = match &given {
            Some((_, text)) => Some(Given::of(text)),
            None => known.secret.map(|name| Given::Variable(name.to_owned())),
        };
        // An API key opens Bedrock alone, and an access token Vertex.
        let (cloud, in_file) = cloud::members(known, params, losses);
        let cloud = if secret.is_some() { Members { secret: Vec::new(), ..cloud } } else { cloud };
        let provider =
            Provider { word: known.word, kind: known.kind, address, version, secret: secret.clone(), cloud };
        let name = self.named(provider);
        for (member, line, place) in in_file {
            losses.say(line, place, secret_in_file(&variable(&name, &member.to_uppercase())));
        }
        if let (Some((field, _)), Some(Given::Written(_))) = (given, secret) {
            losses.say(field.line, field.place, secret_in_file(&variable(&name, "API_KEY")));
        }
        Some(Placed { provider: name, model: cloud::model(known, model).to_owned(), apis: known.apis })
    }

    fn named(&mut self, provider: Provider) -> String {
        if let Some((name, _)) = self.0.iter().find(|(_, other)| *other == provider) {
            return name.clone();
        }
        let name = not_yet(&as_name(provider.word), |name| self.0.iter().any(|(taken, _)| taken == name));
        self.0.push((name.clone(), provider));
        name
    }

    /// The sections of the configuration, and the variables that the server is to be started with.
    pub(super) fn written(&self) -> (String, BTreeMap<String, String>) {
        let (mut text, mut environment) = (String::new(), BTreeMap::new());
        for (name, provider) in &self.0 {
            let mut section = format!("[providers.{name}]\nkind = \"{}\"\n", provider.kind);
            let own = [("base_url", &provider.address), ("api_version", &provider.version)];
            let own = own.into_iter().filter_map(|(member, value)| Some((member, value.as_ref()?)));
            let cloud = provider.cloud.open.iter().map(|(member, value)| (*member, value));
            for (member, value) in own.chain(cloud) {
                match value {
                    Given::Written(value) => {
                        let _ = writeln!(section, "{member} = {}", serde_json::Value::from(value.as_str()));
                    }
                    Given::Variable(theirs) => {
                        environment.insert(variable(name, &member.to_uppercase()), theirs.clone());
                    }
                }
            }
            let secret = provider.secret.iter().map(|secret| ("api_key", secret));
            let cloud = provider.cloud.secret.iter().map(|(member, secret)| (*member, secret));
            for (member, secret) in secret.chain(cloud) {
                if let Given::Variable(theirs) = secret {
                    environment.insert(variable(name, &member.to_uppercase()), theirs.clone());
                }
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&section);
        }
        (text, environment)
    }
}

fn secret_in_file(variable: &str) -> String {
    format!("the secret stands in the file and is not copied: start the server with it as {variable}")
}

/// The variable that gives the server a value of a provider.
fn variable(name: &str, value: &str) -> String {
    format!("SHIPWAY_PROVIDERS__{}__{value}", name.to_uppercase())
}

/// The provider's word and the model, of what is written and of the provider that is named beside it.
fn split<'t>(written: &'t str, custom: Option<&'t str>) -> Option<(&'t str, &'t str)> {
    match (custom, written.split_once('/')) {
        // A provider that is named may be before the model as well.
        (Some(word), Some((before, model))) if before == word => Some((word, model)),
        (Some(word), _) => Some((word, written)),
        (None, Some((before, model))) => Some((before, model)),
        (None, None) => {
            let is_its = |begins: &[&str]| begins.iter().any(|begin| written.starts_with(begin));
            BARE.iter().find(|(_, begins)| is_its(begins)).map(|(word, _)| (*word, written))
        }
    }
}

/// Where the provider is: as it is written, or as it is known; `None` where it is not to be had.
fn address(
    known: &Known,
    place: &Field<'_>,
    params: &mut Section<'_>,
    losses: &mut Losses,
) -> Option<Option<Given>> {
    let written = params.text("api_base", losses).or_else(|| params.text("base_url", losses));
    match (written, &known.address) {
        // A name and a secret, or parameters that are one.
        (Some((field, text)), _) if text.contains(['@', '?']) => {
            let reason = "an address has no name, secret or parameters here, and these are not copied";
            losses.say(field.line, field.place, reason);
            None
        }
        (Some((_, text)), _) => Some(Some(with_version(Given::of(text), known))),
        (None, Usual) => Some(None),
        (None, At(address)) => Some(Some(Given::Written((*address).to_owned()))),
        (None, MustBeGiven) => {
            let reason = format!("{} needs an api_base, and there is none", known.word);
            losses.say(place.line, &place.place, reason);
            None
        }
    }
}

/// LiteLLM adds the version to an address of Anthropic's and of Ollama's; here it belongs to the address.
fn with_version(address: Given, known: &Known) -> Given {
    match address {
        Given::Written(text) if known.kind == ANTHROPIC || known.word.starts_with("ollama") => {
            let text = text.trim_end_matches('/').trim_end_matches("/messages");
            Given::Written(if text.ends_with("/v1") { text.to_owned() } else { format!("{text}/v1") })
        }
        Given::Written(text) => Given::Written(text.trim_end_matches('/').to_owned()),
        Given::Variable(name) => Given::Variable(name),
    }
}
