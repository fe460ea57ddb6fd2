//! Sets of categories, which splits ask.

/// The category sets of a forest, each sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sets {
    bounds: Vec<usize>,
    members: Vec<u32>,
}

impl Sets {
    /// Adds a set and answers its number.
    pub(crate) fn push(&mut self, members: impl IntoIterator<Item = u32>) -> Option<u32> {
        let number = u32::try_from(self.bounds.len()).ok()?;
        let start = self.members.len();
        self.members.extend(members);
        if let Some(added) = self.members.get_mut(start..) {
            added.sort_unstable();
        }
        self.bounds.push(self.members.len());
        Some(number)
    }

    /// The members of a set; none of a set that does not exist.
    pub(crate) fn members(&self, set: u32) -> &[u32] {
        let set = set as usize;
        let start = set.checked_sub(1).and_then(|before| self.bounds.get(before)).copied().unwrap_or(0);
        let end = self.bounds.get(set).copied().unwrap_or(start);
        self.members.get(start..end).unwrap_or_default()
    }

    /// Whether a set has a category.
    pub(crate) fn holds(&self, set: u32, category: u32) -> bool {
        self.members(set).binary_search(&category).is_ok()
    }
}
