//! A reader: answers online reads from a copy, without any state of its own.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use shipway_core::{Clock, Failure as _, Timestamp};
use shipway_online::copy::{BucketRead, CopyError, CopyKey, CopyStore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    error::{FeaturesError, invalid},
    model::{event::is_computable, schema::NO_WATERMARK, token::Token},
    options::Limits,
    read::{
        ReadPlan,
        gather::{Desk, Read},
        rows::{self, RequestRow},
        service::{LARGE_LOOKUPS, Moment, ReadAnswer},
    },
    read_copy::{
        fetch::{self, Fetched, Part},
        head::{Head, OtherFormat},
        known::{Known, KnownSource},
        metadata::document,
        status::{CopiedSource, CopyRole, CopyStatus, Standing, Told},
    },
    spans,
    state::cache::StateCache,
};

/// How often the copy is looked at without being read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A reader that has not seen a whole copy for so long is not ready.
const READY_FOR: Duration = Duration::from_secs(5);
/// How long a read is made again while its parts are not of one moment.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before it is made again, at first and at most.
const RETRY: Duration = Duration::from_millis(2);
const RETRY_MOST: Duration = Duration::from_millis(50);
/// Requests that one read makes at a time.
const AT_ONCE: usize = 32;
/// Versions of the metadata that are kept loaded: while they change, buckets have the one or the other.
const KEPT_VERSIONS: usize = 3;

/// What a reader is made of.
pub struct ReaderOptions {
    /// The copy.
    pub copy: CopyStore,
    /// Where the present moment comes from.
    pub clock: Arc<dyn Clock>,
    /// Every background task is spawned here.
    pub tracker: TaskTracker,
    /// The bounds.
    pub limits: Limits,
}

/// Online reads from a copy. Cheap to clone.
#[derive(Clone)]
pub struct FeatureReader {
    shared: Arc<Shared>,
}

struct Shared {
    copy: CopyStore,
    clock: Arc<dyn Clock>,
    limits: Limits,
    cache: StateCache,
    cancel: CancellationToken,
    /// The newest version first.
    known: RwLock<Vec<Arc<Known>>>,
    /// One load of metadata at a time.
    loading: tokio::sync::Mutex<()>,
    shown: Mutex<Shown>,
    read_seconds: metrics::Histogram,
    retries: metrics::Counter,
}

/// What the reader tells of itself.
struct Shown {
    standing: Standing,
    /// When a whole copy was last seen.
    seen: Option<Instant>,
    head: Option<Head>,
    /// Why the server of the copy did not answer the last time.
    failed: Option<CopyError>,
}

impl FeatureReader {
    /// Begins to follow the copy. Reads are refused until it was seen whole.
    pub fn open(options: ReaderOptions) -> Self {
        let ReaderOptions { copy, clock, tracker, limits } = options;
        let shown = Shown { standing: Standing::new(clock.now()), seen: None, head: None, failed: None };
        let shared = Arc::new(Shared {
            copy,
            clock,
            cache: StateCache::new(limits.state_cache_bytes),
            limits,
            cancel: CancellationToken::new(),
            known: RwLock::default(),
            loading: tokio::sync::Mutex::new(()),
            shown: Mutex::new(shown),
            read_seconds: metrics::histogram!("shipway_feature_read_seconds"),
            retries: metrics::counter!("shipway_read_copy_retries_total"),
        });
        let following = Arc::clone(&shared);
        tracker.spawn(async move {
            let cancel = following.cancel.clone();
            cancel.run_until_cancelled(following.follow()).await;
        });
        Self { shared }
    }

    /// The bounds that this server keeps.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether reads are likely to be answered: a whole copy was seen not long ago.
    pub fn is_ready(&self) -> bool {
        self.shared.shown().seen.is_some_and(|seen| seen.elapsed() < READY_FOR)
    }

    /// Stops following.
    pub fn shutdown(&self) {
        self.shared.cancel.cancel();
    }

