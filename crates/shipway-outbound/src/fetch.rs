//! Something small that lies at an address which somebody else words: whole, within bounds, or not at all.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, StatusCode, header, redirect};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    address::{Allowed, Refused},
    lookup::{CheckedLookup, NotReachable},
};

/// Further addresses that the first one may lead to, each checked as that was.
const MOST_REDIRECTS: usize = 3;
const KIB: usize = 1 << 10;

/// How much is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes of one thing.
    pub bytes: usize,
    /// How long one thing may take, from the lookup of its host to its last byte.
    pub patience: Duration,
    /// The most bytes of all things together that are fetched or [held](Held). What is fetched counts as if it were as long as it may be.
    pub held_bytes: usize,
}

/// A place in the memory for what is fetched, until it is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "what counts is when it is dropped")] OwnedSemaphorePermit);

/// What lay there.
#[derive(Debug)]
pub struct Fetched {
    /// What its server says that it is, without parameters, in lower case; none where it says nothing.
    pub media_type: Option<String>,
    /// All of it.
    pub data: Bytes,
    /// Its place in memory: to be kept as long as the data are.
    pub held: Held,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// The address may not be reached, or one that it leads to.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its host may not be reached, or is not known.
    #[error("its host is unknown or not public")]
    NotReachable(NotReachable),
    /// Too much is fetched by others.
    #[error("too much else is being fetched")]
    Busy,
    /// Its server did not answer in time.
    #[error("it did not come within {} seconds", .0.as_secs())]
    Late(Duration),
    /// Its server says that there is nothing.
    #[error("its server answered {0}")]
    Status(StatusCode),
    /// It is too long.
    #[error("it is longer than {most} bytes")]
    TooLong {
        /// The bound.
        most: usize,
    },
    /// Its server packed it although it was asked not to.
    #[error("its server packed it")]
    Packed,
    /// The connection broke, or was never made.
    #[error("its server cannot be reached")]
    Broken,
    /// It leads from address to address.
    #[error("it leads to more than {MOST_REDIRECTS} other addresses")]
    Astray,
}

/// Fetches. Shared by all who do, so that the bound on how many at once holds for all of them.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    allowed: Arc<Allowed>,
    bounds: Bounds,
    /// In KiB.
    memory: Arc<Semaphore>,
}

