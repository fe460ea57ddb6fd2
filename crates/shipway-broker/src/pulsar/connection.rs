//! One connection to a broker: questions and their answers, and what comes for consumers and producers.
//!
//! Two tasks serve it, one that reads and one that writes. They end when the connection is dropped or fails; then every question
//! that waits is answered with the failure, and consumers and producers see their channel end. A connection is never mended:
//! whoever needs one opens another.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    commands::{
        AuthData, AuthResponse, Body, Connect, Connected, FeatureFlags, MessageId, PROTOCOL_VERSION, Ping,
        Pong,
    },
    failure::Fault,
    frame::{self, Frame},
    transport::{Stream, Transport, Unopened},
};
use crate::{Secret, Settings};

/// How often we ask whether the broker is there.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// A broker that said nothing for so long is gone: it answers what we ask.
const SILENT_AT_MOST: Duration = Duration::from_secs(40);
/// The longest message of a broker that does not say how long one may be: 5 MiB.
const LONGEST_MESSAGE: usize = 5 << 20;
/// What a frame takes beyond its message.
const AROUND_A_MESSAGE: usize = 64 << 10;

/// Numbers for questions, consumers and producers: none is used twice by this process, so none can be mistaken.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A number that nothing else has.
pub(super) fn fresh_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// What comes for a consumer. The end of the channel is the end of the connection.
#[derive(Debug)]
pub(super) enum ToConsumer {
    Entry {
        id: MessageId,
        entry: Bytes,
    },
    /// The broker gives the topic away, or closes it.
    Closed,
}

/// What comes for a producer.
#[derive(Debug)]
pub(super) enum ToProducer {
    Receipt {
        sequence: u64,
        id: Option<MessageId>,
    },
    Refused {
        sequence: u64,
        fault: Fault,
    },
    /// The broker gives the topic away, or closes it.
    Closed,
}

/// A connection to one broker.
pub(super) struct Connection {
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Bytes>,
    ended: CancellationToken,
    /// The longest message that the broker takes.
    pub(super) longest_message: usize,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared(Mutex<Routes>);

/// Where answers and messages go.
#[derive(Default)]
struct Routes {
    /// Why the connection ended.
    failure: Option<String>,
    questions: HashMap<u64, oneshot::Sender<Body>>,
    consumers: HashMap<u64, mpsc::UnboundedSender<ToConsumer>>,
    producers: HashMap<u64, mpsc::UnboundedSender<ToProducer>>,
}

impl Shared {
    /// A panic while the routes were held left nothing half done in them.
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, reason: String) {
        let mut routes = self.routes();
        routes.failure.get_or_insert(reason);
        routes.questions.clear();
        routes.consumers.clear();
        routes.producers.clear();
    }

    fn failure(&self) -> Fault {
        Fault::Lost(self.routes().failure.clone().unwrap_or_else(|| "the connection has ended".to_owned()))
    }
}

/// Who we are, for a broker that asks.
#[derive(Clone)]
struct Login {
    method: Option<&'static str>,
    token: Option<Secret>,
}

impl Login {
    fn of(settings: &Settings) -> Self {
        let security = &settings.security;
        let method = match (&security.token, &security.certificate) {
            (Some(_), _) => Some("token"),
            (None, Some(_)) => Some("tls"),
            (None, None) => None,
        };
        Self { method, token: security.token.clone() }
    }

    fn data(&self) -> Option<Vec<u8>> {
        self.token.as_ref().map(|token| token.reveal().as_bytes().to_vec())
    }

    fn connect(&self, proxied_to: Option<String>) -> Body {
        Body::Connect(Connect {
            client_version: client_version(),
            auth_data: self.data(),
            protocol_version: Some(PROTOCOL_VERSION),
            auth_method_name: self.method.map(str::to_owned),
            proxy_to_broker_url: proxied_to,
            feature_flags: Some(FeatureFlags { supports_auth_refresh: Some(true) }),
        })
    }

    fn again(&self) -> Body {
        Body::AuthResponse(AuthResponse {
            client_version: Some(client_version()),
            response: Some(AuthData {
                auth_method_name: self.method.map(str::to_owned),
                auth_data: self.data(),
            }),
            protocol_version: Some(PROTOCOL_VERSION),
        })
    }
}

fn client_version() -> String {
    concat!("shipway-", env!("CARGO_PKG_VERSION")).to_owned()
}

