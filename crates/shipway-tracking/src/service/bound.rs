//! Which versions carry a tag: those that are bound to something by it.

use shipway_store::Row;

use crate::{
    error::TrackingError,
    service::{Tracking, promotion::number},
    store::{Stored, versions},
};

/// A version with one of its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedVersion {
    /// The registered model.
    pub model: String,
    /// The version.
    pub version: u32,
    /// The value of the tag.
    pub value: String,
    /// The aliases that name the version, in order.
    pub aliases: Vec<String>,
}

impl Tracking {
    /// Every version of every model that has the tag `key`, by model and version.
    pub async fn versions_tagged(&self, key: &str) -> Result<Vec<TaggedVersion>, TrackingError> {
        let mut found: Vec<TaggedVersion> = Vec::new();
        for row in versions::tagged(&mut self.reader(), key).await? {
            let (mut version, alias) = read(&row)?;
            match found.last_mut() {
                Some(last) if (&last.model, last.version) == (&version.model, version.version) => {
                    last.aliases.extend(alias);
                }
                _ => {
                    version.aliases.extend(alias);
                    found.push(version);
                }
            }
        }
        Ok(found)
    }
}

fn read(row: &Row) -> Stored<(TaggedVersion, Option<String>)> {
    let version = TaggedVersion {
        model: row.text("name")?,
        version: number(row.int("version")?),
        value: row.text("value")?,
        aliases: Vec::new(),
    };
    Ok((version, row.optional_text("alias")?))
}
