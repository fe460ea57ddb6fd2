//! The graph of an ensemble as it is written, and how it is deployed.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use shipway_core::{DataType, Digest, Name};
use uuid::Uuid;

use crate::{
    error::ServingError,
    model::{
        deployment::DeploymentSpec,
        settings::{BatchingSettings, CacheSettings, QueueSettings},
        share::Share,
    },
};

/// What a step's model begins with that is no deployment.
const REGISTERED: &str = "models:/";

/// Names with what belongs to each, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Ordered<T> {
    /// What belongs to `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value)
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names with what belongs to each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if entries.iter().any(|(held, _)| *held == name) {
                        return Err(A::Error::custom(format!("`{name}` comes twice")));
                    }
                    entries.push((name, value));
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The graph: what comes in, what is done with it, what goes out. Inputs and the columns that steps make have one space of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleGraph {
    /// The columns that a request brings, with their types; with a feature service, columns of it.
    pub inputs: Ordered<DataType>,
    /// In any order.
    pub steps: Vec<StepSpec>,
    /// What is answered: names, each with the column that it is.
    pub outputs: Ordered<String>,
}

/// A step: a model, or expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Names it where it is reported.
    pub name: Name,
    /// A deployment, or `models:/NAME@ALIAS`: a version of a registered model that this ensemble loads for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Inputs of the model, each with the column that feeds it; an input that is not named is fed by the column of its own name.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub inputs: Ordered<String>,
    /// The columns that the model's numbers become; without them `NAME`, or `NAME_0`, `NAME_1`, … where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Columns, each with the expression that it is. An expression may read inputs, columns of other steps, and those before it here.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub compute: Ordered<String>,
}

/// Which model a step asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelName {
    Deployment(String),
    Registered { model: String, alias: String },
}

impl ModelName {
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let Some(registered) = text.strip_prefix(REGISTERED) else {
            return Ok(Self::Deployment(text.to_owned()));
        };
        match registered.rsplit_once('@') {
            Some((model, alias)) if !model.is_empty() && !alias.is_empty() => {
                Ok(Self::Registered { model: model.to_owned(), alias: alias.to_owned() })
            }
            _ => {
                Err(format!("`{text}` is no model; expected the name of a deployment, or models:/NAME@ALIAS"))
            }
        }
    }
}

/// An ensemble and how it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleSpec {
    /// The graph.
    pub ensemble: EnsembleGraph,
    /// The feature service that turns ids into the inputs; without it, requests bring the inputs.
    #[serde(default)]
    pub service: Option<Name>,
    /// Which requests run together, for the models that the ensemble loads for itself.
    #[serde(default)]
    pub batching: BatchingSettings,
    /// Who may wait for those models; the timeout is for the whole of a request.
    #[serde(default)]
    pub queue: QueueSettings,
    /// Whether answers of those models are kept.
    #[serde(default)]
    pub cache: CacheSettings,
    /// The share of requests whose rows are logged; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_share: Option<Share>,
}

impl EnsembleSpec {
    /// Checks the bounds of the settings.
    pub(crate) fn check(&self) -> Result<(), ServingError> {
        self.batching.check()?;
        self.cache.check()?;
        self.queue.check()
    }

    /// Whether the rows of this request are logged.
    pub(crate) fn logs(&self, request_id: &Uuid) -> bool {
        self.log_share.is_none_or(|share| share.has(request_id.as_bytes()))
    }

    /// How a model is deployed that the ensemble loads for itself. What it answers is logged with the ensemble.
    pub(crate) fn part(&self, model: String, alias: String) -> DeploymentSpec {
        DeploymentSpec {
            model,
            alias,
            service: None,
            batching: self.batching,
            queue: self.queue,
            cache: self.cache,
            log_share: Some(Share::NONE),
            is_step: true,
        }
    }

    /// The same digest, the same graph.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(serde_json::json!(self.ensemble).to_string())
    }
}

/// What a name can be bound to.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Given")]
pub(crate) enum Bound {
    Model(DeploymentSpec),
    Ensemble(Box<EnsembleSpec>),
}

/// The fields of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    model: Option<String>,
    alias: Option<String>,
    ensemble: Option<EnsembleGraph>,
    service: Option<Name>,
    #[serde(default)]
    batching: BatchingSettings,
    #[serde(default)]
    queue: QueueSettings,
    #[serde(default)]
    cache: CacheSettings,
    log_share: Option<Share>,
}

impl TryFrom<Given> for Bound {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        let Given { model, alias, ensemble, service, batching, queue, cache, log_share } = given;
        match (ensemble, model, alias) {
            (Some(ensemble), None, None) => {
                let spec = EnsembleSpec { ensemble, service, batching, queue, cache, log_share };
                Ok(Self::Ensemble(Box::new(spec)))
            }
            (Some(_), ..) => {
                Err("an ensemble has models in its steps: leave `model` and `alias` out".to_owned())
            }
            (None, None, _) => Err("missing field `model`, or `ensemble`".to_owned()),
            (None, _, None) => Err("missing field `alias`".to_owned()),
            (None, Some(model), Some(alias)) => Ok(Self::Model(DeploymentSpec {
                model,
                alias,
                service,
                batching,
                queue,
                cache,
                log_share,
                is_step: false,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_keeps_its_order_and_comes_back_as_it_was() {
        let text = r#"{"inputs":{"z":"float","a":"text"},"steps":[{"name":"s","compute":{"y":"z + 1"}}],"outputs":{"y":"y"}}"#;
        let graph: EnsembleGraph = serde_json::from_str(text).unwrap();
        assert_eq!(graph.inputs.0, [("z".to_owned(), DataType::Float), ("a".to_owned(), DataType::Text)]);
        assert_eq!(serde_json::to_string(&graph).unwrap(), text);
        let twice = text.replace(r#""a":"text""#, r#""z":"text""#);
        let refused = serde_json::from_str::<EnsembleGraph>(&twice).unwrap_err().to_string();
        assert!(refused.starts_with("`z` comes twice"), "{refused}");
    }

    #[test]
    fn a_model_is_a_deployment_or_an_alias_of_a_registered_model() {
        assert_eq!(ModelName::of("late"), Ok(ModelName::Deployment("late".to_owned())));
        let registered = ModelName::Registered { model: "a/b".to_owned(), alias: "champion".to_owned() };
        assert_eq!(ModelName::of("models:/a/b@champion"), Ok(registered));
        for wrong in ["models:/late", "models:/late/3", "models:/@champion", "models:/late@"] {
            assert!(ModelName::of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_body_is_of_a_model_or_of_an_ensemble() {
        let graph = r#"{"inputs":{},"steps":[],"outputs":{}}"#;
        let read = |text: String| serde_json::from_str::<Bound>(&text).map_err(|error| error.to_string());
        assert!(matches!(
            read(r#"{"model":"m","alias":"a","service":null}"#.to_owned()),
            Ok(Bound::Model(_))
        ));
        assert!(matches!(read(format!(r#"{{"ensemble":{graph}}}"#)), Ok(Bound::Ensemble(_))));
        for (wrong, expected) in [
            (r#"{"alias":"a"}"#.to_owned(), "missing field `model`"),
            (r#"{"model":"m"}"#.to_owned(), "missing field `alias`"),
            (format!(r#"{{"model":"m","ensemble":{graph}}}"#), "leave `model` and `alias` out"),
            (r#"{"model":"m","alias":"a","other":1}"#.to_owned(), "unknown field `other`"),
        ] {
            let refused = read(wrong).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