    /// How the copy is, as this reader sees it.
    pub fn status(&self) -> CopyStatus {
        let shown = self.shared.shown();
        let known = self.shared.newest();
        let known =
            known.filter(|known| shown.head.as_ref().is_some_and(|head| head.version == known.version));
        let moments = shown.head.iter().flat_map(|head| &head.moments);
        let sources = known.iter().flat_map(|known| &known.sources).zip(moments);
        let copied = sources.map(|(source, moment)| CopiedSource {
            source: source.name.clone(),
            applied: Some(moment.applied),
            lag: None,
            watermark: Some(Timestamp(moment.watermark_us)).filter(|time| *time != NO_WATERMARK),
            copying: None,
        });
        let told = shown.standing.told.clone();
        CopyStatus {
            role: CopyRole::Reader,
            address: self.shared.copy.address().to_owned(),
            prefix: self.shared.copy.prefix().to_owned(),
            state: shown.standing.state,
            since: shown.standing.since,
            code: told.as_ref().map(|told| told.code),
            error: told.as_ref().map(|told| told.error.clone()),
            hint: told.and_then(|told| told.hint),
            written: shown.head.as_ref().map(|head| Timestamp(head.written_us)),
            sources: copied.collect(),
            full_copy: None,
        }
    }

    /// What is known of definitions and states.
    pub(crate) fn known(&self) -> Result<Arc<Known>, FeaturesError> {
        self.shared.newest_or_why()
    }

    /// Reads checked rows of a plan. Exact for the moment and the watermarks of the answer, or refused.
    pub(crate) async fn read(
        &self,
        plan: Arc<ReadPlan>,
        rows: Vec<RequestRow>,
        moment: Moment<'_>,
    ) -> Result<ReadAnswer, FeaturesError> {
        let started = Instant::now();
        let asked = rows.len();
        let answered = self.shared.read(plan, rows, moment).await;
        spans::read(started, asked, &answered);
        self.shared.read_seconds.record(started.elapsed().as_secs_f64());
        if let Err(error) = &answered {
            metrics::counter!("shipway_read_copy_refusals_total", "code" => error.code()).increment(1);
        }
        answered
    }
}

impl Shared {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    fn newest_or_why(&self) -> Result<Arc<Known>, FeaturesError> {
        self.newest().ok_or_else(|| match self.shown().failed.clone() {
            Some(failed) => failed.into(),
            None => FeaturesError::CopyIncomplete,
        })
    }

