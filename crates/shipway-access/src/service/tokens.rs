//! Tokens: made, listed, taken back.

use serde_json::json;
use shipway_core::{Grant, Timestamp};
use shipway_web::Caller;

use super::{Accounts, own_account, user};
use crate::{
    authority,
    error::{AccessError, Thing},
    model::{ApiToken, User, token_name},
    secret::TokenText,
    store,
};

/// For how long a token is good when nothing is said.
const USUAL_DAYS: u32 = 90;
/// For how long one is good at most: a secret that never expires is one that nobody looks after.
const MOST_DAYS: u32 = 366;
/// How many of them a user may have; all of them are in memory.
const MOST_TOKENS: usize = 100;
const MOST_SCOPES: usize = 100;
const DAY_US: i64 = 86_400_000_000;

/// A token that was made just now, with its secret, which is shown this once.
pub struct NewToken {
    pub(crate) token: ApiToken,
    pub(crate) user: String,
    pub(crate) text: String,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NewToken")
            .field("token", &self.token)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    /// Makes a token for a user, the caller when none is named. It can do what its scopes and the grants of its user both allow; without
    /// scopes, all that its user may.
    pub(crate) async fn create_token(
        &self,
        caller: &Caller,
        user_name: Option<&str>,
        name: &str,
        scopes: Vec<Grant>,
        days: Option<u32>,
    ) -> Result<NewToken, AccessError> {
        token_name(name)?;
        let days = days.unwrap_or(USUAL_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(AccessError::invalid("days", format!("{days} is not in 1 to {MOST_DAYS}")));
        }
        if scopes.len() > MOST_SCOPES {
            return Err(AccessError::invalid("scopes", format!("there are more than {MOST_SCOPES}")));
        }
        let owner = self.owner(caller, user_name).await?;
        authority::may_make_tokens(caller, &owner)?;
        let text = TokenText::new()?;
        let secret = self.inner.verifier.hash(&text.secret).await?;
        let created = self.now();
        let expires = Timestamp(created.micros().saturating_add(i64::from(days) * DAY_US));
        let (id, name) = (text.id.clone(), name.to_owned());
        let token = ApiToken { id, user_id: owner.id, name, secret, scopes, created, expires };

        let mut change = self.change().await?;
        // They may be gone since.
        user(&change.directory, &owner.name)?;
        if change.directory.tokens_of(owner.id).len() >= MOST_TOKENS {
            return Err(AccessError::invalid(
                "user",
                format!("{} has {MOST_TOKENS} tokens already", owner.name),
            ));
        }
        store::tokens::insert(&mut change.transaction, &token).await?;
        let scopes: Vec<String> = token.scopes.iter().map(Grant::to_string).collect();
        let detail = json!({ "user": owner.name, "name": token.name, "scopes": scopes, "days": days });
        self.commit(change, &caller.name, "access.create_token", format!("token/{}", token.id), detail)
            .await?;
        Ok(NewToken { token, user: owner.name, text: text.text() })
    }

    /// The tokens of a user, the caller when none is named; expired ones too.
    pub(crate) async fn tokens(
        &self,
        caller: &Caller,
        user_name: Option<&str>,
    ) -> Result<(User, Vec<ApiToken>), AccessError> {
        let owner = self.owner(caller, user_name).await?;
        authority::must_be_self_or_manage(caller, &owner, "list the tokens of")?;
        let tokens = self.directory().await?.tokens_of(owner.id).into_iter().cloned().collect();
        Ok((owner, tokens))
    }

    /// Takes a token back. It is refused from now on.
    pub(crate) async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), AccessError> {
        let mut change = self.change().await?;
        let missing = || AccessError::missing(Thing::Token, id);
        let token = change.directory.token(id).ok_or_else(missing)?.clone();
        let owner = change.directory.user_by_id(token.user_id).ok_or_else(missing)?.clone();
        // Somebody else's token is none, for who may not see it.
        authority::must_be_self_or_manage(caller, &owner, "revoke a token of").map_err(|_| missing())?;
        store::tokens::delete(&mut change.transaction, id).await?;
        let detail = json!({ "user": owner.name, "name": token.name });
        self.commit(change, &caller.name, "access.revoke_token", format!("token/{id}"), detail).await
    }

    async fn owner(&self, caller: &Caller, name: Option<&str>) -> Result<User, AccessError> {
        match name {
            Some(name) => self.user(caller, name).await,
            None => own_account(&*self.directory().await?, caller)
                .cloned()
                .ok_or_else(|| AccessError::invalid("user", "say for whom: the caller has no account")),
        }
    }
}
