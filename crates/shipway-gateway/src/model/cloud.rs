//! What a provider in a cloud is asked with: a region or a project, and credentials of the cloud.

use std::fmt;

/// Where a provider lies within a cloud, and what opens it beside an API key.
#[derive(Clone, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon Bedrock.
    Aws {
        /// Such as `eu-central-1`; requests are signed for it.
        region: String,
        /// What requests are signed with; none where an API key is shown instead.
        keys: Option<AwsKeys>,
    },
    /// Google's Vertex AI.
    Google {
        /// The project that is charged.
        project: String,
        /// A region, or `global`.
        location: String,
        /// A service account in Google's JSON, whose access tokens are fetched; none where one is given as API key.
        service_account: Option<String>,
    },
}

/// An access key of AWS.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Of temporary keys: the token that belongs to them.
    pub session_token: Option<String>,
}

/// Says where, never with what secret.
impl fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws { region, .. } => {
                formatter.debug_struct("Aws").field("region", region).finish_non_exhaustive()
            }
            Self::Google { project, location, .. } => formatter
                .debug_struct("Google")
                .field("project", project)
                .field("location", location)
                .finish_non_exhaustive(),
        }
    }
}

/// Says which, never its secret.
impl fmt::Debug for AwsKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AwsKeys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
