//! From a request to its answer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use memchr::memmem;
use serde_json::Value;

use crate::{
    ask::{Refused, flag, text},
    choose::{Scripts, Signs, model_and_script},
    control,
    delay::Chance,
    dialects::{House, openai, scripted},
    failures,
    files::{self, Files},
    flags::Flags,
    journal::{Entry, Journal, Seen},
    kept::{Prepared, PreparedKey, Responses},
    realtime::Asked,
    route::Route,
    script::{ErrorKind, Fault, Script},
    speak,
    wire::{Answer, Request},
};

/// The provider that is played.
#[derive(Debug)]
pub(crate) struct Provider {
    flags: Flags,
    scripts: Scripts,
    journal: Journal,
    prepared: Prepared,
    responses: Responses,
    files: Files,
    unscripted: Arc<Script>,
    numbers: AtomicU64,
}

/// A request with its answer, before it is sent.
pub(crate) struct Arrived {
    pub(crate) answer: Arc<Answer>,
    pub(crate) script: Arc<Script>,
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) number: u64,
}

/// A request as it is answered.
pub(crate) struct Call<'a> {
    pub(crate) route: &'a Route,
    pub(crate) model: &'a str,
    pub(crate) body: &'a Value,
    pub(crate) checksum: u32,
    pub(crate) body_bytes: usize,
    pub(crate) script: &'a Script,
    pub(crate) number: u64,
}

