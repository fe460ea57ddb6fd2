//! What an event says: its kind, and the data that receivers get.
//!
//! Pure. A prompt is a registered model with a tag, and is told of in words of its own.

use serde_json::{Map, Value, json};
use shipway_core::{DEFAULT_WORKSPACE, Timestamp, of_model_key};

use crate::model::{
    ModelVersion, Pair, RegisteredModel,
    registry::{PROMPT_TAG, is_prompt},
    webhook::{Action, Entity, EventKind},
};

const PROMPT_TEXT_TAG: &str = "mlflow.prompt.text";
const PROMPT_TYPE_TAG: &str = "_mlflow_prompt_type";

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct News {
    pub(crate) kind: EventKind,
    /// Where it happened: webhooks of other workspaces are not told.
    pub(crate) workspace: String,
    pub(crate) data: Value,
}

impl News {
    /// Of a model whose key is the name in `data`; receivers are told its name.
    fn new(entity: Entity, action: Action, mut data: Value) -> Self {
        let key = data["name"].as_str().unwrap_or_default().to_owned();
        let (workspace, name) = of_model_key(&key);
        data["name"] = name.into();
        Self { kind: EventKind { entity, action }, workspace: workspace.to_owned(), data }
    }

    /// The body that is sent: what happened, when, and its data.
    pub(crate) fn body(&self, at: Timestamp) -> String {
        let EventKind { entity, action } = self.kind;
        let at = at.to_string().replace('Z', "+00:00");
        json!({ "entity": entity.word(), "action": action.word(), "timestamp": at, "data": self.data })
            .to_string()
    }
}

fn tags_without(tags: &[Pair], left_out: &[&str]) -> Value {
    let kept = tags.iter().filter(|tag| !left_out.contains(&tag.key.as_str()));
    Value::Object(kept.map(|tag| (tag.key.clone(), tag.value.as_str().into())).collect())
}

