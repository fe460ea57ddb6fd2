//! Responses that providers keep for later calls.

use shipway_core::Timestamp;

use super::Scope;

/// A response that a provider keeps: later calls go on from it, read it, cancel it or delete it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptResponse {
    /// Its id, as the provider gave it.
    pub(crate) id: String,
    /// The provider at which it lies.
    pub(crate) provider: String,
    /// Whose it is: see [`owner`].
    pub(crate) owner: String,
    /// When it was created.
    pub(crate) created: Timestamp,
}

/// Whose a response is: the group of the key, so that the keys of an application share what one of them began; the key itself where it
/// has no group; the user where there is no key.
pub(crate) fn owner(chain: &[Scope], caller: &str) -> String {
    let group = chain.iter().find(|scope| matches!(scope, Scope::Group(_)));
    // Never a user or a tag: what a call says of itself opens nothing.
    let scope = group.or_else(|| chain.iter().find(|scope| matches!(scope, Scope::Key(_))));
    scope.map_or_else(|| format!("user/{caller}"), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_group_share_and_those_without_do_not() {
        let (key, group): (Scope, Scope) = ("key/ab".parse().unwrap(), "group/search".parse().unwrap());
        let above: Scope = "group/retail".parse().unwrap();
        assert_eq!(owner(&[key.clone(), group, above], "key ab"), "group/search");
        assert_eq!(owner(&[key], "key ab"), "key/ab");
        assert_eq!(owner(&[], "key/ab"), "user/key/ab");
    }
}
