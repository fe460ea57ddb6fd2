//! Users: made, listed, changed, removed.

use serde_json::json;
use shipway_web::Caller;

use super::{Accounts, own_account, user};
use crate::{
    authority,
    error::{AccessError, Thing},
    model::{User, user_name},
    password,
    secret::SecretHash,
    store,
};

impl Accounts {
    /// Makes a user, who may do nothing yet; without a password they sign in with tokens only.
    pub(crate) async fn create_user(
        &self,
        caller: &Caller,
        name: &str,
        password: Option<&str>,
        is_admin: bool,
    ) -> Result<User, AccessError> {
        authority::must_manage_accounts(caller, "make users")?;
        if is_admin {
            authority::must_be_admin(caller, "make admins")?;
        }
        user_name(name)?;
        let hash = match password {
            Some(password) => Some(self.hash(name, password).await?),
            None => None,
        };
        let mut change = self.change().await?;
        let made =
            store::users::insert(&mut change.transaction, name, hash.as_ref(), is_admin, self.now()).await?;
        if made.is_none() {
            return Err(AccessError::exists(Thing::User, name));
        }
        let detail = json!({ "admin": is_admin, "password": hash.is_some() });
        self.commit(change, &caller.name, "access.create_user", format!("user/{name}"), detail).await?;
        Ok(user(&*self.directory().await?, name)?.clone())
    }

    /// One user, for themselves and for who manages accounts.
    pub(crate) async fn user(&self, caller: &Caller, name: &str) -> Result<User, AccessError> {
        let directory = self.directory().await?;
        let own = own_account(&directory, caller).is_some_and(|own| own.name == name);
        if !own {
            // Before it is looked up: whether there is a user is nobody else's business.
            authority::must_manage_accounts(caller, format!("see user {name}"))?;
        }
        Ok(user(&directory, name)?.clone())
    }

    /// All users, by when they were made.
    pub(crate) async fn users(&self, caller: &Caller) -> Result<Vec<User>, AccessError> {
        authority::must_manage_accounts(caller, "list users")?;
        Ok(self.directory().await?.users().cloned().collect())
    }

    /// The caller's own account; `None` for who has none.
    pub(crate) async fn own(&self, caller: &Caller) -> Result<Option<User>, AccessError> {
        Ok(own_account(&*self.directory().await?, caller).cloned())
    }

    /// Changes a password. Users state their current one, which a token that leaked does not know.
    pub(crate) async fn set_password(
        &self,
        caller: &Caller,
        name: &str,
        password: &str,
        current: Option<&str>,
    ) -> Result<(), AccessError> {
        let before = self.user(caller, name).await?;
        if caller.user_id == Some(before.id) {
            self.must_know_password(&before, current).await?;
        } else {
            authority::must_rule(caller, &before, "set the password of")?;
        }
        let hash = self.hash(name, password).await?;
        let mut change = self.change().await?;
        let id = user(&change.directory, name)?.id;
        store::users::set_password(&mut change.transaction, id, &hash).await?;
        self.commit(change, &caller.name, "access.set_password", format!("user/{name}"), json!({})).await
    }

    async fn must_know_password(&self, user: &User, current: Option<&str>) -> Result<(), AccessError> {
        let current = current.ok_or_else(|| {
            AccessError::invalid("current_password", "it is needed to change one's own password")
        })?;
        let known = match &user.password {
            Some(hash) => self.inner.verifier.compare_for(&user.name, hash.clone(), current).await?,
            None => false,
        };
        if known { Ok(()) } else { Err(AccessError::WrongPassword) }
    }

    async fn hash(&self, name: &str, password: &str) -> Result<SecretHash, AccessError> {
        password::judge(name, password)?;
        self.inner.verifier.hash(password).await
    }

    /// Makes a user an admin, or no longer one.
    pub(crate) async fn set_admin(
        &self,
        caller: &Caller,
        name: &str,
        is_admin: bool,
    ) -> Result<User, AccessError> {
        authority::must_be_admin(caller, "make admins")?;
        let mut change = self.change().await?;
        let id = user(&change.directory, name)?.id;
        store::users::set_admin(&mut change.transaction, id, is_admin).await?;
        let detail = json!({ "admin": is_admin });
        self.commit(change, &caller.name, "access.set_admin", format!("user/{name}"), detail).await?;
        Ok(user(&*self.directory().await?, name)?.clone())
    }

    /// Removes a user with their tokens and grants. What they made stays.
    pub(crate) async fn delete_user(&self, caller: &Caller, name: &str) -> Result<(), AccessError> {
        authority::must_manage_accounts(caller, "delete users")?;
        let mut change = self.change().await?;
        let gone = user(&change.directory, name)?.clone();
        authority::must_rule(caller, &gone, "delete user")?;
        store::users::delete(&mut change.transaction, gone.id).await?;
        self.commit(change, &caller.name, "access.delete_user", format!("user/{name}"), json!({})).await
    }
}
