//! Grants: a level on one thing of a type, or on all of them, as people write them.

use std::{fmt, str::FromStr};

use crate::Permission;

/// A type of things that may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// Experiments with their runs, traces, logged models, files, data sets and scorers. Ids are experiment ids.
    Experiment,
    /// Registered models and prompts with their versions and aliases. Ids are names.
    RegisteredModel,
    /// Definitions of features, sources, views, gates.
    Definition,
    /// Sources of events: what is sent to them, read from brokers, and sent on by sinks.
    Source,
    /// Tables, SQL and training sets.
    Table,
    /// Feature values and the states of views.
    Feature,
    /// Deployments and their predictions.
    Deployment,
    /// Models of language at providers, with the keys and groups that use them. Ids are names.
    LlmModel,
    /// What was asked of models of language and what they answered, where their definitions keep it.
    LlmContent,
    /// Work that outlives a request.
    Job,
    /// Receivers of news about models.
    Webhook,
    /// Metrics and status of the server.
    Server,
    /// One workspace with its experiments, models and webhooks, where a name is given. Without one, everything that there is: at the level
    /// `use` its holder may create experiments and models in every workspace, which they then manage; at `manage` they manage
    /// everything, roles and grants included. Ids are names.
    Workspace,
}

/// All types, in the order in which they are listed.
pub const RESOURCE_TYPES: [ResourceType; 13] = [
    ResourceType::Experiment,
    ResourceType::RegisteredModel,
    ResourceType::Definition,
    ResourceType::Source,
    ResourceType::Table,
    ResourceType::Feature,
    ResourceType::Deployment,
    ResourceType::LlmModel,
    ResourceType::LlmContent,
    ResourceType::Job,
    ResourceType::Webhook,
    ResourceType::Server,
    ResourceType::Workspace,
];

impl ResourceType {
    /// Its name: `registered_model`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::RegisteredModel => "registered_model",
            Self::Definition => "definition",
            Self::Source => "source",
            Self::Table => "table",
            Self::Feature => "feature",
            Self::Deployment => "deployment",
            Self::LlmModel => "llm_model",
            Self::LlmContent => "llm_content",
            Self::Job => "job",
            Self::Webhook => "webhook",
            Self::Server => "server",
            Self::Workspace => "workspace",
        }
    }

    /// Whether one thing of the type can be granted. Of the others only all can.
    pub const fn has_ids(self) -> bool {
        matches!(self, Self::Experiment | Self::RegisteredModel | Self::LlmModel | Self::Workspace)
    }

    /// Whether things of the type lie in a workspace, so that who was granted that has them too.
    pub const fn is_in_a_workspace(self) -> bool {
        matches!(self, Self::Experiment | Self::RegisteredModel | Self::Webhook)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for ResourceType {
    type Err = NotAGrant;

    fn from_str(word: &str) -> Result<Self, NotAGrant> {
        let known = RESOURCE_TYPES.into_iter().find(|resource| resource.word() == word);
        known.ok_or_else(|| NotAGrant::UnknownType { word: word.to_owned() })
    }
}

/// What a grant gives. Each level but the first includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing, whatever other grants say.
    Deny,
    /// Read it.
    Read,
    /// Ask it: features, predictions.
    Use,
    /// Write to it.
    Edit,
    /// Change what is served, delete it, grant it to others.
    Manage,
}

const LEVELS: [Level; 5] = [Level::Deny, Level::Read, Level::Use, Level::Edit, Level::Manage];

impl Level {
    /// Its name: `edit`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Read => "read",
            Self::Use => "use",
            Self::Edit => "edit",
            Self::Manage => "manage",
        }
    }

    /// Whether a holder of this level may do what `permission` says.
    pub const fn allows(self, permission: Permission) -> bool {
        let needed = match permission {
            Permission::Public | Permission::Known => return true,
            Permission::Read => Self::Read,
            Permission::Use => Self::Use,
            Permission::Write => Self::Edit,
            Permission::Manage => Self::Manage,
        };
        self as u8 >= needed as u8
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for Level {
    type Err = NotAGrant;

    fn from_str(word: &str) -> Result<Self, NotAGrant> {
        let known = LEVELS.into_iter().find(|level| level.word().eq_ignore_ascii_case(word));
        known.ok_or_else(|| NotAGrant::UnknownLevel { word: word.to_owned() })
    }
}

/// A level on one thing of a type, or on all of them. Written `experiment:edit` or `experiment/7:edit`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    resource: ResourceType,
    /// One thing; all of them when `None`.
    id: Option<String>,
    level: Level,
}

