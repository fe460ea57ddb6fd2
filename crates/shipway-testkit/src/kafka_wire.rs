//! The few requests of Kafka's protocol that a test needs to prepare topics. One connection, one request at a time.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const DONE_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const DELETE_RECORDS: i16 = 21;
const CREATE_PARTITIONS: i16 = 37;
/// How long the broker may take for a change, in milliseconds.
const PATIENCE_MS: i32 = 30_000;

/// A connection to the broker, which is also the leader of every partition.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn open(port: u16) -> io::Result<Self> {
        TcpStream::connect(("127.0.0.1", port)).await.map(Self)
    }

    pub(crate) async fn create_topic(&mut self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        let mut body = Body::default();
        body.i32(1).text(name).i32(partitions.cast_signed()).i16(1).i32(0);
        body.i32(i32::try_from(settings.len()).expect("a few settings"));
        for (setting, value) in settings {
            body.text(setting).text(value);
        }
        body.i32(PATIENCE_MS).i8(0);
        let mut answer = self.ask(CREATE_TOPICS, 2, &body).await;
        answer.i32();
        answer.i32();
        answer.text();
        assert_eq!(answer.i16(), 0, "topic {name} cannot be made");
    }

    pub(crate) async fn grow_topic(&mut self, name: &str, partitions: u32) {
        let mut body = Body::default();
        body.i32(1).text(name).i32(partitions.cast_signed()).i32(-1).i32(PATIENCE_MS).i8(0);
        let mut answer = self.ask(CREATE_PARTITIONS, 0, &body).await;
        answer.i32();
        answer.i32();
        answer.text();
        assert_eq!(answer.i16(), 0, "topic {name} cannot grow");
    }

    pub(crate) async fn trim_topic(&mut self, name: &str, partition: u32, offset: u64) {
        let mut body = Body::default();
        body.i32(1).text(name).i32(1).i32(partition.cast_signed()).i64(offset.cast_signed()).i32(PATIENCE_MS);
        let mut answer = self.ask(DELETE_RECORDS, 0, &body).await;
        answer.i32();
        answer.i32();
        answer.text();
        answer.i32();
        answer.i32();
        answer.i64();
        assert_eq!(answer.i16(), 0, "topic {name} cannot be trimmed");
    }

    /// Waits until every partition of a topic has a leader.
    pub(crate) async fn wait_for_leaders(&mut self, name: &str, partitions: u32) {
        let deadline = Instant::now() + DONE_WITHIN;
        while self.partitions_with_leader(name).await != partitions {
            assert!(Instant::now() < deadline, "topic {name} has no leaders within {DONE_WITHIN:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn partitions_with_leader(&mut self, name: &str) -> u32 {
        let mut body = Body::default();
        body.i32(1).text(name).i8(0);
        let mut answer = self.ask(METADATA, 4, &body).await;
        answer.i32();
        for _ in 0..answer.i32() {
            answer.i32();
            answer.text();
            answer.i32();
            answer.text();
        }
        answer.text();
        answer.i32();
        answer.i32();
        answer.i16();
        answer.text();
        answer.i8();
        let mut with_leader = 0;
        for _ in 0..answer.i32() {
            let failure = answer.i16();
            answer.i32();
            let leader = answer.i32();
            answer.ids();
            answer.ids();
            with_leader += u32::from(failure == 0 && leader >= 0);
        }
        with_leader
    }

    async fn ask(&mut self, api: i16, version: i16, body: &Body) -> Answer {
        let mut request = Body::default();
        request.i16(api).i16(version).i32(1).text("shipway-testkit");
        request.0.extend_from_slice(&body.0);
        let asked = async {
            self.0.write_i32(i32::try_from(request.0.len()).expect("a small request")).await?;
            self.0.write_all(&request.0).await?;
            let mut bytes = vec![0; self.0.read_i32().await?.unsigned_abs() as usize];
            self.0.read_exact(&mut bytes).await?;
            io::Result::Ok(bytes)
        };
        let bytes = tokio::time::timeout(DONE_WITHIN, asked).await.expect("the broker answers in time");
        let mut answer = Answer { bytes: bytes.expect("the broker answers"), at: 0 };
        assert_eq!(answer.i32(), 1, "the answer belongs to another request");
        answer
    }
}

/// A request's fields, in the order in which they are sent.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn i8(&mut self, value: i8) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn text(&mut self, value: &str) -> &mut Self {
        self.i16(i16::try_from(value.len()).expect("a short text"));
        self.0.extend_from_slice(value.as_bytes());
        self
    }
}

/// An answer, read field by field. What a test does not need is read all the same, to come to what follows it.
struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = self.bytes[self.at..self.at + N].try_into().expect("as many bytes as asked for");
        self.at += N;
        field
    }

    fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.take())
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    /// A text that may be null; its words do not matter.
    fn text(&mut self) {
        let length = self.i16();
        self.at += usize::try_from(length).unwrap_or(0);
    }

    fn ids(&mut self) {
        for _ in 0..self.i32() {
            self.i32();
        }
    }
}
