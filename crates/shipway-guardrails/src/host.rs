//! Addresses of the web, by their host.

use std::ops::Range;

use crate::detector::Hosts;

/// An address with its scheme; `ftp` and sockets too.
pub(crate) const PATTERN: &str =
    r#"(?i-u:\b(?:https?|ftp|wss?)://)[^\s"'<>/?\#]{1,255}(?:[/?\#][^\s"'<>]{0,1024})?"#;

/// The address, if its host is not let through. Signs that end a sentence are no part of it.
pub(crate) fn not_allowed(hosts: &Hosts, text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let address = text[range.clone()].trim_end_matches(['.', ',', ';', ':', '!', ')', ']', '}', '*', '`']);
    let host = host_of(address);
    (!is_allowed(hosts, &host)).then_some(range.start..range.start + address.len())
}

/// The host as resolvers read it: without who signs in, without the port, in small letters, without a last point. A backslash ends it, as
/// browsers have it.
fn host_of(address: &str) -> String {
    let behind = address.split_once("://").map_or(address, |(_, behind)| behind);
    let authority = behind.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.trim_end_matches('.').to_lowercase()
}

fn is_allowed(hosts: &Hosts, host: &str) -> bool {
    let is_in = |list: &[String]| {
        list.iter().any(|item| {
            host.strip_suffix(item.as_str()).is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    };
    !is_in(&hosts.deny) && (hosts.allow.is_empty() || is_in(&hosts.allow))
}
