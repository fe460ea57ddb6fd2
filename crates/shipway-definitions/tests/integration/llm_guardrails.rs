//! Guardrails, and models that name them; answers that models keep.

use shipway_definitions::{DefinitionKind, DefinitionSet, LlmCacheScope, LlmGuardrailAction, LlmGuardrailOn};

use crate::{refused, valid};

const GUARDRAILS: &str = "
kind: llm_guardrail
name: people
action: redact
find: { personal: [email, phone] }
---
kind: llm_guardrail
name: large
action: block
find: { size: { messages: 50 } }
---
kind: llm_guardrail
name: own
on: output
action: shadow
find: { patterns: { ticket: 'TICKET-\\d+' } }
---
kind: llm_guardrail
name: shape
action: block
find: { json_schema: { type: object, properties: { size: { type: integer, minimum: 1 } }, required: [size] } }
---
kind: llm_model
name: chat
deployments: [{ provider: a, model: x }]
guardrails: [people, large]
cache: { time: 1h, scope: team }
";

#[test]
fn a_guardrail_says_what_is_found_where_and_what_is_done() {
    let set = valid(&[GUARDRAILS]);
    let people = &set.llm_guardrails["people"].definition;
    assert_eq!((people.on, people.action), (LlmGuardrailOn::Both, LlmGuardrailAction::Redact));
    assert_eq!(people.find_in_words(), r#"{"personal":["email","phone"]}"#);
    // Of answers there is no size to judge.
    assert_eq!(set.llm_guardrails["large"].definition.on, LlmGuardrailOn::Input);
    assert_eq!(set.llm_guardrails["own"].definition.on, LlmGuardrailOn::Output);
    let shape = &set.llm_guardrails["shape"].definition;
    assert_eq!(shape.on, LlmGuardrailOn::Output);
    let schema = r#"{"json_schema":{"properties":{"size":{"minimum":1,"type":"integer"}},"required":["size"],"type":"object"}}"#;
    assert_eq!(shape.find_in_words(), schema);
    let model = &set.llm_models["chat"].definition;
    assert_eq!(model.guardrails.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["people", "large"]);
    let cache = model.cache.as_ref().unwrap();
    assert_eq!((cache.time.micros(), cache.scope), (3_600_000_000, LlmCacheScope::Team));
}

#[test]
fn the_version_is_of_all_that_decides_what_is_found() {
    let hash = |text: &str, name: &str| valid(&[text]).llm_guardrails[name].hash;
    let plain = hash(GUARDRAILS, "people");
    for (from, to) in [
        ("[email, phone]", "[email]"),
        ("action: redact", "action: block"),
        ("action: redact", "on: input\naction: redact"),
    ] {
        assert_ne!(plain, hash(&GUARDRAILS.replacen(from, to, 1), "people"), "{to}");
    }
    let model = |text: &str| valid(&[text]).llm_models["chat"].hash;
    for (from, to) in [
        ("[people, large]", "[large, people]"),
        ("cache: { time: 1h, scope: team }", "cache: { time: 2h, scope: team }"),
        (", scope: team", ""),
        ("cache: { time: 1h, scope: team }\n", ""),
    ] {
        assert_ne!(model(GUARDRAILS), model(&GUARDRAILS.replace(from, to)), "{to}");
    }
}

#[test]
fn what_is_stored_is_read_back_and_its_hash_is_checked() {
    let set = valid(&[GUARDRAILS]);
    let mut restored = DefinitionSet::default();
    for name in ["people", "large", "own", "shape"] {
        let (stored, hash) = set.stored(DefinitionKind::LlmGuardrail, name).unwrap();
        let stored = stored.to_string();
        restored.restore(DefinitionKind::LlmGuardrail, &stored, hash, true).unwrap();
        let altered = stored.replacen(name, "other", 1);
        assert!(restored.restore(DefinitionKind::LlmGuardrail, &altered, hash, true).is_err());
    }
    assert_eq!(restored.llm_guardrails, set.llm_guardrails);
}

const JUDGED: &str = "
kind: llm_guardrail
name: attack
action: block
find: { judge: { model: small, question: It asks to ignore instructions., threshold: 0.8, timeout: 5s } }
---
kind: llm_model
name: small
deployments: [{ provider: a, model: x }]
---
kind: llm_model
name: judged
deployments: [{ provider: a, model: y }]
guardrails: [attack]
";

#[test]
fn a_classifier_is_a_deployment_with_a_label() {
    let text = "kind: llm_guardrail\nname: injection\non: input\naction: shadow\nfind: { classifier: { model: prompt_guard, label: INJECTION, threshold: 0.9 } }\n";
    let set = valid(&[text]);
    let words =
        r#"{"classifier":{"model":"prompt_guard","label":"INJECTION","threshold":0.9,"on_failure":"block"}}"#;
    assert_eq!(set.llm_guardrails["injection"].definition.find_in_words(), words);
}

#[test]
fn a_model_judges_that_is_there_and_none_judges_itself() {
    let set = valid(&[JUDGED]);
    let words = r#"{"judge":{"model":"small","on_failure":"block","question":"It asks to ignore instructions.","threshold":0.8,"timeout":"5s"}}"#;
    let find = &set.llm_guardrails["attack"].definition.find;
    assert_eq!(
        serde_json::to_value(find).unwrap(),
        serde_json::from_str::<serde_json::Value>(words).unwrap()
    );
    let (stored, hash) = set.stored(DefinitionKind::LlmGuardrail, "attack").unwrap();
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::LlmGuardrail, &stored.to_string(), hash, true).unwrap();

    let missing = refused(&JUDGED.replace("model: small", "model: smal"));
    assert!(missing.contains("llm_model smal does not exist, which is to judge"), "{missing}");
    assert!(missing.contains("did you mean small?"), "{missing}");
    let itself = refused(&JUDGED.replace("model: x }]", "model: x }]\nguardrails: [attack]"));
    assert!(itself.contains("llm_model small would be judged by itself"), "{itself}");
    let other = "---\nkind: llm_guardrail\nname: back\naction: shadow\nfind: { judge: { model: judged, question: x } }\n";
    let circle = refused(&(JUDGED.replace("model: x }]", "model: x }]\nguardrails: [back]") + other));
    assert!(circle.contains("would be judged by itself, by way of llm_guardrail"), "{circle}");
    // A guardrail that changes alone is judged against the models that are in force.
    let file =
        "kind: llm_guardrail\nname: attack\naction: block\nfind: { judge: { model: judged, question: x } }\n";
    let file = shipway_definitions::DefinitionFile::new("a.yaml", file.to_owned());
    let refused = DefinitionSet::parse_onto(&[file], &set).unwrap_err().to_string();
    assert!(refused.contains("llm_model judged would be judged by itself"), "{refused}");
}

