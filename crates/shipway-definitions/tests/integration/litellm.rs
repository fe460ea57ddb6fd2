//! A configuration of LiteLLM's proxy as definitions: what is carried, and what is listed as left out.

use std::fmt::Write as _;

use insta::assert_snapshot;
use shipway_definitions::LitellmImport;

use crate::valid;

/// The texts of an import, one after the other. What is written are definitions, and nothing in it is a secret.
fn imported(text: &str) -> String {
    let found = LitellmImport::read(text.trim_start()).unwrap();
    if !found.definitions.is_empty() {
        valid(&[found.definitions.as_str()]);
    }
    let mut shown = format!("{}===\n{}===\n", found.definitions, found.configuration);
    for (ours, theirs) in &found.environment {
        let _ = writeln!(shown, "{ours} from {theirs}");
    }
    for left_out in &found.left_out {
        let _ = writeln!(shown, "{left_out}");
    }
    assert!(!shown.contains("sk-") && !shown.contains("postgres://"), "{shown}");
    shown
}

fn refused(text: &str) -> String {
    LitellmImport::read(text).unwrap_err().to_string()
}

#[test]
fn entries_of_one_name_are_one_model() {
    let text = "
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      input_cost_per_token: 0.0000025
      output_cost_per_token: 1.0e-05
      cache_read_input_token_cost: 1.25e-06
      weight: 3
    model_info: { max_output_tokens: 4096 }
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o-eu
      api_base: https://eu.example.com/v1/
      api_key: os.environ/EU_KEY
      input_cost_per_token: 0.000003
      output_cost_per_token: 0.000012
      weight: 1
  - model_name: claude
    litellm_params:
      model: anthropic/claude-haiku-4-5
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000005
      cache_creation_input_token_cost: 0.00000125
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: gpt_4o
    called: [gpt-4o]
    deployments:
      - { provider: openai, model: gpt-4o, price: { input: 2.5, cached_input: 1.25, output: 10 }, max_output_tokens: 4096 }
      - { provider: openai_2, model: gpt-4o-eu, price: { input: 3, output: 12 } }
    route: { weighted: [{ to: openai, weight: 3 }, { to: openai_2 }] }
    ---
    kind: llm_model
    name: claude
    deployments:
      - { provider: anthropic, model: claude-haiku-4-5, price: { input: 1, cache_write: 1.25, output: 5 } }
    ===
    [providers.openai]
    kind = "openai"

    [providers.openai_2]
    kind = "openai"
    base_url = "https://eu.example.com/v1"

    [providers.anthropic]
    kind = "anthropic"
    ===
    SHIPWAY_PROVIDERS__ANTHROPIC__API_KEY from ANTHROPIC_API_KEY
    SHIPWAY_PROVIDERS__OPENAI_2__API_KEY from EU_KEY
    SHIPWAY_PROVIDERS__OPENAI__API_KEY from OPENAI_API_KEY
    "#);
}

#[test]
fn what_a_provider_is_known_to_lack_is_said_with_its_deployments() {
    let text = "
model_list:
  - model_name: coder
    litellm_params: { model: deepseek/deepseek-chat, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002 }
";
    let shown = imported(text);
    assert!(shown.contains("apis: [chat] }"), "{shown}");
}

