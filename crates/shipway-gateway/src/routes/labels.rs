//! Users and tags that limits hold for.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use shipway_web::{Caller, Json, Path, Problem};

use super::view::LabelView;
use crate::{
    model::{LabelKind, Limits},
    service::Gateway,
};

#[derive(Debug, Serialize)]
pub(super) struct LabelsView {
    labels: Vec<LabelView>,
}

pub(super) async fn list(State(gateway): State<Gateway>) -> Result<Json<LabelsView>, Problem> {
    let labels = gateway.labels().await?;
    gateway.look_at_others().await?;
    Ok(Json(LabelsView { labels: labels.iter().map(|label| LabelView::of(&gateway, label)).collect() }))
}

pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path((kind, name)): Path<(LabelKind, String)>,
) -> Result<Json<LabelView>, Problem> {
    let label = gateway.label(kind, &name).await?;
    gateway.look_at_others().await?;
    Ok(Json(LabelView::of(&gateway, &label)))
}

pub(super) async fn put(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((kind, name)): Path<(LabelKind, String)>,
    Json(limits): Json<Limits>,
) -> Result<Json<LabelView>, Problem> {
    let label = gateway.put_label(&caller.name, (kind, &name), limits).await?;
    Ok(Json(LabelView::of(&gateway, &label)))
}

pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((kind, name)): Path<(LabelKind, String)>,
) -> Result<StatusCode, Problem> {
    gateway.delete_label(&caller.name, kind, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
