//! The rows of a view: of each key that the log of its source touches, as reads answer it once they see the touch.

use std::{sync::Arc, time::Duration};

use shipway_core::{Digest, Name, Timestamp, Value};
use shipway_log::LogError;
use tokio::{sync::Notify, time::Instant};

use super::{
    book::{Place, Resend},
    keys::Touched,
    lens::Lens,
    resend::EveryKey,
    rows::{LeftOut, SinkRun},
};
use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{Published, off_the_executor},
    model::event::LATEST_US,
    source::SourceRuntime,
};

const RECORDS_PER_READ: usize = 8_192;
const BYTES_PER_READ: usize = 16 << 20;
/// How often it is looked whether a view has a state by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The rows of one view for one sink.
pub(super) struct ViewRows {
    inner: Arc<Inner>,
    sink: Name,
    view: Name,
    runtime: Arc<SourceRuntime>,
    every: Duration,
    wake: Arc<Notify>,
    lens: Option<Arc<Lens>>,
    /// The keys that are still to be sent once more.
    keys: Option<EveryKey>,
    /// When rows may be sent again.
    due: Instant,
    /// Where the sink stands once the run that was given out last is sent.
    pending: Option<Pending>,
    /// The last run was one of those that are sent once more: the next one is of what came meanwhile.
    was_resent: bool,
}

enum Pending {
    /// Everything in the log before this.
    Offset(u64),
    /// Every key up to this one, once more.
    Key(String),
}

impl ViewRows {
    pub(super) fn open(
        inner: Arc<Inner>,
        sink: Name,
        (view, source): (Name, &Name),
        every: Duration,
    ) -> Result<Self, FeaturesError> {
        let (runtime, wake) = (inner.source(source.as_str())?, inner.sinks.wake(&sink));
        let due = Instant::now();
        Ok(Self {
            inner,
            sink,
            view,
            runtime,
            every,
            wake,
            lens: None,
            keys: None,
            due,
            pending: None,
            was_resent: false,
        })
    }

    /// The next rows; waits until there are some.
    pub(super) async fn next(&mut self) -> Result<SinkRun, FeaturesError> {
        loop {
            let (offset, resend) = self.place()?;
            let is_due = self.runtime.topic.end() > offset && Instant::now() >= self.due;
            let run = match resend {
                Some(resend) if !(is_due && self.was_resent) => {
                    self.was_resent = true;
                    self.once_more(resend).await?
                }
                _ if is_due => {
                    self.was_resent = false;
                    self.read_on(offset).await?
                }
                _ => {
                    self.wait(offset).await;
                    None
                }
            };
            if let Some(run) = run {
                return Ok(run);
            }
        }
    }

    /// The offset that the sink stands at when its last run is sent; none for a run that is sent once more.
    pub(super) fn pending_offset(&self) -> Option<u64> {
        match &self.pending {
            Some(Pending::Offset(offset)) => Some(*offset),
            _ => None,
        }
    }

    /// The last run is sent.
    pub(super) fn sent(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        self.moved(|offset, resend| match pending {
            Pending::Offset(sent) => *offset = sent,
            Pending::Key(after) => *resend = Some(Resend { after }),
        });
    }

    /// Changes where the sink stands, unless it has begun in another log meanwhile.
    fn moved(&self, change: impl FnOnce(&mut u64, &mut Option<Resend>)) {
        self.inner.sinks.moved(&self.sink, |place| match place {
            Place::Log { source, offset, resend } if *source == self.runtime.name => change(offset, resend),
            _ => {}
        });
    }

    /// Where the sink stands.
    fn place(&self) -> Result<(u64, Option<Resend>), FeaturesError> {
        match self.inner.sinks.place(&self.sink) {
            Some(Place::Log { source, offset, resend }) if source == self.runtime.name => {
                Ok((offset, resend))
            }
            // Its view reads another source now.
            _ => Err(FeaturesError::Stopped { what: "this reader of the sink" }),
        }
    }

    async fn wait(&mut self, offset: u64) {
        let more = async {
            tokio::time::sleep_until(self.due).await;
            self.runtime.topic.wait_beyond(offset).await;
        };
        tokio::select! {
            () = more => {}
            () = self.wake.notified() => {}
        }
    }

    /// The keys that the log touches from `offset` on, as reads answer them.
    async fn read_on(&mut self, offset: u64) -> Result<Option<SinkRun>, FeaturesError> {
        let offset = self.not_before_the_log(offset).await?;
        let lens = self.lens().await?;
        let topic = self.runtime.topic.clone();
        let (mut touched, end) = (Touched::from(offset), topic.end());
        while touched.end < end && !touched.is_full() {
            let records = match topic.read(touched.end, RECORDS_PER_READ, BYTES_PER_READ).await {
                // Just now; the next try finds what was lost.
                Err(LogError::Trimmed { .. }) => return Ok(None),
                records => records?,
            };
            let lens = Arc::clone(&lens);
            touched = off_the_executor(&self.inner, move || {
                touched.take_in(&lens, &records)?;
                Ok(touched)
            })
            .await?;
        }
        if touched.is_empty() {
            self.pending = Some(Pending::Offset(touched.end));
            self.sent();
            return Ok(None);
        }
        // What does not fit into one run is not a matter of how often it sends.
        self.due = if touched.is_full() { Instant::now() } else { Instant::now() + self.every };
        let published = self.visible(touched.end).await?;
        if !published.views.contains_key(&lens.active.layout.hash) {
            // That version has gone meanwhile, for a newer one.
            self.lens = None;
            return Ok(None);
        }
        let run = self.run(&lens, &published, touched.parts()?).await?;
        self.pending = Some(Pending::Offset(touched.end));
        Ok(Some(SinkRun { oldest: touched.oldest, ..run }))
    }

