//! Who may change whose account, and which grant. Pure.
//!
//! Whoever may do everything may change everything. Who manages the workspace manages users, roles and grants, but makes no admins and
//! does not touch their accounts, or they would be admins one step later. Who manages one thing grants it to others.

use shipway_core::{Grant, Level, Permission, ResourceType};
use shipway_web::Caller;

use crate::{error::AccessError, model::User};

const ADMINS: &str = "an admin, or the holder of the server's own token, can do that";
const MANAGERS: &str = "an admin, or who manages the workspace, can do that";
const SELF_OR_MANAGERS: &str = "the user themselves, an admin, or who manages the workspace, can do that";
const SIGN_IN: &str = "sign in with your password: a token cannot make tokens";

/// Whether a caller manages users and roles.
pub(crate) fn manages_accounts(caller: &Caller) -> bool {
    caller.access.allows_every(ResourceType::Workspace, Permission::Manage)
}

fn refuse(caller: &Caller, what: String, hint: &'static str) -> AccessError {
    AccessError::Forbidden { caller: caller.name.clone(), what, hint }
}

/// Only who manages accounts.
pub(crate) fn must_manage_accounts(caller: &Caller, what: impl Into<String>) -> Result<(), AccessError> {
    if manages_accounts(caller) { Ok(()) } else { Err(refuse(caller, what.into(), MANAGERS)) }
}

/// Only who may do everything.
pub(crate) fn must_be_admin(caller: &Caller, what: impl Into<String>) -> Result<(), AccessError> {
    if caller.access.is_everything() { Ok(()) } else { Err(refuse(caller, what.into(), ADMINS)) }
}

/// Only who manages accounts, and for an admin's account only who may do everything.
pub(crate) fn must_rule(caller: &Caller, user: &User, what: &str) -> Result<(), AccessError> {
    let what = format!("{what} {}", user.name);
    if user.is_admin { must_be_admin(caller, what) } else { must_manage_accounts(caller, what) }
}

/// Only the user themselves and who manages accounts.
pub(crate) fn must_be_self_or_manage(caller: &Caller, user: &User, what: &str) -> Result<(), AccessError> {
    if caller.user_id == Some(user.id) || manages_accounts(caller) {
        return Ok(());
    }
    Err(refuse(caller, format!("{what} {}", user.name), SELF_OR_MANAGERS))
}

/// Only the user themselves, signed in with a password, and who rules their account: a token that leaked must not outlive itself.
pub(crate) fn may_make_tokens(caller: &Caller, user: &User) -> Result<(), AccessError> {
    if caller.user_id.is_some() && caller.by_token {
        return Err(refuse(caller, format!("make a token for {}", user.name), SIGN_IN));
    }
    if caller.user_id == Some(user.id) {
        return Ok(());
    }
    must_rule(caller, user, "make a token for")
}

/// Whether the caller manages what is granted.
pub(crate) fn may_grant(
    caller: &Caller,
    resource: ResourceType,
    id: Option<&str>,
) -> Result<(), AccessError> {
    let manages = match id {
        Some(id) => caller.access.allows(resource, id, Permission::Manage),
        None => caller.access.allows_every(resource, Permission::Manage),
    };
    // Who manages one workspace grants it; every workspace is granted by who manages accounts.
    if manages && (resource != ResourceType::Workspace || id.is_some() || manages_accounts(caller)) {
        return Ok(());
    }
    let thing = id.map_or_else(|| format!("every {resource}"), |id| format!("{resource} {id}"));
    Err(refuse(caller, format!("grant {thing}"), "who manages it can do that"))
}

/// The level that the creator of a thing gets on it, unless they have it already.
pub(crate) fn grant_of_creator(caller: &Caller, resource: ResourceType, id: &str) -> Option<Grant> {
    let has_it = caller.user_id.is_none() || caller.access.allows(resource, id, Permission::Manage);
    if has_it { None } else { Grant::new(resource, Some(id.to_owned()), Level::Manage).ok() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shipway_core::{Access, Granted, Timestamp};

    use super::*;

    fn caller(id: i64, grants: &[&str], by_token: bool) -> Caller {
        let grants: Vec<Grant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        let access = Access::of(Arc::new(Granted::of(&grants)));
        Caller { name: format!("user{id}"), user_id: Some(id), access, by_token }
    }

    fn user(id: i64, is_admin: bool) -> User {
        User { id, name: format!("user{id}"), password: None, is_admin, created: Timestamp(0) }
    }

    #[test]
    fn who_manages_the_workspace_rules_users_but_no_admin() {
        let manager = caller(1, &["workspace:manage"], false);
        assert!(must_rule(&manager, &user(2, false), "delete").is_ok());
        assert!(must_rule(&manager, &user(3, true), "delete").is_err());
        assert!(must_be_admin(&manager, "make an admin").is_err());
        assert!(
            must_manage_accounts(&caller(4, &["experiment:manage", "workspace:use"], false), "x").is_err()
        );
        assert!(must_be_admin(&Caller::operator("token"), "make an admin").is_ok());
    }

    #[test]
    fn a_token_makes_no_tokens() {
        assert!(may_make_tokens(&caller(2, &[], false), &user(2, false)).is_ok());
        assert!(may_make_tokens(&caller(2, &["workspace:manage"], true), &user(2, false)).is_err());
        assert!(may_make_tokens(&caller(1, &[], false), &user(2, false)).is_err());
        assert!(may_make_tokens(&caller(1, &["workspace:manage"], false), &user(2, false)).is_ok());
        assert!(may_make_tokens(&caller(1, &["workspace:manage"], false), &user(2, true)).is_err());
        assert!(may_make_tokens(&Caller::operator("token"), &user(2, true)).is_ok());
    }

    #[test]
    fn who_manages_a_thing_grants_it_and_nothing_else() {
        let grants = ["experiment/7:manage", "experiment/8:edit", "table:manage", "workspace/team:manage"];
        let owner = caller(2, &grants, false);
        assert!(may_grant(&owner, ResourceType::Experiment, Some("7")).is_ok());
        assert!(may_grant(&owner, ResourceType::Table, None).is_ok());
        assert!(may_grant(&owner, ResourceType::Workspace, Some("team")).is_ok());
        assert!(may_grant(&owner, ResourceType::RegisteredModel, Some("team/churn")).is_ok());
        for (resource, id) in [
            (ResourceType::Experiment, Some("8")),
            (ResourceType::Experiment, None),
            (ResourceType::RegisteredModel, Some("7")),
            (ResourceType::Workspace, None),
            (ResourceType::Workspace, Some("default")),
            (ResourceType::RegisteredModel, Some("churn")),
        ] {
            assert!(may_grant(&owner, resource, id).is_err(), "{resource} {id:?}");
        }
    }

    #[test]
    fn a_creator_manages_what_they_made() {
        let member = caller(2, &["workspace:use"], false);
        assert_eq!(
            grant_of_creator(&member, ResourceType::Experiment, "7").unwrap().to_string(),
            "experiment/7:manage"
        );
        assert!(grant_of_creator(&Caller::operator("token"), ResourceType::Experiment, "7").is_none());
        let manager = caller(2, &["experiment:manage"], false);
        assert!(grant_of_creator(&manager, ResourceType::Experiment, "7").is_none());
    }
}
