//! Who shares answers that are kept.

use super::{Gateway, Principal};
use crate::{
    error::GatewayError,
    model::{CacheScope, GroupKind, Scope},
};

impl Gateway {
    /// Those among whom an answer to `principal` may be given again: the greatest group of the key that is no greater than `scope`, or else
    /// the key; of a caller without a key the caller alone. Never more than the definition says.
    pub(crate) async fn tenant(
        &self,
        principal: &Principal,
        scope: CacheScope,
    ) -> Result<String, GatewayError> {
        let directory = self.directory().await?;
        let fits = |member: &&Scope| match member {
            Scope::Key(_) => true,
            // What a call says of itself opens nothing.
            Scope::User(_) | Scope::Tag(_) => false,
            Scope::Group(name) => directory.group(name.as_str()).is_some_and(|group| {
                let as_scope = match group.kind {
                    GroupKind::Project => CacheScope::Project,
                    GroupKind::Team => CacheScope::Team,
                    GroupKind::Organisation => CacheScope::Organisation,
                };
                as_scope <= scope
            }),
        };
        // From the key to the greatest of its groups.
        let greatest = principal.chain.iter().rfind(fits);
        Ok(greatest.map_or_else(|| format!("caller/{}", principal.name), ToString::to_string))
    }
}
