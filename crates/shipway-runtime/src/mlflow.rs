//! Which file of a logged MLflow model to load, and how.
//!
//! A logged model is a folder with a YAML description, `MLmodel`, that lists its flavors. This file reads the description
//! only; the caller brings the file it names. Flavors that mean "unpickle this" are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::{DataFile, Model, ModelFormat, RuntimeError, RuntimeOptions, onnx, text};

/// The name of the description inside the folder.
pub const DESCRIPTION: &str = "MLmodel";

/// How to load a logged model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadPlan {
    /// The file to read, relative to the folder of the description; one of the folder's files.
    pub file: String,
    /// Its format.
    pub format: ModelFormat,
    /// The names of the columns that the logged signature gives, in order; `None` without a signature of named columns.
    pub input_names: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    flavors: BTreeMap<String, Json>,
    #[serde(default)]
    signature: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    inputs: Option<String>,
}

/// Reads the description and chooses a flavor: `lightgbm` saved as text, `xgboost`, `catboost` saved as JSON, else `onnx`.
///
/// `files` are the paths of the folder's files, relative to it.
pub fn plan(description: &str, files: &[String]) -> Result<LoadPlan, RuntimeError> {
    let description: Description = serde_saphyr::from_str(description)
        .map_err(|error| RuntimeError::Description { reason: first_line(&error.to_string()) })?;
    let input_names =
        description.signature.and_then(|signature| signature.inputs).and_then(|json| named_columns(&json));
    let mut refusal = None;
    for (flavor, format, usual) in [
        ("lightgbm", ModelFormat::LightGbmText, ["model.lgb", "model.txt"].as_slice()),
        ("xgboost", ModelFormat::XgBoost, ["model.ubj", "model.json", "model.xgb"].as_slice()),
        ("catboost", ModelFormat::CatBoostJson, ["model.cb", "model.json"].as_slice()),
        ("onnx", ModelFormat::Onnx, ["model.onnx"].as_slice()),
    ] {
        let Some(settings) = description.flavors.get(flavor) else { continue };
        if flavor == "catboost"
            && let Some(other) =
                settings.get("save_format").and_then(Json::as_str).filter(|format| *format != "json")
        {
            let what = format!("the format {other} (log the model with format=\"json\")");
            refusal = Some(RuntimeError::Unsupported { format: format.word(), what });
            continue;
        }
        let stated = settings.get("data").and_then(Json::as_str);
        let candidates: Vec<&str> = stated.map_or_else(|| usual.to_vec(), |file| vec![file]);
        if let Some(pickle) = candidates.iter().find(|file| is_pickle(file)) {
            refusal = Some(RuntimeError::Pickled { file: (*pickle).to_owned() });
            continue;
        }
        match candidates.iter().find(|candidate| files.iter().any(|file| file == *candidate)) {
            Some(file) => return Ok(LoadPlan { file: (*file).to_owned(), format, input_names }),
            None => {
                let reason =
                    format!("flavor {flavor} names {}, which was not logged", candidates.join(" or "));
                refusal = Some(RuntimeError::Description { reason });
            }
        }
    }
    Err(refusal.unwrap_or_else(|| RuntimeError::NoFlavor {
        flavors: if description.flavors.is_empty() {
            "none".to_owned()
        } else {
            description.flavors.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
        },
    }))
}

impl LoadPlan {
    /// Which of the folder's files hold weights of the model whose file has this content: each with the name that the model has for
    /// it. A name is looked for among the files that were logged, and nowhere else.
    pub fn data_files<'files>(
        &self,
        content: &[u8],
        files: &'files [String],
    ) -> Result<Vec<(&'files str, String)>, RuntimeError> {
        if self.format != ModelFormat::Onnx {
            return Ok(Vec::new());
        }
        let folder = self.file.rfind('/').map_or("", |slash| self.file.get(..=slash).unwrap_or_default());
        let logged = |name: String| {
            let path = format!("{folder}{name}");
            files.iter().find(|file| **file == path).map(|file| (file.as_str(), name))
        };
        Ok(onnx::data_files(content)?.into_iter().filter_map(logged).collect())
    }

    /// Loads the file's content. The signature's names are taken where the file itself has none: for ONNX, and for trees that
    /// were trained on a matrix without names, when their number fits. Names in the file of a model of trees always win, because
    /// they are what its splits were trained on.
    pub fn load(
        &self,
        bytes: &[u8],
        data: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<Model, RuntimeError> {
        let model = Model::load_with(self.format, bytes, data, options)?;
        match &self.input_names {
            Some(names) if self.is_nameless(&model) && names.len() == model.inputs().len() => {
                model.with_input_names(names)
            }
            _ => Ok(model),
        }
    }

    /// Loads the file's content as an encoder of texts, with the files of [`LoadPlan::text_files`], each by its name. Without any, it is
    /// [`LoadPlan::load`].
    pub fn load_text(
        &self,
        bytes: &[u8],
        data: &[DataFile],
        texts: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<Model, RuntimeError> {
        match texts.is_empty() {
            true => self.load(bytes, data, options),
            false => Model::load_text(bytes, data, texts, options),
        }
    }

    /// The files that make the plan's file an encoder of texts, each with its name; none for other models.
    pub fn text_files<'files>(&self, files: &'files [String]) -> Vec<(&'files str, &'static str)> {
        match self.format {
            ModelFormat::Onnx => text::files_beside(&self.file, files),
            _ => Vec::new(),
        }
    }

    /// Whether the file has no names of its own, so that the model's inputs are called by their places.
    fn is_nameless(&self, model: &Model) -> bool {
        let prefix = match self.format {
            ModelFormat::LightGbmText | ModelFormat::Python => return false,
            ModelFormat::Onnx => return true,
            ModelFormat::XgBoost => "f",
            ModelFormat::CatBoostJson => "",
        };
        model.inputs().iter().enumerate().all(|(place, input)| input.name == format!("{prefix}{place}"))
    }
}

