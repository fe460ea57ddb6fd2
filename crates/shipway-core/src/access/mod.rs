//! What a caller may do: the grants of their roles, and the scopes of the token that they came with. Pure.
//!
//! A grant gives a level on one thing, or on every thing of a type. Of several the highest counts, and a denial outweighs all of them. A
//! token with scopes can do what its scopes and the grants of its user both allow.

mod grant;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::Permission;
pub use grant::{Grant, Level, NotAGrant, RESOURCE_TYPES, ResourceType};

/// What a caller may do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    /// All of them must allow what is done; none of them stands in the way of a caller without bounds.
    layers: Vec<Arc<Granted>>,
}

/// Grants, in the order in which they are asked.
#[derive(Debug, Default)]
pub struct Granted {
    by_type: BTreeMap<ResourceType, OfType>,
    workspace: Option<Level>,
}

#[derive(Debug, Default)]
struct OfType {
    every: Option<Level>,
    one: HashMap<String, Level>,
}

/// Of two grants on the same thing a denial counts, else the higher one.
fn folded(first: Option<Level>, second: Option<Level>) -> Option<Level> {
    match (first, second) {
        (Some(Level::Deny), _) | (_, Some(Level::Deny)) => Some(Level::Deny),
        (first, second) => first.max(second),
    }
}

impl Granted {
    /// What these grants come to.
    pub fn of<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Self {
        let mut granted = Self::default();
        for grant in grants {
            if grant.resource() == ResourceType::Workspace {
                granted.workspace = folded(granted.workspace, Some(grant.level()));
                continue;
            }
            let of_type = granted.by_type.entry(grant.resource()).or_default();
            match grant.id() {
                None => of_type.every = folded(of_type.every, Some(grant.level())),
                Some(id) => {
                    let one = of_type.one.entry(id.to_owned()).or_insert(grant.level());
                    *one = folded(Some(*one), Some(grant.level())).unwrap_or(*one);
                }
            }
        }
        granted
    }

    fn manages_workspace(&self) -> Option<Level> {
        self.workspace.filter(|level| *level == Level::Manage)
    }

    fn on_every(&self, resource: ResourceType) -> Option<Level> {
        if resource == ResourceType::Workspace {
            return self.workspace;
        }
        folded(self.by_type.get(&resource).and_then(|of_type| of_type.every), self.manages_workspace())
    }

    fn on(&self, resource: ResourceType, id: &str) -> Option<Level> {
        let one = self.by_type.get(&resource).and_then(|of_type| of_type.one.get(id).copied());
        folded(self.on_every(resource), one)
    }

    fn denied(&self, resource: ResourceType) -> impl Iterator<Item = &String> {
        let ones = self.by_type.get(&resource).into_iter().flat_map(|of_type| &of_type.one);
        ones.filter(|(_, level)| **level == Level::Deny).map(|(id, _)| id)
    }

    fn visible(&self, resource: ResourceType) -> Visible {
        let reads = |level: Option<Level>| level.is_some_and(|level| level.allows(Permission::Read));
        if reads(self.on_every(resource)) {
            return Visible::AllBut(self.denied(resource).cloned().collect());
        }
        let ones = self.by_type.get(&resource).into_iter().flat_map(|of_type| of_type.one.keys());
        Visible::Only(ones.filter(|id| reads(self.on(resource, id))).cloned().collect())
    }
}

/// Which things of a type a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// These.
    Only(BTreeSet<String>),
    /// All but these.
    AllBut(BTreeSet<String>),
}

impl Visible {
    /// Whether nothing is hidden.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::AllBut(hidden) if hidden.is_empty())
    }

    /// Whether this one is seen.
    pub fn contains(&self, id: &str) -> bool {
        match self {
            Self::Only(seen) => seen.contains(id),
            Self::AllBut(hidden) => !hidden.contains(id),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::AllBut(left), Self::AllBut(right)) => Self::AllBut(&left | &right),
            (Self::AllBut(hidden), Self::Only(seen)) | (Self::Only(seen), Self::AllBut(hidden)) => {
                Self::Only(&seen - &hidden)
            }
            (Self::Only(left), Self::Only(right)) => Self::Only(&left & &right),
        }
    }
}

impl Access {
    /// A caller without bounds: the operator, and everybody where nobody is asked.
    pub fn everything() -> Self {
        Self { layers: Vec::new() }
    }

    /// A caller without a grant.
    pub fn nothing() -> Self {
        Self::of(Arc::default())
    }

    /// A caller with these grants.
    pub fn of(granted: Arc<Granted>) -> Self {
        Self { layers: vec![granted] }
    }

    /// The same caller, within these bounds besides: the scopes of a token.
    #[must_use]
    pub fn within(mut self, scopes: Arc<Granted>) -> Self {
        self.layers.push(scopes);
        self
    }

