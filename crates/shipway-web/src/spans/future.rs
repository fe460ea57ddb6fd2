//! Work under a span. Futures by hand: an async function would hold the work twice, and the way of a prediction is short.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use shipway_core::Failure;

use super::{Span, SpanAttribute, current};

/// Runs `work` under a span, or as it is without one.
pub fn under<F: Future>(span: Option<Span>, work: F) -> Under<F> {
    Under { work, span }
}

/// Runs `work` under a span of its own, a child of the one that the caller runs under; as it is without that. A failure of ours is an
/// error of the span.
pub fn within<F, T, E>(
    name: &'static str,
    attributes: impl FnOnce() -> Vec<SpanAttribute>,
    work: F,
) -> Within<F>
where
    F: Future<Output = Result<T, E>>,
    E: Failure,
{
    Within { work: under(current().map(|parent| parent.child(name, attributes())), work) }
}

pin_project! {
    /// See [`under`].
    pub struct Under<F> {
        #[pin]
        work: F,
        span: Option<Span>,
    }
}

pin_project! {
    /// See [`within`].
    pub struct Within<F> {
        #[pin]
        work: Under<F>,
    }
}

impl<F: Future> Future for Under<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let under = self.project();
        let _entered = under.span.as_ref().map(Span::enter);
        under.work.poll(task)
    }
}

impl<F, T, E> Future for Within<F>
where
    F: Future<Output = Result<T, E>>,
    E: Failure,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<T, E>> {
        let mut work = self.project().work;
        let outcome = ready!(work.as_mut().poll(task));
        if let Some(span) = work.project().span {
            if let Err(failure) = &outcome {
                span.failed(failure);
            }
            span.end();
        }
        Poll::Ready(outcome)
    }
}