impl Connection {
    /// Connects to `address` and logs in, within the time that the settings give a question. `proxied_to` is for a proxy, which then
    /// hands on to that broker.
    pub(super) async fn open(
        transport: &Transport,
        settings: &Settings,
        (address, proxied_to): (&str, Option<String>),
        tasks: &TaskTracker,
    ) -> Result<Self, Fault> {
        let login = Login::of(settings);
        let opened = timeout(settings.limits.request_within(), async {
            let mut stream = transport.open(address).await?;
            let connected = greet(&mut stream, &login, proxied_to).await?;
            Ok::<_, Fault>((stream, connected))
        });
        let opened =
            opened.await.unwrap_or_else(|_| Err(Fault::Lost(format!("{address} does not answer in time"))));
        let (stream, (connected, read)) = opened?;
        let longest_message = connected
            .max_message_size
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0)
            .unwrap_or(LONGEST_MESSAGE);
        let shared = Arc::new(Shared::default());
        let ended = CancellationToken::new();
        let (outgoing, to_send) = mpsc::unbounded_channel();
        let (reading, writing) = tokio::io::split(stream);
        let reader = Reader {
            shared: Arc::clone(&shared),
            outgoing: outgoing.downgrade(),
            login,
            longest_frame: longest_message.max(LONGEST_MESSAGE) + AROUND_A_MESSAGE,
            address: address.to_owned(),
        };
        tasks.spawn(reader.run(reading, read, ended.clone()));
        tasks.spawn(write(writing, to_send, ended.clone()));
        Ok(Self { shared, outgoing, ended, longest_message })
    }

    /// Whether nothing has ended it yet.
    pub(super) fn is_open(&self) -> bool {
        self.shared.routes().failure.is_none()
    }

    /// Why it ended.
    pub(super) fn failure(&self) -> Fault {
        self.shared.failure()
    }

    /// Asks, and waits for the answer that carries the question's number. `question` gets that number.
    pub(super) async fn ask(
        &self,
        question: impl FnOnce(u64) -> Body + Send,
        within: Duration,
    ) -> Result<Body, Fault> {
        let number = fresh_number();
        let (answer, answered) = oneshot::channel();
        {
            let mut routes = self.shared.routes();
            if routes.failure.is_some() {
                drop(routes);
                return Err(self.failure());
            }
            routes.questions.insert(number, answer);
        }
        // Taken back also where the wait is dropped.
        let _question = Asked { shared: &self.shared, number };
        self.tell(question(number));
        match timeout(within, answered).await {
            Ok(Ok(Body::Error(refused))) => {
                Err(Fault::Refused { code: refused.error, message: refused.message })
            }
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(self.failure()),
            Err(_) => Err(Fault::Lost("the broker does not answer in time".to_owned())),
        }
    }

    /// Sends a command that is not answered. A connection that has ended takes it and drops it.
    pub(super) fn tell(&self, body: Body) {
        self.tell_frame(frame::of(body));
    }

    /// Sends a frame.
    pub(super) fn tell_frame(&self, frame: Bytes) {
        // The receiver is gone when the connection has ended, which whoever waits for an answer hears from their channel.
        let _ = self.outgoing.send(frame);
    }

    /// From now on takes what comes for a consumer.
    pub(super) fn listen_for_consumer(&self, consumer: u64) -> mpsc::UnboundedReceiver<ToConsumer> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut routes = self.shared.routes();
        if routes.failure.is_none() {
            routes.consumers.insert(consumer, sender);
        }
        receiver
    }

    pub(super) fn forget_consumer(&self, consumer: u64) {
        self.shared.routes().consumers.remove(&consumer);
    }

    /// From now on takes what comes for a producer.
    pub(super) fn listen_for_producer(&self, producer: u64) -> mpsc::UnboundedReceiver<ToProducer> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut routes = self.shared.routes();
        if routes.failure.is_none() {
            routes.producers.insert(producer, sender);
        }
        receiver
    }

    pub(super) fn forget_producer(&self, producer: u64) {
        self.shared.routes().producers.remove(&producer);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// A question that is taken back when nobody waits for its answer.
struct Asked<'c> {
    shared: &'c Shared,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shared.routes().questions.remove(&self.number);
    }
}

impl From<Unopened> for Fault {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Unreachable(reason) => Self::Lost(reason),
            Unopened::Untrusted(reason) => Self::Untrusted(reason),
        }
    }
}

/// Says who we are, and waits until the broker takes us. Answers with what was read beyond that, too.
async fn greet(
    stream: &mut Box<dyn Stream>,
    login: &Login,
    proxied_to: Option<String>,
) -> Result<(Connected, BytesMut), Fault> {
    let lost = |error: std::io::Error| Fault::Lost(error.to_string());
    stream.write_all(&frame::of(login.connect(proxied_to))).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut read = BytesMut::with_capacity(8 << 10);
    loop {
        let longest = LONGEST_MESSAGE + AROUND_A_MESSAGE;
        let taken = frame::take(&mut read, longest).map_err(|error| Fault::Lost(error.to_string()))?;
        match taken.and_then(|frame| frame.body) {
            Some(Body::Connected(connected)) => return Ok((connected, read)),
            Some(Body::Error(refused)) => {
                return Err(Fault::Refused { code: refused.error, message: refused.message });
            }
            Some(Body::AuthChallenge(_)) => {
                stream.write_all(&frame::of(login.again())).await.map_err(lost)?;
                stream.flush().await.map_err(lost)?;
            }
            Some(_) => {}
            None => {
                if stream.read_buf(&mut read).await.map_err(lost)? == 0 {
                    return Err(Fault::Lost("the broker hangs up at once".to_owned()));
                }
            }
        }
    }
}