impl Provider {
    pub(crate) fn new(flags: Flags) -> Result<Self, String> {
        Ok(Self {
            scripts: Scripts::new(&flags.script, &flags.rules)?,
            journal: Journal::new(flags.journal, flags.keep_body_bytes),
            prepared: Prepared::default(),
            responses: Responses::default(),
            files: Files::default(),
            unscripted: Arc::default(),
            numbers: AtomicU64::new(0),
            flags,
        })
    }

    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) const fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    pub(crate) const fn responses(&self) -> &Responses {
        &self.responses
    }

    pub(crate) const fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) const fn body_limit(&self) -> usize {
        self.flags.body_limit_bytes
    }

    pub(crate) fn models(&self) -> &[String] {
        &self.flags.models
    }

    /// The answer to a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request) -> Arrived {
        if let Some(rest) = request.path().strip_prefix("/_mock/") {
            let answer = Arc::new(control::answer(self, &request, rest).await);
            return Arrived { answer, script: Arc::clone(&self.unscripted), entry: None, number: 0 };
        }
        let number = self.numbers.fetch_add(1, Relaxed) + 1;
        let route = Route::of(&request.method, request.path(), request.header("anthropic-version").is_some());
        match route {
            Some(route) if self.flags.prepared && route.has_body() => self.prepared(&request, &route, number),
            Some(route) => self.in_full(&request, &route, number),
            None => {
                let answer = failures::unknown_path(&request.method, request.path());
                let script = Arc::clone(&self.unscripted);
                let seen = Seen { number, model: String::new(), stream: false, script, checksum: None };
                self.arrived(&request, seen, answer)
            }
        }
    }

    fn in_full(&self, request: &Request, route: &Route, number: u64) -> Arrived {
        let checksum = crc32fast::hash(&request.body);
        let (body, is_json) = match request.header("content-type") {
            _ if !route.has_body() || request.method == "GET" => (Value::Null, true),
            Some(form) if form.starts_with("multipart/") => {
                openai::media::form(form, &request.body).map_or((Value::Null, false), |body| (body, true))
            }
            _ => serde_json::from_slice(&request.body).map_or((Value::Null, false), |body| (body, true)),
        };
        let model = route.model().or_else(|| text(&body, "model")).unwrap_or_default().to_owned();
        let stream = flag(&body, "stream") || matches!(route, Route::Generate { stream: true, .. });
        let (script, wrong) = match self.script(request, &model) {
            Ok(script) => (script, None),
            Err(wrong) => (Arc::clone(&self.unscripted), Some(wrong)),
        };
        let call = Call {
            route,
            model: model_and_script(&model).0,
            body: &body,
            checksum,
            body_bytes: request.body.len(),
            script: &script,
            number,
        };
        let answer = match wrong {
            Some(wrong) => failures::answer(&call, &Refused::invalid(format!("the script: {wrong}"))),
            None if !is_json => failures::answer(
                &call,
                &Refused::invalid("We could not parse the JSON body of your request."),
            ),
            None => self.as_scripted(request, &call),
        };
        let seen = Seen { number, model, stream, script, checksum: Some(checksum) };
        self.arrived(request, seen, answer)
    }

    /// Lets a connection in, or says why not: its script decides as of any other request.
    pub(crate) fn opens(
        &self,
        request: &Request,
        asked: &Asked,
    ) -> Result<(Option<Arc<Entry>>, u64), Arrived> {
        let number = self.numbers.fetch_add(1, Relaxed) + 1;
        let body = Value::Null;
        let chosen = self.script_of(asked, request.header("x-mock-script"), &[]);
        let (script, wrong) = match chosen {
            Ok(script) => (script, None),
            Err(wrong) => (Arc::clone(&self.unscripted), Some(wrong)),
        };
        let is_there = Route::of(&request.method, request.path(), false) == Some(Route::Realtime);
        let call = Call {
            route: &Route::Realtime,
            model: model_and_script(&asked.model).0,
            body: &body,
            checksum: 0,
            body_bytes: 0,
            script: &script,
            number,
        };
        let accepted = &self.flags.accept_keys;
        let is_accepted = accepted.is_empty() || asked.key.as_ref().is_some_and(|key| accepted.contains(key));
        let refused = match wrong {
            _ if !is_there => Some(failures::unknown_path(&request.method, request.path())),
            Some(wrong) => Some(failures::answer(&call, &Refused::invalid(format!("the script: {wrong}")))),
            None if !is_accepted => Some(failures::of_kind(&call, ErrorKind::Auth)),
            None if asked.model.is_empty() => {
                Some(failures::answer(&call, &Refused::at("model", "You must provide a model parameter.")))
            }
            None => {
                scripted(&script.failure).filter(|_| fails(&call)).map(|kind| failures::of_kind(&call, kind))
            }
        };
        let model = asked.model.clone();
        let seen = Seen { number, model, stream: true, script: Arc::clone(&script), checksum: None };
        match refused {
            Some(answer) => Err(self.arrived(request, seen, answer)),
            None => Ok((self.journal.arrived(request, seen), number)),
        }
    }

    /// The script of a response over a connection, of which `said` is the text.
    pub(crate) fn script_of_response(&self, asked: &Asked, said: &str) -> Result<Arc<Script>, String> {
        self.script_of(asked, None, said.as_bytes())
    }

    fn script_of(&self, asked: &Asked, header: Option<&str>, body: &[u8]) -> Result<Arc<Script>, String> {
        let (model, key) = (asked.model.as_str(), asked.key.as_deref());
        self.scripts.choose(&Signs { model, key, header, body })
    }

    fn script(&self, request: &Request, model: &str) -> Result<Arc<Script>, String> {
        self.scripts.choose(&Signs {
            model,
            key: request.key(),
            header: request.header("x-mock-script"),
            body: &request.body,
        })
    }

    fn accepts(&self, request: &Request) -> bool {
        let accepted = &self.flags.accept_keys;
        accepted.is_empty() || request.key().is_some_and(|key| accepted.iter().any(|known| known == key))
    }

    /// The answer, unless the key is wrong or the script wants an error.
    fn as_scripted(&self, request: &Request, call: &Call<'_>) -> Answer {
        if !self.accepts(request) {
            return failures::of_kind(call, ErrorKind::Auth);
        }
        match call.script.fault {
            Some(Fault::Garbage) => return failures::garbage(),
            Some(Fault::Html) => return failures::html(call),
            _ => {}
        }
        let within = matches!(call.script.fault, Some(Fault::ErrorFrame(_)));
        if let Some(kind) = scripted(&call.script.failure).filter(|_| !within && fails(call)) {
            return failures::of_kind(call, kind);
        }
        if matches!(call.route, Route::Response(_) | Route::ResponseInput(_) | Route::ResponseCancel(_)) {
            return speak::kept(self, call, &request.method);
        }
        if call.route.is_of_files() {
            return files::answer(self, request, call);
        }
        speak::answer(self, call)
            .unwrap_or_else(|refused| failures::answer(call, &refused))
            .framed(&call.script.framing)
    }

    /// What was answered to the like before; only a search through the body, since benches measure others.
    fn prepared(&self, request: &Request, route: &Route, number: u64) -> Arrived {
        let model =
            route.model().or_else(|| found_text(&request.body, b"\"model\"")).unwrap_or_default().to_owned();
        let stream =
            found_true(&request.body, b"\"stream\"") || matches!(route, Route::Generate { stream: true, .. });
        let Ok(script) = self.script(request, &model) else { return self.in_full(request, route, number) };
        if script.failure.percent.is_some() || !self.accepts(request) {
            return self.in_full(request, route, number);
        }
        let key = PreparedKey {
            path: request.path().to_owned(),
            model: model.clone(),
            script: script.text.clone(),
            stream,
            wants_usage: found_true(&request.body, b"\"include_usage\""),
        };
        let answer = self.prepared.get(&key).unwrap_or_else(|| {
            let body = serde_json::from_slice(&request.body).unwrap_or_default();
            let call = Call {
                route,
                model: model_and_script(&model).0,
                body: &body,
                checksum: 0,
                body_bytes: 400,
                script: &script,
                number,
            };
            let answer = Arc::new(self.as_scripted(request, &call));
            self.prepared.put(key, &answer);
            answer
        });
        let seen = Seen { number, model, stream, script: Arc::clone(&script), checksum: None };
        Arrived { answer, entry: self.journal.arrived(request, seen), script, number }
    }

    fn arrived(&self, request: &Request, seen: Seen, answer: Answer) -> Arrived {
        let (number, script) = (seen.number, Arc::clone(&seen.script));
        let answer = Arc::new(answer.with_header("x-mock-number", number.to_string()));
        Arrived { answer, entry: self.journal.arrived(request, seen), script, number }
    }

    /// Forgets everything but its flags.
    pub(crate) fn forget(&self) {
        self.journal.forget();
        self.scripts.forget();
        self.responses.forget();
        self.files.forget();
    }
}

