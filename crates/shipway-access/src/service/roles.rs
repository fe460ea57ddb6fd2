//! Roles: made, listed, changed, removed; what they grant, and who has them.

use serde_json::json;
use shipway_core::{Grant, Level};
use shipway_web::Caller;

use super::{Accounts, role, user};
use crate::{
    authority,
    error::{AccessError, Thing},
    model::{Assignment, Directory, Role, RoleGrant, User, role_name},
    store,
};

const MANAGE: &str = "manage roles";

impl Accounts {
    pub(crate) async fn create_role(
        &self,
        caller: &Caller,
        name: &str,
        description: &str,
        grants: Vec<Grant>,
    ) -> Result<Role, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        role_name(name)?;
        let mut change = self.change().await?;
        let made = store::roles::insert(&mut change.transaction, name, description, None, self.now()).await?;
        let id = made.ok_or_else(|| AccessError::exists(Thing::Role, name))?;
        for grant in &grants {
            store::roles::put_grant(&mut change.transaction, id, grant).await?;
        }
        let detail = json!({ "grants": grants.iter().map(Grant::to_string).collect::<Vec<_>>() });
        self.commit(change, &caller.name, "access.create_role", format!("role/{name}"), detail).await?;
        Ok(role(&*self.directory().await?, id)?.clone())
    }

    pub(crate) async fn role(&self, caller: &Caller, id: i64) -> Result<Role, AccessError> {
        let directory = self.directory().await?;
        let has_it = caller
            .user_id
            .is_some_and(|user_id| directory.roles_of(user_id).iter().any(|role| role.id == id));
        if !has_it {
            authority::must_manage_accounts(caller, "see that role")?;
        }
        Ok(role(&directory, id)?.clone())
    }

    /// The id of the role of that name.
    pub(crate) async fn role_id(&self, caller: &Caller, name: &str) -> Result<i64, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let directory = self.directory().await?;
        directory
            .role_by_name(name)
            .map(|role| role.id)
            .ok_or_else(|| AccessError::missing(Thing::Role, name))
    }

    /// All roles, by when they were made.
    pub(crate) async fn roles(&self, caller: &Caller) -> Result<Vec<Role>, AccessError> {
        authority::must_manage_accounts(caller, "list roles")?;
        Ok(self.directory().await?.roles().cloned().collect())
    }

    pub(crate) async fn update_role(
        &self,
        caller: &Caller,
        id: i64,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<Role, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let mut change = self.change().await?;
        let before = role(&change.directory, id)?.clone();
        let (name, description) = (name.unwrap_or(&before.name), description.unwrap_or(&before.description));
        role_name(name)?;
        if !store::roles::update(&mut change.transaction, id, name, description).await? {
            return Err(AccessError::exists(Thing::Role, name));
        }
        let detail = json!({ "name": name });
        let subject = format!("role/{}", before.name);
        self.commit(change, &caller.name, "access.update_role", subject, detail).await?;
        Ok(role(&*self.directory().await?, id)?.clone())
    }

    pub(crate) async fn delete_role(&self, caller: &Caller, id: i64) -> Result<(), AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let mut change = self.change().await?;
        let gone = role(&change.directory, id)?.name.clone();
        store::roles::delete(&mut change.transaction, id).await?;
        self.commit(change, &caller.name, "access.delete_role", format!("role/{gone}"), json!({})).await
    }

    /// Puts a grant into a role, in the place of an earlier one on the same thing.
    pub(crate) async fn put_role_grant(
        &self,
        caller: &Caller,
        role_id: i64,
        grant: Grant,
    ) -> Result<RoleGrant, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let mut change = self.change().await?;
        let subject = format!("role/{}", role(&change.directory, role_id)?.name);
        let id = store::roles::put_grant(&mut change.transaction, role_id, &grant).await?;
        let detail = json!({ "grant": grant.to_string() });
        self.commit(change, &caller.name, "access.grant", subject, detail).await?;
        Ok(RoleGrant { id, role_id, grant })
    }

    pub(crate) async fn role_grants(
        &self,
        caller: &Caller,
        role_id: i64,
    ) -> Result<Vec<RoleGrant>, AccessError> {
        Ok(self.role(caller, role_id).await?.grants)
    }

    pub(crate) async fn change_role_grant(
        &self,
        caller: &Caller,
        grant_id: i64,
        level: Level,
    ) -> Result<RoleGrant, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let before = grant_of_role(&*self.directory().await?, grant_id)?.clone();
        let grant = Grant::new(before.grant.resource(), before.grant.id().map(str::to_owned), level)?;
        self.put_role_grant(caller, before.role_id, grant).await
    }

    pub(crate) async fn remove_role_grant(&self, caller: &Caller, grant_id: i64) -> Result<(), AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let mut change = self.change().await?;
        let gone = grant_of_role(&change.directory, grant_id)?.clone();
        let subject = format!("role/{}", role(&change.directory, gone.role_id)?.name);
        store::roles::delete_grant(&mut change.transaction, grant_id).await?;
        let detail = json!({ "grant": gone.grant.to_string() });
        self.commit(change, &caller.name, "access.revoke", subject, detail).await
    }

    pub(crate) async fn assign_role(
        &self,
        caller: &Caller,
        user_name: &str,
        role_id: i64,
    ) -> Result<Assignment, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let mut change = self.change().await?;
        let user_id = user(&change.directory, user_name)?.id;
        let detail = json!({ "role": role(&change.directory, role_id)?.name });
        let assignment = store::roles::assign(&mut change.transaction, user_id, role_id).await?;
        self.commit(change, &caller.name, "access.assign_role", format!("user/{user_name}"), detail).await?;
        Ok(assignment)
    }

    pub(crate) async fn unassign_role(
        &self,
        caller: &Caller,
        user_name: &str,
        role_id: i64,
    ) -> Result<(), AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let mut change = self.change().await?;
        let user_id = user(&change.directory, user_name)?.id;
        let role = role(&change.directory, role_id)?.name.clone();
        if !store::roles::unassign(&mut change.transaction, user_id, role_id).await? {
            return Err(AccessError::missing(Thing::Assignment, format!("of {role} to {user_name}")));
        }
        let detail = json!({ "role": role });
        self.commit(change, &caller.name, "access.unassign_role", format!("user/{user_name}"), detail).await
    }

    /// The roles of a user, for themselves and for who manages accounts.
    pub(crate) async fn roles_of_user(&self, caller: &Caller, name: &str) -> Result<Vec<Role>, AccessError> {
        let user = self.user(caller, name).await?;
        Ok(self.directory().await?.roles_of(user.id).into_iter().cloned().collect())
    }

    /// Who has a role.
    pub(crate) async fn users_of_role(
        &self,
        caller: &Caller,
        role_id: i64,
    ) -> Result<Vec<(Assignment, User)>, AccessError> {
        authority::must_manage_accounts(caller, MANAGE)?;
        let directory = self.directory().await?;
        role(&directory, role_id)?;
        let with_user = |one: &Assignment| Some((*one, directory.user_by_id(one.user_id)?.clone()));
        Ok(directory.assignments_of_role(role_id).filter_map(with_user).collect())
    }
}

/// A grant of a role that people made.
fn grant_of_role(directory: &Directory, id: i64) -> Result<&RoleGrant, AccessError> {
    let mut grants = directory.roles().flat_map(|role| &role.grants);
    grants.find(|grant| grant.id == id).ok_or_else(|| AccessError::missing(Thing::Grant, id))
}
