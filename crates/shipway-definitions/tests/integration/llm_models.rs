//! Models of language: what answers, in which order, at which price.

use insta::assert_snapshot;
use shipway_core::Sampling;
use shipway_definitions::{
    DefinitionKind, DefinitionSet, LlmApi, LlmContentKeep, LlmEmbeddings, LlmLossy, LlmOutputLimit,
    LlmSimilarMode, UnknownPrice,
};

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
    let price = model.deployments[0].price.as_ref().unwrap().rates;
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
fn a_deployment_says_which_apis_its_server_has() {
    let text =
        |apis: &str| format!("kind: llm_model\nname: m\ndeployments: [{{ provider: b, model: x{apis} }}]\n");
    let set = valid(&[&text(", apis: [embeddings, chat]")]);
    let model = &set.llm_models["m"];
    assert_eq!(model.definition.deployments[0].apis, [LlmApi::Chat, LlmApi::Embeddings]);
    // Their order says nothing, and without any the version is what it was before there were any.
    let hash = |apis: &str| valid(&[&text(apis)]).llm_models["m"].hash;
    assert_eq!(model.hash, hash(", apis: [chat, embeddings]"));
    assert_ne!(model.hash, hash(", apis: [chat]"));
    assert_ne!(hash(""), hash(", apis: [chat]"));
    let (stored, hash) = set.stored(DefinitionKind::LlmModel, "m").unwrap();
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::LlmModel, &stored.to_string(), hash, true).unwrap();
    assert_eq!(restored.llm_models, set.llm_models);
    let (plain, _) = valid(&[&text("")]).stored(DefinitionKind::LlmModel, "m").unwrap();
    assert!(!plain.to_string().contains("apis"), "{plain}");
    for (apis, problem) in [
        ("[]", "apis names none"),
        ("[chat, chat]", "chat is twice in apis"),
        ("[chatter]", "api chatter does not exist"),
    ] {
        let told = refused(&text(&format!(", apis: {apis}")));
        assert!(told.contains(problem), "{told}");
    }
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
    a.yaml:4: llm_model lost: fallback names c, which is no deployment
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

const ROUTED: &str = "
kind: llm_model
name: chat
deployments:
  - { name: eu, provider: openai, model: a, price: { input: 1, output: 2 } }
  - { name: us, provider: openai, model: a, price: { input: 1, output: 2 } }
  - { name: large, provider: openai, model: b, price: { input: 3, output: 9 } }
  - { name: lenient, provider: vllm, model: c, price: { input: 0, output: 0 } }
route:
  conditional:
    when:
      - { if: input_tokens > 200000 || 'research' in groups, to: large }
      - { if: tags.tier == 'cheap', to: { cost: [eu, us, large] } }
    otherwise: { sticky: { by: session, within: [{ latency: [eu, us] }, large] } }
hedge: { after: 1500ms, to: us }
on_context_window: large
on_content_policy: { fallback: [lenient, large] }
";

#[test]
fn strategies_lie_within_each_other_and_detours_are_declared() {
    let set = valid(&[ROUTED]);
    let model = &set.llm_models["chat"].definition;
    assert_snapshot!(model.route, @r#"conditional(if "input_tokens > 200000 || 'research' in groups" large, if "tags.tier == 'cheap'" cost(eu, us, large), otherwise sticky(by session, latency(eu, us), large))"#);
    let hedge = model.hedge.as_ref().unwrap();
    assert_eq!((hedge.after_ms, hedge.to.to_string()), (1_500, "us".to_owned()));
    assert_eq!(model.on_context_window.as_ref().unwrap().to_string(), "large");
    assert_eq!(model.on_content_policy.as_ref().unwrap().to_string(), "fallback(lenient, large)");
    let version = |text: &str| valid(&[text]).llm_models["chat"].hash;
    let plain = version(ROUTED);
    for (from, to) in [
        ("> 200000", "> 100000"),
        ("by: session", "by: x-tenant"),
        ("after: 1500ms", "after: 2s"),
        ("on_context_window: large", "on_context_window: eu"),
        ("latency: [eu, us]", "cost: [eu, us]"),
    ] {
        assert_ne!(plain, version(&ROUTED.replace(from, to)), "{to}");
    }
    let (stored, hash) = set.stored(DefinitionKind::LlmModel, "chat").unwrap();
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::LlmModel, &stored.to_string(), hash, true).unwrap();
    assert_eq!(restored.llm_models, set.llm_models);
}

