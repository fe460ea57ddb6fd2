//! The request that a thread works for, for the lines of the log.
//!
//! Not a span of `tracing`: one is made, filled with text and thrown away for every request, and most requests never write a line.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::HeaderValue;
use pin_project_lite::pin_project;

/// What a line of the log says of the request that it belongs to.
#[derive(Debug)]
pub struct CurrentRequest {
    pub(crate) id: HeaderValue,
    /// The method, or `OTHER`.
    pub method: &'static str,
    /// The pattern of its path.
    pub route: &'static str,
    /// The trace that it belongs to, where its spans are sent.
    pub trace_id: Option<String>,
}

impl CurrentRequest {
    /// The id that the request is answered with. Visible ASCII.
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Runs `work` for the request.
    pub(crate) fn while_current<R>(self: &Arc<Self>, work: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(self);
        work()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<CurrentRequest>>> = const { RefCell::new(None) };
}

/// The request that this thread works for now, if it does.
pub fn current_request() -> Option<Arc<CurrentRequest>> {
    // A line may be written while the thread ends.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Until it is dropped the thread works for the request.
struct Entered(Option<Arc<CurrentRequest>>);

impl Entered {
    fn new(request: &Arc<CurrentRequest>) -> Self {
        Self(CURRENT.replace(Some(Arc::clone(request))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

pin_project! {
    /// Work for a request.
    pub(crate) struct For<F> {
        #[pin]
        work: F,
        request: Arc<CurrentRequest>,
    }
}

impl<F> For<F> {
    pub(crate) fn new(request: Arc<CurrentRequest>, work: F) -> Self {
        Self { work, request }
    }
}

impl<F: Future> Future for For<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let working = self.project();
        let _entered = Entered::new(working.request);
        working.work.poll(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &'static str) -> Arc<CurrentRequest> {
        Arc::new(CurrentRequest {
            id: HeaderValue::from_static(id),
            method: "GET",
            route: "/",
            trace_id: None,
        })
    }

    fn seen() -> Option<String> {
        current_request().map(|request| request.id().to_owned())
    }

    #[tokio::test]
    async fn work_knows_its_request_and_what_comes_after_does_not() {
        let inner = For::new(request("b"), async {
            tokio::task::yield_now().await;
            seen()
        });
        let outer = For::new(request("a"), async {
            let within = inner.await;
            (within, seen())
        });
        assert_eq!(outer.await, (Some("b".to_owned()), Some("a".to_owned())));
        assert_eq!(seen(), None);
    }
}
