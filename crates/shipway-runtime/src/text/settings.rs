//! What the files beside an encoder say of it. Pure.
//!
//! `shipway_text.json` is ours and goes before all others; then come the files of sentence-transformers, then those of transformers.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use super::{
    TextTask, damaged,
    files::{CONFIG, MODULES, OWN, POOLING, SENTENCE, TOKENIZER_CONFIG},
    pooling::{Activation, Pooling},
    unsupported,
};
use crate::{data::DataFile, error::RuntimeError};

/// The most tokens of a text where no file says it.
const USUAL_TOKENS: usize = 512;

/// Settings beyond this are words for "any length".
const MOST_TOKENS: usize = 131_072;

/// Models whose positions begin behind the token that fills up, so that fewer tokens have one than `max_position_embeddings` says.
const LATE_POSITIONS: [&str; 5] = ["roberta", "xlm-roberta", "camembert", "mpnet", "longformer"];

#[derive(Debug, Default)]
pub(super) struct Settings {
    /// The model is not one of text, whatever lies beside it.
    pub(super) stays_tensors: bool,
    pub(super) task: Option<TextTask>,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    pub(super) max_tokens: usize,
    pub(super) truncate: bool,
    pub(super) prefix: String,
    pub(super) dimensions: Vec<usize>,
    /// The width of the output, where the model's file leaves it open.
    pub(super) width: Option<usize>,
    pub(super) pad: Option<u32>,
    given_labels: Option<Vec<String>>,
    given_activation: Option<Activation>,
}

/// Our own file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Own {
    task: Option<OwnTask>,
    pooling: Option<Pooling>,
    normalize: Option<bool>,
    max_tokens: Option<usize>,
    truncate: bool,
    prefix: String,
    dimensions: Vec<usize>,
    labels: Option<Vec<String>>,
    activation: Option<Activation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OwnTask {
    Embed,
    Classify,
    Tensors,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    class: String,
}

impl Settings {
    pub(super) fn of(files: &[DataFile]) -> Result<Self, RuntimeError> {
        let own: Own = read(files, OWN)?.unwrap_or_default();
        let config: Map<String, Json> = read(files, CONFIG)?.unwrap_or_default();
        let tokenizer: Map<String, Json> = read(files, TOKENIZER_CONFIG)?.unwrap_or_default();
        let sentence: Map<String, Json> = read(files, SENTENCE)?.unwrap_or_default();
        let pooling: Option<Map<String, Json>> = read(files, POOLING)?;
        let modules: Option<Vec<Module>> = read(files, MODULES)?;
        let task = match own.task {
            Some(OwnTask::Embed) => Some(TextTask::Embed),
            Some(OwnTask::Classify) => Some(TextTask::Classify),
            Some(OwnTask::Tensors) | None if pooling.is_some() || modules.is_some() => Some(TextTask::Embed),
            Some(OwnTask::Tensors) | None => task_of(&config),
        };
        // Our own file says all that modules would; they are not asked then.
        let is_own = own.pooling.is_some() && own.normalize.is_some();
        let modules = modules.filter(|_| !is_own);
        let normalizes = modules.as_deref().map(normalizes).transpose()?;
        let positions = whole(&config, "max_position_embeddings").map(|positions| {
            let is_late = config
                .get("model_type")
                .and_then(Json::as_str)
                .is_some_and(|word| LATE_POSITIONS.contains(&word));
            if is_late { positions.saturating_sub(2) } else { positions }
        });
        let known = [whole(&sentence, "max_seq_length"), whole(&tokenizer, "model_max_length"), positions];
        let known = known.into_iter().flatten().filter(|tokens| (1..=MOST_TOKENS).contains(tokens)).min();
        let max_tokens = own.max_tokens.or(known).unwrap_or(USUAL_TOKENS);
        if !(1..=MOST_TOKENS).contains(&max_tokens) {
            return Err(damaged(format!("{OWN}: max_tokens must be 1 to {MOST_TOKENS}, got {max_tokens}")));
        }
        let of_pooling = |pooling: &Map<String, Json>| whole(pooling, "word_embedding_dimension");
        Ok(Self {
            stays_tensors: own.task == Some(OwnTask::Tensors),
            task,
            pooling: match (own.pooling, &pooling) {
                (Some(own), _) => own,
                (None, Some(config)) => pooling_of(config)?,
                (None, None) => Pooling::Mean,
            },
            normalize: own.normalize.or(normalizes).unwrap_or(true),
            max_tokens,
            truncate: own.truncate,
            prefix: own.prefix,
            dimensions: own.dimensions,
            width: pooling.as_ref().and_then(of_pooling).or_else(|| whole(&config, "hidden_size")),
            pad: whole(&config, "pad_token_id").and_then(|id| u32::try_from(id).ok()),
            given_labels: own.labels.or_else(|| labels_of(&config)),
            given_activation: own.activation.or_else(|| activation_of(&config)),
        })
    }

