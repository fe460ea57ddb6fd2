//! Models of language: what answers, in which order, at which price.

use insta::assert_snapshot;
use shipway_definitions::{DefinitionKind, DefinitionSet, LlmLossy, LlmOutputLimit, UnknownPrice};

use crate::{refused, valid};

const MODEL: &str = "
kind: llm_model
name: chat
called: [gpt-5-mini, gpt-5-mini-2025-08-07]
deployments:
  - { provider: openai, model: gpt-5-mini, price: { input: 0.25, cached_input: 0.025, output: 2 } }
  - { name: eu, provider: openai_eu, model: gpt-5-mini, price: { input: 0.275, output: 2.2 }, max_output_tokens: 4096 }
  - { name: spare, provider: anthropic, model: claude-haiku-4-5 }
route: { fallback: [{ weighted: [{ to: openai, weight: 3 }, { to: eu }] }, spare] }
timeouts: { first_token: 30s }
unknown_price: flag
";

#[test]
fn a_model_says_what_answers_and_what_it_costs() {
    let set = valid(&[MODEL]);
    let model = &set.llm_models["chat"].definition;
    let price = model.deployments[0].price.unwrap();
    assert_eq!(
        (price.input, price.cached_input, price.output),
        (250_000_000, Some(25_000_000), 2_000_000_000)
    );
    assert_eq!(price.cache_write, None);
    assert_eq!(model.deployments[1].max_output_tokens, 4096);
    assert_eq!(model.deployments[2].price, None);
    assert_snapshot!(model.route, @"fallback(weighted(3 openai, 1 eu), spare)");
    assert_eq!(
        (model.timeouts.first_token.micros(), model.timeouts.total.micros()),
        (30_000_000, 600_000_000)
    );
    assert_eq!(model.unknown_price, UnknownPrice::Flag);
    assert_eq!((model.lossy, model.deployments[0].output_limit), Default::default());
    assert!(model.is_called("chat") && model.is_called("gpt-5-mini") && !model.is_called("gpt-5"));
}

#[test]
fn without_a_route_deployments_are_tried_as_they_are_written_and_an_unknown_price_blocks() {
    let text =
        "kind: llm_model\nname: m\ndeployments: [{ provider: b, model: x }, { provider: a, model: y }]\n";
    let set = valid(&[text]);
    let model = &set.llm_models["m"].definition;
    assert_snapshot!(model.route, @"fallback(b, a)");
    assert_eq!(model.unknown_price, UnknownPrice::Block);
}

#[test]
fn a_model_says_what_becomes_of_what_cannot_be_translated() {
    let text = "kind: llm_model\nname: m\nlossy: drop\ndeployments: [{ provider: b, model: x, output_limit: max_tokens }]\n";
    let set = valid(&[text]);
    let model = &set.llm_models["m"];
    assert_eq!(
        (model.definition.lossy, model.definition.deployments[0].output_limit),
        (LlmLossy::Drop, LlmOutputLimit::MaxTokens)
    );
    // What is usual is the same whether it is written or not: models of before keep their versions.
    let plain = "kind: llm_model\nname: m\ndeployments: [{ provider: b, model: x }]\n";
    let usual = "kind: llm_model\nname: m\nlossy: refuse\ndeployments: [{ provider: b, model: x, output_limit: max_completion_tokens }]\n";
    let hash = |text: &str| valid(&[text]).llm_models["m"].hash;
    assert_eq!(hash(plain), hash(usual));
    assert_ne!(hash(plain), hash(&text.replace("lossy: drop\n", "")));
    assert_ne!(hash(plain), hash(&text.replace(", output_limit: max_tokens", "")));
    let (stored, hash) = valid(&[plain])
        .stored(DefinitionKind::LlmModel, "m")
        .map(|(stored, hash)| (stored.to_string(), hash))
        .unwrap();
    assert!(!stored.contains("lossy") && !stored.contains("output_limit"), "{stored}");
    DefinitionSet::default().restore(DefinitionKind::LlmModel, &stored, hash, true).unwrap();
}

#[test]
fn the_version_is_of_all_that_decides_an_answer_and_its_cost() {
    let version = |text: &str| valid(&[text]).llm_models["chat"].hash;
    let plain = version(MODEL);
    assert_eq!(plain, version(&format!("{MODEL}owner: search\ntags: [llm]\n")));
    for (from, to) in [
        ("output: 2 }", "output: 2.5 }"),
        ("weight: 3", "weight: 4"),
        ("first_token: 30s", "first_token: 31s"),
        ("claude-haiku-4-5", "claude-haiku-4"),
        ("unknown_price: flag", "unknown_price: block"),
        ("cached_input: 0.025, ", ""),
    ] {
        assert!(MODEL.contains(from), "{from}");
        assert_ne!(plain, version(&MODEL.replace(from, to)), "{to}");
    }
}

#[test]
fn what_is_stored_is_read_back_and_its_hash_is_checked() {
    let set = valid(&[MODEL]);
    let (stored, hash) = set.stored(DefinitionKind::LlmModel, "chat").unwrap();
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::LlmModel, &stored.to_string(), hash, true).unwrap();
    assert_eq!(restored.llm_models, set.llm_models);
    let altered = stored.to_string().replace("gpt-5-mini", "gpt-5-nano");
    assert!(restored.restore(DefinitionKind::LlmModel, &altered, hash, true).is_err());
    let kind: DefinitionKind = serde_json::from_str("\"llm_model\"").unwrap();
    assert_eq!(kind, DefinitionKind::LlmModel);
}

#[test]
fn what_cannot_be_is_refused_at_its_line() {
    let text = "
kind: llm_model
name: broken
called: [two words]
deployments:
  - { provider: openai, model: a, price: { input: -1, output: 2 } }
  - { provider: openai, model: b, max_output_tokens: 0 }
  - { name: kept, provider: openai, model: b, price: { input: 0.0000000001, output: 2 } }
retries: { overloaded: 9 }
unknown_price: free
lossy: maybe
";
    assert_snapshot!(refused(text.trim_start()), @r"
    a.yaml:3: llm_model broken: a name in called `two words` cannot be a name of a model
      hint: use at most 256 letters, digits and signs, without spaces
    a.yaml:5: llm_model broken: input is no price
      hint: write dollars for a million tokens, from 0 to 1000000, with at most nine digits after the point
    a.yaml:6: llm_model broken: max_output_tokens is no such number
      hint: write a whole number from 1 to 10000000
    a.yaml:7: llm_model broken: input is no price
      hint: write dollars for a million tokens, from 0 to 1000000, with at most nine digits after the point
    a.yaml:8: llm_model broken: overloaded is no such number
      hint: write a whole number from 0 to 5
    a.yaml:9: llm_model broken: unknown_price free does not exist
      hint: write block or flag
    a.yaml:10: llm_model broken: lossy maybe does not exist
      hint: write refuse or drop
    ");
    let text = "
kind: llm_model
name: lost
deployments: [{ provider: a, model: x }, { provider: b, model: x }]
route: { fallback: [a, c] }
";
    assert_snapshot!(refused(text.trim_start()), @r"
    a.yaml:4: llm_model lost: route names c, which is no deployment
      hint: did you mean a?
    ");
}

#[test]
fn one_name_leads_to_one_model() {
    let other =
        "kind: llm_model\nname: other\ncalled: [gpt-5-mini]\ndeployments: [{ provider: a, model: x }]\n";
    assert_snapshot!(refused(&format!("{}---\n{other}", MODEL.trim_start())), @r"
    a.yaml:13: llm_model other: gpt-5-mini is a name of llm_model chat already
      hint: call one of them something else
    ");
}
