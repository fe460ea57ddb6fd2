//! Keys, groups and what they have used, as the native API shows them.

use serde::Serialize;
use serde_json::{Map, Value, json};
use shipway_core::{Name, Timestamp};
use shipway_dialects::Nanos;

use crate::{
    meter::Usage,
    model::{Group, GroupKind, KeyTerms, Label, LabelKind, Limits, Scope, VirtualKey},
    service::Gateway,
};

#[derive(Debug, Serialize)]
pub(super) struct KeyView {
    id: String,
    name: String,
    group: Option<Name>,
    /// Empty: every model.
    models: Vec<String>,
    #[serde(flatten)]
    terms: KeyTerms,
    limits: Limits,
    created_by: String,
    created: Timestamp,
    expires: Option<Timestamp>,
    is_expired: bool,
    used: Value,
}

impl KeyView {
    pub(super) fn of(gateway: &Gateway, key: &VirtualKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            group: key.group.clone(),
            models: key.models.clone(),
            terms: key.terms.clone(),
            limits: key.limits.clone(),
            created_by: key.created_by.clone(),
            created: key.created,
            expires: key.expires,
            is_expired: key.expires.is_some_and(|expires| expires <= gateway.now()),
            used: used(&gateway.usage(&Scope::Key(key.id.clone()))),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    name: Name,
    kind: GroupKind,
    parent: Option<Name>,
    limits: Limits,
    created: Timestamp,
    used: Value,
}

impl GroupView {
    pub(super) fn of(gateway: &Gateway, group: &Group) -> Self {
        Self {
            name: group.name.clone(),
            kind: group.kind,
            parent: group.parent.clone(),
            limits: group.limits.clone(),
            created: group.created,
            used: used(&gateway.usage(&Scope::Group(group.name.clone()))),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct LabelView {
    kind: LabelKind,
    name: String,
    limits: Limits,
    created: Timestamp,
    used: Value,
}

impl LabelView {
    pub(super) fn of(gateway: &Gateway, label: &Label) -> Self {
        Self {
            kind: label.kind,
            name: label.name.clone(),
            limits: label.limits.clone(),
            created: label.created,
            used: used(&gateway.usage(&label.scope())),
        }
    }
}

/// Amounts in dollars, exact.
fn used(usage: &Usage) -> Value {
    let dollars = |nanos: i64| Value::from(Nanos(nanos).to_string());
    let spent: Map<String, Value> =
        usage.spent.iter().map(|(window, nanos)| (window.word().to_owned(), dollars(*nanos))).collect();
    json!({
        "dollars": spent,
        "reserved_dollars": dollars(usage.reserved_nanos),
        "running": usage.running,
        "calls": usage.calls,
    })
}
