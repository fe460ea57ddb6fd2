//! Request bodies that end at the limit of their route, whole or as a stream.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, HttpBody},
    extract::{DefaultBodyLimit, FromRequest, Request},
};
use bytes::Bytes;
use futures::Stream;
use http::header;
use shipway_core::{Failure, Kind};

use crate::Problem;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is longer than the route takes.
    #[error("the request body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit of the route.
        limit_bytes: u64,
    },
    /// The connection ended, or the encoding of the body is broken.
    #[error("the request body ended before its end")]
    Interrupted(#[source] axum::Error),
}

impl Failure for BodyError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Interrupted(_) => Kind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "web.body_too_large",
            Self::Interrupted(_) => "web.body_interrupted",
        }
    }

    fn hint(&self) -> Option<std::borrow::Cow<'static, str>> {
        match self {
            Self::TooLarge { .. } => Some("send it in smaller parts".into()),
            Self::Interrupted(_) => None,
        }
    }
}

/// The whole body, at most as long as the limit of the route.
#[derive(Debug, Clone)]
pub struct BodyBytes(pub Bytes);

/// The body as it arrives; ends with an error at the limit of the route, or when the connection breaks.
#[derive(Debug)]
pub struct BodyStream(BodyDataStream);

impl<S: Sync> FromRequest<S> for BodyBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::read(request.into_body()).await?)
    }
}

impl BodyBytes {
    /// Reads a body to its end.
    pub(crate) async fn read(body: Body) -> Result<Self, BodyError> {
        axum::body::to_bytes(body, usize::MAX).await.map(Self).map_err(body_error)
    }
}

impl<S: Sync> FromRequest<S> for BodyStream {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(request.into_body().into_data_stream()))
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context).map(|item| item.map(|result| result.map_err(body_error)))
    }
}

/// Refuses a request whose declared length is over the limit, without reading it; cuts every other one at the limit.
pub(crate) fn limit_body(request: Request, limit_bytes: u64) -> Result<Request, BodyError> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    let hint = request.body().size_hint();
    if declared.is_some_and(|length| length > limit_bytes) || hint.lower() > limit_bytes {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    // The server holds a sender to the length it declared, so such a body needs no counting.
    let mut request = if hint.upper().is_some_and(|upper| upper <= limit_bytes) {
        request
    } else {
        request.map(|body| {
            let inner = body.into_data_stream();
            Body::from_stream(LimitedStream { inner, remaining_bytes: limit_bytes, limit_bytes })
        })
    };
    // The limit of the route is the only one; the default one of the framework would cut large bodies before it.
    DefaultBodyLimit::disable().apply(&mut request);
    Ok(request)
}

struct LimitedStream {
    inner: BodyDataStream,
    remaining_bytes: u64,
    limit_bytes: u64,
}

impl Stream for LimitedStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = match std::task::ready!(Pin::new(&mut self.inner).poll_next(context)) {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Interrupted(error)))),
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(match self.remaining_bytes.checked_sub(chunk.len() as u64) {
            Some(remaining_bytes) => {
                self.remaining_bytes = remaining_bytes;
                Ok(chunk)
            }
            None => Err(BodyError::TooLarge { limit_bytes: self.limit_bytes }),
        }))
    }
}

/// Finds our own limit inside the error of the framework.
fn body_error(error: axum::Error) -> BodyError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(BodyError::TooLarge { limit_bytes }) = current.downcast_ref::<BodyError>() {
            return BodyError::TooLarge { limit_bytes: *limit_bytes };
        }
        cause = current.source();
    }
    BodyError::Interrupted(error)
}
