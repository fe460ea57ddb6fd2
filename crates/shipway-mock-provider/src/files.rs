//! Files and batches of OpenAI's API. A batch is worked off at once, and says so a step later each time that it is looked at.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    ask::{Refused, text},
    choose::{Signs, model_and_script},
    dialects::{CREATED, openai},
    failures,
    provider::{Call, Provider},
    route::Route,
    speak,
    wire::{Answer, Body, Request},
};

/// How often a batch is looked at until it is over.
const LOOKS: u8 = 2;

/// What was sent and what was worked off.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: BTreeMap<String, File>,
    batches: BTreeMap<String, Batch>,
    numbers: u64,
}

#[derive(Debug)]
struct File {
    object: Value,
    bytes: Bytes,
}

#[derive(Debug)]
struct Batch {
    object: Value,
    /// How it ends.
    end: Value,
    waits: u8,
}

impl Batch {
    fn shown(&self) -> Value {
        if self.waits > 0 { self.object.clone() } else { self.end.clone() }
    }
}

impl Files {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self) {
        *self.kept() = Kept::default();
    }
}

impl Kept {
    fn add(&mut self, purpose: &str, name: &str, bytes: Bytes) -> Value {
        self.numbers += 1;
        let id = format!("file-mock{:08}", self.numbers);
        let object = json!({
            "id": id, "object": "file", "bytes": bytes.len(), "created_at": CREATED, "filename": name,
            "purpose": purpose, "status": "processed", "expires_at": null, "status_details": null,
        });
        self.files.insert(id, File { object: object.clone(), bytes });
        object
    }
}

/// The answer to a request about files or batches.
pub(crate) fn answer(provider: &Provider, request: &Request, call: &Call<'_>) -> Answer {
    let answered = match call.route {
        Route::Files => files(provider, request, call),
        Route::File(id) => file(provider, request, id),
        Route::FileContent(id) => content(provider, id),
        Route::Batches => batches(provider, request, call),
        Route::Batch(id) => look(provider, id),
        Route::BatchCancel(id) => cancel(provider, id),
        _ => Err(Refused::invalid("not of files")),
    };
    let answer = answered.unwrap_or_else(|refused| failures::answer(call, &refused));
    speak::with_house_headers(answer, call, false)
}

fn missing(what: &str, id: &str) -> Refused {
    Refused {
        kind: crate::script::ErrorKind::NotFound,
        ..Refused::at("id", format!("No such {what} object: {id}"))
    }
}

fn files(provider: &Provider, request: &Request, call: &Call<'_>) -> Result<Answer, Refused> {
    let mut kept = provider.files().kept();
    if request.method == "GET" {
        let data: Vec<Value> = kept.files.values().map(|file| file.object.clone()).collect();
        return Ok(Answer::json(200, &json!({"object": "list", "data": data, "has_more": false})));
    }
    let purpose = text(call.body, "purpose")
        .ok_or_else(|| Refused::at("purpose", "Missing required parameter: 'purpose'."))?;
    let form = request.header("content-type").unwrap_or_default();
    let (name, bytes) = openai::media::file_of(form, &request.body)
        .ok_or_else(|| Refused::at("file", "Missing required parameter: 'file'."))?;
    Ok(Answer::json(200, &kept.add(purpose, &name, bytes)))
}

fn file(provider: &Provider, request: &Request, id: &str) -> Result<Answer, Refused> {
    let mut kept = provider.files().kept();
    if request.method == "DELETE" {
        kept.files.remove(id).ok_or_else(|| missing("File", id))?;
        return Ok(Answer::json(200, &json!({"id": id, "object": "file", "deleted": true})));
    }
    let file = kept.files.get(id).ok_or_else(|| missing("File", id))?;
    Ok(Answer::json(200, &file.object))
}

fn content(provider: &Provider, id: &str) -> Result<Answer, Refused> {
    let kept = provider.files().kept();
    let file = kept.files.get(id).ok_or_else(|| missing("File", id))?;
    Ok(Answer::whole(200, "application/octet-stream", file.bytes.clone()))
}

fn batches(provider: &Provider, request: &Request, call: &Call<'_>) -> Result<Answer, Refused> {
    if request.method == "GET" {
        let kept = provider.files().kept();
        let data: Vec<Value> = kept.batches.values().map(Batch::shown).collect();
        return Ok(Answer::json(200, &json!({"object": "list", "data": data, "has_more": false})));
    }
    let input = text(call.body, "input_file_id")
        .ok_or_else(|| Refused::at("input_file_id", "Missing required parameter: 'input_file_id'."))?;
    let lines = {
        let kept = provider.files().kept();
        let file = kept.files.get(input).ok_or_else(|| missing("File", input))?;
        file.bytes.clone()
    };
    let worked = Worked::off(provider, request, call, &lines);
    Ok(Answer::json(200, &begun(&mut provider.files().kept(), call.body, worked)))
}

