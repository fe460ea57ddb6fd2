//! Resolves what a view's events are enriched with: features of other views of the same source, each view at its version.
//!
//! An inner view must be resolved before the views that stand on it, because they are bound to its hash. So the views of the
//! files are taken inner ones first, and a view that would have to come before itself is refused.

use std::collections::{BTreeMap, BTreeSet};

use shipway_core::{DataType, Name};

use crate::{
    DefinitionKind, Source, View, ViewReference,
    parse::{Head, Located, ViewChoice, ViewDraft},
    resolve::{Found, Resolver, choice::Taken},
};

/// The most views that may stand on each other, the outermost counted: each level asks for every event again.
const MAXIMUM_DEPTH: usize = 4;

/// What the events of a view carry beside the columns of its source.
pub(super) struct Enrichment {
    taken: Vec<Taken>,
    /// `view__feature` and its type.
    pub(super) columns: Vec<(Name, DataType)>,
}

impl Enrichment {
    /// The views and features of which a column is among `read`, by name: what nobody reads changes no value, and neither
    /// does the order in which they are listed.
    pub(super) fn references(&self, read: &BTreeMap<Name, DataType>) -> Vec<ViewReference> {
        let mut references: Vec<ViewReference> = self.taken.iter().map(Taken::reference).collect();
        for reference in &mut references {
            let view = reference.view.clone();
            reference
                .features
                .retain(|feature| read.contains_key(ViewReference::column_of(&view, feature).as_str()));
            reference.features.sort();
        }
        references.retain(|reference| !reference.features.is_empty());
        references.sort_by(|one, other| one.view.cmp(&other.view));
        references
    }
}

/// Which drafts wait for which, by their places.
struct Waits {
    places: BTreeMap<Name, usize>,
    inner: Vec<BTreeSet<usize>>,
}

impl Waits {
    fn of(drafts: &[ViewDraft]) -> Self {
        let names = drafts.iter().enumerate().map(|(place, draft)| (draft.head.name.clone(), place));
        let places: BTreeMap<Name, usize> = names.collect();
        let inner_of = |draft: &ViewDraft| {
            let inner = draft.enrich.iter().filter_map(|choice| places.get(&choice.value.view).copied());
            inner.collect()
        };
        Self { inner: drafts.iter().map(inner_of).collect(), places }
    }

    /// The places in an order in which nobody waits, and the places of those that wait for ever.
    fn order(&self) -> (Vec<usize>, Vec<usize>) {
        let mut missing: Vec<usize> = self.inner.iter().map(BTreeSet::len).collect();
        let mut outer: Vec<Vec<usize>> = vec![Vec::new(); self.inner.len()];
        for (place, inner) in self.inner.iter().enumerate() {
            inner.iter().for_each(|&inner| outer[inner].push(place));
        }
        let mut order: Vec<usize> = (0..missing.len()).filter(|&place| missing[place] == 0).collect();
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            next += 1;
            for &outer in &outer[place] {
                missing[outer] -= 1;
                if missing[outer] == 0 {
                    order.push(outer);
                }
            }
        }
        let left = (0..missing.len()).filter(|&place| missing[place] > 0).collect();
        (order, left)
    }

    /// The reference of `draft`, which is at `place`, by which it waits for itself.
    fn back_to_itself<'d>(&self, draft: &'d ViewDraft, place: usize) -> Option<&'d Located<ViewChoice>> {
        draft.enrich.iter().find(|choice| {
            let mut next: Vec<usize> = self.places.get(&choice.value.view).copied().into_iter().collect();
            let mut reached = BTreeSet::new();
            while let Some(inner) = next.pop() {
                if reached.insert(inner) {
                    next.extend(&self.inner[inner]);
                }
            }
            reached.contains(&place)
        })
    }
}

