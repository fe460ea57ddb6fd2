//! A broker of a few lines for unit tests: what a real one does only rarely, on demand.
//!
//! It keeps ledgers in memory, and moves a reader over a ledger that was removed without a word, as Pulsar does. What clients said is
//! noted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    commands::{
        Body, CloseConsumer, Connected, Delivery, ErrorAnswer, LOOKUP_CONNECT, LastMessageAnswer,
        LookupAnswer, MessageId, Metadata, PartitionsAnswer, Pong, ProducerSuccess, SendReceipt, Subscribe,
        Success,
    },
    frame::{self, Frame},
};
use crate::Settings;

/// A broker on a loopback port. It ends when it is dropped.
pub(super) struct FakeBroker {
    address: String,
    state: Arc<Mutex<State>>,
    ended: CancellationToken,
}

/// The entries of a ledger.
type Entries = Vec<(Metadata, Vec<u8>)>;

#[derive(Default)]
struct State {
    /// By the whole name of a topic of the cluster, its ledgers with their entries.
    topics: BTreeMap<String, BTreeMap<u64, Entries>>,
    consumers: BTreeMap<u64, Consumer>,
    said: Vec<Body>,
    refuses_logins: bool,
    connections: CancellationToken,
}

struct Consumer {
    topic: String,
    subscription: String,
    is_lasting: bool,
    /// Ledger and entry of the last that was sent.
    stands: (i64, i64),
    permits: i64,
    sends: mpsc::UnboundedSender<bytes::Bytes>,
}