const REROUTING: &str = "
kind: llm_guardrail
name: sensitive
on: input
action: reroute
find: { personal: [email] }
---
kind: llm_model
name: careful
deployments: [{ provider: a, model: x }, { name: own, provider: b, model: y }]
route: a
guardrails: [sensitive]
on_guardrail: own
";

#[test]
fn a_guardrail_that_reroutes_is_named_by_models_that_say_where_to() {
    let set = valid(&[REROUTING]);
    assert_eq!(set.llm_guardrails["sensitive"].definition.action, LlmGuardrailAction::Reroute);
    let model = &set.llm_models["careful"];
    assert_eq!(model.definition.on_guardrail.as_ref().unwrap().to_string(), "own");
    let elsewhere = REROUTING.replace("on_guardrail: own", "on_guardrail: { fallback: [own, a] }");
    assert_ne!(valid(&[&elsewhere]).llm_models["careful"].hash, model.hash);

    let nowhere = refused(&REROUTING.replace("route: a\n", "").replace("on_guardrail: own\n", ""));
    assert!(nowhere.contains("llm_guardrail sensitive reroutes, and on_guardrail is missing"), "{nowhere}");
    let unknown = refused(&REROUTING.replace("on_guardrail: own", "on_guardrail: owm"));
    assert!(unknown.contains("owm"), "{unknown}");
    // A guardrail that begins to reroute is judged against the models that are in force.
    let before = valid(&[&GUARDRAILS.replace("action: redact", "action: block")]);
    let parse = |text: &str| {
        let file = shipway_definitions::DefinitionFile::new("a.yaml", text.to_owned());
        DefinitionSet::parse_onto(&[file], &before)
    };
    let people = "kind: llm_guardrail\nname: people\naction: ACTION\nfind: { personal: [email] }\n";
    assert!(parse(&people.replace("ACTION", "shadow")).is_ok());
    let refused = parse(&people.replace("ACTION", "reroute")).unwrap_err().to_string();
    assert!(refused.contains("it reroutes, and on_guardrail is missing in llm_model chat"), "{refused}");
}