#[test]
fn the_routers_settings_hold_for_every_model() {
    let text = "
model_list:
  - { model_name: a, litellm_params: { model: openai/a, input_cost_per_token: 0, output_cost_per_token: 0, order: 2 } }
  - { model_name: a, litellm_params: { model: groq/a, input_cost_per_token: 0, output_cost_per_token: 0, order: 1 } }
  - { model_name: b, litellm_params: { model: gpt-b, input_cost_per_token: 0, output_cost_per_token: 0, timeout: 30, num_retries: 1 } }
  - { model_name: last, litellm_params: { model: ollama/qwen3, api_base: 'http://gpu:11434', input_cost_per_token: 0, output_cost_per_token: 0 } }
router_settings:
  num_retries: 3
  retry_policy: { RateLimitErrorRetries: 2, TimeoutErrorRetries: 0 }
  timeout: 120
  stream_timeout: 0.5
  allowed_fails: 4
  cooldown_time: 60
  fallbacks: [{ a: [b] }, { '*': [last] }]
  model_group_alias: { gpt-4: a, hidden: { model: b, hidden: true } }
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: a
    called: [gpt-4]
    deployments:
      - { provider: openai, model: a, price: { input: 0, output: 0 } }
      - { provider: groq, model: a, price: { input: 0, output: 0 } }
      - { name: b_openai, provider: openai, model: gpt-b, price: { input: 0, output: 0 } }
      - { name: last_ollama, provider: ollama, model: qwen3, price: { input: 0, output: 0 } }
    route: { fallback: [groq, openai, b_openai, last_ollama] }
    timeouts: { first_token: 1s, total: 120s }
    retries: { rate_limit: 2, overloaded: 3, connection: 3, timeout: 0 }
    cooldown: { failures: 5, pause: 60s }
    ---
    kind: llm_model
    name: b
    called: [hidden]
    deployments:
      - { provider: openai, model: gpt-b, price: { input: 0, output: 0 } }
      - { name: last_ollama, provider: ollama, model: qwen3, price: { input: 0, output: 0 } }
    route: { fallback: [openai, last_ollama] }
    timeouts: { first_token: 1s, total: 30s }
    retries: { rate_limit: 2, overloaded: 1, connection: 1, timeout: 0 }
    cooldown: { failures: 5, pause: 60s }
    ---
    kind: llm_model
    name: last
    deployments:
      - { provider: ollama, model: qwen3, price: { input: 0, output: 0 } }
    timeouts: { first_token: 1s, total: 120s }
    retries: { rate_limit: 2, overloaded: 3, connection: 3, timeout: 0 }
    cooldown: { failures: 5, pause: 60s }
    ===
    [providers.openai]
    kind = "openai"

    [providers.groq]
    kind = "openai"
    base_url = "https://api.groq.com/openai/v1"

    [providers.ollama]
    kind = "openai"
    base_url = "http://gpu:11434/v1"
    ===
    SHIPWAY_PROVIDERS__GROQ__API_KEY from GROQ_API_KEY
    SHIPWAY_PROVIDERS__OPENAI__API_KEY from OPENAI_API_KEY
    "#);
}

