//! How a request shows a provider who asks: a secret in a header, a signature of AWS, an access token of Google.
//!
//! - `aws`: signatures
//! - `google`: access tokens, fetched and kept
//! - `kept`: a secret that is kept here
//! - `service_account`: who asks Google for them

mod aws;
mod google;
mod kept;
mod service_account;

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};
use reqwest::{Client, Request};
use shipway_core::Clock;
use shipway_dialects::ApiError;
use tokio_util::task::TaskTracker;

use crate::{
    error::GatewayError,
    model::{Cloud, ProviderSpec},
    vault::Vault,
};
use aws::Signer;
use google::Tokens;
use kept::Kept;
use service_account::ServiceAccount;

/// What credentials work with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tracker: TaskTracker,
}

/// What is shown to one provider.
pub(crate) enum Credentials {
    /// A server that asks for none.
    None,
    Header(HeaderName, HeaderValue),
    Kept(Kept),
    Aws(Box<Signer>),
    Google(Arc<Tokens>),
}

/// Says of which kind, never what.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Header(..) => "Header",
            Self::Kept(_) => "Kept",
            Self::Aws(_) => "Aws",
            Self::Google(_) => "Google",
        })
    }
}

impl Credentials {
    pub(crate) fn new(
        spec: &ProviderSpec,
        client: &Client,
        surroundings: &Surroundings,
    ) -> Result<Self, GatewayError> {
        if let Some(key) = &spec.api_key {
            let (name, before) = spec.kind.secret();
            return Ok(Self::Header(name, secret_value(&spec.name, &format!("{before}{key}"))?));
        }
        if let Some(name) = &spec.api_key_secret {
            return Ok(Self::Kept(Kept::new(spec, name)));
        }
        Ok(match &spec.cloud {
            Some(Cloud::Aws { region, keys: Some(keys) }) => {
                Self::Aws(Box::new(Signer::new(region, keys, Arc::clone(&surroundings.clock))))
            }
            Some(Cloud::Google { service_account: Some(json), .. }) => {
                let account = ServiceAccount::read(json)
                    .map_err(|why| GatewayError::invalid("providers", format!("{}: {why}", spec.name)))?;
                Self::Google(Arc::new(Tokens::new(account, client.clone(), surroundings.clone())))
            }
            _ => Self::None,
        })
    }

    /// Puts them into a request that is otherwise complete. A failure means that nothing can be sent.
    pub(crate) async fn put(&self, request: &mut Request) -> Result<(), ApiError> {
        match self {
            Self::None => {}
            Self::Header(name, value) => {
                request.headers_mut().insert(name.clone(), value.clone());
            }
            Self::Kept(kept) => kept.put(request)?,
            Self::Aws(signer) => signer.sign(request)?,
            Self::Google(tokens) => {
                let token = tokens.header().await?;
                request.headers_mut().insert(http::header::AUTHORIZATION, token);
            }
        }
        Ok(())
    }

    /// Takes a secret that is kept here as it is now.
    pub(crate) fn take_from(&self, vault: &Vault) {
        if let Self::Kept(kept) = self {
            kept.take_from(vault);
        }
    }

    /// The provider did not accept them: what was fetched is not shown again.
    pub(crate) fn were_refused(&self) {
        if let Self::Google(tokens) = self {
            tokens.forget();
        }
    }
}

fn secret_value(provider: &str, text: &str) -> Result<HeaderValue, GatewayError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        GatewayError::invalid("providers", format!("the key of {provider} cannot stand in a header"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}
