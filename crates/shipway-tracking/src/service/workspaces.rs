//! Use cases of workspaces: which there are, in which one a request is, and what becomes of the contents of one that goes.
//!
//! Their names are in memory too, as every request asks for one; one server writes a database, so nobody else changes them.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use serde_json::json;
use shipway_core::{ResourceType, Workspace, of_model_key};
use shipway_store::Transaction;
use shipway_web::Caller;
use tokio_util::sync::CancellationToken;

use super::{Tracking, experiments::own_location};
use crate::{
    error::{Thing, TrackingError},
    model::{Contents, Lifecycle, WorkspaceInfo, bounds},
    store::{self, Rows, purge::Family},
};

/// Names that stand in the way, and are named.
const NAMED: i64 = 20;
/// Since when the contents of a workspace that goes count as deleted: since ever, so that no purge waits for them.
const SINCE_EVER_MS: i64 = 0;

/// The workspaces that there are besides `default`.
#[derive(Debug, Default)]
pub(super) struct Known(RwLock<BTreeSet<String>>);

impl Known {
    fn replace(&self, all: &[WorkspaceInfo]) {
        let others =
            all.iter().map(|one| one.name.clone()).filter(|name| *name != shipway_core::DEFAULT_WORKSPACE);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others.collect();
    }

    fn contains(&self, workspace: &Workspace) -> bool {
        workspace.is_default()
            || self.0.read().unwrap_or_else(PoisonError::into_inner).contains(workspace.as_str())
    }

    fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// What a client wants changed of a workspace; `None` stays, an empty place is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WorkspaceChange {
    pub(crate) description: Option<String>,
    pub(crate) artifact_root: Option<String>,
}

impl WorkspaceChange {
    fn apply(self, to: &mut WorkspaceInfo) -> Result<(), TrackingError> {
        if let Some(description) = self.description {
            bounds::workspace_description(&description)?;
            to.description = Some(description);
        }
        if let Some(root) = self.artifact_root {
            let root = root.trim();
            to.artifact_root =
                if root.is_empty() { String::new() } else { own_location("default_artifact_root", root)? };
        }
        Ok(())
    }
}

/// Reads a name that a client gave.
fn named(name: &str) -> Result<Workspace, TrackingError> {
    Workspace::parse(name).map_err(|refused| TrackingError::invalid("workspace", refused.to_string()))
}

async fn find(rows: &mut impl Rows, name: &Workspace) -> Result<WorkspaceInfo, TrackingError> {
    let found = store::workspaces::by_name(rows, name.as_str()).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::Workspace, name.as_str()))
}

/// Refuses a workspace that went since it was known.
pub(super) async fn must_exist(rows: &mut impl Rows, name: &str) -> Result<WorkspaceInfo, TrackingError> {
    let found = store::workspaces::by_name(rows, name).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::Workspace, name))
}

async fn must_be_empty(rows: &mut impl Rows, name: &str) -> Result<(), TrackingError> {
    let left = store::workspaces::contents(rows, name).await?;
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<String> = left.iter().map(|(words, number)| format!("{number} {words}")).collect();
    let reason = format!("it still has {}", left.join(", "));
    Err(TrackingError::WorkspaceInUse { name: name.to_owned(), reason })
}

impl Tracking {
    /// The same tracking as it is seen from a workspace.
    pub(crate) fn within(&self, workspace: Workspace) -> Self {
        Self { inner: self.inner.clone(), workspace }
    }

    /// The workspace that this is seen from.
    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Whether there is another workspace than `default`.
    pub(crate) fn is_divided(&self) -> bool {
        !self.inner.workspaces.is_empty()
    }

    /// The workspace of this name, if there is one; nothing, or an empty text, means `default`.
    pub(crate) fn known_workspace(&self, name: Option<&str>) -> Result<Workspace, TrackingError> {
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        let Some(name) = name else { return Ok(Workspace::default()) };
        let workspace = named(name)?;
        if self.inner.workspaces.contains(&workspace) {
            return Ok(workspace);
        }
        Err(TrackingError::missing(Thing::Workspace, name))
    }

    /// The key of a registered model that a client of this workspace names. A name with a slash names none: it would be the key of a
    /// model elsewhere.
    pub(crate) fn model_key(&self, name: &str) -> Result<String, TrackingError> {
        if name.contains('/') {
            return Err(TrackingError::missing(Thing::RegisteredModel, name));
        }
        Ok(self.workspace.key(name))
    }

    pub(super) async fn learn_workspaces(&self) -> Result<(), TrackingError> {
        self.inner.workspaces.replace(&self.workspaces().await?);
        Ok(())
    }

    /// Every workspace, by name.
    pub(crate) async fn workspaces(&self) -> Result<Vec<WorkspaceInfo>, TrackingError> {
        Ok(store::workspaces::all(&mut self.reader()).await?)
    }

    pub(crate) async fn workspace_named(&self, name: &str) -> Result<WorkspaceInfo, TrackingError> {
        find(&mut self.reader(), &named(name)?).await
    }

    pub(crate) async fn create_workspace(
        &self,
        caller: &str,
        name: &str,
        change: WorkspaceChange,
    ) -> Result<WorkspaceInfo, TrackingError> {
        let workspace = named(name)?;
        if workspace.is_default() {
            let reason = "The 'default' workspace is reserved and cannot be created";
            return Err(TrackingError::invalid("name", reason));
        }
        let mut new =
            WorkspaceInfo { name: name.to_owned(), description: None, artifact_root: String::new() };
        change.apply(&mut new)?;
        let mut transaction = self.begin().await?;
        if store::workspaces::by_name(&mut transaction, name).await?.is_some() {
            return Err(TrackingError::Exists { thing: Thing::Workspace, name: name.to_owned() });
        }
        store::workspaces::insert(&mut transaction, &new, self.now_ms()).await?;
        let subject = format!("workspace/{name}");
        self.audit(&mut transaction, caller, "tracking.create_workspace", subject, json!({})).await?;
        transaction.commit().await?;
        self.learn_workspaces().await?;
        Ok(new)
    }

