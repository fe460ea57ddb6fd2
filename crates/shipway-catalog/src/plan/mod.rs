//! Decides what applying a set of definitions would change, what that leads to, and what cannot be.
//!
//! Pure on purpose: no clock, no store, no caller. `service` fetches, this judges, `service` records.
//!
//! - `describe`: a definition as named fields, for telling what changed
//! - `consequence`: what a change leads to
//! - `impact`: who feels it
//! - `policy`: personal data and deprecated features in it
//! - `removal`: whether a definition may go
//! - `sending`: the sinks of a view
//! - `source`: which changes of a source would make its history wrong

mod consequence;
mod describe;
mod impact;
pub(crate) mod policy;
mod removal;
mod sending;
mod source;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::Serialize;
use shipway_core::{Digest, Failure, Kind, Name};
use shipway_definitions::{DefinitionKind, DefinitionSet};

use crate::{Binding, CatalogError, Rebuild};

pub(crate) use describe::{describe, feature_in_words};
pub use impact::{Consumer, ConsumerKind};
pub use policy::PersonalData;
pub use removal::{InUse, Used};
pub(crate) use source::SourceHistory;

/// What applying would do. Lists are ordered by kind, in the order in which kinds build on each other, then by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What would be created, changed or removed.
    pub changes: Vec<Change>,
    /// What is in the files just as it is in force.
    pub unchanged: Vec<Subject>,
    /// What is in force, is not in the files, and stays.
    pub kept: Vec<Subject>,
}

impl Plan {
    /// Whether there is something to do.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// Its kind.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: Name,
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.name)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What changes.
    #[serde(flatten)]
    pub subject: Subject,
    /// How.
    pub action: Action,
    /// The version in force before.
    pub before: Option<Digest>,
    /// The version in force afterwards. Equal to `before` when only what people read has changed.
    pub after: Option<Digest>,
    /// What differs, field by field. Empty for what is created or removed.
    pub fields: Vec<FieldChange>,
    /// What the change leads to, a sentence each.
    pub consequences: Vec<String>,
    /// What building the state of a new version costs; none where nothing is built, or the cost is not known.
    pub rebuild: Option<Rebuild>,
    /// Who feels it.
    pub consumers: Vec<Consumer>,
    /// The personal data in the view or service as it becomes, or in what a sink sends of a view.
    pub personal: Vec<PersonalData>,
    /// What should be looked at, a sentence each.
    pub warnings: Vec<String>,
}

impl Change {
    /// Whether it makes a version whose state has to be built.
    pub(crate) fn needs_build(&self) -> bool {
        self.subject.kind == DefinitionKind::View
            && self.action != Action::Removed
            && self.before != self.after
    }
}

/// What happens to a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Created,
    /// It is different.
    Changed,
    /// It goes out of force; its versions stay known by their hashes.
    Removed,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// The field: `window`, `feature count_1d`, `column origin`.
    pub field: String,
    /// What it was; none: it was not there.
    pub before: Option<String>,
    /// What it becomes; none: it goes.
    pub after: Option<String>,
}

/// One change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedChange {
    /// The definition.
    #[serde(flatten)]
    pub subject: Subject,
    /// The thing first, then what is wrong.
    pub message: String,
    /// What can be done instead.
    pub hint: String,
}

/// Every change that cannot be made, at least one. Nothing of the files is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedChanges(pub(crate) Vec<RefusedChange>);

impl RefusedChanges {
    /// The changes, by kind and name.
    pub fn list(&self) -> &[RefusedChange] {
        &self.0
    }
}

/// A line per change, its remedy in brackets.
impl fmt::Display for RefusedChanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refused) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{} ({})", refused.message, refused.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for RefusedChanges {}

impl Failure for RefusedChanges {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }

    fn code(&self) -> &'static str {
        "catalog.change_refused"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("nothing was applied".into())
    }
}

/// Everything that was ever recorded, as far as the next set has to respect it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    /// What is in force, and every version of views and services.
    pub(crate) set: DefinitionSet,
    /// What every source has been, in force or not.
    pub(crate) sources: BTreeMap<Name, SourceHistory>,
}

