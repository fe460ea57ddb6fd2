//! The features that one model takes, in one fixed order.

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Digest, Name, Sampling};

/// A fixed list of features and request columns: what a model is trained on and served with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Service {
    /// Its name, unique among services.
    pub name: Name,
    /// The views in the order listed, each at one version.
    pub views: Vec<ViewReference>,
    /// The columns that come with the request, in the order written.
    pub request: Vec<(Name, DataType)>,
    /// The keys that a request must carry: those of its views' entities, each once, in order of first appearance.
    pub entity_keys: Vec<(Name, DataType)>,
    columns: Vec<ServiceColumn>,
    /// Which served vectors are logged, by their keys. Not part of the hash.
    #[serde(default, skip_serializing_if = "Sampling::is_all")]
    pub log: Sampling,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
}

/// One view of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewReference {
    /// The view.
    pub view: Name,
    /// The version of the view that the service is bound to.
    pub hash: Digest,
    /// The features taken, in order.
    pub features: Vec<Name>,
}

/// One column of a service's vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceColumn {
    /// `view__feature`, or the name of a request column.
    pub name: String,
    /// The type of its values.
    pub data_type: DataType,
    /// Where it comes from.
    pub origin: ColumnOrigin,
}

/// Where a column of a service comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnOrigin {
    /// A feature of one of the service's views.
    Feature {
        /// The view.
        view: Name,
        /// The feature.
        feature: Name,
    },
    /// The request.
    Request,
}

/// What a service is made of.
pub(crate) struct ServiceParts {
    pub(crate) name: Name,
    pub(crate) views: Vec<ViewReference>,
    pub(crate) request: Vec<(Name, DataType)>,
    pub(crate) entity_keys: Vec<(Name, DataType)>,
    pub(crate) columns: Vec<ServiceColumn>,
    pub(crate) log: Sampling,
    pub(crate) description: Option<String>,
    pub(crate) owner: Option<String>,
}

impl Service {
    pub(crate) fn new(parts: ServiceParts) -> Self {
        let ServiceParts { name, views, request, entity_keys, columns, log, description, owner } = parts;
        Self { name, views, request, entity_keys, columns, log, description, owner }
    }

    /// The columns of the vector in their fixed order: the features of the views as listed, then the request columns.
    pub fn columns(&self) -> &[ServiceColumn] {
        &self.columns
    }
}