#[test]
fn routes_that_cannot_be_are_refused_where_they_stand() {
    let text = "
kind: llm_model
name: broken
deployments: [{ provider: a, model: x }, { provider: b, model: x }, { provider: c, model: x }]
route:
  conditional:
    when:
      - { if: input_tokens > 'many', to: a }
      - { if: modle == 'x', to: a }
      - { if: stream && , to: b }
      - { if: \"groups.exists(g, g == 'x')\", to: b }
    otherwise: { latency: [a], cost: [b] }
hedge: { after: 5, to: d }
on_context_window: { sticky: { by: cookie, within: [a] } }
";
    assert_snapshot!(refused(text.trim_start()), @r"
    a.yaml:7: llm_model broken: if `input_tokens > 'many'`, at character 14: > cannot be used with a whole number and a text
      hint: conditions know && || ! == != < <= > >= + - * / % ? : in, size(…), has(tags.…), contains, startsWith, endsWith
    a.yaml:8: llm_model broken: if `modle == 'x'`, at character 1: modle is nothing that is known of a call
      hint: what can be asked for: model, api, stream, tools, structured_output, reasoning, media, max_tokens, input_tokens, user, session, key, groups, service_tier, tags
    a.yaml:9: llm_model broken: if `stream &&`, at character 10: mismatched input the end
    a.yaml:10: llm_model broken: if `groups.exists(g, g == 'x')`, at character 14: loops such as exists, all, map and filter are not part of conditions
    a.yaml:11: llm_model broken: otherwise is not one strategy
      hint: write the name of a deployment, or one of fallback: […], weighted: [{ to: …, weight: … }], latency: […], cost: […], conditional: { when: […], otherwise: … }, sticky: { by: …, within: […] }
    a.yaml:12: llm_model broken: after `5` is no such time
      hint: write a whole number and ms or s, from 10ms to 600s, such as 1500ms
    a.yaml:12: llm_model broken: to names d, which is no deployment
      hint: did you mean a?
    a.yaml:13: llm_model broken: by `cookie` does not exist
      hint: write session, user, key, or the name of a header that starts with x-
    ");
    let text = "
kind: llm_model
name: forgetful
deployments: [{ provider: a, model: x }, { provider: b, model: x }]
route: a
";
    assert_snapshot!(refused(text.trim_start()), @r"
    a.yaml:4: llm_model forgetful: route never tries deployment b
      hint: name it in the route, or remove it from deployments
    ");
    // Where it is only asked for another reason, it is not forgotten.
    valid(&[&format!("{}on_context_window: b\n", text.trim_start())]);
}

#[test]
fn a_price_has_tiers_modifiers_and_a_day() {
    let text = "
kind: llm_model
name: priced
deployments:
  - provider: a
    model: x
    price:
      { input: 3, cached_input: 0.3, cache_write: 3.75, cache_write_1h: 6, output: 15, reasoning: 12, input_audio: 40, as_of: 2026-11-01,
        tiers: [{ above: 400000, input: 8, output: 30 }, { above: 200000, input: 6, output: 22.5, cached_input: 0.6 }],
        service_tiers: { batch: 0.5, priority: 2 }, per_search: 0.01, per_request: 0.001 }
";
    let set = valid(&[text]);
    let model = &set.llm_models["priced"];
    let price = model.definition.deployments[0].price.as_ref().unwrap();
    assert_eq!(
        (price.rates.cache_write_1h, price.rates.reasoning),
        (Some(6_000_000_000), Some(12_000_000_000))
    );
    assert_eq!(price.tiers.iter().map(|tier| tier.above).collect::<Vec<_>>(), [200_000, 400_000]);
    assert_eq!(price.tiers[0].rates.cached_input, Some(600_000_000));
    assert_eq!(price.service_tiers, [("batch".to_owned(), 500_000), ("priority".to_owned(), 2_000_000)]);
    assert_eq!((price.per_search, price.per_request), (Some(10_000_000), Some(1_000_000)));
    assert_eq!(price.as_of.as_deref(), Some("2026-11-01"));
    let other = valid(&[&text.replace("2026-11-01", "2026-11-02")]).llm_models["priced"].hash;
    assert_ne!(model.hash, other);
    let (stored, hash) = set.stored(DefinitionKind::LlmModel, "priced").unwrap();
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::LlmModel, &stored.to_string(), hash, true).unwrap();
    assert_eq!(restored.llm_models, set.llm_models);
}

#[test]
fn a_price_that_cannot_be_is_refused_at_its_line() {
    let text = "
kind: llm_model
name: broken
deployments:
  - provider: a
    model: x
    price:
      input: 3
      output: 15
      as_of: yesterday
      tiers: [{ above: 5, input: 1, output: 1 }, { above: 5, input: 2, output: 2 }]
      service_tiers: { batch: -1 }
      per_image: -0.5
";
    assert_snapshot!(refused(text.trim_start()), @r"
    a.yaml:9: llm_model broken: as_of `yesterday` is no day
      hint: write the day from which the prices hold: 2026-11-01
    a.yaml:10: llm_model broken: two tiers hold above 5
    a.yaml:11: llm_model broken: service tier batch: no share
      hint: write what its tokens cost as a share of what is usual, such as 0.5 for half
    a.yaml:12: llm_model broken: per_image is no price
      hint: write dollars, from 0 to 1000000, with at most nine digits after the point
    ");
}

const GUARDED: &str = "kind: llm_guardrail\nname: emails\naction: redact\nfind: { personal: [email] }\n---\n";

#[test]
fn a_model_says_what_is_kept_of_what_is_asked_and_answered() {
    let model = |content: &str| {
        format!(
            "{GUARDED}kind: llm_model\nname: m\nguardrails: [emails]\ndeployments: [{{ provider: b, model: x }}]\n{content}"
        )
    };
    let kept = |content: &str| valid(&[&model(content)]).llm_models["m"].definition.content;
    assert_eq!(kept(""), None);
    for nothing in ["content: none\n", "content: { keep: none }\n", "content: { keep: full, share: 0 }\n"] {
        assert_eq!(kept(nothing), None, "{nothing}");
    }
    let full = kept("content: full\n").unwrap();
    assert_eq!((full.keep, full.share, full.most_bytes), (LlmContentKeep::Full, Sampling::All, 65_536));
    let some = kept("content: { keep: redacted, share: 0.1, max_kib: 8 }\n").unwrap();
    assert_eq!(
        (some.keep, some.share, some.most_bytes),
        (LlmContentKeep::Redacted, Sampling::PerMillion(100_000), 8_192)
    );
    let hash = |content: &str| valid(&[&model(content)]).llm_models["m"].hash;
    assert_eq!(hash(""), hash("content: none\n"), "models of before keep their versions");
    assert_ne!(hash(""), hash("content: full\n"));
}

#[test]
fn content_that_cannot_be_kept_so_is_refused() {
    let model = |content: &str| {
        format!("kind: llm_model\nname: m\ndeployments: [{{ provider: b, model: x }}]\n{content}")
    };
    assert_snapshot!(refused(&model("content: redacted\n")), @r"
    a.yaml:4: llm_model m: content is to be redacted, and no guardrail says what that means
      hint: name guardrails that find what must not be kept, or write content: full
    ");
    let sizes =
        "kind: llm_guardrail\nname: sizes\naction: block\non: input\nfind: { size: { messages: 5 } }\n---\n";
    let by_size = format!("{sizes}{}", model("guardrails: [sizes]\ncontent: redacted\n"));
    assert_snapshot!(refused(&by_size), @r"
    a.yaml:8: llm_model m: content is to be redacted, and none of its guardrails looks at texts
      hint: name a guardrail that finds what must not be kept, or write content: full
    ");
    assert_snapshot!(refused(&model("content: { keep: fulll, share: 2, max_kib: 0 }\n")), @r"
    a.yaml:4: llm_model m: keep fulll does not exist
      hint: did you mean full?
    a.yaml:4: llm_model m: max_kib is no such number
      hint: write a whole number from 1 to 4096
    a.yaml:4: llm_model m: share 2 is no share
      hint: write the share of calls whose content is kept, from 0 to 1: 0.1 for one in ten
    ");
}

const SIMILAR: &str = "
kind: llm_model
name: embed
deployments: [{ provider: openai, model: text-embedding-3-small }]
---
kind: llm_model
name: answers
deployments: [{ provider: openai, model: gpt-5-mini }]
cache:
  time: 1h
  scope: team
  together: true
  similar: { embeddings: embed, mode: serve, least: 0.93, same: 0.85, wrong: 0.01, check: 0.1 }
";

#[test]
fn answers_may_be_given_to_who_asks_about_the_same() {
    let set = valid(&[SIMILAR]);
    let cache = set.llm_models["answers"].definition.cache.as_ref().unwrap();
    let similar = cache.similar.as_ref().unwrap();
    assert!(cache.together);
    assert_eq!(similar.embeddings, LlmEmbeddings::Model("embed".parse().unwrap()));
    assert_eq!((similar.mode, similar.check), (LlmSimilarMode::Serve, Sampling::PerMillion(100_000)));
    assert_eq!((similar.least, similar.same, similar.wrong), (930_000, 850_000, 10_000));
    let version = |text: &str| valid(&[text]).llm_models["answers"].hash;
    for (from, to) in [
        ("together: true", "together: false"),
        ("embeddings: embed", "embeddings: { served: embed }"),
        ("mode: serve", "mode: shadow"),
        ("0.93", "0.94"),
        ("0.85", "0.86"),
        ("0.01", "0.02"),
        ("check: 0.1", "check: 0"),
    ] {
        assert!(SIMILAR.contains(from), "{from}");
        assert_ne!(version(SIMILAR), version(&SIMILAR.replace(from, to)), "{to}");
    }
    let (stored, hash) = set.stored(DefinitionKind::LlmModel, "answers").unwrap();
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::LlmModel, &stored.to_string(), hash, true).unwrap();
    assert_eq!(restored.llm_models["answers"], set.llm_models["answers"]);
    // A model that is served here is not defined here.
    let served = valid(&["
kind: llm_model
name: m
deployments: [{ provider: a, model: x }]
cache: { time: 1h, similar: { embeddings: { served: minilm } } }
"]);
    let similar = served.llm_models["m"].definition.cache.as_ref().unwrap().similar.as_ref().unwrap();
    assert_eq!(similar.embeddings, LlmEmbeddings::Served("minilm".parse().unwrap()));
    assert_eq!((similar.mode, similar.check), (LlmSimilarMode::Shadow, Sampling::PerMillion(50_000)));
    assert_eq!((similar.least, similar.same, similar.wrong), (950_000, 900_000, 20_000));
}

#[test]
fn similar_answers_that_cannot_be_are_refused_at_their_line() {
    let text = "
kind: llm_model
name: m
deployments: [{ provider: a, model: x }]
cache:
  time: 1h
  together: perhaps
  similar:
    embeddings: 5
    mode: always
    least: 0.2
    wrong: 2
";
    assert_snapshot!(refused(text.trim_start()), @r"
    a.yaml:6: llm_model m: together is neither true nor false
    a.yaml:8: llm_model m: expected a map in embeddings, got a number
      hint: the fields are served
    a.yaml:9: llm_model m: mode always does not exist
      hint: write shadow or serve
    a.yaml:10: llm_model m: least 0.2 is none
      hint: write a cosine from 0.5 to 1
    a.yaml:11: llm_model m: wrong 2 is none
      hint: write a share from 0 to 1: 0.02 for two of a hundred
    ");
    let named = |name: &str| {
        refused(SIMILAR.replace("embeddings: embed,", &format!("embeddings: {name},")).trim_start())
    };
    assert_snapshot!(named("embeds"), @r"
    a.yaml:6: llm_model answers: llm_model embeds does not exist
      hint: did you mean embed?
    ");
    assert_snapshot!(named("answers"), @r"
    a.yaml:6: llm_model answers: its embeddings would be its own answers
      hint: name a model that answers embeddings
    ");
}
