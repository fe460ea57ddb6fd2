//! Who may come in: the address a server may listen on, the names it answers to, and the credentials it takes.
//!
//! Deny by default. Without authentication a server listens on loopback only and answers to loopback names only;
//! any other address demands a token.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use http::{HeaderMap, Method, Uri, header};
use shipway_core::{Failure, Kind, Permission};

use crate::{
    Caller, Problem,
    credentials::{Credentials, Token},
    host::{contains, host_of, is_loopback, is_own_origin},
};

/// How callers make themselves known.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Nobody is asked; possible only on a loopback address.
    OpenOnLoopback,
    /// The operator shows this token, as a bearer token or as a basic password; it carries every permission. Others are users, where
    /// the guard knows who tells them.
    Token(Token),
}

/// Who knows the users of this server, and the tokens that they made.
#[async_trait]
pub trait Identify: std::fmt::Debug + Send + Sync {
    /// The caller with these credentials, or `None` when they are wrong. Takes as long for a user that does not exist as for one that
    /// does.
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Caller>, Problem>;
}

/// Judges every request before its body is read.
#[derive(Debug, Clone)]
pub struct Guard {
    authentication: Authentication,
    allowed_hosts: Vec<String>,
    users: Option<Arc<dyn Identify>>,
}

/// A server without authentication was told to listen where others can reach it.
#[derive(Debug, thiserror::Error)]
#[error("address {address} can be reached from other machines, and no access token is set")]
pub struct BindRefused {
    /// The address that was refused.
    pub address: SocketAddr,
}

impl Failure for BindRefused {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &'static str {
        "web.open_address"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("set SHIPWAY_TOKEN, or listen on 127.0.0.1".into())
    }
}

impl Guard {
    /// A guard that answers to loopback names only (without authentication) or to every name (with a token).
    pub fn new(authentication: Authentication) -> Self {
        Self { authentication, allowed_hosts: Vec::new(), users: None }
    }

    /// The guard of a server that nobody but this machine can reach.
    pub fn open_on_loopback() -> Self {
        Self::new(Authentication::OpenOnLoopback)
    }

    /// The same guard, answering to these host names (without ports) beside loopback ones, and taking their origins.
    /// With a token and at least one name, names that are not listed are refused.
    #[must_use]
    pub fn with_allowed_hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed_hosts.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// The same guard, letting in who these users are. Without a token of the operator everybody is let in already.
    #[must_use]
    pub fn with_users(mut self, users: Arc<dyn Identify>) -> Self {
        self.users = Some(users);
        self
    }

    /// Refuses an address that others can reach while nobody is asked who they are. Call it before binding.
    pub fn check_bind(&self, address: SocketAddr) -> Result<(), BindRefused> {
        match self.authentication {
            Authentication::OpenOnLoopback if !address.ip().to_canonical().is_loopback() => {
                Err(BindRefused { address })
            }
            _ => Ok(()),
        }
    }

    /// Lets a request in under the name of its caller, or says why not.
    pub(crate) async fn admit(
        &self,
        permission: Permission,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Caller, Problem> {
        let authority = authority_of(uri, headers)?;
        self.check_host(permission, authority)?;
        if !method.is_safe() {
            self.check_origin(headers, authority)?;
        }
        self.check_credentials(permission, headers).await
    }

    /// A request without a host name comes from no browser, so it cannot have been rebound.
    fn check_host(&self, permission: Permission, authority: Option<&str>) -> Result<(), Problem> {
        let restricted = match self.authentication {
            Authentication::OpenOnLoopback => true,
            // Probes ask public routes under the address of the machine.
            Authentication::Token(_) => !self.allowed_hosts.is_empty() && permission != Permission::Public,
        };
        let Some(authority) = authority.filter(|_| restricted) else { return Ok(()) };
        let known =
            host_of(authority).is_some_and(|host| is_loopback(host) || contains(&self.allowed_hosts, host));
        if known {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            "web.unknown_host",
            format!("host {authority}: this server does not answer to that name"),
        )
        .with_hint("use 127.0.0.1 or localhost, or add the name to the allowed hosts of the server"))
    }