impl FakeBroker {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (state, ended) = (Arc::<Mutex<State>>::default(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let (serves, accepting, own) = (Arc::clone(&state), ended.clone(), address.clone());
        let connections = tasks.clone();
        tasks.spawn(accepting.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let until = serves.lock().unwrap().connections.clone();
                let serving = serve(stream, Arc::clone(&serves), own.clone());
                let until_all = accepting.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = until.cancelled() => {}
                        () = until_all.cancelled() => {}
                        () = serving => {}
                    }
                });
            }
        }));
        Self { address, state, ended }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::new(format!("pulsar://{}", self.address), "tests")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Makes a topic, with an empty ledger.
    pub(super) fn create(&self, name: &str, ledger: u64) {
        self.state().topics.insert(whole(name), BTreeMap::from([(ledger, Vec::new())]));
    }

    /// Appends an entry, and sends it to whoever may have it.
    pub(super) fn append(&self, name: &str, ledger: u64, metadata: Metadata, payload: &[u8]) {
        let mut state = self.state();
        let ledgers = state.topics.get_mut(&whole(name)).unwrap();
        ledgers.entry(ledger).or_default().push((metadata, payload.to_vec()));
        state.deliver();
    }

    /// Removes a ledger, as retention would.
    pub(super) fn remove(&self, name: &str, ledger: u64) {
        self.state().topics.get_mut(&whole(name)).unwrap().remove(&ledger).unwrap();
    }

    /// Closes all consumers, as a broker does that gives its topics away.
    pub(super) fn close_consumers(&self) {
        for (number, consumer) in std::mem::take(&mut self.state().consumers) {
            let close = CloseConsumer { consumer_id: number, request_id: u64::MAX };
            consumer.sends.send(frame::of(Body::CloseConsumer(close))).unwrap();
        }
    }

    /// Hangs up on everybody.
    pub(super) fn hang_up(&self) {
        let mut state = self.state();
        state.consumers.clear();
        std::mem::take(&mut state.connections).cancel();
    }

    pub(super) fn refuse_logins(&self) {
        self.state().refuses_logins = true;
    }

    /// What clients said so far.
    pub(super) fn said(&self) -> Vec<Body> {
        self.state().said.clone()
    }

    pub(super) fn topics(&self) -> Vec<String> {
        self.state().topics.keys().cloned().collect()
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

fn whole(name: &str) -> String {
    super::topic::whole(name).unwrap()
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, own: String) {
    let (sends, mut to_send) = mpsc::unbounded_channel::<bytes::Bytes>();
    let mut read = BytesMut::new();
    loop {
        tokio::select! {
            frame = to_send.recv() => {
                let Some(frame) = frame else { return };
                if stream.write_all(&frame).await.is_err() {
                    return;
                }
            }
            number = stream.read_buf(&mut read) => {
                if number.unwrap_or(0) == 0 {
                    return;
                }
                while let Some(frame) = frame::take(&mut read, 1 << 20).unwrap() {
                    state.lock().unwrap().hear(frame, &sends, &own);
                }
            }
        }
    }
}

impl State {
    fn hear(&mut self, frame: Frame, sends: &mpsc::UnboundedSender<bytes::Bytes>, own: &str) {
        let body = frame.body.unwrap();
        self.said.push(body.clone());
        let refused = |request_id, error, message: &str| {
            Body::Error(ErrorAnswer { request_id, error, message: message.to_owned() })
        };
        let answer = match body {
            Body::Connect(_) if self.refuses_logins => Some(refused(u64::MAX, 3, "Failed to authenticate")),
            Body::Connect(_) => Some(Body::Connected(Connected {
                server_version: "fake".to_owned(),
                protocol_version: Some(19),
                max_message_size: Some(1 << 20),
            })),
            Body::Ping(_) => Some(Body::Pong(Pong {})),
            Body::PartitionsOf(question) => Some(Body::PartitionsAnswer(PartitionsAnswer {
                partitions: Some(0),
                request_id: question.request_id,
                error: None,
                message: None,
            })),
            Body::Lookup(question) => Some(Body::LookupAnswer(LookupAnswer {
                broker_service_url: Some(format!("pulsar://{own}")),
                response: Some(LOOKUP_CONNECT),
                request_id: question.request_id,
                ..LookupAnswer::default()
            })),
            Body::Subscribe(question) => Some(match self.subscribe(&question, sends) {
                Ok(()) => Body::Success(Success { request_id: question.request_id }),
                Err((error, message)) => refused(question.request_id, error, message),
            }),
            Body::LastMessage(question) => Some(self.last_message(question.consumer_id, question.request_id)),
            Body::CloseConsumer(close) => {
                self.consumers.remove(&close.consumer_id);
                Some(Body::Success(Success { request_id: close.request_id }))
            }
            Body::Flow(flow) => {
                if let Some(consumer) = self.consumers.get_mut(&flow.consumer_id) {
                    consumer.permits += i64::from(flow.message_permits);
                }
                None
            }
            Body::Producer(question) => Some(Body::ProducerSuccess(ProducerSuccess {
                request_id: question.request_id,
                producer_name: "fake-1".to_owned(),
            })),
            Body::Send(publish) => Some(Body::SendReceipt(SendReceipt {
                producer_id: publish.producer_id,
                sequence_id: publish.sequence_id,
                message_id: Some(id(7, publish.sequence_id as i64)),
            })),
            _ => None,
        };
        if let Some(answer) = answer {
            let _ = sends.send(frame::of(answer));
        }
        self.deliver();
    }

    fn subscribe(
        &mut self,
        question: &Subscribe,
        sends: &mpsc::UnboundedSender<bytes::Bytes>,
    ) -> Result<(), (i32, &'static str)> {
        if !self.topics.contains_key(&question.topic) {
            if question.force_topic_creation != Some(false) {
                self.topics.insert(question.topic.clone(), BTreeMap::new());
            }
            return Err((11, "Topic does not exist"));
        }
        let is_taken = |consumer: &Consumer| {
            (&consumer.topic, &consumer.subscription) == (&question.topic, &question.subscription)
        };
        if self.consumers.values().any(is_taken) {
            return Err((5, "Exclusive consumer is already connected"));
        }
        // What is named counts as not read, so a reader begins one entry earlier; below 0, all is before it.
        let stands = question.start_message_id.as_ref().map_or((-1, -1), |start| {
            let (ledger, entry) = (start.ledger.cast_signed(), start.entry.cast_signed());
            (ledger, if ledger >= 0 && entry >= 0 { entry - 1 } else { entry })
        });
        let consumer = Consumer {
            topic: question.topic.clone(),
            subscription: question.subscription.clone(),
            is_lasting: question.durable == Some(true),
            stands,
            permits: 0,
            sends: sends.clone(),
        };
        self.consumers.insert(question.consumer_id, consumer);
        Ok(())
    }

    fn last_message(&self, consumer: u64, request_id: u64) -> Body {
        let ledgers = &self.topics[&self.consumers[&consumer].topic];
        let last = ledgers.iter().rev().find(|(_, entries)| !entries.is_empty());
        let last_message_id = last.map_or(id(-1, -1), |(ledger, entries)| {
            let batch = entries[entries.len() - 1].0.num_messages_in_batch;
            MessageId {
                batch_index: batch.map(|messages| messages - 1),
                ..id(ledger.cast_signed(), entries.len() as i64 - 1)
            }
        });
        let first = ledgers.keys().next().map_or(-1, |ledger| ledger.cast_signed());
        Body::LastMessageAnswer(LastMessageAnswer {
            last_message_id,
            request_id,
            consumer_mark_delete_position: Some(id(first, -1)),
        })
    }

    /// Sends what is there to whoever may have it.
    fn deliver(&mut self) {
        for (number, consumer) in &mut self.consumers {
            let Some(ledgers) = self.topics.get(&consumer.topic) else { continue };
            for (ledger, entries) in ledgers {
                for (entry, (metadata, payload)) in entries.iter().enumerate() {
                    let place = (ledger.cast_signed(), entry as i64);
                    if consumer.is_lasting || consumer.permits <= 0 || place <= consumer.stands {
                        continue;
                    }
                    consumer.permits -= i64::from(metadata.num_messages_in_batch.unwrap_or(1));
                    consumer.stands = place;
                    let delivery = Delivery { consumer_id: *number, message_id: id(place.0, place.1) };
                    let _ =
                        consumer.sends.send(frame::with_entry(Body::Message(delivery), metadata, payload));
                }
            }
        }
    }
}

fn id(ledger: i64, entry: i64) -> MessageId {
    MessageId {
        ledger: ledger.cast_unsigned(),
        entry: entry.cast_unsigned(),
        partition: None,
        batch_index: None,
    }
}