    fn with_version(&self, version: Uuid) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.version == version).cloned()
    }

    /// Looks at the copy again and again.
    async fn follow(&self) {
        loop {
            let looked = self.look().await;
            let now = self.clock.now();
            match looked {
                Ok(head) => {
                    let age_us = now.micros().saturating_sub(head.written_us).max(0);
                    metrics::gauge!("shipway_read_copy_age_seconds").set(age_us as f64 / 1e6);
                    let mut shown = self.shown();
                    shown.seen = Some(Instant::now());
                    (shown.head, shown.failed) = (Some(head), None);
                    if shown.standing.turn("reading", None, now) {
                        tracing::info!(state = "reading", "the read copy");
                    }
                }
                Err(error) => {
                    let told = Told::of(&error);
                    let (code, words) = (told.code, told.error.clone());
                    let mut shown = self.shown();
                    // Whoever must not read it is told at once.
                    shown.seen = None;
                    shown.failed = match error {
                        FeaturesError::Copy(failed) => Some(failed),
                        _ => None,
                    };
                    if shown.standing.turn("failing", Some(told), now) {
                        tracing::warn!(state = "failing", code, error = words, "the read copy");
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The head of the first bucket, with its metadata loaded.
    async fn look(&self) -> Result<Head, FeaturesError> {
        let head = self.first_head().await?;
        let known = self.load(Some(head.version)).await?;
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|held| held.version != known.version);
        all.insert(0, known);
        drop(all);
        Ok(head)
    }

    async fn first_head(&self) -> Result<Head, FeaturesError> {
        let head = self.copy.read(0, &[]).await?.head.ok_or(FeaturesError::CopyIncomplete)?;
        let head = Head::decode(&head).map_err(|OtherFormat(format)| FeaturesError::CopyForeign {
            what: format!("its format is {format:?}"),
        })?;
        if head.is_whole { Ok(head) } else { Err(FeaturesError::CopyIncomplete) }
    }

    /// Loads the metadata of a version, or of the one that holds; what is loaded already stays.
    async fn load(&self, version: Option<Uuid>) -> Result<Arc<Known>, FeaturesError> {
        let is_there = |version: Uuid| self.with_version(version);
        if let Some(known) = version.and_then(is_there) {
            return Ok(known);
        }
        let _one_at_a_time = self.loading.lock().await;
        let version = match version {
            Some(version) => version,
            None => self.first_head().await?.version,
        };
        if let Some(known) = is_there(version) {
            return Ok(known);
        }
        let read = self.copy.read(0, &[CopyKey::Document(document(version))]).await?;
        // Between the two looks others may have taken their place.
        let document = read.values.into_iter().next().flatten().ok_or(FeaturesError::CopyBusy)?;
        let known = Arc::new(Known::read(version, &document, self.copy.buckets())?);
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(0, Arc::clone(&known));
        all.truncate(KEPT_VERSIONS);
        Ok(known)
    }

    async fn read(
        self: &Arc<Self>,
        plan: Arc<ReadPlan>,
        rows: Vec<RequestRow>,
        moment: Moment<'_>,
    ) -> Result<ReadAnswer, FeaturesError> {
        rows::check_count(rows.len(), self.limits.read_rows)?;
        let token = moment.token.map(Token::parse).transpose()?;
        let began = Instant::now();
        let mut known = self.newest_or_why()?;
        let mut read = Read { published: Vec::new(), rows, plan, q: Timestamp(0) };
        let mut retry = RETRY;
        loop {
            read.q = moment.at.unwrap_or_else(|| self.clock.now());
            if !is_computable(read.q) {
                return Err(invalid("at is outside the years 1 to 9999"));
            }
            let patience = match self.fetch(&known, &mut read).await? {
                Found::Exact => match token.as_ref().and_then(|token| waits_for(&read, token)) {
                    None => break,
                    Some(source) if began.elapsed() >= self.limits.token_wait => {
                        return Err(FeaturesError::NotVisible { source_name: source });
                    }
                    Some(_) => self.limits.token_wait,
                },
                Found::OtherVersion(version) => {
                    match self.load(version).await {
                        Ok(loaded) => known = loaded,
                        // The next look finds those that hold then.
                        Err(FeaturesError::CopyBusy) => {}
                        Err(error) => return Err(error),
                    }
                    PATIENCE
                }
                Found::Torn => PATIENCE,
            };
            if began.elapsed() >= patience {
                return Err(FeaturesError::CopyBusy);
            }
            self.retries.increment(1);
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MOST);
        }
        if read.size() > LARGE_LOOKUPS {
            let shared = Arc::clone(self);
            let work = tokio::task::spawn_blocking(move || read.answer(&shared.desk()));
            work.await.map_err(|_| FeaturesError::Stopped { what: "the read" })?
        } else {
            read.answer(&self.desk())
        }
    }

    fn desk(&self) -> Desk<'_> {
        Desk { cache: &self.cache, clock: &*self.clock, hot_keys: None }
    }

    /// Fetches what `read` needs, under the metadata that are `known`.
    async fn fetch(&self, known: &Known, read: &mut Read) -> Result<Found, FeaturesError> {
        let positions = known.positions(&read.plan)?;
        read.published = positions.iter().map(|position| known.empty(*position)).collect();
        let wanted = read.wanted_keys()?;
        let sources: Vec<&KnownSource> = positions.iter().map(|position| &known.sources[*position]).collect();
        let parts = fetch::parts(&wanted, &sources, |key| self.copy.bucket_of(key))?;
        let ask = |part: &Part| {
            let (copy, bucket, keys) = (self.copy.clone(), part.bucket, part.keys.clone());
            async move { copy.read(bucket, &keys).await }
        };
        let asks: Vec<_> = parts.iter().map(ask).collect();
        let reads: Vec<BucketRead> = stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
        match fetch::judge(known.version, &positions, parts, reads)? {
            Fetched::Exact(fetched) => {
                let states = positions.iter().zip(fetched);
                read.published = states
                    .map(|(position, fetched)| {
                        known.states(*position, fetched.applied, Arc::new(fetched.rows))
                    })
                    .collect();
                Ok(Found::Exact)
            }
            Fetched::OtherVersion(version) => Ok(Found::OtherVersion(version)),
            Fetched::Torn => Ok(Found::Torn),
            Fetched::Incomplete => Err(FeaturesError::CopyIncomplete),
        }
    }
}

/// What a look for the rows of a read found.
enum Found {
    Exact,
    OtherVersion(Option<Uuid>),
    Torn,
}

/// The source whose events the token asks for and that are not in the rows.
fn waits_for(read: &Read, token: &Token) -> Option<String> {
    let mut offsets = token.offsets();
    let is_missing = |source: &str, offset: u64| {
        let position = read.plan.sources.iter().position(|name| name.as_str() == source);
        position.is_some_and(|position| read.published[position].applied() < offset)
    };
    offsets.find(|(source, offset)| is_missing(source, *offset)).map(|(source, _)| source.to_owned())
}