    fn check_origin(&self, headers: &HeaderMap, authority: Option<&str>) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let own = origin.to_str().is_ok_and(|origin| is_own_origin(origin, authority, &self.allowed_hosts));
        if own {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            "web.foreign_origin",
            format!(
                "origin {}: a page of another site may not change anything here",
                String::from_utf8_lossy(origin.as_bytes())
            ),
        )
        .with_hint("add the host of that page to the allowed hosts of the server if it is yours"))
    }

    async fn check_credentials(
        &self,
        permission: Permission,
        headers: &HeaderMap,
    ) -> Result<Caller, Problem> {
        let Authentication::Token(token) = &self.authentication else {
            return Ok(Caller::operator("local"));
        };
        if permission == Permission::Public {
            return Ok(Caller::anonymous());
        }
        let shown = Credentials::shown(headers);
        if let Ok(Some(credentials)) = &shown {
            if token.equals(credentials.secret()) {
                return Ok(Caller::operator(credentials.user().unwrap_or("token")));
            }
            if let Some(users) = &self.users
                && let Some(caller) = users.identify(credentials).await?
            {
                return Ok(caller);
            }
        }
        let (code, detail) = match shown {
            Ok(Some(_)) => {
                ("web.wrong_credentials", "the token, or the user name with its password, is wrong")
            }
            Ok(None) => ("web.no_credentials", "the request says nothing about who sends it"),
            Err(_) => ("web.unreadable_credentials", "the authorization header cannot be read"),
        };
        Err(Problem::new(Kind::Unauthenticated, code, detail).with_hint(
            "send a token as `Authorization: Bearer <token>`, or a user name and a password as basic credentials",
        ))
    }
}

/// The authority that was asked: in the request line (HTTP/2 and absolute URIs), else in the `Host` header.
fn authority_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, Problem> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    headers
        .get(header::HOST)
        .map(|host| host.to_str())
        .transpose()
        .map_err(|_| Problem::new(Kind::Invalid, "web.unreadable_host", "the host header cannot be read"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    async fn admits(
        guard: &Guard,
        permission: Permission,
        method: Method,
        pairs: &[(header::HeaderName, &str)],
    ) -> Result<String, &'static str> {
        guard
            .admit(permission, &method, &Uri::from_static("/x"), &headers(pairs))
            .await
            .map(|caller| caller.name)
            .map_err(|problem| problem.code())
    }

    #[test]
    fn without_authentication_only_a_loopback_address_may_be_bound() {
        let open = Guard::open_on_loopback();
        for address in ["127.0.0.1:8700", "[::1]:8700", "127.1.2.3:1", "[::ffff:127.0.0.1]:1"] {
            assert!(open.check_bind(address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:8700", "[::]:8700", "10.0.0.5:8700", "[::ffff:10.0.0.5]:1"] {
            assert!(open.check_bind(address.parse().unwrap()).is_err(), "{address}");
        }
        let closed = Guard::new(Authentication::Token(Token::new("sixteen characters").unwrap()));
        assert!(closed.check_bind("0.0.0.0:8700".parse().unwrap()).is_ok());
    }

    #[tokio::test]
    async fn without_authentication_a_rebound_host_name_is_refused_on_every_route() {
        let open = Guard::open_on_loopback().with_allowed_hosts(["shipway.lan"]);
        for host in ["localhost:8700", "127.0.0.1:8700", "[::1]:8700", "shipway.lan:8700", "SHIPWAY.lan"] {
            assert_eq!(
                admits(&open, Permission::Read, Method::GET, &[(header::HOST, host)]).await,
                Ok("local".into())
            );
        }
        for permission in [Permission::Public, Permission::Read] {
            let refused =
                admits(&open, permission, Method::GET, &[(header::HOST, "evil.example:8700")]).await;
            assert_eq!(refused, Err("web.unknown_host"));
        }
    }

    #[tokio::test]
    async fn the_authority_of_the_request_line_decides_before_the_host_header() {
        let uri = Uri::from_static("http://evil.example/x");
        let admitted = Guard::open_on_loopback()
            .admit(Permission::Read, &Method::GET, &uri, &headers(&[(header::HOST, "localhost")]))
            .await;
        assert_eq!(admitted.unwrap_err().code(), "web.unknown_host");
    }

    #[tokio::test]
    async fn a_page_of_another_site_may_not_change_anything() {
        let open = Guard::open_on_loopback();
        let from = |origin| [(header::HOST, "localhost:8700"), (header::ORIGIN, origin)];
        assert!(admits(&open, Permission::Write, Method::POST, &from("http://localhost:8700")).await.is_ok());
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let refused = admits(&open, Permission::Write, method, &from("https://evil.example")).await;
            assert_eq!(refused, Err("web.foreign_origin"));
        }
        assert!(admits(&open, Permission::Read, Method::GET, &from("https://evil.example")).await.is_ok());
    }

    #[tokio::test]
    async fn with_a_token_every_route_but_the_public_ones_asks_for_it() {
        let guard = Guard::new(Authentication::Token(Token::new("sixteen characters").unwrap()));
        let right = [(header::AUTHORIZATION, "Bearer sixteen characters")];
        assert_eq!(admits(&guard, Permission::Manage, Method::POST, &right).await, Ok("token".into()));
        assert_eq!(admits(&guard, Permission::Public, Method::GET, &[]).await, Ok("anonymous".into()));
        for permission in [Permission::Read, Permission::Write, Permission::Use, Permission::Manage] {
            assert_eq!(admits(&guard, permission, Method::GET, &[]).await, Err("web.no_credentials"));
        }
    }
}
