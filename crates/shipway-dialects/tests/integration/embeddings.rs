//! Embeddings across APIs: what each provider is asked, what comes back, and what cannot be said.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use shipway_dialects::Dialect;
use shipway_dialects::translate::{
    Context, Embedder, Embedding, Lossy, MOST_ONE_BY_ONE, embed_answer, embed_request, embed_usage,
};

const OPENAI: Dialect = Dialect::OpenAiEmbeddings;
const GEMINI: Dialect = Dialect::GeminiEmbeddings;
const ALL: [Embedder; 9] = [
    Embedder::OpenAi,
    Embedder::Gemini,
    Embedder::VertexPredict,
    Embedder::VertexPredictOne,
    Embedder::VertexContent,
    Embedder::TitanFirst,
    Embedder::Titan,
    Embedder::CohereThird,
    Embedder::Cohere,
];

fn asked(from: Dialect, to: Embedder, body: &Value) -> Embedding {
    embed_request(from, to, "up", body.to_string().as_bytes(), Lossy::Refuse).unwrap()
}

fn bodies(embedding: &Embedding) -> Vec<Value> {
    embedding.bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect()
}

fn refused(from: Dialect, to: Embedder, body: &Value) -> (Option<String>, String) {
    let refused = embed_request(from, to, "up", body.to_string().as_bytes(), Lossy::Refuse).unwrap_err();
    (refused.field().map(str::to_owned), refused.to_string())
}

fn told(from: Embedder, to: Dialect, asked: &Embedding, answers: &[Value]) -> Value {
    let bodies: Vec<Bytes> = answers.iter().map(|answer| answer.to_string().into()).collect();
    let usage = bodies.iter().map(|body| embed_usage(from, body, None)).next_back().flatten();
    let context = Context { model: "m", input_tokens: 33, ..Context::default() };
    let got = embed_answer(from, to, (&bodies, asked.shape), usage, &context).unwrap();
    serde_json::from_slice(&got).unwrap()
}

#[test]
fn two_texts_are_asked_for_in_the_words_of_each_provider() {
    let two = json!({"model": "m", "input": ["a", "b"], "dimensions": 8, "user": "u"});
    let of = |to| bodies(&asked(OPENAI, to, &two));
    assert_eq!(
        of(Embedder::Gemini),
        [json!({"requests": [
            {"model": "models/up", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8},
            {"model": "models/up", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 8},
        ]})]
    );
    assert_eq!(
        of(Embedder::VertexPredict),
        [
            json!({"instances": [{"content": "a"}, {"content": "b"}], "parameters": {"outputDimensionality": 8}})
        ]
    );
    let one =
        |text: &str| json!({"instances": [{"content": text}], "parameters": {"outputDimensionality": 8}});
    assert_eq!(of(Embedder::VertexPredictOne), [one("a"), one("b")]);
    let one = |text: &str| json!({"content": {"role": "user", "parts": [{"text": text}]}, "embedContentConfig": {"outputDimensionality": 8}});
    assert_eq!(of(Embedder::VertexContent), [one("a"), one("b")]);
    let one = |text: &str| json!({"inputText": text, "dimensions": 8});
    assert_eq!(of(Embedder::Titan), [one("a"), one("b")]);
    assert_eq!(
        of(Embedder::Cohere),
        [
            json!({"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"], "output_dimension": 8})
        ]
    );
    let dropped = asked(OPENAI, Embedder::Cohere, &two).dropped;
    assert_eq!(dropped.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["user", "input_type"]);
    for to in [Embedder::TitanFirst, Embedder::CohereThird] {
        assert_eq!(refused(OPENAI, to, &two).0.as_deref(), Some("dimensions"), "{to:?}");
    }
    // What embeddings are for may be said in the words of others; what nobody knows goes on.
    let more = json!({"model": "m", "input": "a", "input_type": "search_query", "truncate": "END"});
    let cohere = &bodies(&asked(OPENAI, Embedder::CohereThird, &more))[0];
    assert_eq!((&cohere["input_type"], &cohere["truncate"]), (&json!("search_query"), &json!("END")));
    let gemini = &bodies(&asked(OPENAI, Embedder::Gemini, &more))[0];
    assert_eq!(gemini["requests"][0]["taskType"], "RETRIEVAL_QUERY");
}

