//! Files called meta.yaml as items. Pure.

use serde_json::Value as Json;

use crate::import::item::{
    ACTIVE, DELETED, Dataset, Experiment, Link, LoggedModel, Registration, Run, Texts, Version,
};

type Read<T> = Result<T, String>;

/// The map that a meta file is.
pub(super) fn parse(text: &str) -> Read<Json> {
    match serde_saphyr::from_str::<Json>(text) {
        Ok(meta @ Json::Object(_)) => Ok(meta),
        Ok(_) => Err("it is not a map".to_owned()),
        Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// A text; numbers that were once kept without quotes are texts too.
fn text(meta: &Json, name: &str) -> String {
    match &meta[name] {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn number(meta: &Json, name: &str) -> Option<i64> {
    meta[name].as_i64().or_else(|| meta[name].as_str()?.parse().ok())
}

fn required(meta: &Json, name: &str) -> Read<String> {
    Some(text(meta, name)).filter(|text| !text.is_empty()).ok_or_else(|| format!("it has no {name}"))
}

fn lifecycle(meta: &Json) -> &'static str {
    if meta["lifecycle_stage"] == DELETED { DELETED } else { ACTIVE }
}

pub(super) fn experiment(meta: &Json) -> Read<Experiment> {
    let created_ms = number(meta, "creation_time").unwrap_or_default();
    Ok(Experiment {
        experiment_id: required(meta, "experiment_id")?,
        name: required(meta, "name")?,
        lifecycle: lifecycle(meta),
        created_ms,
        updated_ms: number(meta, "last_update_time").unwrap_or(created_ms),
        tags: Texts::new(),
    })
}

const RUN_STATUSES: [&str; 6] = ["RUNNING", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
const MODEL_STATUSES: [&str; 4] = [
    "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY",
    "LOGGED_MODEL_UPLOAD_FAILED",
];

/// A status, which is kept as its number; words are taken as they are.
fn status(meta: &Json, words: &[&str]) -> String {
    match number(meta, "status").and_then(|number| usize::try_from(number).ok()) {
        Some(number) => words.get(number).or(words.first()).copied().unwrap_or_default().to_owned(),
        None => {
            Some(text(meta, "status")).filter(|word| !word.is_empty()).unwrap_or_else(|| words[0].to_owned())
        }
    }
}

pub(super) fn run(meta: &Json) -> Read<Run> {
    let run_id = required(meta, "run_uuid").or_else(|_| required(meta, "run_id"))?;
    let named = text(meta, "run_name");
    Ok(Run {
        run_id,
        name: if named.is_empty() { text(meta, "name") } else { named },
        user_id: text(meta, "user_id"),
        status: status(meta, &RUN_STATUSES),
        start_ms: number(meta, "start_time").ok_or("it has no start_time")?,
        end_ms: number(meta, "end_time"),
        lifecycle: lifecycle(meta),
        artifact_uri: text(meta, "artifact_uri"),
        ..Run::default()
    })
}

/// What a run read.
pub(super) enum Input {
    Dataset { id: String, tags: Texts },
    Model(Link),
}

pub(super) fn input(meta: &Json) -> Input {
    let id = text(meta, "source_id");
    if meta["source_type"] == "MODEL" {
        return Input::Model(Link { model_id: id, step: 0 });
    }
    let tags = meta["tags"].as_object().into_iter().flatten();
    let tags = tags
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    Input::Dataset { id, tags: tags.collect() }
}

pub(super) fn output(meta: &Json) -> Link {
    Link { model_id: text(meta, "destination_id"), step: number(meta, "step").unwrap_or_default() }
}

pub(super) fn dataset(meta: &Json, tags: Texts) -> Dataset {
    let optional = |name: &str| meta[name].as_str().map(str::to_owned);
    Dataset {
        name: text(meta, "name"),
        digest: text(meta, "digest"),
        source_type: text(meta, "source_type"),
        source: text(meta, "source"),
        schema: optional("schema"),
        profile: optional("profile"),
        tags,
    }
}

pub(super) fn logged_model(meta: &Json) -> Read<LoggedModel> {
    let created_ms = number(meta, "creation_timestamp").unwrap_or_default();
    Ok(LoggedModel {
        model_id: required(meta, "model_id")?,
        name: text(meta, "name"),
        model_type: text(meta, "model_type"),
        source_run_id: text(meta, "source_run_id"),
        status: status(meta, &MODEL_STATUSES),
        lifecycle: lifecycle(meta),
        created_ms,
        updated_ms: number(meta, "last_updated_timestamp").unwrap_or(created_ms),
        artifact_uri: text(meta, "artifact_location"),
        ..LoggedModel::default()
    })
}

pub(super) fn registration(meta: &Json) -> Registration {
    let created_ms = number(meta, "creation_timestamp").unwrap_or_default();
    Registration {
        name: text(meta, "name"),
        description: text(meta, "description"),
        created_ms,
        updated_ms: number(meta, "last_updated_timestamp").unwrap_or(created_ms),
        ..Registration::default()
    }
}

pub(super) fn version(meta: &Json) -> Version {
    let created_ms = number(meta, "creation_timestamp").unwrap_or_default();
    let stage = text(meta, "current_stage");
    Version {
        name: text(meta, "name"),
        version: number(meta, "version").unwrap_or_default(),
        source: text(meta, "source"),
        run_id: text(meta, "run_id"),
        model_id: text(meta, "model_id"),
        run_link: text(meta, "run_link"),
        description: text(meta, "description"),
        user_id: text(meta, "user_id"),
        stage: if stage.is_empty() { "None".to_owned() } else { stage },
        created_ms,
        updated_ms: number(meta, "last_updated_timestamp").unwrap_or(created_ms),
        ..Version::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_file_of_a_run_is_read_with_its_status_as_a_number() {
        let meta = parse(
            "run_id: 0123\nexperiment_id: '1'\nstatus: 3\nstart_time: 5\nend_time: null\nlifecycle_stage: deleted\nrun_name: 'a b'\n",
        );
        let read = run(&meta.unwrap());
        // An id of digits alone has quotes where MLflow writes it; without them its zeros are lost, and it fits no folder.
        let read = read.unwrap();
        assert_eq!((read.status.as_str(), read.end_ms, read.lifecycle), ("FINISHED", None, DELETED));
        assert_eq!(read.name, "a b");
        assert!(run(&parse("status: 3").unwrap()).unwrap_err().contains("run_id"));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        assert!(parse("- a").is_err() && parse("").is_err() && parse("a: [").is_err());
    }
}
