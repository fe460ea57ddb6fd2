//! Which script a request gets: that of the command line, with what rules, the model's name, the text of the request, a header and
//! the control path say over it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use memchr::memmem;

use crate::script::Script;

/// Scripts that were read stay read, up to this many.
const KEPT: usize = 1024;
const MARK: &[u8] = b"[[mock:";

/// The scripts of this provider.
#[derive(Debug)]
pub(crate) struct Scripts {
    everyone: String,
    rules: Vec<Rule>,
    plain: Arc<Script>,
    read: Mutex<HashMap<String, Arc<Script>>>,
    queued: Mutex<HashMap<String, VecDeque<String>>>,
}

#[derive(Debug)]
struct Rule {
    who: Who,
    name: String,
    script: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Who {
    Model,
    Key,
}

/// What of a request decides about its script.
#[derive(Debug)]
pub(crate) struct Signs<'a> {
    /// The model's name, as it was asked for.
    pub(crate) model: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) header: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

impl Scripts {
    pub(crate) fn new(everyone: &str, rules: &[String]) -> Result<Self, String> {
        let rules = rules.iter().map(|rule| Rule::parse(rule)).collect::<Result<Vec<_>, _>>()?;
        let plain = Arc::new(Script::parse(everyone)?);
        Ok(Self {
            everyone: everyone.to_owned(),
            rules,
            plain,
            read: Mutex::default(),
            queued: Mutex::default(),
        })
    }

    /// The script of a request; an error names the word that is none.
    pub(crate) fn choose(&self, signs: &Signs<'_>) -> Result<Arc<Script>, String> {
        let (name, in_name) = model_and_script(signs.model);
        let mut said: Vec<String> = Vec::new();
        let matching = self.rules.iter().filter(|rule| match rule.who {
            Who::Model => rule.name == name,
            Who::Key => Some(rule.name.as_str()) == signs.key,
        });
        said.extend(matching.map(|rule| rule.script.clone()));
        said.extend(in_name.map(str::to_owned));
        said.extend(in_text(signs.body));
        said.extend(signs.header.map(str::to_owned));
        said.extend(self.next_queued(name));
        said.retain(|text| !text.trim().is_empty());
        if said.is_empty() {
            return Ok(Arc::clone(&self.plain));
        }
        let text = if self.everyone.is_empty() {
            said.join(",")
        } else {
            format!("{},{}", self.everyone, said.join(","))
        };
        self.parsed(text)
    }

    /// Lets the next requests for `model` (`*`: for any) have these scripts, one each.
    pub(crate) fn queue(&self, model: &str, scripts: Vec<String>) -> Result<(), String> {
        scripts.iter().try_for_each(|script| Script::parse(script).map(|_| ()))?;
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        queued.insert(model.to_owned(), scripts.into());
        Ok(())
    }

    /// Forgets what was queued.
    pub(crate) fn forget(&self) {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn next_queued(&self, model: &str) -> Option<String> {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if queued.is_empty() {
            return None;
        }
        let next = queued.get_mut(model).and_then(VecDeque::pop_front);
        next.or_else(|| queued.get_mut("*").and_then(VecDeque::pop_front))
    }

    fn parsed(&self, text: String) -> Result<Arc<Script>, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(&text) {
            return Ok(Arc::clone(known));
        }
        let script = Arc::new(Script::parse(&text)?);
        if read.len() >= KEPT {
            read.clear();
        }
        read.insert(text, Arc::clone(&script));
        Ok(script)
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("--rule {text}: it reads model=NAME:SCRIPT or key=NAME:SCRIPT");
        let (who, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (name, script) = rest.split_once(':').ok_or_else(wrong)?;
        let who = match who {
            "model" => Who::Model,
            "key" => Who::Key,
            _ => return Err(wrong()),
        };
        Script::parse(script)?;
        Ok(Self { who, name: name.to_owned(), script: script.to_owned() })
    }
}

/// The model's name, and the script after its last slash: a last part with `=` in it is one.
pub(crate) fn model_and_script(model: &str) -> (&str, Option<&str>) {
    match model.rsplit_once('/') {
        Some((name, script)) if script.contains('=') => (name, Some(script)),
        _ => (model, None),
    }
}

/// The last `[[mock: …]]` in a body.
fn in_text(body: &[u8]) -> Option<String> {
    let at = memmem::find_iter(body, MARK).last()? + MARK.len();
    let end = at + memmem::find(&body[at..], b"]]")?;
    str::from_utf8(&body[at..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{delay::Delay, script::Fault};

    fn signs<'a>(model: &'a str, body: &'a str) -> Signs<'a> {
        Signs { model, key: Some("sk-slow"), header: None, body: body.as_bytes() }
    }

    #[test]
    fn what_is_nearer_to_the_request_holds() {
        let rules = ["model=mock:chunks=2,input=1".to_owned(), "key=sk-slow:latency=1s".to_owned()];
        let scripts = Scripts::new("chunks=1,seed=9", &rules).unwrap();
        let body = r#"{"content":"[[mock: chunks=4]]"}"#;
        let script = scripts
            .choose(&Signs { header: Some("chunks=5"), ..signs("mock/chunks=3,fault=cut:1", body) })
            .unwrap();
        assert_eq!(script.speech.chunks, 5);
        assert_eq!(script.fault, Some(Fault::Cut(1)));
        assert_eq!(script.usage.input, Some(1));
        assert_eq!(script.timing.seed, 9);
        assert_eq!(script.timing.latency, Delay::Always(Duration::from_secs(1)));
        assert_eq!(scripts.choose(&signs("mock/chunks=3", body)).unwrap().speech.chunks, 4);
        assert_eq!(scripts.choose(&signs("mock/chunks=3", "{}")).unwrap().speech.chunks, 3);
        assert_eq!(scripts.choose(&signs("other", "{}")).unwrap().speech.chunks, 1);
    }

    #[test]
    fn queued_scripts_are_used_once_each() {
        let scripts = Scripts::new("", &[]).unwrap();
        scripts.queue("a", vec!["status=429".to_owned(), String::new()]).unwrap();
        scripts.queue("*", vec!["status=500".to_owned()]).unwrap();
        let status = |model| scripts.choose(&signs(model, "{}")).unwrap().failure.status;
        assert_eq!([status("a"), status("a"), status("a"), status("a")], [Some(429), None, Some(500), None]);
        assert!(scripts.queue("a", vec!["odd".to_owned()]).is_err());
    }

    #[test]
    fn a_slash_alone_makes_no_script() {
        assert_eq!(model_and_script("openai/gpt-4o"), ("openai/gpt-4o", None));
        assert_eq!(model_and_script("a/b/chunks=2"), ("a/b", Some("chunks=2")));
    }
}