fn is_pickle(file: &str) -> bool {
    [".pkl", ".pickle", ".joblib", ".cloudpickle", ".skops"].iter().any(|ending| file.ends_with(ending))
}

/// The column names of a signature, which is JSON inside the YAML.
fn named_columns(json: &str) -> Option<Vec<String>> {
    let columns: Vec<Json> = serde_json::from_str(json).ok()?;
    columns.iter().map(|column| column.get("name")?.as_str().map(str::to_owned)).collect()
}

pub(crate) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use shipway_core::Failure as _;

    use super::*;

    const BOOSTER: &str = r#"
artifact_path: model
flavors:
  lightgbm:
    code: null
    data: model.lgb
    lgb_version: 4.7.0
    model_class: lightgbm.basic.Booster
  python_function:
    data: model.lgb
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.lightgbm
    python_version: 3.11.7
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "temp", "required": true}, {"type": "long", "name": "month", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
  params: null
utc_time_created: '2026-01-01 00:00:00'
"#;

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_booster_is_loaded_from_its_text() {
        let plan = plan(BOOSTER, &files(&["MLmodel", "model.lgb"])).unwrap();
        assert_eq!(plan.file, "model.lgb");
        assert_eq!(plan.format, ModelFormat::LightGbmText);
        assert_eq!(plan.input_names, Some(vec!["temp".to_owned(), "month".to_owned()]));
    }

    #[test]
    fn a_pickle_is_refused_with_the_way_to_log_it() {
        let pickled = BOOSTER.replace("model.lgb", "model.pkl");
        let refusal = plan(&pickled, &files(&["MLmodel", "model.pkl"])).unwrap_err();
        assert_eq!(refusal.code(), "runtime.model_pickled");
        assert!(refusal.hint().unwrap().contains("model.booster_"));
    }

    #[test]
    fn a_description_cannot_name_a_file_outside_its_folder() {
        let outside = BOOSTER.replace("model.lgb", "../../secret.txt");
        let refusal = plan(&outside, &files(&["MLmodel", "model.lgb"])).unwrap_err();
        assert_eq!(refusal.code(), "runtime.description");
    }

    #[test]
    fn boosters_of_xgboost_are_loaded_from_what_was_logged() {
        for (data, file) in [
            ("data: model.ubj", "model.ubj"),
            ("data: model.json", "model.json"),
            ("code: null", "model.xgb"),
        ] {
            let description =
                format!("flavors:\n  xgboost:\n    {data}\n    model_class: xgboost.core.Booster\n");
            let plan = plan(&description, &files(&["MLmodel", file])).unwrap();
            assert_eq!((plan.file.as_str(), plan.format), (file, ModelFormat::XgBoost));
        }
    }

    #[test]
    fn a_model_of_catboost_is_loaded_when_it_was_logged_as_json() {
        let description =
            "flavors: {catboost: {data: model.cb, model_type: CatBoostClassifier, save_format: json}}";
        let planned = plan(description, &files(&["MLmodel", "model.cb"])).unwrap();
        assert_eq!((planned.file.as_str(), planned.format), ("model.cb", ModelFormat::CatBoostJson));
        let refusal =
            plan(&description.replace("json", "cbm"), &files(&["MLmodel", "model.cb"])).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "catboost model: the format cbm (log the model with format=\"json\") is not supported"
        );
    }

    #[test]
    fn a_signature_names_the_inputs_of_trees_that_have_no_names() {
        let names = Some(["a", "b", "c", "d"].map(str::to_owned).to_vec());
        let golden = crate::goldens::one("xgboost", "deep");
        let plan = LoadPlan { file: String::new(), format: ModelFormat::XgBoost, input_names: names.clone() };
        let model = plan.load(&golden.bytes, &[], &RuntimeOptions::default()).unwrap();
        assert_eq!(model.inputs()[3].name, "d");
        let named = crate::goldens::one("xgboost", "reg_gamma");
        assert_eq!(
            plan.load(&named.bytes, &[], &RuntimeOptions::default()).unwrap().inputs()[3].name,
            "distance"
        );
    }

    #[test]
    fn a_model_without_a_known_flavor_says_which_it_has() {
        let refusal = plan("flavors: {python_function: {}, sklearn: {}}", &[]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the logged model has no flavor that can be served (it has: python_function, sklearn)"
        );
        assert_eq!(plan("[", &[]).unwrap_err().code(), "runtime.description");
        assert_eq!(plan("flavors: 3", &[]).unwrap_err().code(), "runtime.description");
    }
}
