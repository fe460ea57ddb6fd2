//! What keys, values, names and batches may be. Beyond a bound is an error, but for the values of params and of tags of runs,
//! which are shortened: training code that logs a long one must not fail of it.

use super::{Assessment, DatasetInput, Metric, Pair, trace};
use crate::error::TrackingError;

pub(crate) const KEY_LENGTH: usize = 250;
pub(crate) const PARAM_VALUE_LENGTH: usize = 6_000;
pub(crate) const RUN_TAG_VALUE_LENGTH: usize = 8_000;
pub(crate) const EXPERIMENT_TAG_VALUE_LENGTH: usize = 20_000;
pub(crate) const REGISTRY_TAG_VALUE_LENGTH: usize = 100_000;
pub(crate) const TRACE_VALUE_LENGTH: usize = 8_000;
/// Tags and metadata of one trace.
pub(crate) const TRACE_PAIRS: usize = 1_000;
pub(crate) const TRACE_ASSESSMENTS: usize = 1_000;
pub(crate) const TRACE_LINKS: usize = 100;
pub(crate) const TRACE_BATCH: usize = 500;
/// Characters of a value, of a rationale and of previews.
pub(crate) const ASSESSMENT_LENGTH: usize = 1_000_000;
pub(crate) const ASSESSMENT_METADATA: usize = 1_000;
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

