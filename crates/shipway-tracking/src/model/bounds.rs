//! What keys, values, names and batches may be. Beyond a bound is an error; nothing is shortened in silence.

use super::{DatasetInput, Metric, Pair};
use crate::error::TrackingError;

pub(crate) const KEY_LENGTH: usize = 250;
pub(crate) const PARAM_VALUE_LENGTH: usize = 6_000;
pub(crate) const RUN_TAG_VALUE_LENGTH: usize = 8_000;
pub(crate) const EXPERIMENT_TAG_VALUE_LENGTH: usize = 20_000;
pub(crate) const REGISTRY_TAG_VALUE_LENGTH: usize = 100_000;
pub(crate) const BATCH_METRICS: usize = 1_000;
pub(crate) const BATCH_PARAMS: usize = 100;
pub(crate) const BATCH_TAGS: usize = 100;
pub(crate) const BATCH_TOTAL: usize = 1_000;
pub(crate) const INPUTS: usize = 1_000;

type Checked = Result<(), TrackingError>;

fn invalid(parameter: &str, reason: String) -> TrackingError {
    TrackingError::Invalid { parameter: parameter.to_owned(), reason }
}

fn within(parameter: &str, text: &str, bound: usize) -> Checked {
    let length = text.chars().count();
    if length <= bound {
        return Ok(());
    }
    let start: String = text.chars().take(40).collect();
    Err(invalid(parameter, format!("`{start}…` has length {length}, which exceeds length limit of {bound}")))
}

/// A key of a metric, a parameter or a tag: at most 250 of letters, digits, `_-. :/`, and clean as a path, because clients
/// use keys as file names.
pub(crate) fn key(parameter: &str, key: &str) -> Checked {
    let fits = |letter: char| letter.is_alphanumeric() || "_/.- :".contains(letter);
    if key.is_empty() || !key.chars().all(fits) {
        return Err(invalid(
            parameter,
            format!(
                "`{key}` may only hold letters, digits, underscores, dashes, periods, spaces, colons and slashes"
            ),
        ));
    }
    within(parameter, key, KEY_LENGTH)?;
    if key.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(invalid(parameter, format!("`{key}` must be unique and clean when read as a path")));
    }
    Ok(())
}

fn pair(kind: &str, pair: &Pair, value_bound: usize) -> Checked {
    key(&format!("{kind}.key"), &pair.key)?;
    within(&format!("{kind}.value"), &pair.value, value_bound)
}

pub(crate) fn param(one: &Pair) -> Checked {
    pair("param", one, PARAM_VALUE_LENGTH)
}

pub(crate) fn run_tag(one: &Pair) -> Checked {
    pair("tag", one, RUN_TAG_VALUE_LENGTH)
}

pub(crate) fn experiment_tag(one: &Pair) -> Checked {
    pair("tag", one, EXPERIMENT_TAG_VALUE_LENGTH)
}

pub(crate) fn registry_tag(one: &Pair) -> Checked {
    pair("tag", one, REGISTRY_TAG_VALUE_LENGTH)
}

pub(crate) fn metric(one: &Metric) -> Checked {
    key("metric.key", &one.key)?;
    within("metric.dataset_name", &one.dataset_name, 500)?;
    within("metric.dataset_digest", &one.dataset_digest, 36)
}

/// One batch: each part bounded, the whole bounded, and no parameter twice.
pub(crate) fn batch(metrics: &[Metric], params: &[Pair], tags: &[Pair]) -> Checked {
    let total = metrics.len() + params.len() + tags.len();
    let parts = [
        ("metrics", metrics.len(), BATCH_METRICS),
        ("params", params.len(), BATCH_PARAMS),
        ("tags", tags.len(), BATCH_TAGS),
        ("metrics, params and tags", total, BATCH_TOTAL),
    ];
    for (what, count, bound) in parts {
        if count > bound {
            let reason = format!("a batch logging request can contain at most {bound} {what}, got {count}");
            return Err(invalid("batch", reason));
        }
    }
    metrics.iter().try_for_each(metric)?;
    params.iter().try_for_each(param)?;
    tags.iter().try_for_each(run_tag)?;
    let mut keys: Vec<&str> = params.iter().map(|param| param.key.as_str()).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|two| two[0] == two[1]) {
        Some(twice) => {
            Err(invalid("params", format!("duplicate parameter keys have been submitted: {}", twice[0])))
        }
        None => Ok(()),
    }
}

