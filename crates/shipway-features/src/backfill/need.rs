//! Decides which versions of views are needed, and so which states are kept.
//!
//! Pure: whoever asks brings the definitions, the versions that answer now, and what models and deployments refer to.

use std::collections::BTreeSet;

use shipway_core::Digest;
use shipway_definitions::DefinitionSet;

/// Versions of services and views that are needed though they may be out of force.
#[derive(Debug, Clone, Default)]
pub(super) struct Referred {
    /// Of services: those that answer for a newer one which is still being built, and those that models were trained with.
    pub(super) services: Vec<Digest>,
    /// Of views: those that answer for a newer one which is still being built.
    pub(super) views: Vec<Digest>,
}

/// The views in force, those of every service in force, whatever is referred to, and all that these stand on.
pub(super) fn needed(definitions: &DefinitionSet, referred: &Referred) -> BTreeSet<Digest> {
    let in_force = definitions.views.values().map(|view| view.hash);
    let of_services = definitions.services.values();
    let referred_services =
        referred.services.iter().filter_map(|hash| definitions.services_by_hash.get(hash));
    let of_services = of_services
        .chain(referred_services)
        .flat_map(|service| service.definition.views.iter().map(|view| view.hash));
    let mut open: Vec<Digest> = in_force.chain(of_services).chain(referred.views.iter().copied()).collect();
    let mut needed = BTreeSet::new();
    while let Some(hash) = open.pop() {
        if needed.insert(hash)
            && let Some(view) = definitions.views_by_hash.get(&hash)
        {
            open.extend(view.definition.enrich.iter().map(|inner| inner.hash));
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use shipway_definitions::DefinitionFile;

    use super::*;

    fn set(window: &str) -> DefinitionSet {
        let text = format!(
            "kind: entity\nname: shop\nkeys: {{ shop: text }}\n---\n\
             kind: source\nname: sales\nevent_time: at\ncolumns: {{ at: timestamp, shop: text }}\n---\n\
             kind: view\nname: counts\nentity: shop\nsource: sales\naggregate:\n  - operations: [count]\n    windows: [{window}]\n---\n\
             kind: service\nname: shops\nviews: [counts]\n"
        );
        DefinitionSet::parse(&[DefinitionFile { path: "a.yaml".into(), text }]).unwrap()
    }

    #[test]
    fn what_is_in_force_or_referred_to_is_needed_and_nothing_else() {
        let (old, new) = (set("1h"), set("2h"));
        let both = old.overlaid(&new, false);
        let view = |set: &DefinitionSet| set.view("counts").unwrap().hash;
        let service = |set: &DefinitionSet| set.service("shops").unwrap().hash;

        assert_eq!(needed(&both, &Referred::default()), BTreeSet::from([view(&new)]));
        let by_model = Referred { services: vec![service(&old)], views: vec![] };
        assert_eq!(needed(&both, &by_model), BTreeSet::from([view(&old), view(&new)]));
        let by_reads = Referred { services: vec![], views: vec![view(&old)] };
        assert_eq!(needed(&both, &by_reads), BTreeSet::from([view(&old), view(&new)]));
        let unknown = Referred { services: vec![Digest::of("unknown")], views: vec![] };
        assert_eq!(needed(&both, &unknown), BTreeSet::from([view(&new)]));
    }

    #[test]
    fn the_version_that_a_needed_view_stands_on_is_needed() {
        let outer = |window: &str| {
            let text = format!(
                "kind: entity\nname: shop\nkeys: {{ shop: text }}\n---\n\
                 kind: source\nname: sales\nevent_time: at\ncolumns: {{ at: timestamp, shop: text }}\n---\n\
                 kind: view\nname: counts\nentity: shop\nsource: sales\naggregate:\n  - {{ operations: [count], windows: [{window}], as: n }}\n---\n\
                 kind: view\nname: top\nentity: shop\nsource: sales\nenrich: [counts]\nlatest: [counts__n]\n"
            );
            DefinitionSet::parse(&[DefinitionFile { path: "a.yaml".into(), text }]).unwrap()
        };
        let (old, new) = (outer("1h"), set("2h"));
        let both = old.overlaid(&new, false);
        let view = |set: &DefinitionSet, name: &str| set.view(name).unwrap().hash;
        let expected = BTreeSet::from([view(&old, "counts"), view(&old, "top"), view(&new, "counts")]);
        assert_eq!(needed(&both, &Referred::default()), expected);
    }
}
