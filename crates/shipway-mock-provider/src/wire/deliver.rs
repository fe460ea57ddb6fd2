//! Sends an answer, and breaks it as its script says.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::{
    answer::{Answer, Body, LAST_CHUNK, put_chunk},
    request::{Left, Wire},
};
use crate::{
    delay::Chance,
    journal::{Ended, Sent},
    script::{Fault, Script, Timing},
};

/// Where a fault strikes, in frames.
#[derive(Debug, Clone, Copy)]
struct Strike {
    at: usize,
    /// Half of the frame goes out before.
    half: bool,
    end: Ended,
}

impl Strike {
    fn of(fault: Option<Fault>) -> Option<Self> {
        let (at, half, end) = match fault? {
            Fault::Cut(at) => (at, false, Ended::Cut),
            Fault::Reset(at) => (at, false, Ended::Reset),
            Fault::HalfFrame(at) => (at, true, Ended::Cut),
            Fault::Stall(at) => (at, false, Ended::Stalled),
            Fault::End(at) => (at, false, Ended::Complete),
            _ => return None,
        };
        Some(Self { at, half, end })
    }
}

/// Sends `answer`; what is drawn by chance is drawn from the script's seed and the request's number.
pub(super) async fn deliver(
    wire: &mut Wire,
    answer: &Answer,
    script: &Script,
    closes: bool,
    number: u64,
) -> Sent {
    let began = Instant::now();
    let mut delivery = Delivery {
        wire,
        timing: &script.timing,
        chance: Chance::new(script.timing.seed ^ number),
        frames: 0,
        bytes: 0,
    };
    let result = if script.is_instant() {
        delivery.at_once(answer, closes).await
    } else if script.fault == Some(Fault::Disconnect) {
        delivery.disconnect().await
    } else {
        delivery.in_time(answer, Strike::of(script.fault), closes).await
    };
    let Delivery { wire, frames, bytes, .. } = delivery;
    let ended = match result {
        Ok(Ended::Stalled) => {
            wire.left().await;
            Ended::ClientLeft
        }
        Ok(ended) => ended,
        Err(Left) => Ended::ClientLeft,
    };
    if ended == Ended::Reset {
        wire.resets();
    }
    Sent { status: answer.status, ended, frames, bytes, took: began.elapsed(), said: None }
}

struct Delivery<'a> {
    wire: &'a mut Wire,
    timing: &'a Timing,
    chance: Chance,
    frames: usize,
    bytes: usize,
}

impl Delivery<'_> {
    async fn at_once(&mut self, answer: &Answer, closes: bool) -> Result<Ended, Left> {
        self.wire.send(&answer.encoded(closes)).await?;
        self.bytes = answer.body.len();
        if let Body::Frames(frames) = &answer.body {
            self.frames = frames.len();
        }
        Ok(Ended::Complete)
    }

    async fn disconnect(&mut self) -> Result<Ended, Left> {
        let wait = self.latency();
        self.wire.pause(wait).await?;
        Ok(Ended::Cut)
    }

    fn latency(&mut self) -> Duration {
        self.timing.latency.draw(self.chance.unit()) + self.timing.jitter.mul_f64(self.chance.unit())
    }

    async fn in_time(
        &mut self,
        answer: &Answer,
        strike: Option<Strike>,
        closes: bool,
    ) -> Result<Ended, Left> {
        let wait = self.latency();
        self.wire.pause(wait).await?;
        self.wire.look()?;
        let (line, headers) = answer.head(closes);
        if self.timing.slow_headers.is_zero() {
            self.wire.send(format!("{line}{headers}").as_bytes()).await?;
        } else {
            self.wire.send(line.as_bytes()).await?;
            self.wire.pause(self.timing.slow_headers).await?;
            self.wire.send(headers.as_bytes()).await?;
        }
        match &answer.body {
            Body::Whole(body) => self.whole(body, strike).await,
            Body::Frames(frames) => self.frames(frames, strike).await,
        }
    }

    async fn whole(&mut self, body: &[u8], strike: Option<Strike>) -> Result<Ended, Left> {
        let wait = self.timing.first.draw(self.chance.unit());
        self.wire.pause(wait).await?;
        let length = if strike.is_some() { body.len() / 2 } else { body.len() };
        self.wire.send(&body[..length]).await?;
        self.bytes = length;
        // A whole body whose connection stays open cannot end early and be complete.
        Ok(strike.map_or(Ended::Complete, |strike| match strike.end {
            Ended::Complete => Ended::Cut,
            end => end,
        }))
    }

    async fn frames(&mut self, frames: &[Vec<bytes::Bytes>], strike: Option<Strike>) -> Result<Ended, Left> {
        let mut buffer = BytesMut::new();
        for (number, frame) in frames.iter().enumerate() {
            let delay = if number == 0 { &self.timing.first } else { &self.timing.interval };
            let wait = delay.draw(self.chance.unit());
            self.wire.pause(wait).await?;
            self.wire.look()?;
            if let Some(strike) = strike.filter(|strike| strike.at == number) {
                return self.strike(strike, frame).await;
            }
            buffer.clear();
            for piece in frame {
                put_chunk(&mut buffer, piece);
                self.bytes += piece.len();
            }
            self.wire.send(&buffer).await?;
            self.frames += 1;
        }
        self.wire.send(LAST_CHUNK).await?;
        Ok(Ended::Complete)
    }

    async fn strike(&mut self, strike: Strike, frame: &[bytes::Bytes]) -> Result<Ended, Left> {
        if strike.half {
            let whole = frame.concat();
            let half = &whole[..whole.len() / 2];
            let mut buffer = BytesMut::new();
            put_chunk(&mut buffer, half);
            self.wire.send(&buffer).await?;
            self.bytes += half.len();
        }
        if strike.end == Ended::Complete {
            self.wire.send(LAST_CHUNK).await?;
        }
        Ok(strike.end)
    }
}
