//! Which addresses may be reached: those of the public internet, and the hosts that the operator allows by name. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Whether an address belongs to the public internet, also under the forms of IPv6 that carry one of IPv4.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match carried(address) {
            Some(carried) => is_public_v4(carried),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Where Azure's machines reach what runs them.
        || address.octets() == [168, 63, 129, 16]
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; within it 2001::/23 has special uses (tunnels among them), and 2001:db8::/32 and 3fff::/20 are
    // for documentation.
    let is_global_unicast = first & 0xe000 == 0x2000;
    let is_special = match first {
        0x2001 => second < 0x0200 || second == 0x0db8,
        0x3fff => second < 0x1000,
        _ => false,
    };
    is_global_unicast && !is_special
}

/// The address of IPv4 in one of IPv6: mapped, compatible, translated (NAT64), or of a 6to4 tunnel.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] => of(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] => of(high, low),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// An address that may be tried: what its host resolves to is checked again when it is connected to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The whole address.
    pub url: Url,
    /// Without brackets.
    pub host: String,
    /// Whether the operator allows the host, whatever its addresses are.
    pub is_allowed: bool,
}

/// A host whose address is not public, and that nobody allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host {host} resolves to {address}, which is not public")]
pub struct NotPublic {
    /// The host.
    pub host: String,
    /// What it resolves to.
    pub address: IpAddr,
}

/// Why an address may not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URL.
    #[error("it is no address: {0}")]
    Unreadable(url::ParseError),
    /// It is not reached by HTTP, or not encrypted.
    #[error("its scheme is {scheme}, and only {taken} can be reached")]
    Scheme {
        /// What it has.
        scheme: String,
        /// Those that may be reached, with commas between them.
        taken: &'static str,
    },
    /// It has a user or a password in it.
    #[error("it has credentials in it")]
    Credentials,
    /// It names no host.
    #[error("it names no host")]
    NoHost,
    /// Its host is an address that is not public.
    #[error(transparent)]
    NotPublic(#[from] NotPublic),
}

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Lower case, without a dot at the end.
    hosts: Vec<String>,
    http: bool,
}

fn plain(host: &str) -> String {
    host.trim().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_lowercase()
}

impl Allowed {
    /// These hosts, by name or address, whatever they resolve to; `http`: without encryption, too.
    pub fn new(hosts: &[String], http: bool) -> Self {
        Self { hosts: hosts.iter().map(|host| plain(host)).filter(|host| !host.is_empty()).collect(), http }
    }

    /// Whether a host is allowed by name.
    pub fn allows(&self, host: &str) -> bool {
        self.hosts.contains(&plain(host))
    }

    /// Reads an address, and says why it may not be reached.
    pub fn target(&self, text: &str) -> Result<Target, Refused> {
        let url = Url::parse(text).map_err(Refused::Unreadable)?;
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            scheme => {
                let taken = if self.http { "https, http" } else { "https" };
                return Err(Refused::Scheme { scheme: scheme.to_owned(), taken });
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        let (host, literal) = match url.host() {
            None => return Err(Refused::NoHost),
            Some(Host::Domain(name)) => (plain(name), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
        };
        let is_allowed = self.allows(&host);
        match literal {
            Some(address) if !is_allowed && !is_public(address) => Err(NotPublic { host, address }.into()),
            _ => Ok(Target { url, host, is_allowed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in
            ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "168.63.129.16",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
        assert!(is_public("::ffff:1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn an_address_is_reached_by_https_under_a_public_name() {
        let strict = Allowed::default();
        for good in [
            "https://example.com/hook?x=1",
            "https://example.com:8443/",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
        ] {
            assert!(strict.target(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https://user:pass@example.com/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data/",
        ] {
            assert!(strict.target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_operator_allows_hosts_by_name_and_plain_http() {
        let allowed =
            Allowed::new(&["Hooks.Internal.".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()], true);
        for good in
            ["http://hooks.internal/", "https://HOOKS.internal./", "http://127.0.0.1:9000/x", "http://[::1]/"]
        {
            assert!(allowed.target(good).unwrap().is_allowed, "{good}");
        }
        assert!(!allowed.target("http://example.com/").unwrap().is_allowed);
        assert!(allowed.target("http://127.0.0.2/").is_err());
    }
}