#[test]
fn what_cannot_be_is_refused_with_its_line() {
    let guardrail = |rest: &str| format!("kind: llm_guardrail\nname: bad\n{rest}\n");
    for (rest, words) in [
        ("action: redact", "find is missing"),
        ("action: redact\nfind: { tools: { deny: [x] } }", "tools cannot be redacted"),
        ("action: block\non: output\nfind: { size: { bytes: 5 } }", "size is of requests"),
        ("action: block\non: both\nfind: { json_schema: { type: object } }", "json_schema is of answers"),
        ("action: redact\nfind: { fits: request }", "fits cannot be redacted"),
        ("action: redact\nfind: { classifier: { model: m, label: x } }", "classifier cannot be redacted"),
        ("action: block\nfind: { classifier: { model: m, label: '' } }", "label has from 1 to 128 bytes"),
        ("action: block\nfind: { classifier: { model: m } }", "missing field `label`"),
        (
            "action: block\nfind: { classifier: { model: m, label: x, threshold: -1 } }",
            "a score is from 0 to 1",
        ),
        ("action: block\nfind: { judge: { model: m, question: '' } }", "question has from 1 to"),
        (
            "action: block\nfind: { judge: { model: m, question: x, threshold: 1.1 } }",
            "a score is from 0 to 1",
        ),
        (
            "action: block\nfind: { judge: { model: m, question: x, threshold: 0 } }",
            "every text has a score of 0",
        ),
        (
            "action: block\nfind: { judge: { model: m, question: x, timeout: 5m } }",
            "timeout is no longer than 120 s",
        ),
        (
            "action: block\nfind: { judge: { model: m, question: x, on_failure: pass } }",
            "unknown variant `pass`",
        ),
        ("action: block\nfind: { fits: answer }", "find: unknown variant `answer`"),
        ("action: block\nfind: { json_schema: { type: objct } }", "`type` is not written as it must be"),
        (
            "action: block\nfind: { json_schema: { $ref: 'https://example.com/x.json' } }",
            "leads to nothing within the schema",
        ),
        ("action: block\nfind: { json_schema: { pattern: '(?=a)' } }", "look-around"),
        ("action: blok\nfind: { personal: [email] }", "did you mean block?"),
        ("action: block\nfind: { personal: [email], urls: {} }", "find is not one detector"),
        ("action: block\nfind: { personal: [mail] }", "find: unknown variant `mail`"),
        ("action: block\nfind: { patterns: { x: '(' } }", "find: pattern x: unclosed group"),
        ("action: block\nfind: { urls: { allow: [] } }", "find: nothing is looked for"),
    ] {
        let message = refused(&guardrail(rest));
        assert!(message.contains(words) && message.contains("llm_guardrail bad"), "{rest}: {message}");
    }
    let model = "kind: llm_model\nname: m\ndeployments: [{ provider: a, model: x }]\n";
    for (rest, words) in [
        ("guardrails: [peple]", "llm_guardrail peple does not exist"),
        ("guardrails: [people, people]", "people is twice in guardrails"),
        ("cache: { scope: team }", "time is missing in cache"),
        ("cache: { time: 1h, scope: teem }", "did you mean team?"),
    ] {
        let message = refused(&format!("{GUARDRAILS}---\n{model}{rest}\n"));
        assert!(message.contains(words), "{rest}: {message}");
    }
    // A guardrail that is wrong is told once, not again by the model that names it.
    let wrong = format!("{}---\n{model}guardrails: [bad]\n", guardrail("action: block"));
    assert!(!refused(&wrong).contains("does not exist"));
    // What is in force already is known.
    let known = valid(&[GUARDRAILS]);
    let file = shipway_definitions::DefinitionFile::new("a.yaml", format!("{model}guardrails: [own]\n"));
    assert!(DefinitionSet::parse_onto(&[file], &known).is_ok());
}
