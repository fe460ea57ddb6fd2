//! The fields of XGBoost's model files that matter here; JSON and UBJSON have the same ones.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use super::damaged;
use crate::{error::RuntimeError, ubjson};

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) learner: Learner,
}

#[derive(Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(default)]
    pub(super) feature_types: Vec<String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: LearnerParameters,
    pub(super) objective: Objective,
}

#[derive(Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    #[serde(default)]
    pub(super) model: Option<Model>,
    /// The trees of a `dart` booster.
    #[serde(default)]
    pub(super) gbtree: Option<Box<Booster>>,
    /// Of a `dart` booster: what each tree is multiplied by.
    #[serde(default)]
    pub(super) weight_drop: Vec<f32>,
}

#[derive(Deserialize)]
pub(super) struct Model {
    #[serde(default)]
    pub(super) cats: Option<Cats>,
    #[serde(default)]
    pub(super) gbtree_model_param: Option<TreeParameters>,
    /// The first tree of each iteration, and the end.
    #[serde(default)]
    pub(super) iteration_indptr: Vec<usize>,
    /// The output of each tree.
    #[serde(default)]
    pub(super) tree_info: Vec<usize>,
    #[serde(default)]
    pub(super) trees: Vec<RawTree>,
}

#[derive(Deserialize)]
pub(super) struct TreeParameters {
    #[serde(default)]
    pub(super) num_parallel_tree: Option<String>,
}

/// The categories of the training data frame, per feature.
#[derive(Deserialize)]
pub(super) struct Cats {
    #[serde(default)]
    pub(super) enc: Vec<Categories>,
}

#[derive(Deserialize)]
pub(super) struct Categories {
    /// Of categories that are text: where each ends in `values`, which are then bytes.
    #[serde(default)]
    pub(super) offsets: Option<Vec<usize>>,
    #[serde(default)]
    pub(super) values: Vec<i64>,
}

#[derive(Deserialize)]
pub(super) struct LearnerParameters {
    #[serde(default)]
    pub(super) base_score: Option<String>,
    #[serde(default)]
    pub(super) num_class: Option<String>,
    pub(super) num_feature: String,
    #[serde(default)]
    pub(super) num_target: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct RawTree {
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) split_indices: Vec<u32>,
    /// Thresholds, and the values of leaves.
    pub(super) split_conditions: Vec<f32>,
    pub(super) default_left: Vec<Flag>,
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<usize>,
    #[serde(default)]
    pub(super) categories_segments: Vec<usize>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<usize>,
    #[serde(default)]
    pub(super) sum_hessian: Vec<f32>,
    /// Of trees with a vector in each leaf: the vectors; a leaf's right child is the number of its vector.
    #[serde(default)]
    pub(super) leaf_weights: Vec<f32>,
    pub(super) tree_param: RawTreeParameters,
}

#[derive(Deserialize)]
pub(super) struct RawTreeParameters {
    #[serde(default)]
    pub(super) size_leaf_vector: Option<String>,
}

/// A truth value, which some versions write as a number.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
pub(super) enum Flag {
    Word(bool),
    Number(u8),
}

impl Flag {
    pub(super) const fn is_set(self) -> bool {
        matches!(self, Self::Word(true) | Self::Number(1..))
    }
}

/// Reads a file: UBJSON and JSON both begin with a brace, but only in JSON do a quote or white space follow.
pub(super) fn read(bytes: &[u8]) -> Result<Document, RuntimeError> {
    match bytes {
        [b'{', b'"' | b' ' | b'\n' | b'\r' | b'\t', ..] | [b' ' | b'\n' | b'\r' | b'\t', ..] => {
            serde_json::from_slice(&strict(bytes)).map_err(|error| damaged(format!("JSON: {error}")))
        }
        [b'{', ..] => ubjson::from_slice(bytes).map_err(|error| damaged(format!("UBJSON: {error}"))),
        [b'b', b'i', b'n', b'f', ..] => Err(super::unsupported(
            "the binary format of versions before 3 (save the model as `.ubj` or `.json`)",
        )),
        _ => Err(damaged("neither JSON nor UBJSON")),
    }
}

/// The same JSON with null for NaN and the infinities, which XGBoost writes as bare words, mostly where nothing reads them.
fn strict(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut copy: Option<Vec<u8>> = None;
    let (mut at, mut is_text) = (0, false);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let word = [b"NaN".as_slice(), b"-Infinity", b"Infinity"]
            .into_iter()
            .find(|word| !is_text && rest.starts_with(word));
        if let Some(word) = word {
            copy.get_or_insert_with(|| bytes[..at].to_vec()).extend_from_slice(b"null");
            at += word.len();
            continue;
        }
        // A letter behind a backslash ends no text.
        let length = if is_text && rest[0] == b'\\' { rest.len().min(2) } else { 1 };
        is_text ^= rest[0] == b'"';
        if let Some(copy) = &mut copy {
            copy.extend_from_slice(&rest[..length]);
        }
        at += length;
    }
    copy.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_for_numbers_become_null_outside_of_text() {
        let json = br#"{"a":[NaN,-Infinity,Infinity,1],"NaN \" NaN":"Infinity"}"#;
        let expected = br#"{"a":[null,null,null,1],"NaN \" NaN":"Infinity"}"#;
        assert_eq!(strict(json).as_ref(), expected);
        assert!(matches!(strict(b"{\"a\": 1}"), Cow::Borrowed(_)));
    }
}