/// Pairs whose values are cut off at a bound.
pub(crate) fn shortened(pairs: &[Pair], value_bound: usize) -> Vec<Pair> {
    let shorten = |pair: &Pair| match pair.value.char_indices().nth(value_bound) {
        None => pair.clone(),
        Some((end, _)) => {
            let kept = pair.value.get(..end).unwrap_or_default();
            tracing::warn!(key = pair.key, bound = value_bound, "a long value is shortened");
            Pair::new(pair.key.as_str(), kept)
        }
    };
    pairs.iter().map(shorten).collect()
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

pub(crate) fn trace_tag(one: &Pair) -> Checked {
    pair("tag", one, TRACE_VALUE_LENGTH)
}

/// Metadata of a trace: as a tag, and a run or a session that it names is an id.
pub(crate) fn trace_metadata(one: &Pair) -> Checked {
    pair("trace_metadata", one, TRACE_VALUE_LENGTH)?;
    let is_id = one.key == trace::key::SESSION || one.key == trace::key::SOURCE_RUN;
    if is_id { within("trace_metadata.value", &one.value, KEY_LENGTH) } else { Ok(()) }
}

/// The id of a trace is a part of paths.
pub(crate) fn trace_id(id: &str) -> Checked {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if id.is_empty() || !id.chars().all(fits) {
        return Err(invalid(
            "trace_id",
            format!("`{id}` may only hold letters, digits, underscores and dashes"),
        ));
    }
    within("trace_id", id, 64)
}

pub(crate) fn trace_text(parameter: &str, text: Option<&str>, bound: usize) -> Checked {
    within(parameter, text.unwrap_or_default(), bound)
}

/// An assessment: names, texts and the size of its value.
pub(crate) fn assessment(one: &Assessment) -> Checked {
    if one.name.is_empty() {
        return Err(invalid("assessment.assessment_name", "must not be empty".to_owned()));
    }
    within("assessment.assessment_name", &one.name, KEY_LENGTH)?;
    within("assessment.assessment_id", &one.assessment_id, 64)?;
    within("assessment.source.source_id", &one.source_id, KEY_LENGTH)?;
    within("assessment.span_id", one.span_id.as_deref().unwrap_or_default(), 64)?;
    within("assessment.rationale", one.rationale.as_deref().unwrap_or_default(), ASSESSMENT_LENGTH)?;
    within("assessment value", &one.value.json().to_string(), ASSESSMENT_LENGTH)?;
    if one.metadata.len() > ASSESSMENT_METADATA {
        let reason = format!("at most {ASSESSMENT_METADATA} entries are possible");
        return Err(invalid("assessment.metadata", reason));
    }
    for pair in &one.metadata {
        within("assessment.metadata.key", &pair.key, KEY_LENGTH)?;
        within("assessment.metadata.value", &pair.value, TRACE_VALUE_LENGTH)?;
    }
    Ok(())
}

pub(crate) fn registry_tag(one: &Pair) -> Checked {
    pair("tag", one, REGISTRY_TAG_VALUE_LENGTH)
}

pub(crate) fn metric(one: &Metric) -> Checked {
    key("metric.key", &one.key)?;
    if one.timestamp_ms < 0 {
        return Err(invalid("metric.timestamp", format!("{} must not be negative", one.timestamp_ms)));
    }
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
    if name == "." || name == ".." {
        return Err(invalid("name", format!("registered model name `{name}` would read as a folder")));
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

pub(crate) fn dataset_name(name: &str) -> Checked {
    if name.trim().is_empty() {
        return Err(invalid("name", "an evaluation dataset's name must not be empty".to_owned()));
    }
    within("name", name, 255)
}

pub(crate) fn dataset_tag(key: &str, value: &str) -> Checked {
    if key.is_empty() {
        return Err(invalid("tags", "a tag's key must not be empty".to_owned()));
    }
    within("tags.key", key, 255)?;
    within("tags.value", value, 5_000)
}

pub(crate) fn scorer_name(name: &str) -> Checked {
    if name.trim().is_empty() {
        return Err(invalid("name", "Scorer name cannot be empty or contain only whitespace.".to_owned()));
    }
    within("name", name, 256)
}

/// 1 to 63 letters, digits, `._-`, with a letter or a digit at both ends.
pub(crate) fn webhook_name(name: &str) -> Checked {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric();
    let fits = name.len() <= 63
        && name.starts_with(is_plain)
        && name.ends_with(is_plain)
        && name.chars().all(|letter| is_plain(letter) || "._-".contains(letter));
    if fits {
        return Ok(());
    }
    let reason = format!(
        "Webhook name '{name}' is invalid: 1 to 63 letters, digits, dots, underscores and hyphens, with a letter or a digit \
         at both ends"
    );
    Err(invalid("name", reason))
}

pub(crate) fn webhook_description(description: &str) -> Checked {
    within("description", description, 1_000)
}

pub(crate) fn workspace_description(description: &str) -> Checked {
    within("description", description, 1_000)
}

pub(crate) fn webhook_url(url: &str) -> Checked {
    within("url", url, 2_000)
}

/// The text is not shown: it is a secret.
pub(crate) fn webhook_secret(secret: &str) -> Checked {
    if secret.chars().count() <= 1_000 {
        return Ok(());
    }
    Err(invalid("secret", "it has more than 1000 characters".to_owned()))
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
    fn a_value_beyond_its_bound_is_refused_or_cut_off_on_purpose() {
        let cut =
            shortened(&[Pair::new("p", "\u{e9}".repeat(6_001)), Pair::new("q", "v")], PARAM_VALUE_LENGTH);
        assert_eq!(cut, [Pair::new("p", "\u{e9}".repeat(6_000)), Pair::new("q", "v")]);
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
    fn names_of_webhooks_scorers_and_data_sets_are_bounded() {
        for good in ["a", "A1", "my-hook_1.x", &"a".repeat(63)] {
            assert!(webhook_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "a/b", "\u{e9}", &"a".repeat(64)] {
            assert!(webhook_name(bad).is_err(), "{bad}");
        }
        let secret = "hush".repeat(300);
        assert!(!webhook_secret(&secret).unwrap_err().to_string().contains("hush"));
        assert!(scorer_name(" ").is_err() && scorer_name(&"s".repeat(257)).is_err());
        assert!(dataset_name("").is_err() && dataset_name(&"d".repeat(256)).is_err());
        assert!(model_name("..").is_err() && model_name("...").is_ok());
        let early = Metric { key: "m".into(), timestamp_ms: -1, ..Metric::default() };
        assert!(metric(&early).is_err());
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
