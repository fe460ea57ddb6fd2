//! What each trap of translation becomes: one file of `tests/golden` each. See `tests/golden/README.md`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shipway_dialects::Dialect;
use shipway_dialects::translate::{Context, Echo, Options, Stream, answer, request};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// A case: what comes in as one of `request`, `answer` or `frames`.
#[derive(Deserialize)]
struct Case {
    from: Dialect,
    to: Dialect,
    #[serde(default)]
    drop: bool,
    #[serde(default)]
    max_tokens: bool,
    #[serde(default)]
    asks_usage: bool,
    #[serde(default)]
    streams: bool,
    /// What Bedrock calls the model.
    bedrock_model: Option<String>,
    request: Option<Value>,
    answer: Option<Value>,
    frames: Option<Vec<String>>,
    /// The request of responses that an answer belongs to.
    echo: Option<Value>,
}

/// What the case becomes, in the members that its file has for it.
fn becomes(case: &Case) -> Map<String, Value> {
    let echo = case.echo.as_ref().map(|request| Echo::of_request(request.to_string().as_bytes()));
    let context = Context {
        echo: echo.as_ref(),
        model: "the-model",
        created: 1_750_000_000,
        input_tokens: 33,
        stream_usage: case.asks_usage,
        request_id: Some("req_1"),
    };
    let found = if let Some(body) = &case.request {
        let mut options = Options::default();
        if case.drop {
            options.lossy = shipway_dialects::translate::Lossy::Drop;
        }
        if case.max_tokens {
            options.output_limit = shipway_dialects::translate::OutputLimit::MaxTokens;
        }
        if let Some(model) = &case.bedrock_model {
            options.maker = shipway_dialects::translate::Maker::of_bedrock(model);
        }
        match request(
            case.from,
            case.to,
            Some(("the-model", case.streams)),
            body.to_string().as_bytes(),
            &options,
        ) {
            Err(refused) => json!({"refused": refused.to_string(), "field": refused.field()}),
            Ok(translated) => {
                let body: Value = serde_json::from_slice(&translated.body).unwrap();
                json!({"becomes": body, "dropped": translated.dropped})
            }
        }
    } else if let Some(body) = &case.answer {
        match answer(case.from, case.to, body.to_string().as_bytes(), &context) {
            Err(error) => json!({"fails": {"cause": error.cause, "message": error.message}}),
            Ok(body) => json!({"becomes": serde_json::from_slice::<Value>(&body).unwrap()}),
        }
    } else {
        let (frames, ending) = stream(case, &context, usize::MAX);
        json!({"becomes": frames, "ending": format!("{ending:?}")})
    };
    found.as_object().cloned().unwrap()
}

fn stream(case: &Case, context: &Context<'_>, step: usize) -> (Vec<String>, shipway_dialects::Ending) {
    let bytes = case.frames.as_deref().unwrap_or_default().concat();
    let mut stream = Stream::new(case.from, case.to).unwrap();
    let mut out = Vec::new();
    for chunk in bytes.as_bytes().chunks(step.min(bytes.len().max(1))) {
        out.extend_from_slice(&stream.feed(&Bytes::copy_from_slice(chunk), context).unwrap());
    }
    let (ending, last) = stream.end(context);
    out.extend_from_slice(&last);
    let text = String::from_utf8(out).unwrap();
    (text.split_inclusive("\n\n").map(str::to_owned).collect(), ending)
}

fn cases() -> Vec<(String, Value)> {
    let mut cases: Vec<(String, Value)> = fs_err::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
            (path.display().to_string(), value)
        })
        .collect();
    cases.sort_by(|(one, _), (other, _)| one.cmp(other));
    cases
}

#[test]
fn every_trap_becomes_what_its_file_says() {
    let cases = cases();
    assert!(cases.len() > 40, "the golden files are there");
    for (path, value) in cases {
        let case: Case = serde_json::from_value(value.clone()).unwrap();
        for (name, found) in becomes(&case) {
            let wanted = value.get(&name).unwrap_or(&Value::Null);
            assert_eq!(
                *wanted,
                found,
                "{path}: {name} is\n{}",
                serde_json::to_string_pretty(&found).unwrap()
            );
            // Order matters: providers cache by the bytes of a prompt.
            assert_eq!(wanted.to_string(), found.to_string(), "{path}: the order of members in {name}");
        }
    }
}

#[test]
fn a_stream_is_translated_alike_however_it_is_cut() {
    let context = Context { model: "the-model", input_tokens: 33, stream_usage: true, ..Context::default() };
    for (path, value) in cases() {
        let case: Case = serde_json::from_value(value).unwrap();
        if case.frames.is_some() {
            let whole = stream(&case, &context, usize::MAX);
            for step in [1, 2, 3, 7, 50] {
                assert_eq!(stream(&case, &context, step), whole, "{path}: in steps of {step}");
            }
        }
    }
}

#[test]
#[ignore = "writes what comes out into the golden files, for people who have changed it on purpose and read the difference"]
fn write_goldens_again() {
    for (path, mut value) in cases() {
        let case: Case = serde_json::from_value(value.clone()).unwrap();
        let members = value.as_object_mut().unwrap();
        for name in ["becomes", "dropped", "refused", "field", "fails", "ending"] {
            members.shift_remove(name);
        }
        members.extend(becomes(&case));
        fs_err::write(&path, format!("{}\n", serde_json::to_string_pretty(&value).unwrap())).unwrap();
    }
}
