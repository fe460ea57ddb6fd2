//! Where the history of batch sources may lie, and who asks the store of the buckets.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_lake::{OutsideOptions, S3Credentials, S3Options};

use crate::failure::CommandFailure;

/// Files and tables of somebody else that sources may load.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourcesConfiguration {
    /// Absolute folders in which sources may name files and Delta tables; none without any
    pub(crate) allowed_folders: Vec<PathBuf>,
    /// Buckets, as `bucket` or `bucket/folder`, in which sources may name files and Delta tables; none without any
    pub(crate) allowed_buckets: Vec<String>,
    /// Files that one source may name
    pub(crate) most_files: usize,
    /// MiB of one file, packed or unpacked; it is copied into the data folder while it is loaded
    pub(crate) file_mib: u64,
    /// The store of the buckets
    pub(crate) s3: S3Configuration,
}

/// An S3-speaking store. Nothing but these keys decides who asks it: no profile, no role, no metadata service.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct S3Configuration {
    /// Address of the store, `https://…` or `http://…`; without it that of AWS in the region
    pub(crate) endpoint: Option<String>,
    /// Region of the buckets
    pub(crate) region: String,
    /// Whether the bucket is the first part of the path (MinIO, Ceph) rather than of the host name (AWS)
    pub(crate) path_style: bool,
    /// Id of the key that requests are signed with
    pub(crate) access_key_id: Option<String>,
    /// Secret of that key
    pub(crate) secret_access_key: Option<String>,
    /// Session token of that key, if it is a lent one
    pub(crate) session_token: Option<String>,
    /// Whether requests go unsigned, for buckets that anybody may read
    pub(crate) anonymous: bool,
}

impl Default for SourcesConfiguration {
    fn default() -> Self {
        Self {
            allowed_folders: Vec::new(),
            allowed_buckets: Vec::new(),
            most_files: 100_000,
            file_mib: 16 * 1024,
            s3: S3Configuration::default(),
        }
    }
}

impl Default for S3Configuration {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            path_style: false,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            anonymous: false,
        }
    }
}

/// Says who asks, never with what secret.
impl fmt::Debug for S3Configuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Configuration")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("access_key_id", &self.access_key_id)
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

impl SourcesConfiguration {
    /// As the lake takes it; what contradicts itself is refused when the server starts.
    pub(crate) fn outside(&self) -> Result<OutsideOptions, CommandFailure> {
        let wrong = |what: String, hint: &str| Err(CommandFailure::new(what).with_hint(hint));
        if let Some(folder) = self.allowed_folders.iter().find(|folder| !folder.is_absolute()) {
            let what = format!("sources.allowed_folders: {} is not absolute", folder.display());
            return wrong(what, "write the whole path, from /");
        }
        let s3 = &self.s3;
        if let Some(endpoint) = &s3.endpoint
            && !(endpoint.starts_with("https://") || endpoint.starts_with("http://"))
        {
            return wrong(
                format!("sources.s3.endpoint: {endpoint} is no address"),
                "start it with https:// or http://",
            );
        }
        let credentials = match (&s3.access_key_id, &s3.secret_access_key) {
            (Some(id), Some(secret)) if !s3.anonymous => S3Credentials::Key {
                id: id.clone(),
                secret: secret.clone(),
                session: s3.session_token.clone(),
            },
            (None, None) if s3.anonymous => S3Credentials::Anonymous,
            (None, None) => S3Credentials::Missing,
            (Some(_), Some(_)) => {
                let what = "sources.s3: both a key and anonymous are set".to_owned();
                return wrong(what, "drop one of the two");
            }
            _ => {
                let what = "sources.s3: one of access_key_id and secret_access_key is missing".to_owned();
                return wrong(what, "set both, or sources.s3.anonymous");
            }
        };
        Ok(OutsideOptions {
            folders: self.allowed_folders.clone(),
            buckets: self.allowed_buckets.clone(),
            s3: S3Options {
                endpoint: s3.endpoint.clone(),
                region: Some(s3.region.clone()),
                path_style: s3.path_style,
                credentials,
            },
            most_files: self.most_files,
            most_bytes: self.file_mib << 20,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut SourcesConfiguration)) -> String {
        let mut configuration = SourcesConfiguration::default();
        change(&mut configuration);
        configuration.outside().unwrap_err().message
    }

    #[test]
    fn what_contradicts_itself_is_refused_when_the_server_starts() {
        assert!(refusal(|sources| sources.allowed_folders = vec!["data".into()]).contains("is not absolute"));
        assert!(refusal(|sources| sources.s3.endpoint = Some("s3.local".into())).contains("is no address"));
        assert!(refusal(|sources| sources.s3.access_key_id = Some("id".into())).contains("is missing"));
        let both = |sources: &mut SourcesConfiguration| {
            sources.s3.access_key_id = Some("id".into());
            sources.s3.secret_access_key = Some("secret".into());
            sources.s3.anonymous = true;
        };
        assert!(refusal(both).contains("both a key and anonymous"));
    }

    #[test]
    fn nothing_is_allowed_by_default_and_no_secret_is_shown() {
        let outside = SourcesConfiguration::default().outside().unwrap();
        assert!(outside.folders.is_empty() && outside.buckets.is_empty());
        assert!(matches!(outside.s3.credentials, S3Credentials::Missing));
        let s3 = S3Configuration { secret_access_key: Some("hush".into()), ..S3Configuration::default() };
        assert!(!format!("{s3:?}").contains("hush"));
    }
}
