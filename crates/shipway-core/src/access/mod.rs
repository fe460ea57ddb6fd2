//! What a caller may do: the grants of their roles, and the scopes of the token that they came with. Pure.
//!
//! A grant gives a level on one thing, on every thing of a type, or on all that lies in one workspace. Of several the highest counts, and
//! a denial outweighs all of them. A token with scopes can do what its scopes and the grants of its user both allow.

mod grant;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{Permission, workspace::of_model_key};
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
            if grant.resource() == ResourceType::Workspace && grant.id().is_none() {
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

    fn on_one(&self, resource: ResourceType, id: &str) -> Option<Level> {
        self.by_type.get(&resource).and_then(|of_type| of_type.one.get(id).copied())
    }

    /// On every thing of the type that lies in one workspace.
    fn on_every_in(&self, resource: ResourceType, workspace: &str) -> Option<Level> {
        let inside = resource.is_in_a_workspace().then(|| self.on_one(ResourceType::Workspace, workspace));
        folded(self.on_every(resource), inside.flatten())
    }

    fn on(&self, resource: ResourceType, id: &str, workspace: Option<&str>) -> Option<Level> {
        let every = match workspace {
            Some(workspace) => self.on_every_in(resource, workspace),
            None => self.on_every(resource),
        };
        folded(every, self.on_one(resource, id))
    }

    fn denied(&self, resource: ResourceType) -> impl Iterator<Item = &String> {
        let ones = self.by_type.get(&resource).into_iter().flat_map(|of_type| &of_type.one);
        ones.filter(|(_, level)| **level == Level::Deny).map(|(id, _)| id)
    }

    fn visible_in(&self, resource: ResourceType, workspace: &str) -> Visible {
        let reads = |level: Option<Level>| level.is_some_and(|level| level.allows(Permission::Read));
        if reads(self.on_every_in(resource, workspace)) {
            return Visible::AllBut(self.denied(resource).cloned().collect());
        }
        let ones = self.by_type.get(&resource).into_iter().flat_map(|of_type| of_type.one.keys());
        Visible::Only(ones.filter(|id| reads(self.on(resource, id, Some(workspace)))).cloned().collect())
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
                && (!resource.is_in_a_workspace() || layer.denied(ResourceType::Workspace).next().is_none())
        })
    }

    /// Whether the caller may do this to every thing of a type that lies in this workspace.
    pub fn allows_every_in(&self, resource: ResourceType, workspace: &str, permission: Permission) -> bool {
        self.layers.iter().all(|layer| {
            layer.on_every_in(resource, workspace).is_some_and(|level| level.allows(permission))
                && layer.denied(resource).next().is_none()
        })
    }

    /// Whether the caller may do this to one thing. The name of a model says of which workspace it is; for an experiment nothing counts
    /// that was granted on its workspace: [`Access::allows_in`] asks for that.
    pub fn allows(&self, resource: ResourceType, id: &str, permission: Permission) -> bool {
        self.allowed(resource, id, home(resource, id), permission)
    }

    /// Whether the caller may do this to one thing of this workspace.
    pub fn allows_in(
        &self,
        resource: ResourceType,
        id: &str,
        workspace: &str,
        permission: Permission,
    ) -> bool {
        let workspace = home(resource, id).unwrap_or(workspace);
        self.allowed(resource, id, Some(workspace), permission)
    }

    fn allowed(
        &self,
        resource: ResourceType,
        id: &str,
        workspace: Option<&str>,
        permission: Permission,
    ) -> bool {
        let allows = |level: Option<Level>| level.is_some_and(|level| level.allows(permission));
        self.layers.iter().all(|layer| allows(layer.on(resource, id, workspace)))
    }

    /// Whether the caller may create a thing of this type in this workspace: who may write to all of them may, who uses the workspace, and
    /// who uses every workspace.
    pub fn may_create_in(&self, resource: ResourceType, workspace: &str) -> bool {
        self.layers.iter().all(|layer| {
            let own = layer.on_one(ResourceType::Workspace, workspace);
            own != Some(Level::Deny)
                && (layer.workspace.is_some()
                    || own.is_some_and(|level| level.allows(Permission::Use))
                    || layer.on_every(resource).is_some_and(|level| level.allows(Permission::Write)))
        })
    }

    /// What the caller may see of a type among the things of this workspace.
    pub fn visible_in(&self, resource: ResourceType, workspace: &str) -> Visible {
        let all = Visible::AllBut(BTreeSet::new());
        self.layers.iter().map(|layer| layer.visible_in(resource, workspace)).fold(all, Visible::and)
    }

    /// The level of the caller on one thing, or on every thing of the type; `None` without a grant.
    pub fn level(&self, resource: ResourceType, id: Option<&str>) -> Option<Level> {
        let on = |layer: &Arc<Granted>| match id {
            Some(id) => layer.on(resource, id, home(resource, id)),
            None => layer.on_every(resource),
        };
        self.layers.iter().map(on).min().unwrap_or(Some(Level::Manage))
    }
}

