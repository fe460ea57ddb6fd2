//! One sink: takes rows, has them sent, says that they are; after any failure again, from where it stands.

use std::{pin::pin, sync::Arc, time::Duration};

use shipway_broker::{BrokerError, Producer};
use shipway_core::{Clock, Name, failure::chain};
use shipway_definitions::{Sink, SinkTo};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    board::Board,
    port::{LeftOut, Outflow, Outlet, Rows},
    producers::Producers,
    writer::{Sent, TopicWriter},
};
use crate::error::StreamsError;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often it is shown how far the sink is.
const SHOW_EVERY: Duration = Duration::from_secs(5);
/// When messages are not acknowledged by then, the broker is asked whether it is there. They stay on their way.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// The runner of one sink.
pub(super) struct Runner {
    pub(super) sink: Arc<Sink>,
    pub(super) producers: Arc<Producers>,
    pub(super) outflow: Arc<dyn Outflow>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) board: Arc<Board>,
    pub(super) cancel: CancellationToken,
}

/// Where the rows go.
enum Destination {
    Topic { broker: Name, producer: Arc<dyn Producer>, writer: Box<TopicWriter> },
    Table,
}

impl Runner {
    /// Runs until it is cancelled.
    pub(super) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        while !self.cancel.is_cancelled() {
            let began = Instant::now();
            let Err(error) = self.session().await else { return };
            self.failed(&error);
            self.let_go_of_what_is_broken(&error).await;
            // A session that lasted was no part of the same trouble.
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Shows a failure, and tells of it unless it was told before.
    fn failed(&self, error: &StreamsError) {
        if self.board.failed(error, self.clock.now()) {
            tracing::warn!(sink = %self.sink.name, to = %self.sink.to, error = chain(error), "a sink cannot go on; it tries again");
        }
    }

    async fn let_go_of_what_is_broken(&self, error: &StreamsError) {
        if let (StreamsError::Broker(BrokerError::ClientBroken { .. }), SinkTo::Topic { broker, .. }) =
            (error, &self.sink.to)
        {
            self.producers.forget(&self.sink.name, broker).await;
        }
    }

    /// From opening to a failure; `Ok` when it was cancelled.
    async fn session(&self) -> Result<(), StreamsError> {
        let opening = async {
            let destination = self.destination().await?;
            Ok::<_, StreamsError>((destination, self.outflow.open(&self.sink).await?))
        };
        let (mut destination, mut outlet) = tokio::select! {
            () = self.cancel.cancelled() => return Ok(()),
            opened = opening => opened?,
        };
        self.board.sending();
        let outcome = tokio::select! {
            () = self.cancel.cancelled() => Ok(()),
            outcome = self.flow(outlet.as_mut(), &mut destination) => outcome,
        };
        // What was sent is sent, whatever ended it. If this fails it is sent again.
        if let Err(failure) = outlet.close().await {
            tracing::warn!(sink = %self.sink.name, error = %failure, "it was not written down where a sink stands");
        }
        outcome
    }

    async fn destination(&self) -> Result<Destination, StreamsError> {
        let SinkTo::Topic { broker, topic, format, .. } = &self.sink.to else {
            return Ok(Destination::Table);
        };
        let connections = self.producers.connections();
        let registry = connections.options(broker)?.registry.clone();
        // A wrong name is told before there is anything to send.
        connections.broker(broker).await?.partitions(topic).await?;
        let writer = TopicWriter::new(self.sink.name.clone(), topic.clone(), *format, registry);
        let producer = self.producers.of(&self.sink.name, broker).await?;
        Ok(Destination::Topic { broker: broker.clone(), producer, writer: Box::new(writer) })
    }

    async fn flow(&self, outlet: &mut dyn Outlet, destination: &mut Destination) -> Result<(), StreamsError> {
        loop {
            let rows = self.next(outlet).await?;
            let oldest = rows.oldest;
            let mut left_out = rows.left_out.clone();
            let sent = match destination {
                Destination::Table => {
                    let sent = rows.rows.len() as u64;
                    outlet.append(rows).await?;
                    sent
                }
                Destination::Topic { broker, producer, writer } => {
                    writer.prepare(&rows).await?;
                    self.board.has_schema(writer.schema());
                    let sent = self.send((&*broker, &**producer), writer, &rows).await?;
                    outlet.sent();
                    sent.left_out.into_iter().for_each(|more| LeftOut::add(&mut left_out, more));
                    sent.rows
                }
            };
            self.board.sent(sent, left_out, oldest, self.clock.now());
            self.show();
        }
    }

    /// The next rows, and meanwhile how far the sink is.
    async fn next(&self, outlet: &mut dyn Outlet) -> Result<Rows, StreamsError> {
        let mut next = pin!(outlet.next());
        loop {
            tokio::select! {
                rows = &mut next => return Ok(rows?),
                () = tokio::time::sleep(SHOW_EVERY) => self.show(),
            }
        }
    }

    fn show(&self) {
        self.outflow.standing(&self.sink.name).iter().for_each(|standing| self.board.lags(standing));
    }

    /// Sends rows. While the broker does not take them, it is shown why, and they wait.
    async fn send(
        &self,
        (broker, producer): (&Name, &dyn Producer),
        writer: &TopicWriter,
        rows: &Rows,
    ) -> Result<Sent, StreamsError> {
        let mut sending = pin!(writer.send(producer, rows));
        loop {
            tokio::select! {
                sent = &mut sending => return Ok(sent?),
                () = tokio::time::sleep(STALLED_AFTER) => {}
            }
            let ask = async {
                let broker = self.producers.connections().broker(broker).await?;
                Ok::<_, StreamsError>(broker.partitions(&writer.topic).await?)
            };
            tokio::select! {
                sent = &mut sending => return Ok(sent?),
                asked = ask => asked.err().iter().for_each(|error| self.failed(error)),
            }
        }
    }
}
