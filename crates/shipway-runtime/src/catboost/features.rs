//! The features of a CatBoost model: its columns, and what its splits ask of them.

use std::collections::HashMap;

use super::{
    damaged,
    schema::{FeaturesInfo, Split},
    unsupported,
};
use crate::{
    error::RuntimeError,
    input::{Categories, Encoding},
    trees::{Column, Missing, Sets, Test},
};

/// Where features stand among the columns, and how their splits are answered.
pub(super) struct Features {
    /// Column and treatment of missing values, by the index among float features.
    floats: HashMap<usize, (u32, Missing)>,
    /// Column, by the index among categorical features.
    categories: HashMap<usize, u32>,
    /// The codes of the categories that have a hash.
    codes: HashMap<u32, Vec<u32>>,
    /// The sets that were made already.
    sets: HashMap<u32, u32>,
}

/// The low 32 bits are the hash; some versions write them with a sign.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only the low 32 bits are meant")]
const fn hash_of(number: i64) -> u32 {
    number as u32
}

/// Reads the features and lists the columns in the order of the training data.
pub(super) fn read(info: &FeaturesInfo) -> Result<(Features, Vec<Column>), RuntimeError> {
    if !info.text_features.is_empty() {
        return Err(unsupported("a text feature"));
    }
    if !info.embedding_features.is_empty() {
        return Err(unsupported("an embedding feature"));
    }
    let mut codes: HashMap<u32, Vec<u32>> = HashMap::new();
    for (category, code) in info.cat_features_hash.iter().zip(0_u32..) {
        codes.entry(hash_of(category.hash)).or_default().push(code);
    }
    let words: Vec<&str> = info.cat_features_hash.iter().map(|category| category.value.as_str()).collect();
    let categories = Categories::of_words(&words);
    let mut features =
        Features { floats: HashMap::new(), categories: HashMap::new(), codes, sets: HashMap::new() };
    let mut columns: Vec<Option<Column>> = Vec::new();
    columns.resize_with(info.float_features.len() + info.categorical_features.len(), || None);
    let mut put = |place: usize, id: &str, encoding: Encoding| {
        let name = if id.is_empty() { place.to_string() } else { id.to_owned() };
        let slot = columns.get_mut(place).filter(|slot| slot.is_none());
        *slot.ok_or_else(|| damaged(format!("feature {place} does not exist or is there twice")))? =
            Some(Column { name, encoding });
        u32::try_from(place).map_err(|_| damaged("too many features"))
    };
    for feature in &info.float_features {
        let missing = match feature.nan_value_treatment.as_str() {
            // Compared as it is, NaN is not above any border.
            "AsIs" | "AsFalse" | "" => Missing::Left,
            "AsTrue" => Missing::Right,
            other => return Err(unsupported(format!("nan_value_treatment {other}"))),
        };
        let column = put(feature.flat_feature_index, &feature.feature_id, Encoding::Number)?;
        features.floats.insert(feature.feature_index, (column, missing));
    }
    for feature in &info.categorical_features {
        let encoding = Encoding::Categories(categories.clone());
        let column = put(feature.flat_feature_index, &feature.feature_id, encoding)?;
        features.categories.insert(feature.feature_index, column);
    }
    let columns: Option<Vec<Column>> = columns.into_iter().collect();
    Ok((features, columns.ok_or_else(|| damaged("features are missing"))?))
}

impl Features {
    /// The column that a split asks, and how.
    pub(super) fn test(&mut self, split: &Split, sets: &mut Sets) -> Result<(u32, Test), RuntimeError> {
        match split.split_type.as_str() {
            "FloatFeature" => {
                let (column, missing) =
                    split
                        .float_feature_index
                        .and_then(|index| self.floats.get(&index))
                        .ok_or_else(|| damaged("a split on a float feature that does not exist"))?;
                let threshold = split
                    .border
                    .filter(|border| !border.is_nan())
                    .ok_or_else(|| damaged("a split on a float feature without a border"))?;
                // Borders are floats.
                #[expect(clippy::cast_possible_truncation, reason = "CatBoost compares single precision")]
                let threshold = f64::from(threshold as f32);
                Ok((*column, Test::Number { threshold, missing: *missing }))
            }
            "OneHotFeature" => {
                let column = split
                    .cat_feature_index
                    .and_then(|index| self.categories.get(&index))
                    .ok_or_else(|| damaged("a split on a categorical feature that does not exist"))?;
                let hash = hash_of(split.value.ok_or_else(|| damaged("a split on no category"))?);
                let codes = self.codes.get(&hash).ok_or_else(|| {
                    unsupported(
                        "a category without its name (save the model with its data: \
                         save_model(path, format=\"json\", pool=pool))",
                    )
                })?;
                let set = match self.sets.get(&hash) {
                    Some(set) => *set,
                    None => {
                        let set =
                            sets.push(codes.iter().copied()).ok_or_else(|| damaged("too many categories"))?;
                        *self.sets.entry(hash).or_insert(set)
                    }
                };
                Ok((*column, Test::Category { set, members_left: false, missing_left: true }))
            }
            "OnlineCtr" => Err(unsupported(
                "a categorical feature that is replaced by statistics of the target (CTR; train with one_hot_max_size \
                 above the number of categories, or encode them before)",
            )),
            other => Err(unsupported(format!("split type {}", other.chars().take(60).collect::<String>()))),
        }
    }
}