/// What the calls of a file came to.
#[derive(Default)]
struct Worked {
    answers: String,
    errors: String,
    calls: u64,
    failed: u64,
}

impl Worked {
    fn off(provider: &Provider, request: &Request, call: &Call<'_>, lines: &[u8]) -> Self {
        let mut worked = Self::default();
        let ends_early = call.body["metadata"]["mock"] == "expire";
        let all: Vec<Value> = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(|line| serde_json::from_slice(line).unwrap_or_default())
            .collect();
        let done = if ends_early { all.len() / 2 } else { all.len() };
        for line in &all[..done] {
            worked.one(provider, request, line, call.number);
        }
        worked
    }

    fn one(&mut self, provider: &Provider, request: &Request, line: &Value, number: u64) {
        self.calls += 1;
        let body = &line["body"];
        let bytes = body.to_string();
        let model = text(body, "model").unwrap_or_default();
        let signs = Signs { model, key: request.key(), header: None, body: bytes.as_bytes() };
        let route = Route::of("POST", text(line, "url").unwrap_or_default(), false);
        let script = provider.scripts().choose(&signs);
        let answered = match (&route, script) {
            (Some(route), Ok(script)) => speak::answer(
                provider,
                &Call {
                    route,
                    model: model_and_script(model).0,
                    body,
                    checksum: crc32fast::hash(bytes.as_bytes()),
                    body_bytes: bytes.len(),
                    script: &script,
                    number,
                },
            ),
            _ => Err(Refused::invalid("no such API")),
        };
        let (status, said) = match answered {
            Ok(Answer { body: Body::Whole(said), status, .. }) => {
                (status, serde_json::from_slice(&said).unwrap_or_default())
            }
            Ok(_) => (400, json!({"error": {"message": "a batch has no streams"}})),
            Err(refused) => (400, openai::error(&refused)),
        };
        let told = json!({
            "id": format!("batch_req_{number}_{}", self.calls), "custom_id": line["custom_id"],
            "response": {"status_code": status, "request_id": format!("req_{number}_{}", self.calls), "body": said},
            "error": null,
        });
        let file = if status == 200 { &mut self.answers } else { &mut self.errors };
        self.failed += u64::from(status != 200);
        file.push_str(&told.to_string());
        file.push('\n');
    }
}

fn begun(kept: &mut Kept, asked: &Value, worked: Worked) -> Value {
    let written = |kept: &mut Kept, bytes: String| match bytes.is_empty() {
        true => Value::Null,
        false => kept.add("batch_output", "output.jsonl", Bytes::from(bytes))["id"].clone(),
    };
    let fails = asked["metadata"]["mock"] == "fail";
    let (answers, errors) = match fails {
        true => (Value::Null, Value::Null),
        false => (written(kept, worked.answers), written(kept, worked.errors)),
    };
    kept.numbers += 1;
    let id = format!("batch_mock{:08}", kept.numbers);
    let counts = |done: u64| json!({"total": worked.calls, "completed": done - worked.failed.min(done), "failed": worked.failed.min(done)});
    let mut object = json!({
        "id": id, "object": "batch", "endpoint": asked["endpoint"], "input_file_id": asked["input_file_id"],
        "completion_window": asked["completion_window"], "created_at": CREATED, "status": "in_progress",
        "metadata": asked["metadata"], "request_counts": counts(0), "errors": null,
        "output_file_id": null, "error_file_id": null,
    });
    let begun = object.clone();
    let status = match asked["metadata"]["mock"].as_str() {
        Some("fail") => "failed",
        Some("expire") => "expired",
        _ => "completed",
    };
    object["status"] = json!(status);
    object["output_file_id"] = answers;
    object["error_file_id"] = errors;
    object["request_counts"] = counts(if fails { 0 } else { worked.calls });
    if fails {
        object["errors"] = json!({"object": "list", "data": [{"code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "line": 1}]});
    }
    kept.batches.insert(id, Batch { object: begun.clone(), end: object, waits: LOOKS });
    begun
}

fn look(provider: &Provider, id: &str) -> Result<Answer, Refused> {
    let mut kept = provider.files().kept();
    let batch = kept.batches.get_mut(id).ok_or_else(|| missing("Batch", id))?;
    batch.waits = batch.waits.saturating_sub(1);
    Ok(Answer::json(200, &batch.shown()))
}

/// What was worked off until then stays; here that is nothing.
fn cancel(provider: &Provider, id: &str) -> Result<Answer, Refused> {
    let mut kept = provider.files().kept();
    let batch = kept.batches.get_mut(id).ok_or_else(|| missing("Batch", id))?;
    if batch.waits == 0 {
        return Err(Refused::invalid("Cannot cancel a batch that is over."));
    }
    batch.end = batch.object.clone();
    batch.end["status"] = json!("cancelled");
    batch.object["status"] = json!("cancelling");
    Ok(Answer::json(200, &batch.shown()))
}
