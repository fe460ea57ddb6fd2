//! The features that one model takes, in one fixed order.

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Digest, Name, Sampling};
use shipway_expression::Scope;

use crate::model::Derived;

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
    /// The columns that are computed for each row when it is asked for, in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed: Vec<Derived>,
    /// Which served vectors are logged, by their keys. Not part of the hash.
    #[serde(default, skip_serializing_if = "Sampling::is_all")]
    pub log: Sampling,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// One view of a service, or one that another view stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewReference {
    /// The view.
    pub view: Name,
    /// The version of the view that is meant, whatever is in force under its name.
    pub hash: Digest,
    /// The features taken, in order.
    pub features: Vec<Name>,
}

impl ViewReference {
    /// What the feature of a view is called as a column: `view__feature`.
    pub fn column_of(view: &Name, feature: &Name) -> String {
        format!("{view}__{feature}")
    }

    /// The features taken, each with the name of its column.
    pub fn columns(&self) -> impl Iterator<Item = (&Name, String)> {
        self.features.iter().map(|feature| (feature, Self::column_of(&self.view, feature)))
    }
}

/// One column of a service's vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceColumn {
    /// `view__feature`, or the name of a request column or a computed one.
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
    /// An expression over the other columns of the row.
    Computed,
}

/// What a service is made of.
pub(crate) struct ServiceParts {
    pub(crate) name: Name,
    pub(crate) views: Vec<ViewReference>,
    pub(crate) request: Vec<(Name, DataType)>,
    pub(crate) entity_keys: Vec<(Name, DataType)>,
    pub(crate) columns: Vec<ServiceColumn>,
    pub(crate) computed: Vec<Derived>,
    pub(crate) log: Sampling,
    pub(crate) description: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) tags: Vec<String>,
}

impl Service {
    /// What expressions call the moment of the row.
    pub const MOMENT: &str = "at";

    /// What an expression of a service may name, at the positions of a row: the keys, the moment, then `columns` of the
    /// vector in its order.
    pub fn scope<'a>(
        keys: &'a [(Name, DataType)],
        columns: impl IntoIterator<Item = (&'a str, DataType)>,
    ) -> Scope {
        let keys = keys.iter().map(|(key, data_type)| (key.as_str(), *data_type));
        Scope::of(keys.chain([(Self::MOMENT, DataType::Timestamp)]).chain(columns))
    }

    pub(crate) fn new(parts: ServiceParts) -> Self {
        let ServiceParts {
            name,
            views,
            request,
            entity_keys,
            columns,
            computed,
            log,
            description,
            owner,
            tags,
        } = parts;
        Self { name, views, request, entity_keys, columns, computed, log, description, owner, tags }
    }

    /// The columns of the vector in their fixed order: the features of the views as listed, then the request columns, then
    /// the computed ones.
    pub fn columns(&self) -> &[ServiceColumn] {
        &self.columns
    }
}
