//! What is kept between requests: answers that were prepared, and responses that later requests name.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    ask::{list, text},
    wire::Answer,
};

/// The newest responses are kept, up to this many.
const RESPONSES: usize = 10_000;
const PREPARED: usize = 1024;

/// Answers of `--prepared`, by what decides about them.
#[derive(Debug, Default)]
pub(crate) struct Prepared(Mutex<HashMap<PreparedKey, Arc<Answer>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PreparedKey {
    pub(crate) path: String,
    pub(crate) model: String,
    pub(crate) script: String,
    pub(crate) stream: bool,
    pub(crate) wants_usage: bool,
}

impl Prepared {
    pub(crate) fn get(&self, key: &PreparedKey) -> Option<Arc<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn put(&self, key: PreparedKey, answer: &Arc<Answer>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= PREPARED {
            kept.clear();
        }
        kept.insert(key, Arc::clone(answer));
    }
}

/// The responses of the Responses API.
#[derive(Debug, Default)]
pub(crate) struct Responses(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<String, Stored>,
    order: VecDeque<String>,
}

#[derive(Debug, Clone)]
struct Stored {
    response: Value,
    input: Vec<Value>,
    before: Vec<Value>,
    /// What is left until a response in the background is done.
    waits: u8,
    cancelled: bool,
}

impl Stored {
    fn shown(&self) -> Value {
        let mut shown = self.response.clone();
        let status = match (self.cancelled, self.waits) {
            (true, _) => "cancelled",
            (false, 2..) => "queued",
            (false, 1) => "in_progress",
            (false, 0) => return shown,
        };
        shown["status"] = json!(status);
        shown["output"] = json!([]);
        shown["usage"] = Value::Null;
        shown
    }
}

impl Responses {
    /// Keeps a response; what is shown of it now comes back.
    pub(crate) fn keep(
        &self,
        response: &Value,
        input: Vec<Value>,
        before: Vec<Value>,
        background: bool,
    ) -> Value {
        let id = text(response, "id").unwrap_or_default().to_owned();
        let stored = Stored {
            response: response.clone(),
            input,
            before,
            waits: if background { 2 } else { 0 },
            cancelled: false,
        };
        let shown = stored.shown();
        let mut kept = self.kept();
        if kept.by_id.insert(id.clone(), stored).is_none() {
            kept.order.push_back(id);
        }
        while kept.order.len() > RESPONSES {
            let Some(oldest) = kept.order.pop_front() else { break };
            kept.by_id.remove(&oldest);
        }
        shown
    }

    /// Everything that was said up to the end of a response.
    pub(crate) fn said_until(&self, id: &str) -> Option<Vec<Value>> {
        let kept = self.kept();
        let stored = kept.by_id.get(id)?;
        let said = stored.before.iter().chain(&stored.input).chain(list(&stored.response, "output"));
        Some(said.cloned().collect())
    }

    /// A response; one in the background is a step further each time.
    pub(crate) fn look(&self, id: &str) -> Option<Value> {
        let mut kept = self.kept();
        let stored = kept.by_id.get_mut(id)?;
        stored.waits = stored.waits.saturating_sub(1);
        Some(stored.shown())
    }

    /// Cancels what is still in the background; `Err` says why it cannot be.
    pub(crate) fn cancel(&self, id: &str) -> Option<Result<Value, &'static str>> {
        let mut kept = self.kept();
        let stored = kept.by_id.get_mut(id)?;
        if stored.response["background"] != json!(true) {
            return Some(Err("Only responses created with background=true can be cancelled."));
        }
        if stored.waits == 0 && !stored.cancelled {
            return Some(Err("Cannot cancel a completed response."));
        }
        stored.cancelled = true;
        Some(Ok(stored.shown()))
    }

    /// Whether it was there.
    pub(crate) fn delete(&self, id: &str) -> bool {
        let mut kept = self.kept();
        kept.order.retain(|known| known != id);
        kept.by_id.remove(id).is_some()
    }

    /// The items of its request, each with an id, the newest first.
    pub(crate) fn input(&self, id: &str) -> Option<Value> {
        let kept = self.kept();
        let stored = kept.by_id.get(id)?;
        let items = stored.input.iter().enumerate().rev().map(|(index, item)| {
            let mut item = item.clone();
            if text(&item, "id").is_none() {
                item["id"] = json!(format!("item_{index}_{id}"));
            }
            if text(&item, "type").is_none() {
                item["type"] = json!("message");
            }
            if let Some(said) = text(&item, "content").map(str::to_owned) {
                item["content"] = json!([{"type": "input_text", "text": said}]);
            }
            item
        });
        let data: Vec<Value> = items.collect();
        let end = |item: Option<&Value>| item.map(|item| item["id"].clone());
        Some(
            json!({"object": "list", "first_id": end(data.first()), "last_id": end(data.last()), "has_more": false, "data": data}),
        )
    }

    pub(crate) fn forget(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_in_the_background_is_done_after_a_while_or_cancelled() {
        let responses = Responses::default();
        let keep = |id: &str, background: bool| {
            let response = json!({"id": id, "background": background, "status": "completed", "output": [{"type": "message"}], "usage": {}});
            responses.keep(
                &response,
                vec![json!({"role": "user", "content": "hello"})],
                Vec::new(),
                background,
            )["status"]
                .clone()
        };
        let look = |id: &str| responses.look(id).map(|shown| shown["status"].clone());

        assert_eq!(keep("a", true), "queued");
        assert_eq!(
            [look("a"), look("a"), look("a")].map(Option::unwrap),
            ["in_progress", "completed", "completed"]
        );
        assert!(responses.cancel("a").unwrap().is_err());
        keep("b", true);
        assert_eq!(responses.cancel("b").unwrap().unwrap()["status"], "cancelled");
        assert_eq!(look("b").unwrap(), "cancelled");
        keep("c", false);
        assert!(responses.cancel("c").unwrap().is_err());
        assert!(responses.cancel("d").is_none());
        assert_eq!(responses.said_until("c").unwrap().len(), 2);
        assert_eq!(responses.input("c").unwrap()["data"][0]["content"][0]["text"], "hello");
        assert!(responses.delete("c") && !responses.delete("c"));
        assert!(look("c").is_none());
    }
}