    /// A label for each of `width` scores; none for an embedder.
    pub(super) fn labels(&self, task: TextTask, width: usize) -> Result<Vec<String>, RuntimeError> {
        match (task, &self.given_labels) {
            (TextTask::Embed, _) => Ok(Vec::new()),
            (TextTask::Classify, None) => Ok((0..width).map(|place| format!("LABEL_{place}")).collect()),
            (TextTask::Classify, Some(labels)) if labels.len() == width => Ok(labels.clone()),
            (TextTask::Classify, Some(labels)) => {
                Err(damaged(format!("{} labels for {width} scores", labels.len())))
            }
        }
    }

    /// How logits become scores: as said, else one logit by itself, and several among each other.
    pub(super) fn activation(&self, width: usize) -> Activation {
        let usual = if width == 1 { Activation::Sigmoid } else { Activation::Softmax };
        self.given_activation.unwrap_or(usual)
    }

    /// How many labels are known.
    pub(super) fn label_count(&self) -> Option<usize> {
        self.given_labels.as_ref().map(Vec::len)
    }
}

/// The content of a file that need not be there.
fn read<T: DeserializeOwned>(files: &[DataFile], name: &str) -> Result<Option<T>, RuntimeError> {
    let Some(file) = files.iter().find(|file| file.path == name) else { return Ok(None) };
    let wrong = |error: serde_json::Error| {
        let reason: String = error.to_string().chars().take(200).collect();
        damaged(format!("{name}: {reason}"))
    };
    serde_json::from_slice(&file.content).map(Some).map_err(wrong)
}

/// A whole number of a file; `None` where there is none, and for numbers beyond 64 bits, which say "any length".
fn whole(of: &Map<String, Json>, field: &str) -> Option<usize> {
    usize::try_from(of.get(field)?.as_u64()?).ok()
}

fn task_of(config: &Map<String, Json>) -> Option<TextTask> {
    let classes = config.get("architectures")?.as_array()?;
    let classifies =
        classes.iter().filter_map(Json::as_str).any(|class| class.ends_with("ForSequenceClassification"));
    classifies.then_some(TextTask::Classify)
}

/// Whether the modules of sentence-transformers normalise at their end; modules that change a vector in another way are refused.
fn normalizes(modules: &[Module]) -> Result<bool, RuntimeError> {
    let name = |module: &Module| module.class.rsplit('.').next().unwrap_or_default().to_owned();
    let names: Vec<String> = modules.iter().map(name).collect();
    match names.iter().find(|name| !matches!(name.as_str(), "Transformer" | "Pooling" | "Normalize")) {
        Some(other) => Err(unsupported(format!("the module {other} of {MODULES}"))),
        None => Ok(names.iter().any(|name| name == "Normalize")),
    }
}

/// The one way of pooling that the file says.
fn pooling_of(config: &Map<String, Json>) -> Result<Pooling, RuntimeError> {
    let known = [
        ("pooling_mode_cls_token", Pooling::Cls),
        ("pooling_mode_mean_tokens", Pooling::Mean),
        ("pooling_mode_max_tokens", Pooling::Max),
        ("pooling_mode_lasttoken", Pooling::Last),
    ];
    let is_on = |field: &str| config.get(field).and_then(Json::as_bool).unwrap_or(false);
    let modes = || config.keys().filter(|field| field.starts_with("pooling_mode_") && is_on(field));
    let mut on = modes();
    match (on.next(), on.next(), config.get("pooling_mode").and_then(Json::as_str)) {
        (Some(field), None, _) => known
            .into_iter()
            .find(|(name, _)| name == field)
            .map(|(_, pooling)| pooling)
            .ok_or_else(|| unsupported(field.clone())),
        (Some(_), Some(_), _) => Err(unsupported(format!(
            "pooling in several ways ({})",
            modes().cloned().collect::<Vec<_>>().join(", ")
        ))),
        (None, _, Some(word)) => {
            serde_json::from_value(Json::from(word)).map_err(|_| unsupported(format!("pooling_mode {word}")))
        }
        (None, _, None) => Ok(Pooling::Mean),
    }
}

