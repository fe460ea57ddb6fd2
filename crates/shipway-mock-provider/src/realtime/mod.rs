//! OpenAI's realtime API: a connection over which both sides speak.
//!
//! - `conversation`: what was said, and what is answered
//! - `words`: the events of a response
//! - here: the connection, and what a script does to it

mod conversation;
mod words;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::CloseFrame},
};

use self::conversation::Conversation;
use crate::{
    delay::Chance,
    journal::{Ended, Sent},
    provider::Provider,
    script::{Fault, Script},
    wire::Request,
};

/// What stands before a key among the subprotocols.
const KEY: &str = "openai-insecure-api-key.";
/// The journal keeps so many messages of a connection.
const MESSAGES: usize = 256;
/// Longer ones it keeps the beginning of.
const MESSAGE_BYTES: usize = 4_096;

/// A request for a connection.
#[derive(Debug)]
pub(crate) struct Asked {
    /// As it was asked for, with a script behind its last slash.
    pub(crate) model: String,
    pub(crate) key: Option<String>,
    /// Events have the names that they had before the API was declared stable.
    is_beta: bool,
    /// The head of an answer that opens it.
    opening: String,
}

impl Asked {
    /// A request for a WebSocket, if it is one.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let proof = request.header("sec-websocket-key")?;
        let named = |name: &str| {
            let mut pairs = request.query().split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        let offered = request.header("sec-websocket-protocol").unwrap_or_default();
        let offered: Vec<&str> = offered.split(',').map(str::trim).collect();
        let key = request.key().or_else(|| request.header("api-key"));
        let key = key.or_else(|| offered.iter().find_map(|one| one.strip_prefix(KEY)));
        let is_beta = request.header("openai-beta").is_some_and(|beta| beta.contains("realtime"))
            || offered.iter().any(|one| one.starts_with("openai-beta.realtime"));
        let mut opening = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n",
            derive_accept_key(proof.as_bytes()),
        );
        if offered.contains(&"realtime") {
            opening.push_str("sec-websocket-protocol: realtime\r\n");
        }
        Some(Self {
            model: named("model").or_else(|| named("deployment")).unwrap_or_default(),
            key: key.map(str::to_owned),
            is_beta,
            opening,
        })
    }

    /// The answer that opens the connection with the number `number`.
    pub(crate) fn opening(&self, number: u64) -> String {
        format!("{}x-request-id: req_mock_{number:08}\r\n\r\n", self.opening)
    }
}

/// Speaks with a client until one side ends it.
pub(crate) async fn speak(
    socket: WebSocketStream<TcpStream>,
    provider: &Provider,
    asked: &Asked,
    number: u64,
) -> (Sent, WebSocketStream<TcpStream>) {
    let mut session = Session {
        socket,
        provider,
        asked,
        conversation: Conversation::new(&asked.model, asked.is_beta, number),
        script: Arc::default(),
        coming: VecDeque::new(),
        chance: Chance::new(number),
        at: 0,
        sent: (0, 0),
        heard: Vec::new(),
        goodbye: None,
    };
    let began = Instant::now();
    let ended = session.run().await;
    let Session { socket, sent: (frames, bytes), heard, goodbye, .. } = session;
    let said = json!({"messages": heard, "close": goodbye});
    (Sent { status: 101, ended, frames, bytes, took: began.elapsed(), said: Some(said) }, socket)
}

struct Session<'a> {
    socket: WebSocketStream<TcpStream>,
    provider: &'a Provider,
    asked: &'a Asked,
    conversation: Conversation,
    /// Of the response that runs, or that ran last.
    script: Arc<Script>,
    /// Events of the response that runs.
    coming: VecDeque<Value>,
    chance: Chance,
    /// How many of them were sent.
    at: usize,
    sent: (usize, usize),
    heard: Vec<String>,
    goodbye: Option<Value>,
}