    pub(crate) async fn update_workspace(
        &self,
        caller: &str,
        name: &str,
        change: WorkspaceChange,
    ) -> Result<WorkspaceInfo, TrackingError> {
        let workspace = named(name)?;
        if change == WorkspaceChange::default() {
            return Err(TrackingError::invalid("workspace", "Workspace update must have at least one key"));
        }
        let mut transaction = self.begin().await?;
        let mut info = find(&mut transaction, &workspace).await?;
        change.apply(&mut info)?;
        store::workspaces::update(&mut transaction, &info).await?;
        let subject = format!("workspace/{name}");
        self.audit(&mut transaction, caller, "tracking.update_workspace", subject, json!({})).await?;
        transaction.commit().await?;
        Ok(info)
    }

    /// Deletes a workspace. A deletion with its contents that was cut off goes on when it is asked for again.
    pub(crate) async fn delete_workspace(
        &self,
        caller: &Caller,
        name: &str,
        contents: Contents,
    ) -> Result<(), TrackingError> {
        let workspace = named(name)?;
        if workspace.is_default() {
            let reason = "The 'default' workspace is reserved and cannot be deleted";
            return Err(TrackingError::invalid("workspace", reason));
        }
        find(&mut self.reader(), &workspace).await?;
        match contents {
            Contents::MustBeGone => {}
            Contents::Go => self.remove_contents(caller, &workspace).await?,
            Contents::Move => self.move_contents(caller, &workspace).await?,
        }
        must_be_empty(&mut self.reader(), name).await?;
        // First: if it fails half-way, nobody may do to the next workspace of that name what they might to this one.
        self.gone(caller, ResourceType::Workspace, name).await?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, &workspace).await?;
        must_be_empty(&mut transaction, name).await?;
        store::workspaces::delete(&mut transaction, name).await?;
        let detail = json!({ "mode": contents.word() });
        let subject = format!("workspace/{name}");
        self.audit(&mut transaction, &caller.name, "tracking.delete_workspace", subject, detail).await?;
        transaction.commit().await?;
        self.learn_workspaces().await
    }

    /// Takes everything in a workspace away for good, with its files.
    async fn remove_contents(&self, caller: &Caller, workspace: &Workspace) -> Result<(), TrackingError> {
        let name = workspace.as_str();
        for key in store::registry::keys(&mut self.reader(), name).await? {
            self.gone(caller, ResourceType::RegisteredModel, &key).await?;
            self.delete_registered_model(&caller.name, &key).await?;
        }
        let ids = store::workspaces::experiment_ids(&mut self.reader(), name).await?;
        for id in &ids {
            self.gone(caller, ResourceType::Experiment, &id.to_string()).await?;
        }
        let mut transaction = self.begin().await?;
        store::workspaces::delete_loose_contents(&mut transaction, name).await?;
        for id in ids {
            let items = [id.to_string()];
            let deleted = Lifecycle::Deleted;
            store::experiments::set_lifecycle(&mut transaction, id, deleted, self.now_ms()).await?;
            store::purge::forget(&mut transaction, Family::Experiment, &items[0]).await?;
            store::purge::note(&mut transaction, Family::Experiment, &items, SINCE_EVER_MS).await?;
        }
        transaction.commit().await?;
        self.purge_before(&caller.name, SINCE_EVER_MS, &CancellationToken::new(), |_, _| {}).await?;
        Ok(())
    }

    /// Moves everything in a workspace to `default`, unless a name there is taken. An alias that is guarded under its model's new name must
    /// pass its gates there.
    async fn move_contents(&self, caller: &Caller, workspace: &Workspace) -> Result<(), TrackingError> {
        let (from, to) = (workspace.as_str(), Workspace::default());
        let mut transaction = self.begin().await?;
        let keys = store::registry::keys(&mut transaction, from).await?;
        let pair = (from, to.as_str());
        let mut taken = store::workspaces::taken_experiments(&mut transaction, pair, NAMED).await?;
        for key in &keys {
            let bare = of_model_key(key).1;
            if store::registry::exists(&mut transaction, bare).await? {
                taken.push(bare.to_owned());
            }
        }
        if !taken.is_empty() {
            let reason = format!("these names are taken in 'default': {}", taken.join(", "));
            return Err(TrackingError::WorkspaceInUse { name: from.to_owned(), reason });
        }
        for key in &keys {
            self.move_model(&mut transaction, key, of_model_key(key).1).await?;
        }
        store::workspaces::move_contents(&mut transaction, from, to.as_str()).await?;
        transaction.commit().await?;
        for key in &keys {
            self.renamed(caller, ResourceType::RegisteredModel, key, of_model_key(key).1).await?;
        }
        self.announce_alias_change();
        Ok(())
    }

    async fn move_model(
        &self,
        transaction: &mut Transaction,
        key: &str,
        new_key: &str,
    ) -> Result<(), TrackingError> {
        let model = store::registry::by_name(transaction, key).await?;
        let aliases = model.map(|model| model.aliases).unwrap_or_default();
        self.must_keep_aliases(transaction, key, new_key, &aliases).await?;
        store::registry::rename(transaction, key, new_key, self.now_ms()).await?;
        Ok(())
    }
}
