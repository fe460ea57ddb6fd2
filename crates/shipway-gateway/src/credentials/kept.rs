//! A secret that is kept here, and may change while the server runs.

use std::sync::{PoisonError, RwLock};

use http::{HeaderName, HeaderValue};
use reqwest::Request;
use shipway_dialects::{ApiError, Cause};

use super::secret_value;
use crate::{
    model::ProviderSpec,
    vault::{Opened, Vault},
};

/// A secret in a header, by the name under which it is kept.
pub(crate) struct Kept {
    provider: String,
    name: String,
    header: HeaderName,
    /// What stands before it in the header.
    before: &'static str,
    /// Or why there is none.
    value: RwLock<Result<HeaderValue, String>>,
}

impl Kept {
    pub(super) fn new(spec: &ProviderSpec, name: &str) -> Self {
        let (header, before) = spec.kind.secret();
        let (provider, name) = (spec.name.clone(), name.to_owned());
        let value = RwLock::new(Err(unkept(&name)));
        Self { provider, name, header, before, value }
    }

    /// As it is kept now.
    pub(super) fn take_from(&self, vault: &Vault) {
        let value = match vault.find(&self.name) {
            Some(Opened::Open(text)) => secret_value(&self.provider, &format!("{}{}", self.before, text.0))
                .map_err(|_| format!("the secret {} cannot stand in a header", self.name)),
            Some(Opened::Shut(_)) => Err(format!("the secret {} cannot be opened", self.name)),
            None => Err(unkept(&self.name)),
        };
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub(super) fn put(&self, request: &mut Request) -> Result<(), ApiError> {
        match &*self.value.read().unwrap_or_else(PoisonError::into_inner) {
            Ok(value) => {
                request.headers_mut().insert(self.header.clone(), value.clone());
                Ok(())
            }
            Err(reason) => {
                tracing::error!(provider = self.provider, reason, "a provider is not asked");
                Err(ApiError::new(Cause::Upstream, "the provider cannot be asked: its secret is missing"))
            }
        }
    }
}

fn unkept(name: &str) -> String {
    format!("the secret {name} is not kept: `shipway llm secrets put {name}`")
}
