//! Images and documents that a call has by their address are fetched for deployments to which addresses mean nothing, and go out as data:
//! once, for all attempts of the call.

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use shipway_dialects::{
    BadRequest, Brought, Dialect, Elsewhere, Family, Head, address_left, bring, elsewhere,
};
use shipway_outbound::Held;
use tokio::time::{Instant, timeout_at};

use super::{
    Asked,
    spoken::{How, Spoken},
};
use crate::{
    model::{DeploymentSpec, ProviderKind, Side},
    service::{Gateway, Model},
};

/// The most of them in one call.
const MOST: usize = 50;
/// The most bytes of them together.
const MOST_BYTES: usize = 64 << 20;
/// Of one call at once.
const AT_ONCE: usize = 4;

/// What a call says, with its head.
pub(super) struct Words {
    pub(super) body: Bytes,
    pub(super) head: Head,
    /// Its place in the memory for what is fetched.
    _held: Vec<Held>,
}

/// Whether a deployment that is asked so gets data in the place of addresses: as its definition says, else where its API takes none.
pub(super) fn wants(spec: &DeploymentSpec, kind: ProviderKind, spoken: Spoken) -> bool {
    spec.fetch_media.unwrap_or_else(|| match (kind, kind.family(&spec.model)) {
        (ProviderKind::Bedrock, _) | (ProviderKind::Vertex, Family::Anthropic) => true,
        // It takes an address with its type only, which other APIs do not say.
        (ProviderKind::Vertex, _) => spoken.how != How::Passing,
        _ => false,
    })
}

/// Refuses what a server would fetch itself that is to fetch nothing: addresses in members that no API here has, or of another kind.
pub(super) fn refuse_addresses(dialect: Dialect, body: &[u8]) -> Result<(), BadRequest> {
    match address_left(dialect, body)? {
        Some(field) => {
            let problem = "only images and documents at http:// and https:// are fetched for this deployment; send the data itself";
            Err(BadRequest::Field { field, problem: problem.to_owned() })
        }
        None => Ok(()),
    }
}

/// The call with data in the place of addresses; none where it has no addresses. Fails by the name of the member.
pub(super) async fn in_full(
    (gateway, model): (&Gateway, &Model),
    asked: &Asked,
    by: Instant,
) -> Result<Option<Words>, BadRequest> {
    let dialect = asked.api.dialect;
    if asked.head.media == 0 {
        return Ok(None);
    }
    let places = elsewhere(dialect, &asked.body)?;
    let Some(first) = places.first() else { return Ok(None) };
    if places.len() > MOST {
        return Err(refusal(first, format!("more than {MOST} images and documents lie elsewhere")));
    }
    let late = || refusal(first, "not all images and documents came before the call was over".to_owned());
    let fetched = timeout_at(by, fetched(gateway, &places)).await.map_err(|_| late())??;
    let (brought, held): (Vec<Brought>, Vec<Held>) = fetched.into_iter().unzip();
    let is_guarded = !model.guards.on(Side::Input).is_empty();
    let unseen =
        brought.iter().zip(&places).find(|(one, _)| is_guarded && one.media_type.starts_with("text/"));
    if let Some((_, place)) = unseen {
        let problem = "guardrails of the model do not see a text that lies elsewhere; send it as text";
        return Err(refusal(place, problem.to_owned()));
    }
    let body = bring(dialect, &asked.body, &brought)?;
    let mut head = Head::read(dialect, &body)?;
    // The path may say them.
    head.model.clone_from(&asked.head.model);
    head.stream = asked.head.stream;
    Ok(Some(Words { body, head, _held: held }))
}

fn refusal(place: &Elsewhere, problem: String) -> BadRequest {
    BadRequest::Field { field: place.path.clone(), problem }
}

/// What lies at all these places, in their order.
async fn fetched(gateway: &Gateway, places: &[Elsewhere]) -> Result<Vec<(Brought, Held)>, BadRequest> {
    let mut all = Vec::with_capacity(places.len());
    for place in places {
        all.push(one(gateway, place).boxed());
    }
    let mut fetching = stream::iter(all).buffered(AT_ONCE);
    let (mut brought, mut bytes) = (Vec::with_capacity(places.len()), 0);
    while let Some(next) = fetching.next().await {
        let next: (Brought, Held) = next?;
        bytes += next.0.data.len();
        if bytes > MOST_BYTES {
            let problem = format!("what lies elsewhere is longer than {MOST_BYTES} bytes together");
            return Err(refusal(&places[brought.len()], problem));
        }
        brought.push(next);
    }
    Ok(brought)
}

async fn one(gateway: &Gateway, place: &Elsewhere) -> Result<(Brought, Held), BadRequest> {
    let Some(fetcher) = gateway.fetcher() else {
        return Err(refusal(
            place,
            "this server fetches no images and documents; send their data".to_owned(),
        ));
    };
    let fetched = fetcher.fetch(&place.url).await;
    let result = if fetched.is_ok() { "fetched" } else { "refused" };
    metrics::counter!("shipway_llm_media_fetched_total", "result" => result).increment(1);
    match fetched {
        Ok(fetched) => Ok((Brought::at(place, fetched.media_type, fetched.data), fetched.held)),
        Err(error) => {
            // Here with all of it: whoever named the address is told less.
            tracing::debug!(member = place.path, ?error, "what a call has by its address was not fetched");
            Err(refusal(place, format!("what lies at its address was not fetched: {error}")))
        }
    }
}
