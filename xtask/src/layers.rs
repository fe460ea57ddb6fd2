//! The judgement about arrows between crates: they point down, never up or sideways, and each engine has one owner.

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) arrows: Vec<Arrow>,
}

/// A dependency that a manifest names.
#[derive(Debug, Clone)]
pub(crate) struct Arrow {
    pub(crate) to: String,
    pub(crate) kind: ArrowKind,
}

/// Whether a dependency reaches users or tests only. Dependencies of build scripts reach users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArrowKind {
    ForUse,
    ForTests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Level 0. Words build on each other in the order of these numbers.
    Word(u8),
    /// Level 1.
    Foundation,
    /// Level 2.
    Capability,
    /// Level 3.
    Edge,
    /// Beside the levels: may use words; nothing that reaches users may use it.
    Tool,
}

use Place::{Capability, Edge, Foundation, Tool, Word};

/// The map. A crate that is not on it fails the check.
const PLACES: &[(&str, Place)] = &[
    ("shipway", Edge),
    ("shipway-access", Capability),
    ("shipway-catalog", Capability),
    ("shipway-features", Capability),
    ("shipway-gateway", Capability),
    ("shipway-serving", Capability),
    ("shipway-streams", Capability),
    ("shipway-tracking", Capability),
    ("shipway-blob", Foundation),
    ("shipway-broker", Foundation),
    ("shipway-formats", Foundation),
    ("shipway-lake", Foundation),
    ("shipway-log", Foundation),
    ("shipway-online", Foundation),
    ("shipway-outbound", Foundation),
    ("shipway-resident", Foundation),
    ("shipway-runtime", Foundation),
    ("shipway-store", Foundation),
    ("shipway-web", Foundation),
    ("shipway-core", Word(0)),
    ("shipway-aggregate", Word(1)),
    ("shipway-condition", Word(2)),
    ("shipway-expression", Word(2)),
    ("shipway-guardrails", Word(3)),
    ("shipway-definitions", Word(4)),
    ("shipway-dialects", Word(5)),
    ("shipway-mock-provider", Tool),
    ("shipway-testkit", Tool),
    ("xtask", Tool),
];

/// Engines and the crates that may use them. An entry covers the crates of its family too: `sqlx` and `sqlx-…`.
const OWNERS: &[(&str, &[&str])] = &[
    ("sqlx", &["shipway-store"]),
    ("rusqlite", &["shipway-store"]),
    ("cel", &["shipway-condition"]),
    ("aws-sigv4", &["shipway-gateway"]),
    ("aws-credential-types", &["shipway-gateway"]),
    ("aws-smithy-eventstream", &["shipway-gateway"]),
    ("sqlparser", &["shipway-expression"]),
    ("object_store", &["shipway-blob", "shipway-lake"]),
    ("fjall", &["shipway-online"]),
    ("rdkafka", &["shipway-broker"]),
    ("redis", &["shipway-online"]),
    ("rpds", &["shipway-online"]),
    ("libc", &["shipway-resident"]),
    ("deltalake", &["shipway-lake"]),
    ("datafusion", &["shipway-lake", "shipway-features"]),
    ("ort", &["shipway-runtime"]),
    ("rten", &["shipway-runtime"]),
    ("argon2", &["shipway-access"]),
    ("prost-reflect", &["shipway-formats"]),
    (
        "axum",
        &[
            "shipway-web",
            "shipway-access",
            "shipway-catalog",
            "shipway-features",
            "shipway-gateway",
            "shipway-serving",
            "shipway-streams",
            "shipway-tracking",
            "shipway-testkit",
            "shipway",
        ],
    ),
];

impl Place {
    const fn level(self) -> Option<u8> {
        match self {
            Word(_) => Some(0),
            Foundation => Some(1),
            Capability => Some(2),
            Edge => Some(3),
            Tool => None,
        }
    }
}

fn place_of(name: &str) -> Option<Place> {
    PLACES.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
}

/// Everything that is wrong with the arrows of `crates`; empty when they hold.
pub(crate) fn judge(crates: &[Crate]) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, _) in PLACES {
        if !crates.iter().any(|member| member.name == *name) {
            findings.push(format!(
                "{name} is on the map but not in the workspace; take it off the map in xtask/src/layers.rs"
            ));
        }
    }
    for member in crates {
        let Some(place) = place_of(&member.name) else {
            findings
                .push(format!("{} has no place on the map; give it one in xtask/src/layers.rs", member.name));
            continue;
        };
        // Tests may use anything: what they pull in reaches nobody.
        let arrows = member.arrows.iter().filter(|arrow| arrow.kind == ArrowKind::ForUse);
        findings.extend(arrows.filter_map(|arrow| judge_arrow(&member.name, place, &arrow.to)));
    }
    findings
}