    /// Whether the caller has no bounds.
    pub fn is_everything(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether the caller may do this to every thing of a type, including those that do not exist yet.
    pub fn allows_every(&self, resource: ResourceType, permission: Permission) -> bool {
        self.layers.iter().all(|layer| {
            layer.on_every(resource).is_some_and(|level| level.allows(permission))
                && layer.denied(resource).next().is_none()
        })
    }

    /// Whether the caller may do this to one thing.
    pub fn allows(&self, resource: ResourceType, id: &str, permission: Permission) -> bool {
        self.layers.iter().all(|layer| layer.on(resource, id).is_some_and(|level| level.allows(permission)))
    }

    /// Whether the caller may create a thing of this type: who may write to all of them may, and who uses the workspace.
    pub fn may_create(&self, resource: ResourceType) -> bool {
        self.layers.iter().all(|layer| {
            layer.workspace.is_some()
                || layer.on_every(resource).is_some_and(|level| level.allows(Permission::Write))
        })
    }

    /// What the caller may see of a type.
    pub fn visible(&self, resource: ResourceType) -> Visible {
        let all = Visible::AllBut(BTreeSet::new());
        self.layers.iter().map(|layer| layer.visible(resource)).fold(all, Visible::and)
    }

    /// The level of the caller on one thing, or on every thing of the type; `None` without a grant.
    pub fn level(&self, resource: ResourceType, id: Option<&str>) -> Option<Level> {
        let on = |layer: &Arc<Granted>| match id {
            Some(id) => layer.on(resource, id),
            None => layer.on_every(resource),
        };
        self.layers.iter().map(on).min().unwrap_or(Some(Level::Manage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResourceType::{Experiment, RegisteredModel, Table};

    fn granted(grants: &[&str]) -> Arc<Granted> {
        let grants: Vec<Grant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        Arc::new(Granted::of(&grants))
    }

    fn access(grants: &[&str]) -> Access {
        Access::of(granted(grants))
    }

    #[test]
    fn a_level_includes_those_before_it_and_nothing_else() {
        let editor = access(&["experiment/7:edit"]);
        for permission in [Permission::Read, Permission::Use, Permission::Write] {
            assert!(editor.allows(Experiment, "7", permission), "{permission:?}");
            assert!(!editor.allows(Experiment, "8", permission), "{permission:?}");
            assert!(!editor.allows(RegisteredModel, "7", permission), "{permission:?}");
            assert!(!editor.allows_every(Experiment, permission), "{permission:?}");
        }
        assert!(!editor.allows(Experiment, "7", Permission::Manage));
    }

    #[test]
    fn a_denial_outweighs_every_other_grant() {
        let reader = access(&["experiment:edit", "experiment/7:manage", "experiment/7:deny"]);
        assert!(reader.allows(Experiment, "8", Permission::Write));
        assert!(!reader.allows(Experiment, "7", Permission::Read));
        // Who is denied one of them is not allowed all of them.
        assert!(!reader.allows_every(Experiment, Permission::Read));
        assert_eq!(reader.visible(Experiment), Visible::AllBut(["7".to_owned()].into()));
        assert!(!access(&["workspace:manage", "table:deny"]).allows_every(Table, Permission::Read));
    }

    #[test]
    fn who_manages_the_workspace_manages_everything_and_who_uses_it_may_create() {
        let manager = access(&["workspace:manage"]);
        for resource in RESOURCE_TYPES {
            assert!(manager.allows_every(resource, Permission::Manage), "{resource}");
        }
        let member = access(&["workspace:use"]);
        assert!(member.may_create(Experiment) && member.may_create(RegisteredModel));
        assert!(!member.allows_every(Experiment, Permission::Read));
        assert_eq!(member.visible(Experiment), Visible::Only(BTreeSet::new()));
        assert!(!access(&["experiment/7:manage"]).may_create(Experiment));
    }

    #[test]
    fn a_token_can_do_what_its_scopes_and_its_user_both_may() {
        let scoped = access(&["experiment:edit", "experiment/9:deny", "table:read"]).within(granted(&[
            "experiment/7:read",
            "experiment/9:manage",
            "deployment:manage",
        ]));
        assert!(scoped.allows(Experiment, "7", Permission::Read));
        for (resource, id, permission) in [
            (Experiment, "7", Permission::Write),
            (Experiment, "8", Permission::Read),
            (Experiment, "9", Permission::Read),
            (ResourceType::Deployment, "x", Permission::Read),
        ] {
            assert!(!scoped.allows(resource, id, permission), "{resource} {id}");
        }
        assert!(!scoped.allows_every(Table, Permission::Read));
        assert_eq!(scoped.visible(Experiment), Visible::Only(["7".to_owned()].into()));
        assert_eq!(scoped.level(Experiment, Some("7")), Some(Level::Read));
        assert_eq!(scoped.level(Experiment, Some("9")), Some(Level::Deny));
        assert_eq!(Access::everything().level(Table, None), Some(Level::Manage));
    }

    #[test]
    fn without_a_grant_nothing_is_allowed_and_without_bounds_everything() {
        for resource in RESOURCE_TYPES {
            assert!(!Access::nothing().allows_every(resource, Permission::Read));
            assert!(!Access::nothing().may_create(resource));
            assert!(Access::everything().allows_every(resource, Permission::Manage));
            assert!(Access::everything().visible(resource).is_everything());
        }
    }
}
