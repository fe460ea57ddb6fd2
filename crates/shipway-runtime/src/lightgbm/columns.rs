//! The columns of a LightGBM model, and which of them hold categories.

use serde_json::Value as Json;

use super::{damaged, text::Document, unsupported};
use crate::{
    error::RuntimeError,
    input::{Categories, Encoding},
    trees::Column,
};

/// The model's columns in its own order.
///
/// The file does not say which columns were categories in the data frame: it has the categories of each such column in
/// order, and, elsewhere, the columns that are split by category. When the two counts differ (an ordered category is
/// compared as a number), guessing would give wrong codes silently, so the model is refused.
pub(super) fn read(document: &Document<'_>) -> Result<Vec<Column>, RuntimeError> {
    let header = &document.header;
    let names: Vec<&str> = header.require("feature_names")?.split_ascii_whitespace().collect();
    let largest: usize = header.number("max_feature_idx")?;
    if largest.checked_add(1) != Some(names.len()) {
        return Err(damaged(format!("{} feature names, but max_feature_idx is {largest}", names.len())));
    }
    let mut columns: Vec<Column> =
        names.into_iter().map(|name| Column { name: name.to_owned(), encoding: Encoding::Number }).collect();
    let lists = pandas_categories(document)?;
    if lists.is_empty() {
        return Ok(columns);
    }
    let places = categorical_places(document, columns.len())?;
    if places.len() != lists.len() {
        return Err(unsupported(format!(
            "a data frame with {} category columns of which {} are split by category (ordered categories)",
            lists.len(),
            places.len()
        )));
    }
    for (place, list) in places.into_iter().zip(lists) {
        let column = columns
            .get_mut(place)
            .ok_or_else(|| damaged(format!("no feature {place} for its categories")))?;
        let categories = Categories::new(&list).ok_or_else(|| {
            unsupported(format!("a category of `{}` that is neither text nor number", column.name))
        })?;
        column.encoding = Encoding::Categories(categories);
    }
    Ok(columns)
}

fn pandas_categories(document: &Document<'_>) -> Result<Vec<Vec<Json>>, RuntimeError> {
    let Some(json) = document.pandas_categorical else { return Ok(Vec::new()) };
    let lists: Option<Vec<Vec<Json>>> =
        serde_json::from_str(json).map_err(|error| damaged(format!("pandas_categorical: {error}")))?;
    Ok(lists.unwrap_or_default())
}

/// The features that are split by category: from the training parameters, or, in files without them, those whose summary
/// is a list of codes (`2:0:1`) and not a range (`[0:1]`).
fn categorical_places(document: &Document<'_>, features: usize) -> Result<Vec<usize>, RuntimeError> {
    let mut places: Vec<usize> = match document.categorical_parameter {
        Some(list) if !list.trim().is_empty() => list
            .split(',')
            .map(|place| place.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| damaged("categorical_feature is not a list of feature numbers"))?,
        _ => document
            .header
            .get("feature_infos")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .enumerate()
            .filter(|(_, info)| !info.starts_with('[') && *info != "none")
            .map(|(place, _)| place)
            .collect(),
    };
    places.sort_unstable();
    places.dedup();
    if places.iter().any(|place| *place >= features) {
        return Err(damaged("categorical_feature names a feature that does not exist"));
    }
    Ok(places)
}