/// Why something is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAGrant {
    /// Nothing of that type can be granted.
    #[error("resource type {word}: unknown")]
    UnknownType {
        /// What was given.
        word: String,
    },
    /// There is no such level.
    #[error("level {word}: unknown")]
    UnknownLevel {
        /// What was given.
        word: String,
    },
    /// Only all things of this type can be granted.
    #[error("{resource} {id}: only all of this type can be granted")]
    OnlyAll {
        /// The type.
        resource: ResourceType,
        /// The id that was given.
        id: String,
    },
    /// All workspaces together can be used or managed.
    #[error("level {level}: every workspace is granted at use or manage")]
    NotOfEveryWorkspace {
        /// The level that was given.
        level: Level,
    },
    /// It is not written as a grant.
    #[error("grant {text}: unreadable")]
    Unreadable {
        /// What was given.
        text: String,
    },
}

impl NotAGrant {
    /// What can be written instead.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownType { .. } => {
                format!("types: {}", RESOURCE_TYPES.map(ResourceType::word).join(", "))
            }
            Self::UnknownLevel { .. } => format!("levels: {}", LEVELS.map(Level::word).join(", ")),
            Self::OnlyAll { .. } => "leave the id out, or give *".to_owned(),
            Self::NotOfEveryWorkspace { .. } => {
                "use: create experiments and models; manage: everything; one workspace is workspace/NAME:LEVEL"
                    .to_owned()
            }
            Self::Unreadable { .. } => {
                "write TYPE:LEVEL or TYPE/ID:LEVEL, such as experiment:read or registered_model/churn:manage"
                    .to_owned()
            }
        }
    }
}

impl Grant {
    /// A grant on one thing, or on every thing of its type.
    pub fn new(resource: ResourceType, id: Option<String>, level: Level) -> Result<Self, NotAGrant> {
        if let Some(id) = &id
            && !resource.has_ids()
        {
            return Err(NotAGrant::OnlyAll { resource, id: id.clone() });
        }
        let is_every_workspace = resource == ResourceType::Workspace && id.is_none();
        if is_every_workspace && !matches!(level, Level::Use | Level::Manage) {
            return Err(NotAGrant::NotOfEveryWorkspace { level });
        }
        Ok(Self { resource, id, level })
    }

    /// The type of what is granted.
    pub fn resource(&self) -> ResourceType {
        self.resource
    }

    /// The one thing that is granted, or `None` for all.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What is granted.
    pub fn level(&self) -> Level {
        self.level
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(formatter, "{}/{id}:{}", self.resource, self.level),
            None => write!(formatter, "{}:{}", self.resource, self.level),
        }
    }
}

impl FromStr for Grant {
    type Err = NotAGrant;

    fn from_str(text: &str) -> Result<Self, NotAGrant> {
        // From the end: names of models may have slashes, and no level has a colon.
        let (thing, level) =
            text.rsplit_once(':').ok_or_else(|| NotAGrant::Unreadable { text: text.to_owned() })?;
        let (resource, id) = match thing.split_once('/') {
            Some((resource, id)) => (resource, Some(id)),
            None => (thing, None),
        };
        let id = id.filter(|id| *id != "*");
        if id == Some("") {
            return Err(NotAGrant::Unreadable { text: text.to_owned() });
        }
        Self::new(resource.parse()?, id.map(str::to_owned), level.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_reads_as_it_is_written() {
        for text in [
            "experiment:edit",
            "experiment/7:read",
            "registered_model/a/b:c:manage",
            "workspace:use",
            "workspace/team-a:read",
            "workspace/team-a:deny",
        ] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        assert_eq!("table/*:READ".parse::<Grant>().unwrap().to_string(), "table:read");
        for text in [
            "",
            "experiment",
            "experiment:own",
            "thing:read",
            "table/a:read",
            "workspace:edit",
            "workspace/*:deny",
            "experiment/:read",
        ] {
            let refused = text.parse::<Grant>().unwrap_err();
            assert!(!refused.hint().is_empty(), "{text}");
        }
    }
}