#[test]
fn contents_of_google_are_asked_of_openai_and_come_back_as_google_writes_them() {
    let batch = json!({"requests": [
        {"model": "models/m", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2},
        {"model": "models/m", "content": {"parts": [{"text": "b"}]}, "output_dimensionality": 2},
    ]});
    let several = asked(GEMINI, Embedder::OpenAi, &batch);
    assert_eq!(
        bodies(&several),
        [json!({"model": "up", "input": ["a", "b"], "dimensions": 2, "encoding_format": "float"})]
    );
    // In the order of the texts, whatever the order of the answer; also in base 64.
    let bytes: Vec<u8> = [0.5_f32, -1.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    let answer = json!({"data": [
        {"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": STANDARD.encode(bytes)},
    ], "usage": {"prompt_tokens": 7, "total_tokens": 7}});
    assert_eq!(
        told(Embedder::OpenAi, GEMINI, &several, &[answer]),
        json!({
            "embeddings": [{"values": [0.5, -1.0]}, {"values": [3.0, 4.5]}],
            "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
        })
    );
    let one =
        asked(GEMINI, Embedder::OpenAi, &json!({"content": {"parts": [{"text": "a"}], "role": "user"}}));
    let answer = json!({"data": [{"embedding": [1]}]});
    assert_eq!(told(Embedder::OpenAi, GEMINI, &one, &[answer]), json!({"embedding": {"values": [1.0]}}));
    let task = json!({"content": {"parts": [{"text": "a"}]}, "taskType": "CLUSTERING"});
    assert_eq!(refused(GEMINI, Embedder::OpenAi, &task).0.as_deref(), Some("content.taskType"));
    let let_through = embed_request(GEMINI, Embedder::OpenAi, "up", task.to_string().as_bytes(), Lossy::Drop);
    assert_eq!(let_through.unwrap().dropped[0].field, "content.taskType");
}

#[test]
fn what_comes_back_is_told_to_clients_of_openai_with_its_usage() {
    let two = json!({"model": "m", "input": ["a", "b"]});
    let values = |number: i32| json!({"values": [number]});
    let predicted = |number: i32, tokens: f64| json!({"embeddings": {"values": [number], "statistics": {"token_count": tokens}}});
    for (from, answers, tokens) in [
        (Embedder::Gemini, vec![json!({"embeddings": [values(1), values(2)]})], 33),
        (
            Embedder::Gemini,
            vec![json!({"embeddings": [values(1), values(2)], "usageMetadata": {"promptTokenCount": 4}})],
            4,
        ),
        (Embedder::VertexPredict, vec![json!({"predictions": [predicted(1, 3.0), predicted(2, 4.0)]})], 7),
        (
            Embedder::CohereThird,
            vec![json!({"embeddings": {"float": [[1], [2]]}, "response_type": "embeddings_by_type"})],
            33,
        ),
        (Embedder::Cohere, vec![json!({"embeddings": [[1], [2]]})], 33),
        (
            Embedder::Titan,
            vec![
                json!({"embedding": [1], "inputTextTokenCount": 2}),
                json!({"embedding": [2], "inputTextTokenCount": 5}),
            ],
            5,
        ),
    ] {
        let got = told(from, OPENAI, &asked(OPENAI, from, &two), &answers);
        assert_eq!(
            got,
            json!({
                "object": "list", "model": "m",
                "data": [
                    {"object": "embedding", "index": 0, "embedding": [1.0]},
                    {"object": "embedding", "index": 1, "embedding": [2.0]},
                ],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }),
            "{from:?}"
        );
    }
    assert_eq!(embed_usage(Embedder::Cohere, b"{}", Some(9)).unwrap().input, 9);
    assert_eq!(embed_usage(Embedder::Gemini, b"{}", None), None);
}

#[test]
fn a_client_that_asks_for_base_64_gets_numbers_of_32_bits() {
    let body = json!({"model": "m", "input": "a", "encoding_format": "base64"});
    let got = told(
        Embedder::Titan,
        OPENAI,
        &asked(OPENAI, Embedder::Titan, &body),
        &[json!({"embedding": [0.1, -2]})],
    );
    let bytes = STANDARD.decode(got["data"][0]["embedding"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, [0.1_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
}

#[test]
fn what_means_something_to_one_model_alone_and_what_is_too_much_is_refused_by_name() {
    for input in [json!([1, 2]), json!([[1, 2]]), json!([]), json!(7), json!(["a", {}]), json!(null)] {
        let body = json!({"model": "m", "input": input});
        assert_eq!(refused(OPENAI, Embedder::Gemini, &body).0.as_deref(), Some("input"), "{input}");
    }
    let format = json!({"model": "m", "input": "a", "encoding_format": "hex"});
    assert_eq!(refused(OPENAI, Embedder::Titan, &format).0.as_deref(), Some("encoding_format"));
    for (to, most) in [
        (Embedder::Gemini, 100),
        (Embedder::VertexPredict, 250),
        (Embedder::Cohere, 96),
        (Embedder::Titan, MOST_ONE_BY_ONE),
    ] {
        let texts = |count: usize| json!({"model": "m", "input": vec!["a"; count]});
        let fits = asked(OPENAI, to, &texts(most));
        assert!(fits.bodies.len() == 1 || fits.bodies.len() == most);
        let (field, message) = refused(OPENAI, to, &texts(most + 1));
        assert_eq!(field.as_deref(), Some("input"));
        assert!(message.contains(&format!("at most {most} texts")), "{message}");
    }
    for content in [
        json!({"content": {"parts": [{"text": "a"}, {"text": "b"}]}}),
        json!({"content": {"parts": [{"inlineData": {"data": "AAAA", "mimeType": "image/png"}}]}}),
        json!({"content": {}}),
    ] {
        assert_eq!(
            refused(GEMINI, Embedder::OpenAi, &content).0.as_deref(),
            Some("content.parts"),
            "{content}"
        );
    }
    let lengths = json!({"requests": [
        {"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}, "outputDimensionality": 2},
    ]});
    assert_eq!(
        refused(GEMINI, Embedder::OpenAi, &lengths).0.as_deref(),
        Some("requests[1].outputDimensionality")
    );
}

#[test]
fn an_answer_that_is_not_one_vector_for_each_text_is_a_failure() {
    let two = asked(OPENAI, Embedder::Gemini, &json!({"model": "m", "input": ["a", "b"]}));
    for answer in [
        r#"{"embeddings":[{"values":[1]}]}"#,
        r#"{"embeddings":[{"values":[1]},{"values":["x"]}]}"#,
        r#"{"embeddings":[{"values":[1]},{"values":[]}]}"#,
        r#"{"embeddings":{}}"#,
        r#"{"error":{"code":500,"message":"no","status":"INTERNAL"}}"#,
        "<html>",
    ] {
        let bodies = [Bytes::from(answer)];
        let context = Context::default();
        embed_answer(Embedder::Gemini, OPENAI, (&bodies, two.shape), None, &context).unwrap_err();
    }
}

#[test]
fn models_are_known_by_their_names() {
    assert_eq!(Embedder::at_vertex("text-embedding-005"), Embedder::VertexPredict);
    assert_eq!(Embedder::at_vertex("gemini-embedding-001"), Embedder::VertexPredictOne);
    assert_eq!(Embedder::at_vertex("publishers/google/models/gemini-embedding-2"), Embedder::VertexContent);
    for (model, known) in [
        ("amazon.titan-embed-text-v2:0", Some(Embedder::Titan)),
        ("amazon.titan-embed-text-v1", Some(Embedder::TitanFirst)),
        ("amazon.titan-embed-image-v1", None),
        ("cohere.embed-multilingual-v3", Some(Embedder::CohereThird)),
        ("us.cohere.embed-v4:0", Some(Embedder::Cohere)),
        ("arn:aws:bedrock:eu-west-1::foundation-model/cohere.embed-english-v3", Some(Embedder::CohereThird)),
        ("amazon.nova-pro-v1:0", None),
        ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc", None),
    ] {
        assert_eq!(Embedder::at_bedrock(model), known, "{model}");
    }
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_it_fail(body in "\\PC{0,200}", to in 0..ALL.len(), google in any::<bool>()) {
        let from = if google { GEMINI } else { OPENAI };
        let _ = embed_request(from, ALL[to], "up", body.as_bytes(), Lossy::Drop);
        let _ = embed_usage(ALL[to], body.as_bytes(), None);
    }

    #[test]
    fn every_text_is_asked_for_once_and_in_order(texts in prop::collection::vec("\\PC{0,20}", 1..90), to in 0..ALL.len()) {
        let body = json!({"model": "m", "input": texts});
        let embedding = asked(OPENAI, ALL[to], &body);
        let written: String = bodies(&embedding).iter().map(Value::to_string).collect();
        let mut at = 0;
        for text in &texts {
            let text = Value::from(text.as_str()).to_string();
            let found = written[at..].find(&text);
            prop_assert!(found.is_some());
            at += found.unwrap_or(0) + text.len();
        }
    }
}