fn judge_arrow(from: &str, place: Place, to: &str) -> Option<String> {
    let Some(target) = place_of(to) else { return judge_engine(from, to) };
    let wrong = match (place, target) {
        (_, Tool) => "a tool may only be a dev-dependency",
        (Word(mine), Word(other)) if mine > other => return None,
        (Word(_), Word(_)) => "the words build on each other in one order only",
        (Tool, Word(_)) => return None,
        (Tool, _) => "a tool may use words only",
        _ if target.level() < place.level() => return None,
        _ if target.level() > place.level() => "the arrow points up",
        (Capability, _) => {
            "the arrow points sideways; say what is needed in a trait, and let the binary plug it in"
        }
        _ => "the arrow points sideways",
    };
    Some(format!("{from} -> {to}: {wrong}"))
}

fn judge_engine(from: &str, to: &str) -> Option<String> {
    let of_family = |engine: &str| {
        to.strip_prefix(engine).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    let (_, owners) = OWNERS.iter().find(|(engine, _)| of_family(engine))?;
    if owners.contains(&from) {
        return None;
    }
    Some(format!("{from} -> {to}: only {} may use it", owners.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The crates of the map without arrows, but for those given.
    fn with_arrows(arrows: &[(&str, &str, ArrowKind)]) -> Vec<Crate> {
        let arrows_of = |name: &str| {
            let own = arrows.iter().filter(|(from, _, _)| *from == name);
            own.map(|(_, to, kind)| Arrow { to: (*to).to_owned(), kind: *kind }).collect()
        };
        PLACES.iter().map(|(name, _)| Crate { name: (*name).to_owned(), arrows: arrows_of(name) }).collect()
    }

    fn judged(from: &str, to: &str) -> Vec<String> {
        judge(&with_arrows(&[(from, to, ArrowKind::ForUse)]))
    }

    #[test]
    fn an_arrow_that_points_down_holds_and_fails_when_it_is_turned_round() {
        for (upper, lower) in [
            ("shipway", "shipway-features"),
            ("shipway", "shipway-core"),
            ("shipway-features", "shipway-lake"),
            ("shipway-serving", "shipway-definitions"),
            ("shipway-store", "shipway-core"),
            ("shipway-definitions", "shipway-aggregate"),
            ("shipway-aggregate", "shipway-core"),
            ("shipway-testkit", "shipway-core"),
        ] {
            assert_eq!(judged(upper, lower), Vec::<String>::new(), "{upper} -> {lower}");
            assert_eq!(judged(lower, upper).len(), 1, "{lower} -> {upper}");
        }
    }

    #[test]
    fn an_arrow_that_points_sideways_fails_and_names_the_way_out() {
        assert_eq!(
            judged("shipway-serving", "shipway-features"),
            ["shipway-serving -> shipway-features: the arrow points sideways; \
              say what is needed in a trait, and let the binary plug it in"]
        );
        assert_eq!(
            judged("shipway-lake", "shipway-store"),
            ["shipway-lake -> shipway-store: the arrow points sideways"]
        );
    }

    #[test]
    fn a_tool_may_be_used_by_tests_only() {
        let (from, to) = ("shipway", "shipway-testkit");
        assert_eq!(judged(from, to), ["shipway -> shipway-testkit: a tool may only be a dev-dependency"]);
        assert!(judge(&with_arrows(&[(from, to, ArrowKind::ForTests)])).is_empty());
        assert_eq!(judged("xtask", "shipway-store"), ["xtask -> shipway-store: a tool may use words only"]);
    }

    #[test]
    fn an_engine_is_used_by_its_owners_only() {
        assert_eq!(
            judged("shipway-tracking", "sqlx"),
            ["shipway-tracking -> sqlx: only shipway-store may use it"]
        );
        assert_eq!(judged("shipway-core", "axum-extra").len(), 1);
        assert_eq!(judged("shipway-catalog", "datafusion-expr").len(), 1);
        for (from, to) in [
            ("shipway-store", "sqlx"),
            ("shipway-lake", "object_store"),
            ("shipway-features", "datafusion"),
            ("shipway-web", "axum"),
            ("shipway-core", "orthography"),
        ] {
            assert_eq!(judged(from, to), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_crate_must_be_on_the_map_and_the_map_must_be_true() {
        let mut crates = with_arrows(&[]);
        crates.push(Crate { name: "shipway-pipelines".to_owned(), arrows: Vec::new() });
        assert_eq!(
            judge(&crates),
            ["shipway-pipelines has no place on the map; give it one in xtask/src/layers.rs"]
        );
        let without_tools: Vec<_> =
            with_arrows(&[]).into_iter().filter(|member| member.name != "xtask").collect();
        assert_eq!(judge(&without_tools).len(), 1);
    }

    #[test]
    fn the_arrows_of_this_workspace_hold() {
        assert_eq!(judge(&crate::workspace::crates().unwrap()), Vec::<String>::new());
    }
}
