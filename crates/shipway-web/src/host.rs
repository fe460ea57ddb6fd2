//! Host names and origins as requests write them, and which of them a server answers to. Pure.
//!
//! A page of another site can make a browser send requests to a loopback address, under its own host name (DNS
//! rebinding) or with its own origin (a forged request). The names below are how such requests are told apart.

/// The host of an authority, `name`, `name:port`, `1.2.3.4:port` or `[v6]:port`, without its port; `None` when it is none.
pub(crate) fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        (&authority[..end], &authority[end..])
    } else {
        authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon))
    };
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    (!host.is_empty() && port_fits && !host.contains('@')).then_some(host)
}

/// Whether `host` (without a port) can only be this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a request to `host_authority` with this `Origin` comes from a page of this server (or of an allowed host).
pub(crate) fn is_own_origin(origin: &str, host_authority: Option<&str>, allowed_hosts: &[String]) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let without_default = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    if host_authority.is_some_and(|host| without_default(host) == without_default(authority)) {
        return true;
    }
    host_of(authority).is_some_and(|host| contains(allowed_hosts, host))
}

/// Whether `host` is one of `hosts`, letters of either case.
pub(crate) fn contains(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_told_from_its_port() {
        assert_eq!(host_of("localhost:8700"), Some("localhost"));
        assert_eq!(host_of("[::1]:8700"), Some("[::1]"));
        assert_eq!(host_of("[::1]"), Some("[::1]"));
        assert_eq!(host_of("127.0.0.1"), Some("127.0.0.1"));
        for wrong in ["", ":80", "[::1", "[::1]x", "a:b", "::1", "user@localhost"] {
            assert_eq!(host_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_names_that_cannot_be_rebound_are_loopback() {
        for loopback in ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for other in ["localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "evil.example"]
        {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn an_origin_is_our_own_when_it_names_the_host_that_was_asked() {
        let allowed = vec!["console.example".to_owned()];
        assert!(is_own_origin("http://127.0.0.1:8700", Some("127.0.0.1:8700"), &[]));
        assert!(is_own_origin("https://shipway.example", Some("shipway.example:443"), &[]));
        assert!(is_own_origin("https://console.example", Some("127.0.0.1:8700"), &allowed));
        for (origin, host) in [
            ("http://127.0.0.1:3000", Some("127.0.0.1:8700")),
            ("https://evil.example", Some("127.0.0.1:8700")),
            ("null", Some("127.0.0.1:8700")),
            ("file://", Some("127.0.0.1:8700")),
            ("http://127.0.0.1:8700", None),
            ("https://notconsole.example", Some("127.0.0.1:8700")),
        ] {
            assert!(!is_own_origin(origin, host, &allowed), "{origin}");
        }
    }
}
