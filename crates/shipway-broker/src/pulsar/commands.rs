//! The messages of Pulsar's protocol that we speak, with those of their fields that we set or read.
//!
//! Names and numbers are the protocol's. What is not here is skipped when it comes. The number of a command's type is the number
//! of the field that the command is in.

use prost::{Message, Oneof};

/// What a broker has to speak at least, and says of us: acknowledgements, the last message, refreshed logins.
pub(super) const PROTOCOL_VERSION: i32 = 19;

#[derive(Clone, PartialEq, Message)]
pub(super) struct BaseCommand {
    #[prost(int32, required, tag = "1")]
    pub(super) kind: i32,
    #[prost(
        oneof = "Body",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 27, 29, 30, 36, 37"
    )]
    pub(super) body: Option<Body>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "2")]
    Connect(Connect),
    #[prost(message, tag = "3")]
    Connected(Connected),
    #[prost(message, tag = "4")]
    Subscribe(Subscribe),
    #[prost(message, tag = "5")]
    Producer(Producer),
    #[prost(message, tag = "6")]
    Send(Publish),
    #[prost(message, tag = "7")]
    SendReceipt(SendReceipt),
    #[prost(message, tag = "8")]
    SendError(SendError),
    #[prost(message, tag = "9")]
    Message(Delivery),
    #[prost(message, tag = "10")]
    Ack(Ack),
    #[prost(message, tag = "11")]
    Flow(Flow),
    #[prost(message, tag = "13")]
    Success(Success),
    #[prost(message, tag = "14")]
    Error(ErrorAnswer),
    #[prost(message, tag = "15")]
    CloseProducer(CloseProducer),
    #[prost(message, tag = "16")]
    CloseConsumer(CloseConsumer),
    #[prost(message, tag = "17")]
    ProducerSuccess(ProducerSuccess),
    #[prost(message, tag = "18")]
    Ping(Ping),
    #[prost(message, tag = "19")]
    Pong(Pong),
    #[prost(message, tag = "21")]
    PartitionsOf(PartitionsOf),
    #[prost(message, tag = "22")]
    PartitionsAnswer(PartitionsAnswer),
    #[prost(message, tag = "23")]
    Lookup(Lookup),
    #[prost(message, tag = "24")]
    LookupAnswer(LookupAnswer),
    #[prost(message, tag = "27")]
    ReachedEnd(ReachedEnd),
    #[prost(message, tag = "29")]
    LastMessage(LastMessage),
    #[prost(message, tag = "30")]
    LastMessageAnswer(LastMessageAnswer),
    #[prost(message, tag = "36")]
    AuthChallenge(AuthChallenge),
    #[prost(message, tag = "37")]
    AuthResponse(AuthResponse),
}

impl Body {
    /// The number of the command's type.
    pub(super) fn kind(&self) -> i32 {
        match self {
            Self::Connect(_) => 2,
            Self::Connected(_) => 3,
            Self::Subscribe(_) => 4,
            Self::Producer(_) => 5,
            Self::Send(_) => 6,
            Self::SendReceipt(_) => 7,
            Self::SendError(_) => 8,
            Self::Message(_) => 9,
            Self::Ack(_) => 10,
            Self::Flow(_) => 11,
            Self::Success(_) => 13,
            Self::Error(_) => 14,
            Self::CloseProducer(_) => 15,
            Self::CloseConsumer(_) => 16,
            Self::ProducerSuccess(_) => 17,
            Self::Ping(_) => 18,
            Self::Pong(_) => 19,
            Self::PartitionsOf(_) => 21,
            Self::PartitionsAnswer(_) => 22,
            Self::Lookup(_) => 23,
            Self::LookupAnswer(_) => 24,
            Self::ReachedEnd(_) => 27,
            Self::LastMessage(_) => 29,
            Self::LastMessageAnswer(_) => 30,
            Self::AuthChallenge(_) => 36,
            Self::AuthResponse(_) => 37,
        }
    }

