//! A copy, its owner and its reader, and what is asked of both.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, to_bytes};
use http::Request;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_core::{Clock, Timestamp};
use shipway_features::{CopyStatus, FeatureReader, ReaderOptions};
use shipway_online::copy::{CopyOptions, CopyStore};
use shipway_testkit::{Redis, RedisCluster};
use shipway_web::Guard;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::{
    http::Api,
    world::{DAY, HOUR, World, limits, sale},
};

pub(super) const NOON: i64 = 90 * DAY;
pub(super) const WITHIN: Duration = Duration::from_secs(60);
pub(super) const POLL: Duration = Duration::from_millis(5);
pub(super) const COUNTRIES: [&str; 3] = ["nl", "be", "n"];
pub(super) const NUMBERS: std::ops::Range<i64> = 1..9;
pub(super) const READ: &str = "/api/v1/features/read";
pub(super) const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Where a copy is, for as long as its servers live.
pub(super) enum Place {
    One(Redis),
    Cluster(RedisCluster),
}

impl Place {
    pub(super) fn options(&self) -> CopyOptions {
        match self {
            Self::One(redis) => CopyOptions::new(redis.address()),
            Self::Cluster(cluster) => {
                CopyOptions { addresses: cluster.addresses(), is_cluster: true, ..CopyOptions::new("") }
            }
        }
    }

    pub(super) fn forgets_everything(&self) {
        match self {
            Self::One(redis) => drop(redis.command(&["FLUSHALL"])),
            Self::Cluster(cluster) => {
                cluster.nodes.iter().for_each(|node| drop(node.command(&["FLUSHALL"])));
            }
        }
    }
}

fn waiting<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(future)
}

pub(super) fn one() -> Place {
    Place::One(waiting(Redis::start()))
}

pub(super) fn cluster() -> Place {
    Place::Cluster(waiting(RedisCluster::start(3)))
}

/// A reader in a runtime of its own: it outlives its owner.
pub(super) struct Reader {
    pub(super) reader: FeatureReader,
    runtime: Runtime,
}

impl Reader {
    pub(super) fn new(world: &World, place: &Place) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = ReaderOptions {
            copy: CopyStore::new(&place.options()).unwrap(),
            clock: world.clock.clone() as Arc<dyn Clock>,
            tracker: TaskTracker::new(),
            limits: limits(),
        };
        let reader = runtime.block_on(async { FeatureReader::open(options) });
        Self { reader, runtime }
    }

    /// Asks the reader alone, whether its owner runs or not.
    pub(super) fn post(&self, path: &str, body: &str) -> (u16, Json) {
        let routes = shipway_features::reader_routes(self.reader.clone());
        let router = routes.into_router(Arc::new(Guard::open_on_loopback()));
        let request = Request::builder().method("POST").uri(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.runtime.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&bytes).unwrap())
        })
    }

    pub(super) fn api<'a>(&self, world: &'a World) -> Api<'a> {
        Api::of(world, shipway_features::reader_routes(self.reader.clone()))
    }

    /// Waits until the copy has everything that the owner's reads see.
    pub(super) fn catches_up(&self, world: &World) {
        let own = || world.features().status().into_iter().map(|source| (source.source, source.applied));
        let until = Instant::now() + WITHIN;
        loop {
            let copied: Vec<_> = self
                .reader
                .status()
                .sources
                .into_iter()
                .filter_map(|source| Some((source.source, source.applied?)))
                .collect();
            if self.reader.is_ready() && own().all(|own| copied.contains(&own)) {
                return;
            }
            assert!(
                Instant::now() < until,
                "{copied:?} of {:?}\n{:?}",
                own().collect::<Vec<_>>(),
                world.features().read_copy()
            );
            std::thread::sleep(POLL);
        }
    }
}

/// The owner says that the copy has everything, and nothing is copied any more.
pub(super) fn settled(world: &World) -> CopyStatus {
    let until = Instant::now() + WITHIN;
    loop {
        let status = world.features().read_copy().unwrap();
        let is_settled =
            status.sources.iter().all(|source| source.lag == Some(0) && source.copying.is_none());
        if status.state == "following" && is_settled && !status.sources.is_empty() {
            return status;
        }
        assert!(Instant::now() < until, "{status:?}");
        std::thread::sleep(POLL);
    }
}

/// Random sales of some shops.
pub(super) struct Till {
    random: StdRng,
    next: u32,
}

impl Till {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), next: 0 }
    }

    pub(super) fn sales(&mut self, count: usize) -> Vec<Json> {
        let random = &mut self.random;
        (0..count)
            .map(|_| {
                self.next += 1;
                let time = NOON - random.random_range(0..3 * HOUR);
                let amount = [0.1, -0.0, 1e16, -1e16, 2.5][random.random_range(0..5)];
                let mut event = sale(&format!("s{}", self.next), time, amount);
                event["country"] = COUNTRIES[random.random_range(0..COUNTRIES.len())].into();
                event["number"] = random.random_range(NUMBERS).into();
                event["product"] = ["tea", "milk", "jam"][random.random_range(0..3)].into();
                event["prices"] = json!([0.5, random.random_range(0..9)]);
                event
            })
            .collect()
    }
}

pub(super) fn rows() -> Vec<Json> {
    let shops = COUNTRIES.iter().flat_map(|country| NUMBERS.map(move |number| (country, number)));
    let row = |(country, number)| json!({ "country": country, "number": number, "basket": 3 });
    let nobody = json!({ "country": null, "number": 1, "basket": null });
    shops.map(row).chain([nobody]).collect()
}

pub(super) fn question(service: &str, at: i64, token: Option<&str>) -> String {
    let mut rows = rows();
    if service != "shop_features" {
        rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("basket")));
    }
    let mut body = json!({ "service": service, "rows": rows, "at": Timestamp(at).to_string() });
    token.iter().for_each(|token| body["token"] = (*token).into());
    body.to_string()
}

/// Asks owner and reader, who have seen the same, and compares what they say, byte for byte.
pub(super) fn compare(world: &World, reader: &Reader, service: &str, at: i64) {
    let ask = |api: Api<'_>| {
        let (status, _, bytes) =
            api.send_as(READ, "application/json", Some("application/json"), question(service, at, None));
        (status.as_u16(), String::from_utf8(bytes.to_vec()).unwrap())
    };
    let (own, copied) = (ask(Api::new(world)), ask(reader.api(world)));
    assert_eq!(own.0, 200, "{}", own.1);
    assert_eq!(own, copied);
}