/// The labels by their numbers from 0 on.
fn labels_of(config: &Map<String, Json>) -> Option<Vec<String>> {
    let labels = config.get("id2label")?.as_object()?;
    let label = |place: usize| labels.get(&place.to_string()).and_then(Json::as_str).map(str::to_owned);
    (0..labels.len()).map(label).collect()
}

fn activation_of(config: &Map<String, Json>) -> Option<Activation> {
    match config.get("problem_type")?.as_str()? {
        "multi_label_classification" => Some(Activation::Sigmoid),
        "single_label_classification" => Some(Activation::Softmax),
        "regression" => Some(Activation::None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(files: &[(&str, &str)]) -> Result<Settings, String> {
        let file = |(path, content): &(&str, &str)| DataFile {
            path: (*path).to_owned(),
            content: content.as_bytes().into(),
        };
        Settings::of(&files.iter().map(file).collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    #[test]
    fn files_of_sentence_transformers_say_how_an_embedding_is_made() {
        let modules = r#"[{"idx": 0, "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "type": "sentence_transformers.models.Pooling"}]"#;
        let read = settings(&[
            (MODULES, modules),
            (POOLING, r#"{"word_embedding_dimension": 384, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#),
            (SENTENCE, r#"{"max_seq_length": 256, "do_lower_case": false}"#),
            (TOKENIZER_CONFIG, r#"{"model_max_length": 1000000000000000019884624838656}"#),
            (CONFIG, r#"{"hidden_size": 768, "max_position_embeddings": 512, "pad_token_id": 1}"#),
        ])
        .unwrap();
        assert_eq!((read.task, read.pooling, read.normalize), (Some(TextTask::Embed), Pooling::Cls, false));
        assert_eq!((read.max_tokens, read.width, read.pad), (256, Some(384), Some(1)));
        let dense = modules.replace("models.Pooling", "models.Dense");
        assert_eq!(
            settings(&[(MODULES, &dense)]).unwrap_err(),
            "text model: the module Dense of modules.json is not supported"
        );
        let both = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#;
        assert!(settings(&[(POOLING, both)]).unwrap_err().contains("pooling in several ways"));
        let other = r#"{"pooling_mode_weightedmean_tokens": true}"#;
        assert!(settings(&[(POOLING, other)]).unwrap_err().contains("pooling_mode_weightedmean_tokens"));
    }

    #[test]
    fn a_classifier_has_its_labels_and_its_link_from_its_config() {
        let config = |more: &str| {
            format!(
                r#"{{"architectures": ["BertForSequenceClassification"], "id2label": {{"1": "good", "0": "bad"}},
                "model_type": "roberta", "max_position_embeddings": 514{more}}}"#
            )
        };
        let read = settings(&[(CONFIG, &config(""))]).unwrap();
        assert_eq!((read.task, read.max_tokens), (Some(TextTask::Classify), 512));
        assert_eq!(read.labels(TextTask::Classify, 2).unwrap(), ["bad", "good"]);
        assert!(read.labels(TextTask::Classify, 3).is_err());
        assert_eq!((read.activation(2), read.activation(1)), (Activation::Softmax, Activation::Sigmoid));
        let several =
            settings(&[(CONFIG, &config(r#", "problem_type": "multi_label_classification""#))]).unwrap();
        assert_eq!(several.activation(2), Activation::Sigmoid);
        assert_eq!(settings(&[]).unwrap().labels(TextTask::Classify, 2).unwrap(), ["LABEL_0", "LABEL_1"]);
    }

    #[test]
    fn our_own_file_goes_before_the_others() {
        let own = r#"{"task": "embed", "pooling": "last", "normalize": false, "max_tokens": 8, "truncate": true,
            "prefix": "query: ", "dimensions": [2, 4]}"#;
        let dense = r#"[{"type": "a.Dense"}]"#;
        let read = settings(&[(OWN, own), (MODULES, dense)]).unwrap();
        assert_eq!(
            (read.pooling, read.normalize, read.max_tokens, read.truncate),
            (Pooling::Last, false, 8, true)
        );
        assert_eq!((read.prefix.as_str(), read.dimensions.as_slice()), ("query: ", [2, 4].as_slice()));
        assert!(settings(&[(OWN, r#"{"task": "tensors"}"#)]).unwrap().stays_tensors);
        for (own, expected) in [
            (r#"{"pool": "mean"}"#, "unknown field `pool`"),
            (r#"{"max_tokens": 0}"#, "max_tokens must be 1 to 131072, got 0"),
            (r#"{"pooling": "middle"}"#, "unknown variant `middle`"),
            ("[", "shipway_text.json: EOF"),
        ] {
            let refusal = settings(&[(OWN, own)]).unwrap_err();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }
}
