//! The columns of an XGBoost model, and the codes of their categories.

use serde_json::Value as Json;

use super::{damaged, schema, unsupported};
use crate::{
    error::RuntimeError,
    input::{Categories, Encoding},
    trees::Column,
};

/// The model's columns in its own order: named as in training, else `f0`, `f1` …
///
/// Where the file has the categories of the training data frame, values are coded by them, as XGBoost does; where it has
/// none, a category is the number that the model was trained on.
pub(super) fn read(
    count: usize,
    names: Vec<String>,
    types: &[String],
    cats: Option<schema::Cats>,
) -> Result<Vec<Column>, RuntimeError> {
    if !names.is_empty() && names.len() != count {
        return Err(damaged(format!("{} feature names, but num_feature is {count}", names.len())));
    }
    let categories = cats.map(|cats| cats.enc).unwrap_or_default();
    if !categories.is_empty() && categories.len() != count {
        return Err(damaged(format!(
            "categories of {} features, but num_feature is {count}",
            categories.len()
        )));
    }
    let mut names = names.into_iter();
    let mut categories = categories.into_iter();
    (0..count)
        .map(|place| {
            let name = names.next().unwrap_or_else(|| format!("f{place}"));
            let list = categories.next().map(words).transpose()?.unwrap_or_default();
            let is_category = types.get(place).is_none_or(|kind| kind == "c");
            let encoding = if list.is_empty() || !is_category {
                Encoding::Number
            } else {
                let categories = Categories::new(&list).ok_or_else(|| {
                    unsupported(format!("a category of `{name}` that is neither text nor number"))
                })?;
                Encoding::Categories(categories)
            };
            Ok(Column { name, encoding })
        })
        .collect()
}

/// The categories of one feature in the order of their codes.
///
/// XGBoost 3.2 counts letters where it means bytes, so that a file has categories beyond ASCII cut and shifted; taken as they
/// are, they would give wrong codes silently.
fn words(raw: schema::Categories) -> Result<Vec<Json>, RuntimeError> {
    let Some(offsets) = raw.offsets else { return Ok(raw.values.into_iter().map(Json::from).collect()) };
    let bytes: Option<Vec<u8>> =
        raw.values.iter().map(|byte| u8::try_from(*byte).ok().filter(u8::is_ascii)).collect();
    let bytes =
        bytes.ok_or_else(|| unsupported("text categories beyond ASCII, which XGBoost writes cut,"))?;
    offsets
        .windows(2)
        .map(|pair| {
            let letters =
                bytes.get(pair[0]..pair[1]).ok_or_else(|| damaged("categories go beyond their bytes"))?;
            Ok(Json::String(String::from_utf8_lossy(letters).into_owned()))
        })
        .collect()
}
