//! Hosts are looked up once, and what they resolve to is checked.

use std::{net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Allowed, NotPublic, is_public};

/// A host that may not be reached, or that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReachable {
    /// It resolves to an address that is not public.
    #[error(transparent)]
    NotPublic(#[from] NotPublic),
    /// It resolves to none.
    #[error("host {host} cannot be resolved: {reason}")]
    Unknown {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
}

/// Looks hosts up for a client of HTTP. It connects to the very addresses that this gives, so nothing can change in between.
pub struct CheckedLookup(pub Arc<Allowed>);

impl Resolve for CheckedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let found = look_up(host, allowed.allows(host)).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a host. One that is not public refuses all, unless the host is allowed: a name that resolves to both kinds is meant
/// to deceive.
pub async fn look_up(host: &str, is_allowed: bool) -> Result<Vec<SocketAddr>, NotReachable> {
    let unknown = |reason: String| NotReachable::Unknown { host: host.to_owned(), reason };
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| unknown(error.to_string()))?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() {
        return Err(unknown("it has no address".to_owned()));
    }
    match found.iter().find(|address| !is_allowed && !is_public(address.ip())) {
        Some(address) => Err(NotPublic { host: host.to_owned(), address: address.ip() }.into()),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_unless_it_is_allowed() {
        assert!(matches!(look_up("localhost", false).await, Err(NotReachable::NotPublic(_))));
        assert!(look_up("localhost", true).await.is_ok());
        assert!(matches!(look_up("nowhere.invalid", true).await, Err(NotReachable::Unknown { .. })));
    }
}
