//! Reading whole traces, piece by piece: however many spans they have, only a few megabytes of them are in memory.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::{
    error::TrackingError,
    model::TraceInfo,
    service::Tracking,
    store::{
        self,
        traces::spans::{Mark, Size},
    },
};

/// How much is read in one go: spans, and bytes of their content.
const SPANS_AT_ONCE: i64 = 2_000;
const BYTES_AT_ONCE: i64 = 8 * 1024 * 1024;
/// How often and after which pause a trace is looked at again whose spans are still arriving.
const LOOKS: u32 = 15;
const PAUSE: Duration = Duration::from_millis(200);

/// A part of the whole traces that are read. `Begin` and `End` come once for each trace, with its spans between them, those
/// without a parent first and then by their start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Begin(Box<TraceInfo>),
    /// The content of some spans.
    Spans(Vec<String>),
    End,
}

/// Traces that are being read.
struct Reading {
    tracking: Tracking,
    queue: VecDeque<TraceInfo>,
    sizes: HashMap<String, Size>,
    /// A trace that is too large to be read in one go: its id, where it goes on, and how many spans each time.
    current: Option<(String, Mark, i64)>,
    ready: VecDeque<Part>,
}

fn size_of(sizes: &HashMap<String, Size>, info: &TraceInfo) -> Size {
    sizes.get(&info.trace_id).copied().unwrap_or_default()
}

/// How many spans of a large trace are read in one go.
fn step(size: Size) -> i64 {
    let average = (size.bytes / size.spans.max(1)).max(1);
    (BYTES_AT_ONCE / average).clamp(1, SPANS_AT_ONCE)
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Part>, TrackingError> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            if let Some((trace_id, mark, limit)) = self.current.take() {
                let mut reader = self.tracking.reader();
                let (contents, next) =
                    store::traces::spans::piece(&mut reader, &trace_id, &mark, limit).await?;
                match next {
                    Some(next) => self.current = Some((trace_id, next, limit)),
                    None => self.ready.push_back(Part::End),
                }
                return Ok(Some(Part::Spans(contents)));
            }
            if self.queue.is_empty() {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    /// Takes the next large trace, or as many small ones as are read in one query.
    async fn fill(&mut self) -> Result<(), TrackingError> {
        let mut some = Vec::new();
        let (mut spans, mut bytes) = (0, 0);
        while let Some(info) = self.queue.pop_front() {
            let size = size_of(&self.sizes, &info);
            spans += size.spans;
            bytes += size.bytes;
            let too_much = spans > SPANS_AT_ONCE || bytes > BYTES_AT_ONCE;
            if too_much && some.is_empty() {
                self.current = Some((info.trace_id.clone(), Mark::start(), step(size)));
                self.ready.push_back(Part::Begin(Box::new(info)));
                return Ok(());
            }
            if too_much {
                self.queue.push_front(info);
                break;
            }
            some.push(info);
        }
        let ids: Vec<String> = some.iter().map(|info| info.trace_id.clone()).collect();
        let mut contents = store::traces::spans::of_all(&mut self.tracking.reader(), &ids).await?;
        for info in some {
            let spans = contents.remove(&info.trace_id).unwrap_or_default();
            self.ready.extend([Part::Begin(Box::new(info)), Part::Spans(spans), Part::End]);
        }
        Ok(())
    }
}

impl Tracking {
    fn read_traces(
        &self,
        infos: Vec<TraceInfo>,
        sizes: HashMap<String, Size>,
    ) -> BoxStream<'static, Result<Part, TrackingError>> {
        let queue = infos.into();
        let reading = Reading { tracking: self.clone(), queue, sizes, current: None, ready: VecDeque::new() };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|part| (part, reading)))
        })
        .boxed()
    }

    /// A whole trace. Unless a part of it is enough, it is waited for a little while until all spans have arrived that the client
    /// said there are.
    pub(crate) async fn whole_trace(
        &self,
        trace_id: &str,
        allow_partial: bool,
    ) -> Result<BoxStream<'static, Result<Part, TrackingError>>, TrackingError> {
        for look in 1..=LOOKS {
            let info = self.trace_info(trace_id).await?;
            if !info.has_spans_here() {
                return Err(TrackingError::SpansMissing {
                    trace: trace_id.to_owned(),
                    reason: "its data is not stored in tracking store",
                });
            }
            let ids = [trace_id.to_owned()];
            let sizes = store::traces::spans::sizes_of(&mut self.reader(), &ids).await?;
            let arrived = size_of(&sizes, &info).spans;
            if allow_partial || (arrived > 0 && arrived >= info.expected_spans()) {
                return Ok(self.read_traces(vec![info], sizes));
            }
            if look < LOOKS {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(TrackingError::SpansMissing {
            trace: trace_id.to_owned(),
            reason: "it is not fully exported yet, please try again later",
        })
    }

    /// Those of the traces that are whole, in the asked order.
    pub(crate) async fn whole_traces(
        &self,
        trace_ids: &[String],
        experiment_ids: Option<&[String]>,
    ) -> Result<BoxStream<'static, Result<Part, TrackingError>>, TrackingError> {
        let mut infos = self.trace_infos(trace_ids, experiment_ids).await?;
        infos.retain(TraceInfo::has_spans_here);
        let ids: Vec<String> = infos.iter().map(|info| info.trace_id.clone()).collect();
        let sizes = store::traces::spans::sizes_of(&mut self.reader(), &ids).await?;
        infos.retain(|info| {
            let arrived = size_of(&sizes, info).spans;
            arrived > 0 && arrived >= info.expected_spans()
        });
        Ok(self.read_traces(infos, sizes))
    }
}