#[test]
fn what_cannot_be_carried_is_listed_by_name_and_place() {
    let text = "
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-5-mini
      api_key: sk-live-1234567890
      rpm: 100
      temperature: 0.2
      input_cost_per_second: 0.1
    model_info: { id: one, mode: chat }
  - { model_name: chat, litellm_params: { model: openai/other, weight: 0, input_cost_per_token: 0.1e-6 } }
  - { model_name: cloud, litellm_params: { model: sagemaker/anthropic.claude, aws_secret_access_key: sk-aws } }
  - { model_name: 'openai/*', litellm_params: { model: 'openai/*' } }
  - { model_name: nameless, litellm_params: { model: mystery } }
  - { model_name: no-address, litellm_params: { model: hosted_vllm/qwen3 } }
  - { model_name: with-a-secret, litellm_params: { model: openai/x, api_base: 'https://u:sk-p@example.com/v1' } }
  - { litellm_params: { model: openai/x } }
  - 7
litellm_settings:
  drop_params: true
  set_verbose: false
  num_retries: 9
  context_window_fallbacks: [{ chat: [long] }]
  fallbacks: [{ chat: [cloud, { model: x, temperature: 0 }] }, oops]
router_settings: { routing_strategy: least-busy, model_group_alias: { old: cloud } }
general_settings: { master_key: sk-1234, database_url: 'postgres://u:p@db/x', alerting: [slack] }
environment_variables: { OPENAI_API_KEY: sk-in-the-file }
guardrails: [{ guardrail_name: pii }]
mcp_servers: {}
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: chat
    deployments:
      - { provider: openai, model: gpt-5-mini }
      - { provider: openai_2, model: other }
    route: { fallback: [openai, openai_2] }
    retries: { rate_limit: 5, overloaded: 5, connection: 5, timeout: 5 }
    unknown_price: flag
    ===
    [providers.openai]
    kind = "openai"

    [providers.openai_2]
    kind = "openai"
    ===
    SHIPWAY_PROVIDERS__OPENAI_2__API_KEY from OPENAI_API_KEY
    line 2, model_list[0]: no price is written, and LiteLLM's table of prices is not copied: write input_cost_per_token and output_cost_per_token, or the price into the definition; until then its calls go through and are flagged
    line 5, model_list[0].litellm_params.api_key: the secret stands in the file and is not copied: start the server with it as SHIPWAY_PROVIDERS__OPENAI__API_KEY
    line 6, model_list[0].litellm_params.rpm: a limit of a deployment: limits belong to keys and groups (--requests-per-minute); it counts as the weight where none is given
    line 7, model_list[0].litellm_params.temperature: what a deployment would add to calls: calls go on as they came
    line 8, model_list[0].litellm_params.input_cost_per_second: a price has input, cached_input, cache_write and output
    line 9, model_list[0].model_info.id: what LiteLLM tells its deployments and prices apart by
    line 9, model_list[0].model_info.mode: what LiteLLM tells its deployments and prices apart by
    line 10, model_list[1]: it has no weight beside others that have one: it is asked when none of them answers
    line 10, model_list[1]: no price is written, and LiteLLM's table of prices is not copied: write input_cost_per_token and output_cost_per_token, or the price into the definition; until then its calls go through and are flagged
    line 10, model_list[1].litellm_params: a price needs input_cost_per_token and output_cost_per_token: one of them is missing
    line 11, model_list[2].litellm_params.model: no kind of provider speaks the API of sagemaker; if an address of it is compatible with OpenAI's, write openai/ and that address
    line 12, model_list[3].model_name: a pattern, or no name that a caller can ask for: define each model by its name
    line 13, model_list[4].litellm_params.model: which provider it is at is not said: write provider/model
    line 14, model_list[5].litellm_params.model: hosted_vllm needs an api_base, and there is none
    line 15, model_list[6].litellm_params.api_base: an address has no name, secret or parameters here, and these are not copied
    line 16, model_list[7]: an entry needs model_name and litellm_params
    line 17, model_list[8]: a map is expected, this is a number
    line 19, litellm_settings.drop_params: calls go on as they came
    line 21, litellm_settings.num_retries: 5 at most: 5 is written
    line 22, litellm_settings.context_window_fallbacks[0].chat[0]: model long was not carried
    line 23, litellm_settings.fallbacks[0].chat[0]: model cloud was not carried
    line 23, litellm_settings.fallbacks[0].chat[1]: a fallback is the name of a model; other parameters are not carried
    line 23, litellm_settings.fallbacks[1]: a map from a model to its fallbacks is expected
    line 24, router_settings.model_group_alias.old: model cloud was not carried
    line 24, router_settings.routing_strategy: calls are spread by chance, by weight; least-busy is not carried: a route may be by latency or by cost
    line 25, general_settings.alerting: the server has no setting of the kind
    line 25, general_settings.database_url: keys, budgets and what was spent stay there: make them anew with `llm keys` and `llm groups`
    line 25, general_settings.master_key: not copied: make keys with `llm keys create`; the operator's token is SHIPWAY_TOKEN
    line 26, environment_variables.OPENAI_API_KEY: values of the environment are not copied: start the server with it where it is needed
    line 27, guardrails: guardrails are not carried
    "#);
}