fn set(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

pub(crate) fn model_created(model: &RegisteredModel) -> News {
    let is_prompt = is_prompt(&model.tags);
    let (entity, left_out): (_, &[&str]) = if is_prompt {
        (Entity::Prompt, &[PROMPT_TAG, PROMPT_TYPE_TAG])
    } else {
        (Entity::RegisteredModel, &[])
    };
    let tags = tags_without(&model.tags, left_out);
    let data = json!({ "name": model.name, "tags": tags, "description": model.description });
    News::new(entity, Action::Created, data)
}

pub(crate) fn version_created(version: &ModelVersion) -> News {
    let (name, number) = (version.name.as_str(), version.version.to_string());
    let description = set(&version.description);
    if is_prompt(&version.tags) {
        let template = version.tags.iter().rev().find(|tag| tag.key == PROMPT_TEXT_TAG);
        let template = template.map(|tag| tag.value.as_str());
        let tags = tags_without(&version.tags, &[PROMPT_TAG, PROMPT_TYPE_TAG, PROMPT_TEXT_TAG]);
        let data = json!({
            "name": name, "version": number, "template": template, "tags": tags, "description": description,
        });
        return News::new(Entity::PromptVersion, Action::Created, data);
    }
    let data = json!({
        "name": name,
        "version": number,
        "source": version.source,
        "run_id": set(&version.run_id),
        "tags": tags_without(&version.tags, &[]),
        "description": description,
    });
    News::new(Entity::ModelVersion, Action::Created, data)
}

/// A tag of a prompt. Tags of registered models that are no prompts are no news.
pub(crate) fn model_tag(is_prompt: bool, name: &str, key: &str, value: Option<&str>) -> Option<News> {
    is_prompt.then(|| tag(Entity::PromptTag, json!({ "name": name, "key": key }), value))
}

pub(crate) fn version_tag(is_prompt: bool, name: &str, version: i64, key: &str, value: Option<&str>) -> News {
    let entity = if is_prompt { Entity::PromptVersionTag } else { Entity::ModelVersionTag };
    tag(entity, json!({ "name": name, "version": version.to_string(), "key": key }), value)
}

fn tag(entity: Entity, mut data: Value, value: Option<&str>) -> News {
    match value {
        Some(value) => {
            data["value"] = value.into();
            News::new(entity, Action::Set, data)
        }
        None => News::new(entity, Action::Deleted, data),
    }
}

/// An alias that a version was given, or that was taken away.
pub(crate) fn alias(is_prompt: bool, name: &str, alias: &str, version: Option<i64>) -> News {
    let entity = if is_prompt { Entity::PromptAlias } else { Entity::ModelVersionAlias };
    let data = json!({ "name": name, "alias": alias });
    match version {
        Some(version) => {
            let mut data = data;
            data["version"] = version.to_string().into();
            News::new(entity, Action::Created, data)
        }
        None => News::new(entity, Action::Deleted, data),
    }
}

/// An event of this kind as it might be, for trying a webhook out.
pub(crate) fn example(kind: EventKind) -> News {
    let pair = |key: &str, value: &str| Value::Object(Map::from_iter([(key.to_owned(), Value::from(value))]));
    let tags = pair("example_key", "example_value");
    let subject = match kind.entity {
        Entity::Prompt
        | Entity::PromptVersion
        | Entity::PromptTag
        | Entity::PromptVersionTag
        | Entity::PromptAlias => "example_prompt",
        _ => "example_model",
    };
    let mut data = pair("name", subject);
    if let Entity::ModelVersion | Entity::ModelVersionTag | Entity::PromptVersion | Entity::PromptVersionTag =
        kind.entity
    {
        data["version"] = "1".into();
    }
    match kind.entity {
        Entity::RegisteredModel | Entity::Prompt => {
            data["tags"] = tags;
            data["description"] = "An example".into();
        }
        Entity::ModelVersion => {
            data["source"] = "models:/m-00000000000000000000000000000000".into();
            data["run_id"] = "00000000000000000000000000000000".into();
            data["tags"] = tags;
            data["description"] = "An example".into();
        }
        Entity::PromptVersion => {
            data["template"] = "Hello {{name}}!".into();
            data["tags"] = tags;
            data["description"] = "An example".into();
        }
        Entity::ModelVersionTag | Entity::PromptTag | Entity::PromptVersionTag => {
            data["key"] = "example_key".into();
            if kind.action == Action::Set {
                data["value"] = "example_value".into();
            }
        }
        Entity::ModelVersionAlias | Entity::PromptAlias => {
            data["alias"] = "example_alias".into();
            if kind.action == Action::Created {
                data["version"] = "1".into();
            }
        }
        Entity::BudgetPolicy => {
            data = json!({
                "budget_policy_id": "bp-example", "budget_unit": "USD", "budget_amount": 100.0,
                "current_spend": 105.5, "duration_unit": "MONTHS", "duration_value": 1,
                "target_scope": "GLOBAL", "workspace": "default", "target_value": null,
                "window_start": 1_704_067_200_000_i64,
            });
        }
    }
    News { kind, workspace: DEFAULT_WORKSPACE.to_owned(), data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(tags: Vec<Pair>) -> ModelVersion {
        ModelVersion {
            name: "late".into(),
            version: 3,
            source: "models:/m-1".into(),
            artifact_root: String::new(),
            artifact_folder: String::new(),
            model_id: String::new(),
            run_id: String::new(),
            run_link: String::new(),
            description: String::new(),
            user_id: String::new(),
            stage: crate::model::Stage::None,
            created_ms: 0,
            updated_ms: 0,
            tags,
            aliases: Vec::new(),
        }
    }

    #[test]
    fn a_version_and_a_prompt_version_are_told_in_their_own_words() {
        let news = version_created(&version(vec![Pair::new("team", "ops")]));
        assert_eq!(
            news.body(Timestamp(1_700_000_000_123_456)),
            r#"{"entity":"model_version","action":"created","timestamp":"2023-11-14T22:13:20.123456+00:00","data":{"name":"late","version":"3","source":"models:/m-1","run_id":null,"tags":{"team":"ops"},"description":null}}"#
        );
        let tags = vec![
            Pair::new(PROMPT_TAG, "True"),
            Pair::new(PROMPT_TEXT_TAG, "Hi {{name}}"),
            Pair::new(PROMPT_TYPE_TAG, "text"),
            Pair::new("team", "ops"),
        ];
        let news = version_created(&version(tags));
        assert_eq!(news.kind.entity, Entity::PromptVersion);
        assert_eq!(
            news.data,
            json!({ "name": "late", "version": "3", "template": "Hi {{name}}", "tags": { "team": "ops" }, "description": null })
        );
    }

    #[test]
    fn receivers_are_told_the_name_that_a_model_has_in_its_workspace() {
        let news = alias(false, "team/late", "champion", Some(2));
        assert_eq!((news.workspace.as_str(), &news.data["name"]), ("team", &json!("late")));
        assert_eq!(alias(false, "late", "champion", None).workspace, "default");
    }

    #[test]
    fn tags_and_aliases_say_what_was_set_and_what_was_taken() {
        assert_eq!(model_tag(false, "late", "k", Some("v")), None);
        assert_eq!(
            model_tag(true, "greeting", "k", None).map(|news| (news.kind.action, news.data)),
            Some((Action::Deleted, json!({ "name": "greeting", "key": "k" })))
        );
        let set = version_tag(false, "late", 1, "k", Some(""));
        assert_eq!(set.data, json!({ "name": "late", "version": "1", "key": "k", "value": "" }));
        assert_eq!(alias(true, "g", "a", Some(2)).data, json!({ "name": "g", "alias": "a", "version": "2" }));
        assert_eq!(alias(false, "g", "a", None).kind.entity, Entity::ModelVersionAlias);
    }

    #[test]
    fn every_kind_of_event_has_an_example() {
        for entity in Entity::ALL {
            for action in Action::ALL {
                let Some(kind) = EventKind::of(entity, action) else { continue };
                let data = example(kind).data;
                assert!(data.get("name").is_some() || entity == Entity::BudgetPolicy, "{kind:?}");
                assert_eq!(data.get("value").is_some(), action == Action::Set, "{kind:?}");
            }
        }
    }
}
