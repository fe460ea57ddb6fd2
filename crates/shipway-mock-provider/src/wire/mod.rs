//! HTTP/1.1, by hand: what has to break must be in our hands, byte by byte, and a request should cost one read and one write.
//!
//! - `request`: reads a request as it came
//! - `answer`: an answer before it is sent, and its bytes
//! - `deliver`: sends it, and breaks it as the script says

mod answer;
mod deliver;
mod request;

use std::sync::Arc;

use tokio::net::TcpStream;

pub(crate) use self::{
    answer::{Answer, Body},
    request::{Request, Wrong, headers},
};
use self::{deliver::deliver, request::Wire};
use crate::{journal::Ended, provider::Provider, realtime};

/// Answers the requests of one connection, in their order, until either side ends it.
pub(crate) async fn connection(stream: TcpStream, provider: Arc<Provider>) {
    // Frames must not wait for each other; where it cannot be set, they do.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire::new(stream, provider.body_limit());
    loop {
        let request = match wire.request().await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(wrong) => {
                provider.journal().broken_request();
                let _ = wire.send(&Answer::wrong(&wrong).encoded(true)).await;
                return;
            }
        };
        if let Some(asked) = realtime::Asked::of(&request) {
            match provider.opens(&request, &asked) {
                Ok((entry, number)) => {
                    if wire.send(asked.opening(number).as_bytes()).await.is_ok() {
                        let (sent, socket) =
                            realtime::speak(wire.into_socket().await, &provider, &asked, number).await;
                        if sent.ended == Ended::Reset {
                            // Where it cannot be set, the connection ends the usual way.
                            let _ = socket.get_ref().set_zero_linger();
                        }
                        provider.journal().ended(entry.as_deref(), sent);
                    }
                    return;
                }
                Err(arrived) => {
                    let sent =
                        deliver(&mut wire, &arrived.answer, &arrived.script, true, arrived.number).await;
                    provider.journal().ended(arrived.entry.as_deref(), sent);
                    return;
                }
            }
        }
        let wants_close = request.wants_close;
        let arrived = provider.answer(request).await;
        let closes = wants_close || arrived.script.framing.close;
        let sent = deliver(&mut wire, &arrived.answer, &arrived.script, closes, arrived.number).await;
        let ended = sent.ended;
        if arrived.number > 0 {
            provider.journal().ended(arrived.entry.as_deref(), sent);
        }
        if closes || ended != Ended::Complete {
            return;
        }
    }
}
