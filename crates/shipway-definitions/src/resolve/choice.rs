//! Follows references to views and their features, as services and chained views write them.

use std::sync::Arc;

use shipway_core::{DataType, Name, nearest};

use crate::{
    Versioned, View, ViewReference,
    parse::{Head, Located, ViewChoice},
    resolve::Resolver,
};

/// A view that is referred to, and the features taken so far.
pub(super) struct Taken {
    pub(super) view: Arc<Versioned<View>>,
    pub(super) features: Vec<(Name, DataType)>,
}

impl Taken {
    /// The view at its version, with the features taken.
    pub(super) fn reference(&self) -> ViewReference {
        ViewReference {
            view: self.view.definition.name.clone(),
            hash: self.view.hash,
            features: self.features.iter().map(|(feature, _)| feature.clone()).collect(),
        }
    }
}

impl Resolver<'_> {
    /// Adds what `choice` names. A view that is listed more than once keeps its first place.
    pub(super) fn take(
        &mut self,
        head: &Head,
        choice: &Located<ViewChoice>,
        view: Arc<Versioned<View>>,
        taken: &mut Vec<Taken>,
    ) {
        let outputs = view.definition.outputs();
        let name = view.definition.name.clone();
        let chosen: Vec<_> = match &choice.value.feature {
            None => outputs,
            Some(feature) => {
                let Some(found) = outputs.iter().find(|(name, _)| name == feature) else {
                    let names = outputs.iter().map(|(name, _)| name.as_str());
                    let hint = nearest(feature.as_str(), names.clone()).map_or_else(
                        || format!("its features are {}", names.collect::<Vec<_>>().join(", ")),
                        |nearest| format!("did you mean {name}:{nearest}?"),
                    );
                    let message = format!("view {name} has no feature {feature}");
                    self.refuse(head, choice.line, &message, Some(hint));
                    return;
                };
                vec![found.clone()]
            }
        };
        let index = taken.iter().position(|taken| taken.view.definition.name == name).unwrap_or_else(|| {
            taken.push(Taken { view, features: Vec::new() });
            taken.len() - 1
        });
        let Some(slot) = taken.get_mut(index) else { return };
        for (feature, data_type) in chosen {
            if slot.features.iter().any(|(other, _)| *other == feature) {
                let message = format!("feature {name}:{feature} is listed twice");
                self.refuse(head, choice.line, &message, Some("remove one of them".to_owned()));
                break;
            }
            slot.features.push((feature, data_type));
        }
    }
}
