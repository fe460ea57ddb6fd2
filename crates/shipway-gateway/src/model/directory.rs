//! All keys, groups and labels together, as calls are judged by them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use shipway_core::Name;

use super::{Chain, Group, Label, LabelKind, Scope, VirtualKey};

/// More groups above one another than there are kinds would be a circle.
const MOST_ABOVE: usize = 3;

/// All keys, groups, and labels that have limits.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    keys: HashMap<String, Arc<VirtualKey>>,
    groups: BTreeMap<Name, Arc<Group>>,
    labels: BTreeMap<LabelKind, BTreeMap<String, Arc<Label>>>,
}

impl Directory {
    pub(crate) fn new(keys: Vec<VirtualKey>, groups: Vec<Group>, all: Vec<Label>) -> Self {
        let mut labels: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for label in all {
            labels.entry(label.kind).or_default().insert(label.name.clone(), Arc::new(label));
        }
        Self {
            labels,
            keys: keys.into_iter().map(|key| (key.id.clone(), Arc::new(key))).collect(),
            groups: groups.into_iter().map(|group| (group.name.clone(), Arc::new(group))).collect(),
        }
    }

    pub(crate) fn key(&self, id: &str) -> Option<&Arc<VirtualKey>> {
        self.keys.get(id)
    }

    /// All keys, the oldest first.
    pub(crate) fn keys(&self) -> Vec<&Arc<VirtualKey>> {
        let mut keys: Vec<_> = self.keys.values().collect();
        keys.sort_by(|left, right| (left.created, &left.id).cmp(&(right.created, &right.id)));
        keys
    }

    pub(crate) fn group(&self, name: &str) -> Option<&Arc<Group>> {
        self.groups.get(name)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    pub(crate) fn label(&self, kind: LabelKind, name: &str) -> Option<&Arc<Label>> {
        self.labels.get(&kind)?.get(name)
    }

    /// All labels, by kind and name.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &Arc<Label>> {
        self.labels.values().flat_map(BTreeMap::values)
    }

    pub(crate) fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Whom a call with this key is charged to.
    pub(crate) fn chain(&self, key: &VirtualKey) -> Chain {
        let mut chain = Chain::new();
        chain.push(Scope::Key(key.id.clone()));
        let mut above = key.group.as_ref();
        while let Some(name) = above.filter(|_| chain.len() <= MOST_ABOVE) {
            chain.push(Scope::Group(name.clone()));
            above = self.groups.get(name).and_then(|group| group.parent.as_ref());
        }
        chain
    }

    /// Something that is in a group, in words.
    pub(crate) fn member_of(&self, name: &Name) -> Option<String> {
        let group = self.groups.values().find(|group| group.parent.as_ref() == Some(name));
        let key = || self.keys.values().find(|key| key.group.as_ref() == Some(name));
        group
            .map(|group| format!("{} {}", group.kind.word(), group.name))
            .or_else(|| key().map(|key| format!("key {}", key.name)))
    }
}
