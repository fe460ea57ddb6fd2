//! The fields of CatBoost's JSON that matter here.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) features_info: FeaturesInfo,
    #[serde(default)]
    pub(super) oblivious_trees: Vec<ObliviousTree>,
    /// Trees of other shapes: of the grow policies `Lossguide` and `Depthwise`.
    #[serde(default)]
    pub(super) trees: Vec<Node>,
    #[serde(default)]
    pub(super) scale_and_bias: Option<(f64, Numbers)>,
    #[serde(default)]
    pub(super) model_info: Option<ModelInfo>,
}

#[derive(Deserialize)]
pub(super) struct FeaturesInfo {
    #[serde(default)]
    pub(super) float_features: Vec<FloatFeature>,
    #[serde(default)]
    pub(super) categorical_features: Vec<CategoricalFeature>,
    #[serde(default)]
    pub(super) text_features: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(super) embedding_features: Vec<serde::de::IgnoredAny>,
    /// The categories of the training data, if the model was saved with it.
    #[serde(default)]
    pub(super) cat_features_hash: Vec<CategoryHash>,
}

#[derive(Deserialize)]
pub(super) struct FloatFeature {
    #[serde(default)]
    pub(super) feature_id: String,
    pub(super) feature_index: usize,
    pub(super) flat_feature_index: usize,
    #[serde(default)]
    pub(super) nan_value_treatment: String,
}

#[derive(Deserialize)]
pub(super) struct CategoricalFeature {
    #[serde(default)]
    pub(super) feature_id: String,
    pub(super) feature_index: usize,
    pub(super) flat_feature_index: usize,
}

#[derive(Deserialize)]
pub(super) struct CategoryHash {
    pub(super) hash: i64,
    pub(super) value: String,
}

#[derive(Deserialize)]
pub(super) struct ObliviousTree {
    /// One vector per leaf; the first split is the lowest bit of a leaf's number.
    pub(super) leaf_values: Vec<f64>,
    #[serde(default)]
    pub(super) leaf_weights: Vec<f64>,
    #[serde(default)]
    pub(super) splits: Vec<Split>,
}

#[derive(Deserialize)]
pub(super) struct Split {
    pub(super) split_type: String,
    #[serde(default)]
    pub(super) border: Option<f64>,
    #[serde(default)]
    pub(super) float_feature_index: Option<usize>,
    #[serde(default)]
    pub(super) cat_feature_index: Option<usize>,
    /// The hash of a category.
    #[serde(default)]
    pub(super) value: Option<i64>,
}

/// A split with two branches, or a leaf with a value.
#[derive(Deserialize)]
pub(super) struct Node {
    #[serde(default)]
    pub(super) left: Option<Box<Node>>,
    #[serde(default)]
    pub(super) right: Option<Box<Node>>,
    #[serde(default)]
    pub(super) split: Option<Split>,
    #[serde(default)]
    pub(super) value: Option<Numbers>,
    #[serde(default)]
    pub(super) weight: Option<f64>,
}

/// One number, or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

impl Numbers {
    pub(super) fn list(&self) -> &[f64] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Many(numbers) => numbers,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ModelInfo {
    #[serde(default)]
    pub(super) params: Option<Parameters>,
}

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    pub(super) loss_function: Option<LossFunction>,
}

#[derive(Deserialize)]
pub(super) struct LossFunction {
    #[serde(rename = "type")]
    pub(super) name: String,
}