    /// Which question this answers, if it answers one.
    pub(super) fn answers(&self) -> Option<u64> {
        match self {
            Self::Success(answer) => Some(answer.request_id),
            Self::Error(answer) => Some(answer.request_id),
            Self::ProducerSuccess(answer) => Some(answer.request_id),
            Self::PartitionsAnswer(answer) => Some(answer.request_id),
            Self::LookupAnswer(answer) => Some(answer.request_id),
            Self::LastMessageAnswer(answer) => Some(answer.request_id),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Connect {
    #[prost(string, required, tag = "1")]
    pub(super) client_version: String,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) auth_data: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "4")]
    pub(super) protocol_version: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub(super) auth_method_name: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub(super) proxy_to_broker_url: Option<String>,
    #[prost(message, optional, tag = "10")]
    pub(super) feature_flags: Option<FeatureFlags>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureFlags {
    #[prost(bool, optional, tag = "1")]
    pub(super) supports_auth_refresh: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Connected {
    #[prost(string, required, tag = "1")]
    pub(super) server_version: String,
    #[prost(int32, optional, tag = "2")]
    pub(super) protocol_version: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) max_message_size: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AuthChallenge {
    #[prost(string, optional, tag = "1")]
    pub(super) server_version: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AuthResponse {
    #[prost(string, optional, tag = "1")]
    pub(super) client_version: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub(super) response: Option<AuthData>,
    #[prost(int32, optional, tag = "3")]
    pub(super) protocol_version: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AuthData {
    #[prost(string, optional, tag = "1")]
    pub(super) auth_method_name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) auth_data: Option<Vec<u8>>,
}

/// Where a message lies. An id below 0 is sent as its two's complement.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageId {
    #[prost(uint64, required, tag = "1")]
    pub(super) ledger: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) entry: u64,
    #[prost(int32, optional, tag = "3")]
    pub(super) partition: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub(super) batch_index: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, required, tag = "1")]
    pub(super) key: String,
    #[prost(string, required, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Subscribe {
    #[prost(string, required, tag = "1")]
    pub(super) topic: String,
    #[prost(string, required, tag = "2")]
    pub(super) subscription: String,
    /// 0 is exclusive.
    #[prost(int32, required, tag = "3")]
    pub(super) sub_type: i32,
    #[prost(uint64, required, tag = "4")]
    pub(super) consumer_id: u64,
    #[prost(uint64, required, tag = "5")]
    pub(super) request_id: u64,
    #[prost(string, optional, tag = "6")]
    pub(super) consumer_name: Option<String>,
    #[prost(bool, optional, tag = "8")]
    pub(super) durable: Option<bool>,
    #[prost(message, optional, tag = "9")]
    pub(super) start_message_id: Option<MessageId>,
    #[prost(bool, optional, tag = "11")]
    pub(super) read_compacted: Option<bool>,
    /// 0 is the end, 1 the beginning.
    #[prost(int32, optional, tag = "13")]
    pub(super) initial_position: Option<i32>,
    #[prost(bool, optional, tag = "15")]
    pub(super) force_topic_creation: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartitionsOf {
    #[prost(string, required, tag = "1")]
    pub(super) topic: String,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
    /// Since Pulsar 3.0.6 and 4.0. Earlier ones make a topic of this name where they are set to make partitioned topics.
    #[prost(bool, optional, tag = "6")]
    pub(super) metadata_auto_creation_enabled: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartitionsAnswer {
    #[prost(uint32, optional, tag = "1")]
    pub(super) partitions: Option<u32>,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
    #[prost(int32, optional, tag = "4")]
    pub(super) error: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub(super) message: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Lookup {
    #[prost(string, required, tag = "1")]
    pub(super) topic: String,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
    #[prost(bool, optional, tag = "3")]
    pub(super) authoritative: Option<bool>,
}

/// The broker that answered does not have the topic: ask the one that it names.
pub(super) const LOOKUP_REDIRECT: i32 = 0;
/// The broker that has the topic.
pub(super) const LOOKUP_CONNECT: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct LookupAnswer {
    #[prost(string, optional, tag = "1")]
    pub(super) broker_service_url: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) broker_service_url_tls: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(super) response: Option<i32>,
    #[prost(uint64, required, tag = "4")]
    pub(super) request_id: u64,
    #[prost(bool, optional, tag = "5")]
    pub(super) authoritative: Option<bool>,
    #[prost(int32, optional, tag = "6")]
    pub(super) error: Option<i32>,
    #[prost(string, optional, tag = "7")]
    pub(super) message: Option<String>,
    #[prost(bool, optional, tag = "8")]
    pub(super) proxy_through_service_url: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Producer {
    #[prost(string, required, tag = "1")]
    pub(super) topic: String,
    #[prost(uint64, required, tag = "2")]
    pub(super) producer_id: u64,
    #[prost(uint64, required, tag = "3")]
    pub(super) request_id: u64,
    #[prost(bool, optional, tag = "9")]
    pub(super) user_provided_producer_name: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProducerSuccess {
    #[prost(uint64, required, tag = "1")]
    pub(super) request_id: u64,
    #[prost(string, required, tag = "2")]
    pub(super) producer_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Publish {
    #[prost(uint64, required, tag = "1")]
    pub(super) producer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) sequence_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SendReceipt {
    #[prost(uint64, required, tag = "1")]
    pub(super) producer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) sequence_id: u64,
    #[prost(message, optional, tag = "3")]
    pub(super) message_id: Option<MessageId>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SendError {
    #[prost(uint64, required, tag = "1")]
    pub(super) producer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) sequence_id: u64,
    #[prost(int32, required, tag = "3")]
    pub(super) error: i32,
    #[prost(string, required, tag = "4")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Delivery {
    #[prost(uint64, required, tag = "1")]
    pub(super) consumer_id: u64,
    #[prost(message, required, tag = "2")]
    pub(super) message_id: MessageId,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ack {
    #[prost(uint64, required, tag = "1")]
    pub(super) consumer_id: u64,
    /// 1 is everything up to and with the message.
    #[prost(int32, required, tag = "2")]
    pub(super) ack_type: i32,
    #[prost(message, repeated, tag = "3")]
    pub(super) message_id: Vec<MessageId>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Flow {
    #[prost(uint64, required, tag = "1")]
    pub(super) consumer_id: u64,
    #[prost(uint32, required, tag = "2")]
    pub(super) message_permits: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Success {
    #[prost(uint64, required, tag = "1")]
    pub(super) request_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorAnswer {
    #[prost(uint64, required, tag = "1")]
    pub(super) request_id: u64,
    #[prost(int32, required, tag = "2")]
    pub(super) error: i32,
    #[prost(string, required, tag = "3")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseProducer {
    #[prost(uint64, required, tag = "1")]
    pub(super) producer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseConsumer {
    #[prost(uint64, required, tag = "1")]
    pub(super) consumer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Ping {}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Pong {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReachedEnd {
    #[prost(uint64, required, tag = "1")]
    pub(super) consumer_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LastMessage {
    #[prost(uint64, required, tag = "1")]
    pub(super) consumer_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LastMessageAnswer {
    #[prost(message, required, tag = "1")]
    pub(super) last_message_id: MessageId,
    #[prost(uint64, required, tag = "2")]
    pub(super) request_id: u64,
    #[prost(message, optional, tag = "3")]
    pub(super) consumer_mark_delete_position: Option<MessageId>,
}

/// What a producer and the broker say of an entry: of a single message, or of a batch.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(string, required, tag = "1")]
    pub(super) producer_name: String,
    #[prost(uint64, required, tag = "2")]
    pub(super) sequence_id: u64,
    #[prost(uint64, required, tag = "3")]
    pub(super) publish_time: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) properties: Vec<KeyValue>,
    #[prost(string, optional, tag = "6")]
    pub(super) partition_key: Option<String>,
    #[prost(int32, optional, tag = "8")]
    pub(super) compression: Option<i32>,
    #[prost(uint32, optional, tag = "9")]
    pub(super) uncompressed_size: Option<u32>,
    /// Set for a batch, also for one of a single message.
    #[prost(int32, optional, tag = "11")]
    pub(super) num_messages_in_batch: Option<i32>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) event_time: Option<u64>,
    #[prost(message, repeated, tag = "13")]
    pub(super) encryption_keys: Vec<EncryptionKey>,
    #[prost(bool, optional, tag = "17")]
    pub(super) partition_key_b64_encoded: Option<bool>,
    /// Set for what brokers write for themselves.
    #[prost(int32, optional, tag = "20")]
    pub(super) marker_type: Option<i32>,
    #[prost(bool, optional, tag = "25")]
    pub(super) null_value: Option<bool>,
    #[prost(int32, optional, tag = "27")]
    pub(super) num_chunks_from_msg: Option<i32>,
    #[prost(bool, optional, tag = "30")]
    pub(super) null_partition_key: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptionKey {
    #[prost(string, required, tag = "1")]
    pub(super) key: String,
}

/// What stands before each message of a batch.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SingleMetadata {
    #[prost(message, repeated, tag = "1")]
    pub(super) properties: Vec<KeyValue>,
    #[prost(string, optional, tag = "2")]
    pub(super) partition_key: Option<String>,
    #[prost(int32, required, tag = "3")]
    pub(super) payload_size: i32,
    #[prost(bool, optional, tag = "4")]
    pub(super) compacted_out: Option<bool>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) event_time: Option<u64>,
    #[prost(bool, optional, tag = "6")]
    pub(super) partition_key_b64_encoded: Option<bool>,
    #[prost(bool, optional, tag = "9")]
    pub(super) null_value: Option<bool>,
    #[prost(bool, optional, tag = "10")]
    pub(super) null_partition_key: Option<bool>,
}
