//! The end of a request's span: when the last of its answer is gone, or nobody takes it any more.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Code;

use super::{Span, SpanAttribute};

const GRPC_STATUS: &str = "grpc-status";

/// The body of an answer. What makes it runs under the span of the request.
pub(super) struct Watched {
    body: Body,
    /// The span until it has ended.
    open: Option<Span>,
    is_grpc: bool,
}

impl Watched {
    pub(super) fn new(body: Body, span: Span, is_grpc: bool) -> Self {
        Self { body, open: Some(span), is_grpc }
    }

    /// The same, told how a gRPC call went by headers that may say it.
    pub(super) fn told_by(self, headers: &HeaderMap) -> Self {
        if let Some(span) = self.open.as_ref().filter(|_| self.is_grpc)
            && let Some(code) = headers.get(GRPC_STATUS)
        {
            say(span, Code::from_bytes(code.as_bytes()));
        }
        self
    }

    fn end(&mut self) {
        if let Some(span) = self.open.take() {
            span.end();
        }
    }

    fn sent(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref().filter(|_| self.is_grpc)
            && let Some((span, code)) = self.open.as_ref().zip(trailers.get(GRPC_STATUS))
        {
            say(span, Code::from_bytes(code.as_bytes()));
        }
        // With a known length nobody asks whether there is more.
        if frame.is_trailers() || self.body.is_end_stream() {
            self.end();
        }
    }
}

/// A body that is not read to its end: its caller went away, or did not want it.
impl Drop for Watched {
    fn drop(&mut self) {
        self.end();
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let watched = self.get_mut();
        let polled = {
            let _entered = watched.open.as_ref().map(Span::enter);
            Pin::new(&mut watched.body).poll_frame(task)
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => watched.end(),
            Poll::Ready(Some(Ok(frame))) => watched.sent(frame),
            Poll::Ready(Some(Err(_))) => {
                if let Some(span) = &watched.open {
                    span.fail("interrupted", "the answer broke off");
                }
                watched.end();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How a gRPC call went.
fn say(span: &Span, code: Code) {
    span.set(SpanAttribute::new("rpc.response.status_code", word(code)));
    let is_ours = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if is_ours {
        span.fail(word(code), "");
    }
}

const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