    /// A sink that was held up for too long finds the log further on than it was. What is gone is counted, and told.
    async fn not_before_the_log(&mut self, offset: u64) -> Result<u64, FeaturesError> {
        let start = self.runtime.topic.start();
        if offset >= start {
            return Ok(offset);
        }
        let (sinks, now) = (&self.inner.sinks, self.inner.clock.now());
        sinks.skipped(&self.sink, start - offset, now);
        self.moved(|offset, _| *offset = start);
        sinks.note(&self.inner.store, &self.sink, now).await?;
        tracing::error!(
            sink = %self.sink,
            source = %self.runtime.name,
            records = start - offset,
            "a sink was held up for so long that the log no longer has what it had not read"
        );
        Ok(start)
    }

    /// The next of all keys, once more.
    async fn once_more(&mut self, resend: Resend) -> Result<Option<SinkRun>, FeaturesError> {
        let lens = self.lens().await?;
        let published = self.runtime.first_published().await?;
        let version: Digest = lens.active.layout.hash;
        let Some(generation) = published.views.get(&version).map(|view| view.generation) else {
            self.lens = None;
            return Ok(None);
        };
        let mut keys = match self.keys.take().filter(|keys| keys.are_of(&version, generation)) {
            Some(keys) => keys,
            None => EveryKey::of(&published, (version, generation), &resend)?,
        };
        let (keys, found) = off_the_executor(&self.inner, move || {
            let found = keys.take()?;
            Ok((keys, found))
        })
        .await?;
        let Some((parts, after)) = found else {
            self.moved(|_, resend| *resend = None);
            // Whatever was passed over, each key has a row now.
            self.inner.sinks.acknowledged(&self.sink);
            return Ok(None);
        };
        self.keys = Some(keys);
        let run = self.run(&lens, &published, parts).await?;
        self.pending = Some(Pending::Key(after));
        Ok(Some(run))
    }

    /// What is seen of events, and what rows are of, now: the newest version of the view that has its state.
    async fn lens(&mut self) -> Result<Arc<Lens>, FeaturesError> {
        let mut published = self.runtime.published.subscribe();
        loop {
            self.place()?;
            let definitions = self.inner.definitions();
            let view = definitions
                .view(self.view.as_str())
                .map_err(|_| FeaturesError::UnknownView { name: self.view.to_string(), nearest: None })?;
            let view = self.inner.ready_view(&definitions, view, &[]);
            if view.definition.source == self.runtime.name && self.runtime.is_ready(&view.hash) {
                self.inner.sinks.waits_for(&self.sink, None);
                let shape = self.runtime.shape();
                let held = self
                    .lens
                    .as_ref()
                    .filter(|lens| lens.active.layout.hash == view.hash && Arc::ptr_eq(&lens.shape, &shape));
                let lens = match held {
                    Some(lens) => Arc::clone(lens),
                    None => Arc::new(Lens::new(&view, shape, &definitions)?),
                };
                self.lens = Some(Arc::clone(&lens));
                return Ok(lens);
            }
            self.inner.sinks.waits_for(&self.sink, Some(format!("view {} to be built", self.view)));
            tokio::select! {
                _ = published.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// What readers see once they see everything before `offset`.
    async fn visible(&mut self, offset: u64) -> Result<Arc<Published>, FeaturesError> {
        let mut published = self.runtime.published.subscribe();
        let is_far_enough = |published: &Option<Arc<Published>>| {
            published.as_ref().is_some_and(|published| published.applied >= offset)
        };
        let seen = published.wait_for(is_far_enough).await.ok().and_then(|published| published.clone());
        seen.ok_or(FeaturesError::Stopped { what: "the materialiser" })
    }

    /// The rows of `keys` at one moment: now, or just behind the newest event, where that is ahead of the clock. So every event that
    /// has arrived is in them.
    async fn run(
        &mut self,
        lens: &Lens,
        published: &Arc<Published>,
        keys: Vec<Vec<Value>>,
    ) -> Result<SinkRun, FeaturesError> {
        let behind_the_newest = published.watermark.micros().saturating_add(1).min(LATEST_US);
        let at = Timestamp(self.inner.clock.now().micros().max(behind_the_newest));
        let arrival = published.applied;
        let mut run = SinkRun::of(&lens.columns, &lens.key, Vec::with_capacity(keys.len()));
        match self.inner.read_keys(&lens.plan, published, keys.clone(), at).await {
            Ok(answered) => {
                let rows = keys.into_iter().zip(answered);
                run.rows.extend(rows.map(|(key, answered)| lens.row(key, answered, at, arrival)));
                return Ok(run);
            }
            Err(error) if is_of_one_key(&error) => {}
            Err(error) => return Err(error),
        }
        // One key whose features cannot be given keeps no other from being sent.
        for key in keys {
            match self.inner.read_keys(&lens.plan, published, vec![key.clone()], at).await {
                Ok(answered) => {
                    let row =
                        answered.into_iter().map(|answered| lens.row(key.clone(), answered, at, arrival));
                    run.rows.extend(row);
                }
                Err(error) if is_of_one_key(&error) => LeftOut::note(&mut run.left_out, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(run)
    }
}

fn is_of_one_key(error: &FeaturesError) -> bool {
    matches!(error, FeaturesError::Feature { .. } | FeaturesError::NotExact { .. })
}
