//! `/api/v1/features`: every feature, found by what is known about it.

use axum::extract::State;
use serde::Serialize;
use shipway_web::{Json, Query};

use crate::{Catalog, FeatureFilter, FeatureSummary};

/// Features.
#[derive(Serialize)]
pub(super) struct ListView {
    features: Vec<FeatureSummary>,
}

/// List the features in force, all or those that are looked for.
pub(super) async fn list(
    State(catalog): State<Catalog>,
    Query(filter): Query<FeatureFilter>,
) -> Json<ListView> {
    Json(ListView { features: catalog.features(&filter).await })
}
