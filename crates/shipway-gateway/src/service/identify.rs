//! Who a caller is: a virtual key, or somebody whom this server knows anyway.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, header};
use shipway_core::{Access, Permission, ResourceType};
use shipway_web::{Caller, Credentials, Identify, Problem};

use super::Gateway;
use crate::{
    error::GatewayError,
    model::{Chain, Denied, KeyRoute, KeyTerms, VirtualKey},
    secret::{KeyText, PREFIX},
};

/// Who sends a call, and whom it is charged to.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) key: Option<Arc<VirtualKey>>,
    pub(crate) chain: Chain,
    caller: Caller,
}

impl Gateway {
    /// The key that `text` is, if this server takes it.
    async fn taken(&self, text: &str) -> Result<Option<(Arc<VirtualKey>, Chain)>, GatewayError> {
        let Some(shown) = KeyText::read(text) else { return Ok(None) };
        let directory = self.directory().await?;
        let key = directory.key(&shown.id).filter(|key| key.takes(&shown.secret, self.now()));
        Ok(key.map(|key| (Arc::clone(key), directory.chain(key))))
    }

    /// Who sends the call: the virtual key in its headers, and without one the caller whom the server has let in.
    pub(crate) async fn principal(
        &self,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Result<Principal, GatewayError> {
        let Some(text) = shown(headers).filter(|text| text.starts_with(PREFIX)) else {
            return Ok(Principal { name: caller.name.clone(), key: None, chain: Chain::new(), caller });
        };
        let (key, chain) = self.taken(text).await?.ok_or(GatewayError::WrongKey)?;
        Ok(Principal { name: name_of(&key), key: Some(key), chain, caller })
    }
}

fn name_of(key: &VirtualKey) -> String {
    format!("key {}", key.name)
}

/// The secret that a client sends: `Authorization: Bearer …`, or `x-api-key` as Anthropic's do, or `x-goog-api-key` as Google's do.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let in_header = |name: &str| headers.get(name)?.to_str().ok();
    bearer
        .map(|(_, secret)| secret.trim())
        .or_else(|| in_header("x-api-key"))
        .or_else(|| in_header("x-goog-api-key"))
}

impl Principal {
    /// Whether they may use a model, under the name that was asked for or its own.
    pub(crate) fn may_use(&self, asked: &str, model: &str) -> bool {
        match &self.key {
            Some(key) => key.may_use(asked, model),
            None => self.caller.access.allows(ResourceType::LlmModel, model, Permission::Use),
        }
    }

    /// Refuses what the key is not for; a caller without one may ask by every route.
    pub(crate) fn may_ask(&self, route: KeyRoute) -> Result<(), GatewayError> {
        self.refuse_if(|terms| terms.refuses_route(route))
    }

    /// Whether the key is for some tools only.
    pub(crate) fn is_bound_to_tools(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.terms.tools.is_some())
    }

    /// Refuses tools that the key is not for.
    pub(crate) fn may_offer(&self, offered: &[String]) -> Result<(), GatewayError> {
        self.refuse_if(|terms| terms.refuses_tools(offered))
    }

    /// Refuses what may offer tools that nobody sees here, where the key is not for all of them.
    pub(crate) fn may_offer_unseen(&self, what: &str) -> Result<(), GatewayError> {
        self.refuse_if(|terms| terms.refuses_unseen(what))
    }

    fn refuse_if(&self, refuses: impl FnOnce(&KeyTerms) -> Option<Denied>) -> Result<(), GatewayError> {
        match self.key.as_ref().and_then(|key| refuses(&key.terms)) {
            Some(denied) => Err(GatewayError::NotGranted { key: self.name.clone(), denied }),
            None => Ok(()),
        }
    }

    /// Whose the calls of the key are, whatever they say.
    pub(crate) fn user(&self) -> Option<&str> {
        self.key.as_ref()?.terms.user.as_deref()
    }

    /// Whether they may use a model that this server serves itself.
    pub(crate) fn may_use_local(&self, name: &str, permission: Permission) -> bool {
        match &self.key {
            Some(key) => key.may_use(name, name),
            None => self.caller.access.allows(ResourceType::Deployment, name, permission),
        }
    }
}

/// Lets virtual keys in, as callers without any other right. Whatever else is shown, `accounts` judges.
#[derive(Debug)]
pub struct IdentifyKeys {
    /// The gateway with its keys.
    pub gateway: Gateway,
    /// Who knows everybody else.
    pub accounts: Arc<dyn Identify>,
}

#[async_trait]
impl Identify for IdentifyKeys {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Caller>, Problem> {
        let secret = credentials.secret();
        if !secret.starts_with(PREFIX) {
            return self.accounts.identify(credentials).await;
        }
        let taken = self.gateway.taken(secret).await?;
        Ok(taken.map(|(key, _)| Caller {
            name: name_of(&key),
            user_id: None,
            access: Access::nothing(),
            by_token: true,
        }))
    }
}