/// The workspace of a thing, where its id says it.
fn home(resource: ResourceType, id: &str) -> Option<&str> {
    (resource == ResourceType::RegisteredModel).then(|| of_model_key(id).0)
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
        assert_eq!(reader.visible_in(Experiment, "default"), Visible::AllBut(["7".to_owned()].into()));
        assert!(!access(&["workspace:manage", "table:deny"]).allows_every(Table, Permission::Read));
    }

    #[test]
    fn who_manages_the_workspace_manages_everything_and_who_uses_it_may_create() {
        let manager = access(&["workspace:manage"]);
        for resource in RESOURCE_TYPES {
            assert!(manager.allows_every(resource, Permission::Manage), "{resource}");
        }
        let member = access(&["workspace:use"]);
        assert!(member.may_create_in(Experiment, "default") && member.may_create_in(RegisteredModel, "team"));
        assert!(!member.allows_every(Experiment, Permission::Read));
        assert_eq!(member.visible_in(Experiment, "default"), Visible::Only(BTreeSet::new()));
        assert!(!access(&["experiment/7:manage"]).may_create_in(Experiment, "default"));
    }

    #[test]
    fn who_was_granted_a_workspace_has_what_is_in_it_and_nothing_of_another() {
        let editor = access(&["workspace/team:edit"]);
        assert!(editor.allows_in(Experiment, "7", "team", Permission::Write));
        assert!(editor.allows(RegisteredModel, "team/churn", Permission::Write));
        assert!(editor.allows_every_in(ResourceType::Webhook, "team", Permission::Write));
        assert!(editor.may_create_in(Experiment, "team"));
        assert!(editor.visible_in(Experiment, "team").is_everything());
        for (resource, id, workspace, permission) in [
            (Experiment, "7", "team", Permission::Manage),
            (Experiment, "7", "default", Permission::Read),
            (RegisteredModel, "churn", "default", Permission::Read),
            // The name of a model says where it is, whatever a request says.
            (RegisteredModel, "churn", "team", Permission::Read),
            (RegisteredModel, "team-b/churn", "team-b", Permission::Read),
            (Table, "x", "team", Permission::Read),
            (ResourceType::Workspace, "default", "team", Permission::Read),
        ] {
            assert!(!editor.allows_in(resource, id, workspace, permission), "{resource} {id} {workspace}");
        }
        assert!(!editor.allows_every(Experiment, Permission::Read));
        assert!(!editor.allows_every(ResourceType::Workspace, Permission::Read));
        assert!(!editor.may_create_in(Experiment, "default"));
        assert!(!access(&["workspace/team:read"]).may_create_in(Experiment, "team"));
    }

    #[test]
    fn a_denial_of_a_workspace_outweighs_what_is_granted_in_it() {
        let outsider =
            access(&["experiment:manage", "registered_model/team/churn:manage", "workspace/team:deny"]);
        assert!(!outsider.allows_in(Experiment, "7", "team", Permission::Read));
        assert!(outsider.allows_in(Experiment, "7", "default", Permission::Manage));
        assert!(!outsider.allows(RegisteredModel, "team/churn", Permission::Read));
        assert!(!outsider.allows_every(Experiment, Permission::Read));
        assert!(!outsider.may_create_in(Experiment, "team") && outsider.may_create_in(Experiment, "default"));
        assert_eq!(outsider.visible_in(Experiment, "team"), Visible::Only(BTreeSet::new()));
        let denied_inside = access(&["workspace/team:manage", "experiment/7:deny"]);
        assert!(!denied_inside.allows_in(Experiment, "7", "team", Permission::Read));
        assert!(!access(&["workspace:manage", "workspace/team:deny"]).may_create_in(Experiment, "team"));
    }

    #[test]
    fn scopes_and_grants_may_name_a_thing_in_different_ways() {
        let scoped = access(&["experiment/7:edit"]).within(granted(&["workspace/team:read"]));
        assert!(scoped.allows_in(Experiment, "7", "team", Permission::Read));
        assert!(!scoped.allows_in(Experiment, "7", "team", Permission::Write));
        assert!(!scoped.allows_in(Experiment, "8", "team", Permission::Read));
        assert!(!scoped.allows_in(Experiment, "7", "default", Permission::Read));
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
        assert_eq!(scoped.visible_in(Experiment, "default"), Visible::Only(["7".to_owned()].into()));
        assert_eq!(scoped.level(Experiment, Some("7")), Some(Level::Read));
        assert_eq!(scoped.level(Experiment, Some("9")), Some(Level::Deny));
        assert_eq!(Access::everything().level(Table, None), Some(Level::Manage));
    }

    #[test]
    fn without_a_grant_nothing_is_allowed_and_without_bounds_everything() {
        for resource in RESOURCE_TYPES {
            assert!(!Access::nothing().allows_every(resource, Permission::Read));
            assert!(!Access::nothing().may_create_in(resource, "default"));
            assert!(Access::everything().allows_every(resource, Permission::Manage));
            assert!(Access::everything().visible_in(resource, "default").is_everything());
        }
    }
}
