//! Which files of a model's folder make it a model of text. Pure.

use crate::{ModelFormat, mlflow::LoadPlan};

/// The largest file beside an encoder that is read: vocabularies of a million tokens are some ten MiB.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const OWN: &str = "shipway_text.json";
pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const MODULES: &str = "modules.json";
pub(super) const SENTENCE: &str = "sentence_bert_config.json";
pub(super) const POOLING: &str = "1_Pooling/config.json";

/// Files that are read where they are; only the tokenizer must be there.
const WANTED: [&str; 7] = [TOKENIZER, OWN, CONFIG, TOKENIZER_CONFIG, MODULES, SENTENCE, POOLING];

/// Where exports put an encoder.
const ENCODERS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// The folders that the files of an encoder may be in: its own, the one above, and where MLflow puts what is logged with a model.
fn folders(encoder: &str) -> Vec<String> {
    let above =
        |path: &str| path.rfind('/').map_or("", |slash| path.get(..slash).unwrap_or_default()).to_owned();
    let own = above(encoder);
    let mut folders = vec![own.clone(), above(&own), "extra_files".to_owned()];
    folders.dedup();
    folders
}

/// The files beside an encoder that make it a model of text, each with its name; none without a tokenizer. `files` are all paths of the
/// model's folder.
pub(crate) fn files_beside<'files>(
    encoder: &str,
    files: &'files [String],
) -> Vec<(&'files str, &'static str)> {
    for folder in folders(encoder) {
        let front = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let there = |name: &'static str| {
            let path = format!("{front}{name}");
            files.iter().find(|file| **file == path).map(|file| (file.as_str(), name))
        };
        if there(TOKENIZER).is_some() {
            return WANTED.into_iter().filter_map(there).collect();
        }
    }
    Vec::new()
}

/// How to load a folder that has no description of MLflow's: an encoder with a tokenizer, as exports of models of text are.
pub fn plan_of_folder(files: &[String]) -> Option<LoadPlan> {
    let encoder = ENCODERS.into_iter().find(|encoder| files.iter().any(|file| file == encoder))?;
    let plan = LoadPlan { file: encoder.to_owned(), format: ModelFormat::Onnx, input_names: None };
    (!files_beside(encoder, files).is_empty()).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_tokenizer_beside_an_encoder_makes_a_model_of_text() {
        let exported = files(&[
            "onnx/model.onnx",
            "tokenizer.json",
            "config.json",
            "1_Pooling/config.json",
            "vocab.txt",
        ]);
        let plan = plan_of_folder(&exported).unwrap();
        assert_eq!(plan.file, "onnx/model.onnx");
        let found =
            [("tokenizer.json", TOKENIZER), ("config.json", CONFIG), ("1_Pooling/config.json", POOLING)];
        assert_eq!(files_beside(&plan.file, &exported), found);
        let logged =
            files(&["MLmodel", "model.onnx", "extra_files/tokenizer.json", "extra_files/config.json"]);
        let found = [("extra_files/tokenizer.json", TOKENIZER), ("extra_files/config.json", CONFIG)];
        assert_eq!(files_beside("model.onnx", &logged), found);
    }

    #[test]
    fn without_a_tokenizer_there_is_no_text() {
        assert_eq!(
            files_beside("model.onnx", &files(&["model.onnx", "config.json", "other/tokenizer.json"])),
            []
        );
        assert_eq!(plan_of_folder(&files(&["model.onnx"])), None);
        assert_eq!(plan_of_folder(&files(&["tokenizer.json"])), None);
    }
}