#[test]
fn an_address_and_secrets_of_the_environment_stay_there() {
    let text = "
model_list:
  - { model_name: m, litellm_params: { model: qwen3, custom_llm_provider: hosted_vllm, api_base: os.environ/VLLM_URL, api_key: os.environ/VLLM_KEY, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: m, litellm_params: { model: claude-x, api_base: 'https://claude.example.com/', api_key: os.environ/VLLM_KEY, rpm: 10.5, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: m, litellm_params: { model: claude-x, api_base: 'https://claude.example.com/v1', api_key: os.environ/VLLM_KEY, rpm: 21, input_cost_per_token: 0, output_cost_per_token: 0 } }
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: m
    deployments:
      - { provider: hosted_vllm, model: qwen3, price: { input: 0, output: 0 } }
      - { provider: anthropic, model: claude-x, price: { input: 0, output: 0 } }
      - { name: anthropic_2, provider: anthropic, model: claude-x, price: { input: 0, output: 0 } }
    route: { fallback: [{ weighted: [{ to: anthropic, weight: 500 }, { to: anthropic_2, weight: 1000 }] }, hosted_vllm] }
    ===
    [providers.hosted_vllm]
    kind = "openai"

    [providers.anthropic]
    kind = "anthropic"
    base_url = "https://claude.example.com/v1"
    ===
    SHIPWAY_PROVIDERS__ANTHROPIC__API_KEY from VLLM_KEY
    SHIPWAY_PROVIDERS__HOSTED_VLLM__API_KEY from VLLM_KEY
    SHIPWAY_PROVIDERS__HOSTED_VLLM__BASE_URL from VLLM_URL
    line 2, model_list[0]: it has no weight beside others that have one: it is asked when none of them answers
    line 3, model_list[1].litellm_params.rpm: a limit of a deployment: limits belong to keys and groups (--requests-per-minute); it counts as the weight where none is given
    line 4, model_list[2].litellm_params.rpm: a limit of a deployment: limits belong to keys and groups (--requests-per-minute); it counts as the weight where none is given
    "#);
}

#[test]
fn what_is_no_configuration_of_litellm_is_refused_by_line() {
    let refusals = ["", "a: [", "- 1", "x: 1", "model_list: no"].map(refused);
    assert_snapshot!(refusals.join("\n"), @r#"
    line 1: the file is empty
    line 1: unclosed bracket '['
    line 1: a configuration of LiteLLM is a map
    line 1: there is no model_list
    line 1: model_list is no list
    "#);
    assert_eq!(LitellmImport::read("model_list: []").unwrap().definitions, "");
}

#[test]
fn gemini_and_azure_are_providers_of_their_own_kinds() {
    let text = "
model_list:
  - { model_name: g, litellm_params: { model: gemini/gemini-3-flash, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: a, litellm_params: { model: azure/my-deployment, api_base: 'https://r.openai.azure.com/', api_version: '2024-10-21', api_key: os.environ/AZURE_KEY, input_cost_per_token: 0, output_cost_per_token: 0 } }
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: g
    deployments:
      - { provider: gemini, model: gemini-3-flash, price: { input: 0, output: 0 } }
    ---
    kind: llm_model
    name: a
    deployments:
      - { provider: azure, model: my-deployment, price: { input: 0, output: 0 } }
    ===
    [providers.gemini]
    kind = "gemini"

    [providers.azure]
    kind = "azure"
    base_url = "https://r.openai.azure.com"
    api_version = "2024-10-21"
    ===
    SHIPWAY_PROVIDERS__AZURE__API_KEY from AZURE_KEY
    SHIPWAY_PROVIDERS__GEMINI__API_KEY from GEMINI_API_KEY
    "#);
}

#[test]
fn clouds_are_carried_with_their_places_and_without_their_secrets() {
    let text = "
model_list:
  - model_name: claude
    litellm_params:
      model: bedrock/converse/eu.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: eu-central-1
      aws_access_key_id: os.environ/OUR_ID
      aws_secret_access_key: sk-aws-secret
      aws_role_name: arn:aws:iam::1:role/x
      input_cost_per_token: 0.000003
      output_cost_per_token: 0.000015
  - { model_name: nova, litellm_params: { model: bedrock/amazon.nova-lite-v1:0, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: nova, litellm_params: { model: bedrock/amazon.nova-pro-v1:0, api_key: os.environ/BEDROCK_KEY, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: gemini, litellm_params: { model: vertex_ai/gemini-2.5-pro, vertex_project: ours, vertex_location: europe-west4, vertex_credentials: /etc/vertex.json, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: gemini-claude, litellm_params: { model: vertex_ai/claude-sonnet-4-5@20250929, vertex_credentials: '{\"private_key\": \"sk-vertex\"}', input_cost_per_token: 0, output_cost_per_token: 0 } }
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: claude
    deployments:
      - { provider: bedrock, model: "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", price: { input: 3, output: 15 } }
    ---
    kind: llm_model
    name: nova
    deployments:
      - { provider: bedrock_2, model: "amazon.nova-lite-v1:0", price: { input: 0, output: 0 } }
      - { provider: bedrock_3, model: "amazon.nova-pro-v1:0", price: { input: 0, output: 0 } }
    route: { weighted: [{ to: bedrock_2 }, { to: bedrock_3 }] }
    ---
    kind: llm_model
    name: gemini
    deployments:
      - { provider: vertex_ai, model: gemini-2.5-pro, price: { input: 0, output: 0 } }
    ---
    kind: llm_model
    name: gemini_claude
    called: [gemini-claude]
    deployments:
      - { provider: vertex_ai_2, model: "claude-sonnet-4-5@20250929", price: { input: 0, output: 0 } }
    ===
    [providers.bedrock]
    kind = "bedrock"
    region = "eu-central-1"

    [providers.bedrock_2]
    kind = "bedrock"

    [providers.bedrock_3]
    kind = "bedrock"

    [providers.vertex_ai]
    kind = "vertex"
    project = "ours"
    location = "europe-west4"
    service_account_file = "/etc/vertex.json"

    [providers.vertex_ai_2]
    kind = "vertex"
    ===
    SHIPWAY_PROVIDERS__BEDROCK_2__ACCESS_KEY_ID from AWS_ACCESS_KEY_ID
    SHIPWAY_PROVIDERS__BEDROCK_2__REGION from AWS_REGION_NAME
    SHIPWAY_PROVIDERS__BEDROCK_2__SECRET_ACCESS_KEY from AWS_SECRET_ACCESS_KEY
    SHIPWAY_PROVIDERS__BEDROCK_3__API_KEY from BEDROCK_KEY
    SHIPWAY_PROVIDERS__BEDROCK_3__REGION from AWS_REGION_NAME
    SHIPWAY_PROVIDERS__BEDROCK__ACCESS_KEY_ID from OUR_ID
    SHIPWAY_PROVIDERS__VERTEX_AI_2__LOCATION from VERTEXAI_LOCATION
    SHIPWAY_PROVIDERS__VERTEX_AI_2__PROJECT from VERTEXAI_PROJECT
    line 7, model_list[0].litellm_params.aws_secret_access_key: the secret stands in the file and is not copied: start the server with it as SHIPWAY_PROVIDERS__BEDROCK__SECRET_ACCESS_KEY
    line 8, model_list[0].litellm_params.aws_role_name: what a deployment would add to calls: calls go on as they came
    line 14, model_list[4].litellm_params.vertex_credentials: the secret stands in the file and is not copied: start the server with it as SHIPWAY_PROVIDERS__VERTEX_AI_2__SERVICE_ACCOUNT
    "#);
}

#[test]
fn fallbacks_for_a_reason_are_detours_and_strategies_are_routes() {
    let text = "
model_list:
  - { model_name: small, litellm_params: { model: openai/small, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: small, litellm_params: { model: anthropic/claude-small, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: long, litellm_params: { model: gemini/long, input_cost_per_token: 0, output_cost_per_token: 0 } }
  - { model_name: mild, litellm_params: { model: groq/mild, input_cost_per_token: 0, output_cost_per_token: 0 } }
router_settings:
  routing_strategy: latency-based-routing
  fallbacks: [{ small: [mild] }]
  context_window_fallbacks: [{ small: [long] }, { mild: [long] }]
  content_policy_fallbacks: [{ small: [mild, long] }]
";
    assert_snapshot!(imported(text), @r#"
    kind: llm_model
    name: small
    deployments:
      - { provider: openai, model: small, price: { input: 0, output: 0 } }
      - { provider: anthropic, model: claude-small, price: { input: 0, output: 0 } }
      - { name: mild_groq, provider: groq, model: mild, price: { input: 0, output: 0 } }
      - { name: long_gemini, provider: gemini, model: long, price: { input: 0, output: 0 } }
    route: { fallback: [{ latency: [openai, anthropic] }, mild_groq] }
    on_context_window: long_gemini
    on_content_policy: { fallback: [mild_groq, long_gemini] }
    ---
    kind: llm_model
    name: long
    deployments:
      - { provider: gemini, model: long, price: { input: 0, output: 0 } }
    ---
    kind: llm_model
    name: mild
    deployments:
      - { provider: groq, model: mild, price: { input: 0, output: 0 } }
      - { name: long_gemini, provider: gemini, model: long, price: { input: 0, output: 0 } }
    route: groq
    on_context_window: long_gemini
    ===
    [providers.openai]
    kind = "openai"

    [providers.anthropic]
    kind = "anthropic"

    [providers.gemini]
    kind = "gemini"

    [providers.groq]
    kind = "openai"
    base_url = "https://api.groq.com/openai/v1"
    ===
    SHIPWAY_PROVIDERS__ANTHROPIC__API_KEY from ANTHROPIC_API_KEY
    SHIPWAY_PROVIDERS__GEMINI__API_KEY from GEMINI_API_KEY
    SHIPWAY_PROVIDERS__GROQ__API_KEY from GROQ_API_KEY
    SHIPWAY_PROVIDERS__OPENAI__API_KEY from OPENAI_API_KEY
    "#);
}