impl Session<'_> {
    async fn run(&mut self) -> Ended {
        let created = self.conversation.session("session.created");
        if !self.send(&created).await {
            return Ended::ClientLeft;
        }
        loop {
            if let Some(ended) = self.strike().await {
                return ended;
            }
            let wait = match self.at {
                0 => self.script.timing.first.draw(self.chance.unit()),
                _ => self.script.timing.interval.draw(self.chance.unit()),
            };
            let is_speaking = !self.coming.is_empty();
            tokio::select! {
                biased;
                message = self.socket.next() => match message {
                    Some(Ok(message)) => if !self.hear(message).await {
                        return Ended::ClientLeft;
                    },
                    Some(Err(_)) | None => return Ended::ClientLeft,
                },
                () = tokio::time::sleep(wait), if is_speaking => {
                    let Some(event) = self.coming.pop_front() else { continue };
                    self.at += 1;
                    self.conversation.says(&event);
                    if !self.send(&event).await {
                        return Ended::ClientLeft;
                    }
                }
            }
        }
    }

    /// What the script breaks at this place of a response.
    async fn strike(&mut self) -> Option<Ended> {
        if self.coming.is_empty() {
            return None;
        }
        match self.script.fault? {
            Fault::Cut(at) if at == self.at => Some(Ended::Cut),
            Fault::Reset(at) if at == self.at => Some(Ended::Reset),
            Fault::End(at) if at == self.at => {
                let goodbye = CloseFrame { code: 1000.into(), reason: "that is all".into() };
                let _ = self.socket.close(Some(goodbye)).await;
                while let Some(Ok(_)) = self.socket.next().await {}
                Some(Ended::Complete)
            }
            Fault::Stall(at) if at == self.at => {
                while let Some(Ok(message)) = self.socket.next().await {
                    self.note(&message);
                }
                Some(Ended::ClientLeft)
            }
            Fault::ErrorFrame(at) if at == self.at => {
                self.coming.clear();
                let error =
                    self.conversation.error("The server had an error while processing your request.", None);
                (!self.send(&error).await).then_some(Ended::ClientLeft)
            }
            _ => None,
        }
    }

    async fn send(&mut self, event: &Value) -> bool {
        let text = event.to_string();
        self.sent.0 += 1;
        self.sent.1 += text.len();
        self.socket.send(Message::text(text)).await.is_ok()
    }

    fn note(&mut self, message: &Message) {
        match message {
            Message::Text(text) if self.heard.len() < MESSAGES => {
                let end = text.floor_char_boundary(MESSAGE_BYTES);
                self.heard.push(text[..end].to_owned());
            }
            Message::Binary(bytes) if self.heard.len() < MESSAGES => {
                self.heard.push(format!("{} bytes", bytes.len()));
            }
            Message::Close(frame) => {
                let frame = frame.as_ref();
                self.goodbye = frame
                    .map(|frame| json!({"code": u16::from(frame.code), "reason": frame.reason.as_str()}));
            }
            _ => {}
        }
    }

    /// Whether the client stays.
    async fn hear(&mut self, message: Message) -> bool {
        self.note(&message);
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => {
                while let Some(Ok(_)) = self.socket.next().await {}
                return false;
            }
            _ => return true,
        };
        let Ok(event) = serde_json::from_str::<Value>(&text) else {
            let error = self.conversation.error("We could not parse the JSON of your event.", None);
            return self.send(&error).await;
        };
        let is_speaking = !self.coming.is_empty();
        let heard = self.conversation.hear(&event, is_speaking);
        for answer in &heard.answers {
            if !self.send(answer).await {
                return false;
            }
        }
        if heard.stops && is_speaking {
            self.coming = VecDeque::from([self.conversation.cancelled()]);
        }
        if let Some(asked) = heard.response {
            match self.provider.script_of_response(self.asked, &self.conversation.said(&asked)) {
                Ok(script) => {
                    (self.script, self.at) = (script, 0);
                    self.coming = self.conversation.respond(&asked, &self.script).into();
                }
                Err(wrong) => {
                    let error = self.conversation.error(&format!("the script: {wrong}"), None);
                    return self.send(&error).await;
                }
            }
        }
        true
    }
}
