//! Resolves what is said about features: each must be there, a ttl of its own must mean something, and what is to be taken
//! instead of a deprecated one must exist.

use std::{collections::BTreeMap, sync::Arc};

use shipway_core::{Length, Name, nearest};

use crate::{
    DefinitionKind, Deprecation, FeatureMetadata, Source, ViewBody,
    parse::{FeatureNote, Head, Located},
    resolve::{Resolver, lookup},
};

/// Somebody should take `replacement` instead; looked up when every view is known.
pub(crate) struct Replacement {
    pub(crate) path: Arc<str>,
    pub(crate) line: u64,
    pub(crate) thing: String,
    pub(crate) view: Name,
    pub(crate) feature: Option<Name>,
}

impl Resolver<'_> {
    /// What `notes` say about the features of `body`; their own ttls go into it.
    pub(super) fn described(
        &mut self,
        head: &Head,
        source: &Source,
        notes: Vec<FeatureNote>,
        body: &mut ViewBody,
    ) -> BTreeMap<Name, FeatureMetadata> {
        let outputs: Vec<Name> = match &*body {
            ViewBody::Aggregates(features) => features.iter().map(|feature| feature.name.clone()).collect(),
            ViewBody::Latest { columns, .. } => columns.clone(),
        };
        let mut described = BTreeMap::new();
        for note in notes {
            let name = note.name.value;
            if !outputs.contains(&name) {
                let names = outputs.iter().map(Name::as_str);
                let hint = nearest(name.as_str(), names.clone()).map_or_else(
                    || format!("its features are {}", names.collect::<Vec<_>>().join(", ")),
                    |nearest| format!("did you mean {nearest}?"),
                );
                let message = format!("feature {name}, which is described, does not exist");
                self.refuse(head, note.name.line, &message, Some(hint));
                continue;
            }
            if let Some(ttl) = note.ttl {
                self.own_ttl(head, source, &name, &ttl, body);
            }
            if let Some(deprecated) = &note.metadata.deprecated {
                self.note_replacement(head, note.replacement_line, deprecated, Some(&head.name));
            }
            if note.metadata != FeatureMetadata::default() {
                described.insert(name, note.metadata);
            }
        }
        described
    }

    fn own_ttl(
        &mut self,
        head: &Head,
        source: &Source,
        feature: &Name,
        ttl: &Located<Length>,
        body: &mut ViewBody,
    ) {
        match body {
            ViewBody::Aggregates(_) => {
                let message = format!("feature {feature} is windowed, so it has no ttl");
                let hint = "remove it; its window is its ttl".to_owned();
                self.refuse(head, ttl.line, &message, Some(hint));
            }
            ViewBody::Latest { ttl: Some(of_view), .. } if ttl.value > *of_view => {
                let message =
                    format!("ttl {} of feature {feature} is longer than the view's, {of_view}", ttl.value);
                let hint = "a feature's own ttl is tighter than that of its view; raise the view's ttl, or \
                            shorten this one";
                self.refuse(head, ttl.line, &message, Some(hint.to_owned()));
            }
            // The same value as without it, so the same version.
            ViewBody::Latest { ttl: Some(of_view), .. } if ttl.value == *of_view => {}
            ViewBody::Latest { ttls, .. } => {
                self.check_retention(head, ttl.line, "ttl", ttl.value, source);
                ttls.insert(feature.clone(), ttl.value);
            }
        }
    }

    /// Takes note of what is to be taken instead. A bare name is a feature of `view` where there is one, else a view.
    pub(super) fn note_replacement(
        &mut self,
        head: &Head,
        line: u64,
        deprecated: &Deprecation,
        view: Option<&Name>,
    ) {
        let Some(text) = &deprecated.replacement else { return };
        let name = |text: &str| Name::new(text).ok();
        let place = match (text.split_once(':'), view) {
            (Some((view, feature)), _) => name(view).map(|view| (view, name(feature))),
            (None, Some(view)) => Some((view.clone(), name(text))),
            (None, None) => name(text).map(|view| (view, None)),
        };
        if let Some((view, feature)) = place {
            let (path, thing) = (head.path.clone(), head.thing.clone());
            self.replacements.push(Replacement { path, line, thing, view, feature });
        }
    }

    /// Refuses replacements that are not there, now that every view is known.
    pub(super) fn check_replacements(&mut self) {
        for replacement in std::mem::take(&mut self.replacements) {
            let Replacement { path, line, thing, view, feature } = replacement;
            if self.incomplete || self.broken.contains(&(DefinitionKind::View, view.clone())) {
                continue;
            }
            let (wanted, word, names) = match (lookup(&self.set.views, &self.base.views, &view), feature) {
                (Err(names), _) => (format!("view {view}"), view, names),
                (Ok(_), None) => continue,
                (Ok(found), Some(feature)) => {
                    let names: Vec<Name> =
                        found.definition.outputs().into_iter().map(|(name, _)| name).collect();
                    if names.contains(&feature) {
                        continue;
                    }
                    (format!("feature {view}:{feature}"), feature, names)
                }
            };
            let hint = nearest(word.as_str(), names.iter().map(Name::as_str)).map_or_else(
                || "name what is to be taken instead, or remove it".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            let message = format!("{thing}: use names {wanted}, which does not exist");
            self.report.refuse(&path, line, message, Some(hint));
        }
    }
}