/// Compares. With `prune`, what is in force and not in `proposed` is removed; otherwise it stays. `bindings` are all there are.
pub(crate) fn plan(
    recorded: &Recorded,
    proposed: &DefinitionSet,
    prune: bool,
    bindings: &[Binding],
) -> Result<Plan, CatalogError> {
    let current = &recorded.set;
    let result = current.overlaid(proposed, prune);
    let refused: Vec<_> = proposed
        .sources
        .values()
        .filter_map(|source| Some((recorded.sources.get(&source.definition.name)?, &source.definition)))
        .flat_map(|(history, source)| source::refusals(history, source, &result))
        .chain(source::broken_selections(proposed, &result))
        .chain(
            proposed.sources.values().filter_map(|source| source::taken_table(&source.definition, &result)),
        )
        .chain(proposed.views.values().filter_map(|view| sending::refusal(&view.definition, &result)))
        .collect();
    if !refused.is_empty() {
        return Err(RefusedChanges(refused).into());
    }
    let mut used = Vec::new();
    let mut plan = Plan { changes: Vec::new(), unchanged: Vec::new(), kept: Vec::new() };
    for kind in DefinitionKind::ALL {
        for name in proposed.names(kind) {
            let subject = Subject { kind, name: name.clone() };
            match change(current, proposed, &result, subject, bindings) {
                Ok(change) => plan.changes.push(change),
                Err(unchanged) => plan.unchanged.push(unchanged),
            }
        }
        for name in current.names(kind) {
            let subject = Subject { kind, name: name.clone() };
            if proposed.stored(kind, name.as_str()).is_some() {
                continue;
            }
            if prune {
                used.extend(removal::judge(&result, &subject, bindings));
                plan.changes.push(removed(current, subject, bindings));
            } else {
                plan.kept.push(subject);
            }
        }
    }
    if used.is_empty() { Ok(plan) } else { Err(InUse(used).into()) }
}

/// What taking `subject`, which is in force, out of force would do, and what stays in force then.
pub(crate) fn drop(
    current: &DefinitionSet,
    subject: Subject,
    bindings: &[Binding],
) -> Result<(DefinitionSet, Plan), CatalogError> {
    let result = current.without(subject.kind, &subject.name);
    if let Some(used) = removal::judge(&result, &subject, bindings) {
        return Err(InUse(vec![used]).into());
    }
    let changes = vec![removed(current, subject, bindings)];
    Ok((result, Plan { changes, unchanged: Vec::new(), kept: Vec::new() }))
}

fn removed(current: &DefinitionSet, subject: Subject, bindings: &[Binding]) -> Change {
    Change {
        action: Action::Removed,
        before: current.stored(subject.kind, subject.name.as_str()).map(|(_, hash)| hash),
        after: None,
        fields: Vec::new(),
        consequences: consequence::of_removal(&subject),
        rebuild: None,
        consumers: impact::of_removal(current, &subject, bindings),
        personal: Vec::new(),
        warnings: Vec::new(),
        subject,
    }
}

/// The change of one proposed definition, or the subject when there is none.
fn change(
    current: &DefinitionSet,
    proposed: &DefinitionSet,
    result: &DefinitionSet,
    subject: Subject,
    bindings: &[Binding],
) -> Result<Change, Subject> {
    let (kind, name) = (subject.kind, subject.name.as_str());
    let before = current.stored(kind, name);
    let after = proposed.stored(kind, name);
    if before == after {
        return Err(subject);
    }
    let created = before.is_none();
    let fields = if created {
        Vec::new()
    } else {
        difference(&describe(current, kind, name), &describe(proposed, kind, name))
    };
    let (before, after) = (before.map(|(_, hash)| hash), after.map(|(_, hash)| hash));
    let is_changed = |service: &Name| {
        let kind = DefinitionKind::Service;
        let proposed = proposed.stored(kind, service.as_str());
        proposed.is_some() && proposed != current.stored(kind, service.as_str())
    };
    Ok(Change {
        action: if created { Action::Created } else { Action::Changed },
        before,
        after,
        fields,
        consequences: consequence::of_change(current, result, &subject),
        rebuild: None,
        consumers: before.zip(after).map_or_else(Vec::new, |versions| {
            impact::of_change(current, result, &subject, versions, bindings)
        }),
        personal: policy::personal_data(result, &subject),
        warnings: policy::warnings(result, &subject, is_changed),
        subject,
    })
}

fn difference(before: &[(String, String)], after: &[(String, String)]) -> Vec<FieldChange> {
    let value = |fields: &[(String, String)], name: &str| {
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
    };
    let removed = before.iter().filter(|(field, _)| value(after, field).is_none());
    let changed = after.iter().chain(removed).filter_map(|(field, _)| {
        let (before, after) = (value(before, field), value(after, field));
        (before != after).then(|| FieldChange { field: field.clone(), before, after })
    });
    changed.collect()
}
