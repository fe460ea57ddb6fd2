use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn facts() -> Facts<'static> {
    Facts {
        model: "gpt-5-mini",
        api: "openai_chat",
        stream: true,
        max_tokens: 100,
        input_tokens: 250_000,
        user: "u1",
        key: "crawler",
        groups: vec!["search", "retail"],
        tags: BTreeMap::from([("team".to_owned(), "blue"), ("a-b".to_owned(), "x")]),
        ..Facts::default()
    }
}

fn holds(text: &str) -> bool {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&facts())
}

fn refused(text: &str) -> (usize, String) {
    let error = Condition::parse(text).unwrap_err();
    (error.at, error.problem)
}

#[test]
fn conditions_see_the_facts_of_a_call() {
    for text in [
        "stream && !tools",
        "input_tokens > 200000",
        "max_tokens <= 100 && max_tokens > 0",
        "model.startsWith('gpt-') && model.endsWith('mini') && model.contains('5')",
        "'retail' in groups",
        "key in ['crawler', 'other']",
        "tags.team == 'blue' && tags['a-b'] == 'x'",
        "has(tags.team) && !has(tags.other)",
        "'team' in tags",
        "size(groups) == 2 && size(user) == 2",
        "input_tokens / 1000 >= 250 && input_tokens % 2 == 0",
        "(stream ? 1 : 2) == 1",
        "input_tokens > 1000.5",
        "groups[0] == 'search'",
    ] {
        assert!(holds(text), "{text}");
    }
    assert!(!holds("user == 'u2'"));
}

#[test]
fn what_has_no_answer_does_not_hold_and_a_side_that_decides_does() {
    for text in ["tags.missing == 'x'", "1 / media == 1", "groups[7] == 'x'"] {
        assert!(!holds(text), "{text}");
    }
    assert!(holds("tags.missing == 'x' || stream"));
    assert!(holds("!(tags.missing == 'x' && !stream)"));
}

#[test]
fn what_cannot_be_judged_is_refused_at_its_place() {
    assert_eq!(
        refused("stream && modle == 'x'"),
        (11, "modle is nothing that is known of a call".to_owned())
    );
    assert_eq!(refused("input_tokens").1, "a condition is true or false, and this is a whole number");
    assert!(refused("input_tokens > 'x'").1.contains("> cannot be used with a whole number and a text"));
    assert!(refused("tools == 'yes'").1.contains("== cannot be used with true or false and a text"));
    assert!(refused("groups.exists(g, g == 'x')").1.contains("loops"));
    assert!(refused("model.matches('a+')").1.contains("matches cannot be used"));
    assert!(refused("stream &&").1.len() > 3);
    assert!(refused("{'a': 1} == {'a': 1}").1.contains("not part of conditions"));
    assert!(refused(&"!".repeat(500)).1.contains("deeper"));
    assert!(refused(&format!("{}stream{}", "(".repeat(300), ")".repeat(300))).1.contains("deeper"));
    assert!(refused(&format!("model == '{}'", "x".repeat(3_000))).1.contains("longer"));
}

#[test]
fn the_longest_chains_are_read_and_judged() {
    let within = |part: &str, joint: &str| {
        let count = (LONGEST_BYTES - part.len()) / (part.len() + joint.len());
        vec![part; count].join(joint)
    };
    assert!(holds(&within("stream", "&&")));
    assert!(holds(&format!("{}>0", within("1", "+"))));
    assert!(!refused(&within("a", ".")).1.is_empty());
    assert!(
        Condition::parse(&format!("{}stream", "stream?stream:".repeat(70)))
            .is_ok_and(|one| one.holds(&facts()))
            || refused(&format!("{}stream", "stream?stream:".repeat(70))).0 > 0
    );
}

proptest! {
    /// Whatever is written, reading it ends, and what was accepted can be judged.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z_ .'\"()!&|=<>+*/%?:0-9\\[\\]{},-]{0,80}") {
        if let Ok(condition) = Condition::parse(&text) {
            condition.holds(&facts());
        }
    }
}