/// What the task that reads knows.
struct Reader {
    shared: Arc<Shared>,
    outgoing: mpsc::WeakUnboundedSender<Bytes>,
    login: Login,
    longest_frame: usize,
    address: String,
}

impl Reader {
    async fn run(self, mut stream: ReadHalf<Box<dyn Stream>>, mut read: BytesMut, ended: CancellationToken) {
        let reason = tokio::select! {
            biased;
            () = ended.cancelled() => "it was closed by us".to_owned(),
            reason = self.read(&mut stream, &mut read) => reason,
        };
        self.shared.end(format!("{}: {reason}", self.address));
        ended.cancel();
    }

    /// Reads until that fails, and answers why.
    async fn read(&self, stream: &mut ReadHalf<Box<dyn Stream>>, read: &mut BytesMut) -> String {
        loop {
            loop {
                match frame::take(read, self.longest_frame) {
                    Ok(Some(frame)) => self.hand_on(frame),
                    Ok(None) => break,
                    Err(error) => return error.to_string(),
                }
            }
            match timeout(SILENT_AT_MOST, stream.read_buf(read)).await {
                Ok(Ok(0)) => return "the broker hung up".to_owned(),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the broker says nothing any more".to_owned(),
            }
        }
    }

    fn hand_on(&self, frame: Frame) {
        let Some(body) = frame.body else { return };
        if let Some(number) = body.answers() {
            let question = self.shared.routes().questions.remove(&number);
            if let Some(question) = question {
                // Whoever asked may have gone since.
                let _ = question.send(body);
            }
            return;
        }
        let mut routes = self.shared.routes();
        let to_consumer = |routes: &Routes, consumer: u64, what| {
            routes.consumers.get(&consumer).map(|route| route.send(what));
        };
        let to_producer = |routes: &Routes, producer: u64, what| {
            routes.producers.get(&producer).map(|route| route.send(what));
        };
        match body {
            Body::Message(delivery) => {
                let what = ToConsumer::Entry { id: delivery.message_id, entry: frame.entry };
                to_consumer(&routes, delivery.consumer_id, what);
            }
            Body::CloseConsumer(close) => {
                to_consumer(&routes, close.consumer_id, ToConsumer::Closed);
                routes.consumers.remove(&close.consumer_id);
            }
            Body::SendReceipt(receipt) => {
                let what = ToProducer::Receipt { sequence: receipt.sequence_id, id: receipt.message_id };
                to_producer(&routes, receipt.producer_id, what);
            }
            Body::SendError(error) => {
                let fault = Fault::Refused { code: error.error, message: error.message };
                let what = ToProducer::Refused { sequence: error.sequence_id, fault };
                to_producer(&routes, error.producer_id, what);
            }
            Body::CloseProducer(close) => {
                to_producer(&routes, close.producer_id, ToProducer::Closed);
                routes.producers.remove(&close.producer_id);
            }
            Body::Ping(_) => self.answer(Body::Pong(Pong {})),
            Body::AuthChallenge(_) => self.answer(self.login.again()),
            _ => {}
        }
    }

    fn answer(&self, body: Body) {
        if let Some(outgoing) = self.outgoing.upgrade() {
            // Nobody sends any more where the connection has ended.
            let _ = outgoing.send(frame::of(body));
        }
    }
}

/// Writes what is to be sent, and asks now and then whether the broker is there.
async fn write(
    mut stream: WriteHalf<Box<dyn Stream>>,
    mut to_send: mpsc::UnboundedReceiver<Bytes>,
    ended: CancellationToken,
) {
    let mut ask = interval(ASK_EVERY);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut frame = tokio::select! {
            biased;
            () = ended.cancelled() => break,
            frame = to_send.recv() => match frame {
                Some(frame) => frame,
                None => break,
            },
            _ = ask.tick() => frame::of(Body::Ping(Ping {})),
        };
        // What waits goes out together.
        let written = async {
            loop {
                stream.write_all(&frame).await?;
                match to_send.try_recv() {
                    Ok(next) => frame = next,
                    Err(_) => return stream.flush().await,
                }
            }
        };
        let is_written = tokio::select! {
            biased;
            () = ended.cancelled() => break,
            written = written => written.is_ok(),
        };
        if !is_written {
            break;
        }
    }
    // Goodbyes that were told before the end still go out, if the stream takes them at once.
    let last = async {
        while let Ok(frame) = to_send.try_recv() {
            stream.write_all(&frame).await?;
        }
        stream.shutdown().await
    };
    let _ = timeout(Duration::from_secs(1), last).await;
    ended.cancel();
}
