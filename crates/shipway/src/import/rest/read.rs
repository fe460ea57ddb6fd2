//! Answers of an MLflow server as items. Pure, and lenient: what is not there is empty.

use serde_json::{Value as Json, json};

use crate::import::item::{
    ACTIVE, DELETED, Dataset, Experiment, Inputs, Link, LoggedModel, Point, Registration, Run, Texts, Version,
};

pub(super) fn list<'a>(answer: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    answer[name].as_array().into_iter().flatten()
}

pub(super) fn next(answer: &Json) -> Option<String> {
    answer["next_page_token"].as_str().filter(|token| !token.is_empty()).map(str::to_owned)
}

/// An integer, which this protocol also writes as a text.
pub(super) fn integer(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn text(object: &Json, name: &str) -> String {
    match &object[name] {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn number(object: &Json, name: &str) -> i64 {
    integer(&object[name]).unwrap_or_default()
}

fn pairs(object: &Json, name: &str) -> Texts {
    list(object, name).map(|pair| (text(pair, "key"), text(pair, "value"))).collect()
}

fn lifecycle(object: &Json) -> &'static str {
    if object["lifecycle_stage"] == DELETED { DELETED } else { ACTIVE }
}

/// The path below this server's own artifact service; `None` for files that lie elsewhere.
pub(super) fn proxied(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    // `//host/path` names a server, `///path` and `/path` this one.
    let path =
        rest.strip_prefix("///").or_else(|| rest.strip_prefix('/').filter(|path| !path.starts_with('/')))?;
    Some(path.trim_end_matches('/'))
}

pub(super) fn experiment(one: &Json) -> Experiment {
    Experiment {
        experiment_id: text(one, "experiment_id"),
        name: text(one, "name"),
        lifecycle: lifecycle(one),
        created_ms: number(one, "creation_time"),
        updated_ms: number(one, "last_update_time"),
        tags: pairs(one, "tags"),
    }
}

pub(super) fn run(one: &Json) -> Run {
    let (info, data) = (&one["info"], &one["data"]);
    let link = |link: &Json| Link { model_id: text(link, "model_id"), step: number(link, "step") };
    let run_id = text(info, "run_id");
    Run {
        run_id: if run_id.is_empty() { text(info, "run_uuid") } else { run_id },
        experiment_id: text(info, "experiment_id"),
        name: text(info, "run_name"),
        user_id: text(info, "user_id"),
        status: text(info, "status"),
        start_ms: number(info, "start_time"),
        // A run that has no end has none, or 0.
        end_ms: integer(&info["end_time"]).filter(|end| *end > 0),
        lifecycle: lifecycle(info),
        params: pairs(data, "params"),
        tags: pairs(data, "tags"),
        latest: list(data, "metrics").map(point).collect(),
        inputs: Inputs {
            datasets: list(&one["inputs"], "dataset_inputs").map(dataset).collect(),
            model_inputs: list(&one["inputs"], "model_inputs").map(link).collect(),
            model_outputs: list(&one["outputs"], "model_outputs").map(link).collect(),
        },
        artifact_uri: text(info, "artifact_uri"),
    }
}

fn dataset(input: &Json) -> Dataset {
    let one = &input["dataset"];
    let optional = |name: &str| one[name].as_str().map(str::to_owned);
    Dataset {
        name: text(one, "name"),
        digest: text(one, "digest"),
        source_type: text(one, "source_type"),
        source: text(one, "source"),
        schema: optional("schema"),
        profile: optional("profile"),
        tags: pairs(input, "tags"),
    }
}

pub(super) fn point(metric: &Json) -> Point {
    let value = match &metric["value"] {
        Json::Null => json!(0.0),
        value => value.clone(),
    };
    Point {
        key: text(metric, "key"),
        value,
        timestamp_ms: number(metric, "timestamp"),
        step: number(metric, "step"),
        run_id: text(metric, "run_id"),
        dataset_name: text(metric, "dataset_name"),
        dataset_digest: text(metric, "dataset_digest"),
    }
}

pub(super) fn logged_model(one: &Json) -> LoggedModel {
    let (info, data) = (&one["info"], &one["data"]);
    let status = match text(info, "status") {
        word if word.starts_with("LOGGED_MODEL_") => word,
        word if word.is_empty() => "LOGGED_MODEL_STATUS_UNSPECIFIED".to_owned(),
        word => format!("LOGGED_MODEL_{word}"),
    };
    LoggedModel {
        model_id: text(info, "model_id"),
        experiment_id: text(info, "experiment_id"),
        name: text(info, "name"),
        model_type: text(info, "model_type"),
        source_run_id: text(info, "source_run_id"),
        status,
        lifecycle: ACTIVE,
        created_ms: number(info, "creation_timestamp_ms"),
        updated_ms: number(info, "last_updated_timestamp_ms"),
        params: pairs(data, "params"),
        tags: pairs(info, "tags"),
        scores: list(data, "metrics").map(point).collect(),
        artifact_uri: text(info, "artifact_uri"),
    }
}

pub(super) fn registration(one: &Json) -> Registration {
    let aliases = list(one, "aliases");
    let aliases = aliases.filter_map(|alias| Some((text(alias, "alias"), integer(&alias["version"])?)));
    Registration {
        name: text(one, "name"),
        description: text(one, "description"),
        created_ms: number(one, "creation_timestamp"),
        updated_ms: number(one, "last_updated_timestamp"),
        tags: pairs(one, "tags"),
        aliases: aliases.collect(),
    }
}

pub(super) fn version(one: &Json) -> Version {
    let stage = text(one, "current_stage");
    Version {
        name: text(one, "name"),
        version: number(one, "version"),
        source: text(one, "source"),
        has_files: false,
        run_id: text(one, "run_id"),
        model_id: text(one, "model_id"),
        run_link: text(one, "run_link"),
        description: text(one, "description"),
        user_id: text(one, "user_id"),
        stage: if stage.is_empty() { "None".to_owned() } else { stage },
        created_ms: number(one, "creation_timestamp"),
        updated_ms: number(one, "last_updated_timestamp"),
        tags: pairs(one, "tags"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_with_numbers_in_texts_and_without_an_end() {
        let read = run(&json!({
            "info": { "run_uuid": "r", "experiment_id": "3", "status": "RUNNING", "start_time": "7", "end_time": 0,
                "lifecycle_stage": "deleted" },
            "data": { "metrics": [{ "key": "loss", "value": "NaN", "timestamp": 1, "step": "2" }] },
        }));
        assert_eq!(
            (read.run_id.as_str(), read.start_ms, read.end_ms, read.lifecycle),
            ("r", 7, None, DELETED)
        );
        assert_eq!((&read.latest[0].value, read.latest[0].step), (&json!("NaN"), 2));
    }

    #[test]
    fn files_are_fetched_through_the_server_unless_they_lie_in_its_own_service() {
        assert_eq!(proxied("mlflow-artifacts:/1/r/artifacts"), Some("1/r/artifacts"));
        assert_eq!(proxied("mlflow-artifacts:///1/r/artifacts/"), Some("1/r/artifacts"));
        for elsewhere in ["mlflow-artifacts://host:5000/1/r", "s3://bucket/1", "file:///a", "/a", ""] {
            assert_eq!(proxied(elsewhere), None, "{elsewhere}");
        }
    }
}