impl Resolver<'_> {
    /// `drafts`, each after those of them that it is enriched with. Those that wait for themselves are refused and left out.
    pub(super) fn inner_first(&mut self, drafts: Vec<ViewDraft>) -> Vec<ViewDraft> {
        let waits = Waits::of(&drafts);
        let (order, left) = waits.order();
        for &place in &left {
            let draft = &drafts[place];
            // One that only waits for such a view is passed over in silence.
            if let Some(choice) = waits.back_to_itself(draft, place) {
                self.refuse_circle(draft, choice);
            }
            self.broken.insert((DefinitionKind::View, draft.head.name.clone()));
        }
        let mut drafts: Vec<Option<ViewDraft>> = drafts.into_iter().map(Some).collect();
        order.into_iter().filter_map(|place| drafts[place].take()).collect()
    }

    fn refuse_circle(&mut self, draft: &ViewDraft, choice: &Located<ViewChoice>) {
        let (own, through) = (&draft.head.name, &choice.value.view);
        let message = if through == own {
            "it is enriched with itself".to_owned()
        } else {
            format!("it is enriched with view {through}, which stands on {own} in turn")
        };
        let hint = "take one of the references out: a value cannot wait for itself".to_owned();
        self.refuse(&draft.head, choice.line, &message, Some(hint));
    }

    /// What `choices` name, checked against `source`, the view's own. `None` when something is missing that was refused
    /// elsewhere, so that nothing certain can be said about the columns.
    pub(super) fn enrichment(
        &mut self,
        head: &Head,
        source: &Source,
        choices: &[Located<ViewChoice>],
    ) -> Option<Enrichment> {
        if let Some(first) = choices.first()
            && !self.needs_events_that_stay(head, first.line, source, "enrich")
        {
            return None;
        }
        let errors_before = self.report.count();
        let mut taken: Vec<Taken> = Vec::new();
        let mut is_complete = true;
        for choice in choices {
            match self.find_view(head, choice.line, &choice.value.view) {
                Found::Silent => is_complete = false,
                Found::Known(view) => {
                    if self.can_stand_on(head, choice.line, source, &view.definition) {
                        self.take(head, choice, view, &mut taken);
                    }
                }
            }
        }
        let columns = self.enriched_columns(head, source, choices, &taken);
        (is_complete && self.report.count() == errors_before).then_some(Enrichment { taken, columns })
    }

    fn can_stand_on(&mut self, head: &Head, line: u64, source: &Source, inner: &View) -> bool {
        if inner.source != source.name {
            let message = format!(
                "view {} is of source {}, this view of source {}",
                inner.name, inner.source, source.name
            );
            let hint = "the logs of two sources have no common order of arrival; list both views in a service, or bring what is needed with the events of this view's source".to_owned();
            self.refuse(head, line, &message, Some(hint));
            return false;
        }
        let depth = self.depth(inner) + 1;
        if depth > MAXIMUM_DEPTH {
            let message = format!(
                "with view {} it is a chain of {depth} views; {MAXIMUM_DEPTH} are the most",
                inner.name
            );
            let hint = "take what the views in between compute into one of them".to_owned();
            self.refuse(head, line, &message, Some(hint));
            return false;
        }
        true
    }

    /// How many views stand on each other, `view` on top.
    fn depth(&self, view: &View) -> usize {
        let inner = view.enrich.iter().filter_map(|reference| {
            let own = self.set.views_by_hash.get(&reference.hash);
            own.or_else(|| self.base.views_by_hash.get(&reference.hash))
        });
        1 + inner.map(|inner| self.depth(&inner.definition)).max().unwrap_or(0)
    }

    fn enriched_columns(
        &mut self,
        head: &Head,
        source: &Source,
        choices: &[Located<ViewChoice>],
        taken: &[Taken],
    ) -> Vec<(Name, DataType)> {
        let mut columns: Vec<(Name, DataType)> = Vec::new();
        for Taken { view, features } in taken {
            let view = &view.definition.name;
            let line = choices
                .iter()
                .find(|choice| choice.value.view == *view)
                .map_or(head.line, |choice| choice.line);
            for (feature, data_type) in features {
                let column = ViewReference::column_of(view, feature);
                let hint =
                    format!("name the feature with `as:` in view {view}, or take others of its features");
                let message = match Name::new(column.as_str()) {
                    Err(_) => format!("column {column} has a name of more than 63 characters"),
                    Ok(column) if source.column_type(column.as_str()).is_some() => {
                        format!("column {column} is in source {} already", source.name)
                    }
                    Ok(column) if columns.iter().any(|(other, _)| *other == column) => {
                        format!("column {column} is the name of two features")
                    }
                    Ok(column) => {
                        columns.push((column, *data_type));
                        continue;
                    }
                };
                self.refuse(head, line, &message, Some(hint));
            }
        }
        columns
    }
}