/// Whether this request is one of those that fail.
fn fails(call: &Call<'_>) -> bool {
    let Some(percent) = call.script.failure.percent else { return true };
    let seed = call.script.timing.seed ^ call.number.wrapping_mul(0x2545_F491_4F6C_DD1D);
    Chance::new(seed).unit() * 100.0 < f64::from(percent)
}

/// The text after the first `key:` in a body. Within a text the quotes would be escaped.
fn found_text<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = after_colon(body, key)?.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    str::from_utf8(&rest[..end]).ok()
}

fn found_true(body: &[u8], key: &[u8]) -> bool {
    after_colon(body, key).is_some_and(|rest| rest.starts_with(b"true"))
}

fn after_colon<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(body, key)? + key.len();
    Some(body[at..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

impl Call<'_> {
    /// The id of this request, in the journal's number.
    pub(crate) fn request_id(&self) -> String {
        format!("req_mock_{:08}", self.number)
    }

    pub(crate) const fn house(&self) -> House {
        self.route.house()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_never_found_within_a_text() {
        let body = br#"{"messages":[{"content":"\"model\": \"no\", \"stream\": true"}],"model" : "yes","stream":false}"#;
        assert_eq!(found_text(body, b"\"model\""), Some("yes"));
        assert!(!found_true(body, b"\"stream\""));
        assert!(found_true(br#"{"stream": true}"#, b"\"stream\""));
    }
}