impl Fetcher {
    /// A client that reaches what is allowed. Fails where the system gives it no certificates to trust.
    pub fn new(allowed: Allowed, bounds: Bounds) -> Result<Self, reqwest::Error> {
        let allowed = Arc::new(allowed);
        let rule = Arc::clone(&allowed);
        let leads = move |attempt: redirect::Attempt<'_>| {
            if attempt.previous().len() > MOST_REDIRECTS {
                return attempt.error(NotFetched::Astray);
            }
            match rule.target(attempt.url().as_str()) {
                Ok(_) => attempt.follow(),
                Err(refused) => attempt.error(NotFetched::Refused(refused)),
            }
        };
        let client = Client::builder()
            .user_agent(concat!("shipway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::custom(leads))
            .referer(false)
            // A proxy would connect to what it likes, so there is none.
            .no_proxy()
            // Each request looks its host up and is checked: no connection is kept for another one.
            .pool_max_idle_per_host(0)
            .timeout(bounds.patience)
            .dns_resolver(Arc::new(CheckedLookup(Arc::clone(&allowed))))
            .build()?;
        let memory = Arc::new(Semaphore::new(bounds.held_bytes.max(bounds.bytes).div_ceil(KIB)));
        Ok(Self { client, allowed, bounds, memory })
    }

    /// Fetches what lies at an address. Waits for memory no longer than for an answer.
    pub async fn fetch(&self, url: &str) -> Result<Fetched, NotFetched> {
        let target = self.allowed.target(url)?;
        let mut place = self.place().await?;
        let asked = self.client.get(target.url).header(header::ACCEPT_ENCODING, "identity");
        let response = asked.send().await.map_err(|error| self.failure(&error))?;
        if !response.status().is_success() {
            return Err(NotFetched::Status(response.status()));
        }
        let headers = response.headers();
        if headers.get(header::CONTENT_ENCODING).is_some_and(|packing| packing != "identity") {
            return Err(NotFetched::Packed);
        }
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let media_type = media_type.and_then(|kind| kind.split(';').next()).map(str::trim);
        let media_type = media_type.filter(|kind| !kind.is_empty()).map(str::to_ascii_lowercase);
        let data = self.read(response).await?;
        // What it does not need is for others.
        let unused = place.num_permits().saturating_sub(data.len().div_ceil(KIB));
        drop(place.split(unused));
        Ok(Fetched { media_type, data, held: Held(place) })
    }

    /// Memory for the longest thing.
    async fn place(&self) -> Result<OwnedSemaphorePermit, NotFetched> {
        let longest = u32::try_from(self.bounds.bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        let waiting = Arc::clone(&self.memory).acquire_many_owned(longest);
        match timeout(self.bounds.patience, waiting).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(NotFetched::Busy),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Bytes, NotFetched> {
        let too_long = NotFetched::TooLong { most: self.bounds.bytes };
        let declared = response.content_length().and_then(|length| usize::try_from(length).ok());
        if declared.is_some_and(|length| length > self.bounds.bytes) {
            return Err(too_long);
        }
        let mut data = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if data.len() + chunk.len() > self.bounds.bytes {
                return Err(too_long);
            }
            data.extend_from_slice(&chunk);
        }
        Ok(data.freeze())
    }

    /// What went wrong, as far as whoever named the address may know it.
    fn failure(&self, error: &reqwest::Error) -> NotFetched {
        let mut source: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(inner) = source {
            match inner.downcast_ref() {
                Some(NotFetched::Refused(refused)) => return NotFetched::Refused(refused.clone()),
                Some(NotFetched::Astray) => return NotFetched::Astray,
                _ => {}
            }
            if let Some(not_reachable) = inner.downcast_ref::<NotReachable>() {
                return NotFetched::NotReachable(not_reachable.clone());
            }
            source = inner.source();
        }
        if error.is_timeout() { NotFetched::Late(self.bounds.patience) } else { NotFetched::Broken }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::Body,
        http::HeaderMap,
        response::{Redirect, Response},
        routing::get,
    };
    use tokio_util::task::TaskTracker;

    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1_000, patience: Duration::from_secs(2), held_bytes: 4_000 };

    /// Something that serves, under a name that is allowed, and under an address that is not.
    async fn served() -> (Fetcher, u16) {
        let app = Router::new()
            .route("/image", get(|| async { ([("content-type", "Image/PNG; q=1")], "png") }))
            .route("/plain", get(|| async { Response::new(Body::from("no type")) }))
            .route("/long", get(|| async { "x".repeat(1_001) }))
            .route("/packed", get(|| async { ([("content-encoding", "gzip")], "packed") }))
            .route("/late", get(std::future::pending::<()>))
            .route("/on", get(|| async { Redirect::temporary("/image") }))
            .route("/round", get(|| async { Redirect::temporary("/round") }))
            .route("/inside", get(|| async { Redirect::temporary("http://169.254.169.254/latest") }))
            .route("/other", get(|| async { Redirect::temporary("ftp://example.com/x") }))
            .route(
                "/endless",
                get(|| async {
                    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>(Bytes::from("y".repeat(100))));
                    Body::from_stream(futures::stream::iter(chunks))
                }),
            )
            .route(
                "/headers",
                get(|headers: HeaderMap| async move {
                    headers.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        (Fetcher::new(Allowed::new(&["127.0.0.1".to_owned()], true), BOUNDS).unwrap(), port)
    }

    async fn fetched(path: &str) -> Result<Fetched, String> {
        let (fetcher, port) = served().await;
        fetcher.fetch(&format!("http://127.0.0.1:{port}{path}")).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_lies_there_comes_whole_with_what_it_is() {
        let image = fetched("/image").await.unwrap();
        assert_eq!((image.media_type.as_deref(), &image.data[..]), (Some("image/png"), &b"png"[..]));
        assert_eq!(fetched("/plain").await.unwrap().media_type, None);
        assert_eq!(fetched("/on").await.unwrap().data, image.data);
        let sent = fetched("/headers").await.unwrap();
        let sent = String::from_utf8(sent.data.to_vec()).unwrap();
        assert!(
            !sent.contains("authorization") && !sent.contains("cookie") && !sent.contains("referer"),
            "{sent}"
        );
    }

    #[tokio::test]
    async fn what_is_too_long_or_late_or_astray_is_not_fetched() {
        for (path, words) in [
            ("/long", "longer than 1000 bytes"),
            ("/endless", "longer than 1000 bytes"),
            ("/late", "within 2 seconds"),
            ("/packed", "packed"),
            ("/nothing", "404"),
            ("/round", "more than 3"),
            ("/inside", "169.254.169.254"),
            ("/other", "scheme is ftp"),
        ] {
            let refused = fetched(path).await.unwrap_err();
            assert!(refused.contains(words), "{path}: {refused}");
        }
    }

    #[tokio::test]
    async fn what_is_held_takes_place_from_others_until_it_is_dropped() {
        let (_, port) = served().await;
        let bounds = Bounds { patience: Duration::from_millis(300), held_bytes: 2 << 10, bytes: 1 << 10 };
        let fetcher = Fetcher::new(Allowed::new(&["127.0.0.1".to_owned()], true), bounds).unwrap();
        let url = format!("http://127.0.0.1:{port}/image");
        let held = [fetcher.fetch(&url).await.unwrap(), fetcher.fetch(&url).await.unwrap()];
        assert!(matches!(fetcher.fetch(&url).await, Err(NotFetched::Busy)));
        drop(held);
        assert!(fetcher.fetch(&url).await.is_ok());
    }

    #[tokio::test]
    async fn nothing_is_asked_at_an_address_that_is_not_public() {
        let (_, port) = served().await;
        let strict = Fetcher::new(Allowed::new(&[], true), BOUNDS).unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"] {
            let refused = strict.fetch(&format!("http://{host}:{port}/image")).await.unwrap_err();
            assert!(refused.to_string().contains("not public"), "{host}: {refused}");
        }
        let plain = Fetcher::new(Allowed::default(), BOUNDS).unwrap();
        let refused = plain.fetch("http://example.com/").await.unwrap_err();
        assert!(refused.to_string().contains("only https"), "{refused}");
    }
}
