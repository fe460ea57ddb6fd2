//! Webhooks: who is told of which changes.

/// What an event is about. The words are those of payloads; the wire writes them in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Entity {
    RegisteredModel,
    ModelVersion,
    ModelVersionTag,
    ModelVersionAlias,
    Prompt,
    PromptVersion,
    PromptTag,
    PromptVersionTag,
    PromptAlias,
    BudgetPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Created,
    Updated,
    Deleted,
    Set,
    Exceeded,
}

impl Entity {
    pub(crate) const ALL: [Self; 10] = [
        Self::RegisteredModel,
        Self::ModelVersion,
        Self::ModelVersionTag,
        Self::ModelVersionAlias,
        Self::Prompt,
        Self::PromptVersion,
        Self::PromptTag,
        Self::PromptVersionTag,
        Self::PromptAlias,
        Self::BudgetPolicy,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::RegisteredModel => "registered_model",
            Self::ModelVersion => "model_version",
            Self::ModelVersionTag => "model_version_tag",
            Self::ModelVersionAlias => "model_version_alias",
            Self::Prompt => "prompt",
            Self::PromptVersion => "prompt_version",
            Self::PromptTag => "prompt_tag",
            Self::PromptVersionTag => "prompt_version_tag",
            Self::PromptAlias => "prompt_alias",
            Self::BudgetPolicy => "budget_policy",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.word() == word)
    }

    const fn actions(self) -> &'static [Action] {
        match self {
            Self::RegisteredModel | Self::ModelVersion | Self::Prompt | Self::PromptVersion => {
                &[Action::Created]
            }
            Self::ModelVersionTag | Self::PromptTag | Self::PromptVersionTag => {
                &[Action::Set, Action::Deleted]
            }
            Self::ModelVersionAlias | Self::PromptAlias => &[Action::Created, Action::Deleted],
            Self::BudgetPolicy => &[Action::Exceeded],
        }
    }
}

impl Action {
    pub(crate) const ALL: [Self; 5] =
        [Self::Created, Self::Updated, Self::Deleted, Self::Set, Self::Exceeded];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Set => "set",
            Self::Exceeded => "exceeded",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// A kind of event that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EventKind {
    pub(crate) entity: Entity,
    pub(crate) action: Action,
}

impl EventKind {
    /// `None` for a pair that never happens, such as the update of an alias.
    pub(crate) fn of(entity: Entity, action: Action) -> Option<Self> {
        entity.actions().contains(&action).then_some(Self { entity, action })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookStatus {
    Active,
    Disabled,
}

impl WebhookStatus {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }

    /// Anything but `ACTIVE` sends nothing.
    pub(crate) fn from_word(word: &str) -> Self {
        if word == "ACTIVE" { Self::Active } else { Self::Disabled }
    }
}

/// A webhook. Its sealed secret is what the signature is made with; it leaves this crate nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) webhook_id: String,
    pub(crate) workspace: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) url: String,
    pub(crate) sealed_secret: String,
    pub(crate) status: WebhookStatus,
    pub(crate) events: Vec<EventKind>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// Without secret and address: paths of such addresses are often secrets themselves.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Webhook")
            .field("webhook_id", &self.webhook_id)
            .field("name", &self.name)
            .field("status", &self.status)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_only_events_that_happen_exist() {
        for entity in Entity::ALL {
            assert_eq!(Entity::from_word(entity.word()), Some(entity));
        }
        let mut kinds = 0;
        for entity in Entity::ALL {
            for action in Action::ALL {
                assert_eq!(Action::from_word(action.word()), Some(action));
                kinds += usize::from(EventKind::of(entity, action).is_some());
            }
        }
        assert_eq!(kinds, 15);
        assert_eq!(EventKind::of(Entity::PromptAlias, Action::Updated), None);
    }
}