pub(crate) fn dataset(input: &DatasetInput) -> Checked {
    for (what, text) in
        [("name", &input.name), ("digest", &input.digest), ("source_type", &input.source_type)]
    {
        if text.is_empty() {
            return Err(invalid(&format!("dataset.{what}"), "must not be empty".to_owned()));
        }
    }
    within("dataset.name", &input.name, 500)?;
    within("dataset.digest", &input.digest, 36)?;
    within("dataset.source", &input.source, 65_535)?;
    within("dataset.schema", input.schema.as_deref().unwrap_or_default(), 1_048_575)?;
    within("dataset.profile", input.profile.as_deref().unwrap_or_default(), 16_777_215)?;
    for tag in &input.tags {
        within("dataset.tags.key", &tag.key, 255)?;
        within("dataset.tags.value", &tag.value, 500)?;
    }
    Ok(())
}

pub(crate) fn experiment_name(name: &str) -> Checked {
    if name.trim().is_empty() {
        return Err(invalid("name", "an experiment name must not be empty".to_owned()));
    }
    within("name", name, 500)
}

pub(crate) fn logged_model_name(name: &str) -> Checked {
    match name.chars().find(|letter| "/:.%\"'".contains(*letter)) {
        Some(letter) => {
            Err(invalid("name", format!("logged model name `{name}` must not contain `{letter}`")))
        }
        None => within("name", name, 500),
    }
}

/// A registered model's name appears in `models:/name/version`, so it holds neither `/` nor `:`.
pub(crate) fn model_name(name: &str) -> Checked {
    if name.trim().is_empty() {
        return Err(invalid("name", "registered model name cannot be empty".to_owned()));
    }
    if name.contains(['/', ':']) {
        return Err(invalid("name", format!("registered model name `{name}` must not contain / or :")));
    }
    within("name", name, 256)
}

/// An alias appears in `models:/name@alias`; `latest` and `v1` would read as something else.
pub(crate) fn alias(alias: &str) -> Checked {
    let fits = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    if alias.is_empty() || !alias.chars().all(fits) {
        return Err(invalid(
            "alias",
            format!("`{alias}` may only hold letters, digits, underscores and dashes"),
        ));
    }
    let lower = alias.to_lowercase();
    let version_like = lower
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|letter| letter.is_ascii_digit()));
    if lower == "latest" || version_like {
        return Err(invalid("alias", format!("`{alias}` is reserved")));
    }
    within("alias", alias, 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_clean_as_paths() {
        for good in ["auc", "val/auc", "mlflow.runName", "a b:c-d_e", "na\u{ef}ve", &"k".repeat(250)] {
            assert!(key("key", good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/../b", "/a", "a//b", "a/", "./a", "a#b", "a\nb", &"k".repeat(251)] {
            assert!(key("key", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_beyond_its_bound_is_refused_not_shortened() {
        assert!(param(&Pair::new("p", "v".repeat(6_000))).is_ok());
        let refused = param(&Pair::new("p", "v".repeat(6_001))).unwrap_err().to_string();
        assert!(refused.contains("6001") && refused.contains("6000"), "{refused}");
    }

    #[test]
    fn a_batch_is_bounded_in_each_part_and_as_a_whole() {
        let metrics = vec![Metric { key: "m".into(), ..Metric::default() }; 1_000];
        let params: Vec<Pair> = (0..101).map(|number| Pair::new(format!("p{number}"), "1")).collect();
        assert!(batch(&metrics, &[], &[]).is_ok());
        assert!(batch(&metrics, &params[..1], &[]).is_err(), "1001 in total");
        assert!(batch(&[], &params, &[]).is_err(), "101 params");
        assert!(batch(&[], &[params[0].clone(), params[0].clone()], &[]).is_err(), "a parameter twice");
    }

    #[test]
    fn an_alias_never_reads_as_a_version() {
        for good in ["champion", "challenger-2", "v1x", "vv"] {
            assert!(alias(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "Latest", "v1", "V12", "a b", "a/b", &"a".repeat(256)] {
            assert!(alias(bad).is_err(), "{bad}");
        }
    }
}
