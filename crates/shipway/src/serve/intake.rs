//! The feature platform, as streams need it.

use async_trait::async_trait;
use shipway_core::{Failure, Name};
use shipway_features::{Delivery, Features, FeaturesError, Message, Rejection, TakenIn};
use shipway_streams::{Arrived, Content, Counts, Delivered, Feed, Intake, IntakeFailure, Letter, Letters};

/// Takes in what streams read.
pub(super) struct IntakeForStreams(pub(super) Features);

#[async_trait]
impl Intake for IntakeForStreams {
    async fn claim(
        &self,
        source: &Name,
        feed: &Feed,
        generation: u64,
        partition: u32,
    ) -> Result<Option<u64>, IntakeFailure> {
        let claimed = self.0.claim_partition(source.as_str(), of(feed), generation, partition).await;
        claimed.map_err(failure)
    }

    async fn pass_to(
        &self,
        source: &Name,
        feed: &Feed,
        generation: u64,
        place: (u32, u64),
    ) -> Result<(), IntakeFailure> {
        self.0.pass_to(source.as_str(), of(feed), generation, place).await.map_err(failure)
    }

    async fn deliver(&self, source: &Name, delivered: Delivered) -> Result<Counts, IntakeFailure> {
        let Delivered { feed, generation, columns, messages } = delivered;
        let messages = messages.into_iter().map(message).collect();
        let delivery = Delivery { feed: of(&feed), topic: feed.topic, generation, columns, messages };
        let taken = self.0.deliver(source.as_str(), delivery).await.map_err(failure)?;
        let TakenIn { repeated, empty, dead, duplicates, quarantined, late, events, token: _ } = taken;
        let [repeated, empty, dead, duplicates, quarantined, late, events] =
            [repeated, empty, dead, duplicates, quarantined, late, events].map(|count| count as u64);
        Ok(Counts { events, duplicates, repeated, quarantined, late, dead, empty })
    }

    async fn letters(&self, source: &Name, limit: usize) -> Result<Letters, IntakeFailure> {
        let (letters, end) = self.0.waiting_letters(source.as_str(), limit).await.map_err(failure)?;
        let letter = |letter: shipway_features::WaitingLetter| Letter {
            place: letter.arrival,
            sent: letter.sent,
            key: letter.key,
            message: letter.message,
        };
        Ok(Letters { letters: letters.into_iter().map(letter).collect(), end })
    }

    async fn count_letters(&self, source: &Name) -> Result<u64, IntakeFailure> {
        self.0.count_waiting_letters(source.as_str()).await.map_err(failure)
    }
}

fn of(feed: &Feed) -> shipway_features::Feed {
    match &feed.broker {
        Some(broker) => shipway_features::Feed::of(&format!("{broker} {}", feed.era), &feed.topic),
        None => shipway_features::Feed::of_letters(&feed.topic),
    }
}

fn message(arrived: Arrived) -> Message {
    let Arrived { partition, offset, sent, key, message, content } = arrived;
    let content = match content {
        Content::Event(values) => Ok(Some(values)),
        Content::Nothing => Ok(None),
        Content::Rejected(rejection) => Err(Rejection { code: rejection.code, reason: rejection.reason }),
    };
    Message { partition, offset, sent, key, message, content }
}

fn failure(error: FeaturesError) -> IntakeFailure {
    Box::new(error) as Box<dyn Failure + Send + Sync>
}
