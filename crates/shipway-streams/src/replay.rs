//! Dead letters, delivered again after their fault was mended.

use serde::Serialize;

use crate::{
    error::StreamsError,
    port::{Arrived, Counts, Delivered, Feed},
    streams::Streams,
};

/// Letters that are held in memory at a time.
const LETTERS_AT_ONCE: usize = 1_000;
/// The only partition of a table of dead letters, and the only reader of it.
const TABLE: u32 = 0;

/// What became of the dead letters of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Letters that were read again.
    pub letters: u64,
    /// What became of them; those that are dead letters again are behind all others now.
    #[serde(flatten)]
    pub counts: Counts,
}

impl Streams {
    /// Reads the dead letters of `source` again, as its definition reads messages now, the oldest first. Each is delivered once,
    /// whatever happens in between; one that still cannot be read is a new dead letter at the end.
    pub async fn replay(&self, source: &str) -> Result<Replayed, StreamsError> {
        let (source, decoder) = self.decoder_of(source)?;
        let _one_at_a_time = self.replaying().lock().await;
        let intake = self.intake();
        let feed = Feed { broker: None, era: 0, topic: source.to_string() };
        intake.claim(&source, &feed, 0, TABLE).await?;
        let mut replayed = Replayed::default();
        let mut end = None;
        loop {
            let waiting = intake.letters(&source, LETTERS_AT_ONCE).await?;
            let end = *end.get_or_insert(waiting.end);
            let mut messages = Vec::with_capacity(waiting.letters.len());
            for letter in waiting.letters.into_iter().take_while(|letter| letter.place < end) {
                let content = decoder.content(letter.message.as_deref()).await?;
                let (sent, key, message) = (letter.sent, letter.key, letter.message);
                messages.push(Arrived {
                    partition: TABLE,
                    offset: letter.place,
                    sent,
                    key,
                    message,
                    content,
                });
            }
            if messages.is_empty() {
                return Ok(replayed);
            }
            replayed.letters += messages.len() as u64;
            let delivered =
                Delivered { feed: feed.clone(), generation: 0, columns: decoder.columns.clone(), messages };
            replayed.counts.add(&intake.deliver(&source, delivered).await?);
        }
    }
}
