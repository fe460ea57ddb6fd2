//! Grants to one user: given, taken back, asked for.

use serde_json::json;
use shipway_core::{Grant, Level, ResourceType};
use shipway_web::Caller;

use super::{Accounts, user};
use crate::{
    authority,
    error::{AccessError, Thing},
    model::RoleGrant,
    store,
};

impl Accounts {
    /// Grants something to a user, in the place of an earlier grant to them on the same thing.
    pub(crate) async fn grant(
        &self,
        caller: &Caller,
        user_name: &str,
        grant: Grant,
    ) -> Result<(), AccessError> {
        authority::may_grant(caller, grant.resource(), grant.id())?;
        let mut change = self.change().await?;
        let user_id = user(&change.directory, user_name)?.id;
        let role_id = store::roles::own_role_or_new(&mut change.transaction, user_id, self.now()).await?;
        store::roles::put_grant(&mut change.transaction, role_id, &grant).await?;
        let detail = json!({ "grant": grant.to_string() });
        self.commit(change, &caller.name, "access.grant", format!("user/{user_name}"), detail).await
    }

    /// Takes back what was granted to a user on one thing, or on every thing of a type. What roles grant stays.
    pub(crate) async fn revoke(
        &self,
        caller: &Caller,
        user_name: &str,
        resource: ResourceType,
        id: Option<&str>,
    ) -> Result<(), AccessError> {
        authority::may_grant(caller, resource, id)?;
        let mut change = self.change().await?;
        let user_id = user(&change.directory, user_name)?.id;
        let own = change.directory.own_role(user_id).map(|role| role.grants.clone()).unwrap_or_default();
        let is_it = |one: &&RoleGrant| one.grant.resource() == resource && one.grant.id() == id;
        let thing = || format!("of {resource} {} to {user_name}", id.unwrap_or("*"));
        let gone = own.iter().find(is_it).ok_or_else(|| AccessError::missing(Thing::Grant, thing()))?;
        store::roles::delete_grant(&mut change.transaction, gone.id).await?;
        let detail = json!({ "grant": gone.grant.to_string() });
        self.commit(change, &caller.name, "access.revoke", format!("user/{user_name}"), detail).await
    }

    /// The level of a user on one thing, or on every thing of a type, all their roles taken together. For the user themselves, for
    /// who manages accounts, and for who manages the thing.
    pub(crate) async fn level(
        &self,
        caller: &Caller,
        user_name: &str,
        resource: ResourceType,
        id: Option<&str>,
    ) -> Result<Option<Level>, AccessError> {
        let directory = self.directory().await?;
        let own =
            caller.user_id.and_then(|id| directory.user_by_id(id)).is_some_and(|own| own.name == user_name);
        if !own {
            authority::may_grant(caller, resource, id)?;
        }
        Ok(directory.access_of(user(&directory, user_name)?).level(resource, id))
    }

    /// The grants of a user: those of their roles, with the role's name, and their own. For themselves and for who manages accounts.
    pub(crate) async fn grants_of_user(
        &self,
        caller: &Caller,
        user_name: &str,
    ) -> Result<Vec<(Option<String>, Grant)>, AccessError> {
        let user = self.user(caller, user_name).await?;
        let directory = self.directory().await?;
        let own = directory.own_role(user.id).into_iter().flat_map(|role| &role.grants);
        let own = own.map(|one| (None, one.grant.clone()));
        let of_roles = directory
            .roles_of(user.id)
            .into_iter()
            .flat_map(|role| role.grants.iter().map(|one| (Some(role.name.clone()), one.grant.clone())));
        Ok(own.chain(of_roles).collect())
    }
}
