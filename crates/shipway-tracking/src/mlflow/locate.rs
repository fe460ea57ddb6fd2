//! Finds out which experiments and registered models a request touches, for callers who were granted some of them only.

use async_trait::async_trait;
use axum::extract::RawPathParams;
use bytes::Bytes;
use http::request::Parts;
use shipway_core::{Permission, ResourceType};
use shipway_web::{Caller, Locate, Located, Problem, RouteDescription, Touched, must_be_allowed};

use super::{WireError, message::Message, touches::touches_of};
use crate::{
    artifact_path::ArtifactPath,
    model::registry::is_prompt,
    service::{Belongs, Named, Tracking},
};

/// What an endpoint touches.
#[derive(Debug, Clone, Copy)]
pub(super) enum Touch {
    /// Things of this kind, named there; done to them is what the route demands.
    Names(Kind, Where),
    /// Things of this kind, named there, that are read whatever else the route does.
    Reads(Kind, Where),
    /// A thing that is made by it.
    New,
    /// The handler shows what its caller may see and nothing else.
    Narrows,
}

/// What kind of thing is named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Experiment,
    ExperimentName,
    Run,
    LoggedModel,
    Trace,
    TraceToBe,
    EvaluationDataset,
    File,
    RegisteredModel,
    Source,
}

/// Where it is named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Where {
    /// In a field of the message: one, or a list.
    Field(&'static str),
    /// In a field of each message of a list.
    Each(&'static str, &'static str),
    /// In a field of a message within messages.
    Inner(&'static [&'static str], &'static str),
    /// In a field of a message in each message of a list.
    InnerEach(&'static str, &'static str, &'static str),
    /// In the query, whatever the body is.
    Query(&'static str),
    /// In a parameter of the path.
    Parameter(&'static str),
    /// In a header.
    Header(&'static str),
}

impl Where {
    fn is_in_message(self) -> bool {
        matches!(self, Self::Field(_) | Self::Each(..) | Self::Inner(..) | Self::InnerEach(..))
    }
}

/// Looks things up for the routes of tracking.
#[derive(Debug)]
pub(crate) struct Locator(pub(crate) Tracking);

#[async_trait]
impl Locate for Locator {
    fn reads_body(&self, route: &RouteDescription) -> bool {
        let is_in_message = |touch: &Touch| match touch {
            Touch::Names(_, place) | Touch::Reads(_, place) => place.is_in_message(),
            Touch::New | Touch::Narrows => false,
        };
        touches_of(route.path).is_some_and(|touches| touches.iter().any(is_in_message))
    }

    async fn locate(
        &self,
        route: &RouteDescription,
        request: &Parts,
        body: &Bytes,
    ) -> Result<Located, Problem> {
        let Some(touches) = touches_of(route.path) else { return Ok(Located::Everything) };
        match touches {
            [Touch::New] => return Ok(Located::New),
            [Touch::Narrows] => return Ok(Located::Narrowed),
            _ => {}
        }
        let request = Asked::read(request, body).await?;
        Ok(Located::Things(things(&self.0, touches, route.permission, &request).await?))
    }
}

/// Refuses a question of this wire that came in another form, as the route of that path would refuse it.
pub(super) async fn must_be_allowed_to(
    caller: &Caller,
    tracking: &Tracking,
    path: &str,
    message: &Message,
) -> Result<(), Problem> {
    if caller.access.allows_every(ResourceType::Experiment, Permission::Read) {
        return Ok(());
    }
    let touches = touches_of(path).unwrap_or_default();
    let asked = Asked { message: message.clone(), ..Asked::default() };
    let things = things(tracking, touches, Permission::Read, &asked).await?;
    // Nothing named is everything, here as there.
    if things.is_empty() { must_be_allowed(caller, &[Vec::new()]) } else { must_be_allowed(caller, &things) }
}

/// A request, as far as it can name things.
#[derive(Debug, Default)]
struct Asked {
    message: Message,
    query: Message,
    parameters: Vec<(String, String)>,
    headers: http::HeaderMap,
}

impl Asked {
    async fn read(parts: &Parts, body: &Bytes) -> Result<Self, Problem> {
        let query = Message::from_query(parts.uri.query().unwrap_or_default())?;
        // As handlers read it: the body, or the query where there is no body.
        let message = if body.is_empty() { query.clone() } else { Message::from_body(body)? };
        let mut parts = parts.clone();
        let parameters =
            <RawPathParams as axum::extract::FromRequestParts<()>>::from_request_parts(&mut parts, &())
                .await
                .map(|parameters| {
                    parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
                })
                .unwrap_or_default();
        Ok(Self { message, query, parameters, headers: parts.headers })
    }

    /// Everything that is named there; nothing where the place is empty.
    fn named(&self, place: Where) -> Result<Vec<String>, WireError> {
        let mut found = match place {
            Where::Field(field) => self.message.texts(field)?,
            Where::Query(field) => self.query.texts(field)?,
            Where::Each(list, field) => {
                let mut ids = Vec::new();
                for one in self.message.messages(list)? {
                    ids.extend(one.texts(field)?);
                }
                ids
            }
            Where::Inner(path, field) => {
                let mut inner = Some(self.message.clone());
                for step in path {
                    inner = match inner {
                        Some(message) if message.has(step) => Some(message.message(step)?),
                        _ => None,
                    };
                }
                inner.map(|message| message.texts(field)).transpose()?.unwrap_or_default()
            }
            Where::InnerEach(list, step, field) => {
                let mut ids = Vec::new();
                for one in self.message.messages(list)? {
                    if one.has(step) {
                        ids.extend(one.message(step)?.texts(field)?);
                    }
                }
                ids
            }
            Where::Parameter(wanted) => {
                let own = self.parameters.iter().filter(|(name, _)| name == wanted);
                own.map(|(_, value)| value.clone()).collect()
            }
            Where::Header(name) => {
                let own = self.headers.get_all(name).iter();
                own.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
            }
        };
        found.retain(|id| !id.is_empty());
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn named(kind: Kind, id: String) -> Result<Named, WireError> {
    Ok(match kind {
        Kind::Experiment => Named::Experiment(id),
        Kind::ExperimentName => Named::ExperimentName(id),
        Kind::Run => Named::Run(id),
        Kind::LoggedModel => Named::LoggedModel(id),
        Kind::Trace => Named::Trace(id),
        Kind::TraceToBe => Named::TraceToBe(id),
        Kind::EvaluationDataset => Named::EvaluationDataset(id),
        Kind::File => Named::File(ArtifactPath::parse(&id)?),
        Kind::RegisteredModel => Named::RegisteredModel(id),
        Kind::Source => Named::Source(id),
    })
}

async fn things(
    tracking: &Tracking,
    touches: &[Touch],
    demanded: Permission,
    asked: &Asked,
) -> Result<Vec<Vec<Touched>>, Problem> {
    let mut things: Vec<Vec<Touched>> = Vec::new();
    for touch in touches {
        let (kind, place, permission) = match touch {
            Touch::Names(kind, place) => (*kind, *place, demanded),
            Touch::Reads(kind, place) => (*kind, *place, Permission::Read),
            Touch::New | Touch::Narrows => continue,
        };
        // A prompt's text is in its tags; its source is kept as text and never resolved.
        if matches!(kind, Kind::Source) && is_prompt(&asked.message.pairs("tags")?) {
            continue;
        }
        for id in asked.named(place)? {
            let belongs = tracking.belongs(&named(kind, id)?).await.map_err(WireError::from)?;
            for thing in touched(belongs, permission) {
                if !things.contains(&thing) {
                    things.push(thing);
                }
            }
        }
    }
    Ok(things)
}

fn touched(belongs: Belongs, permission: Permission) -> Vec<Vec<Touched>> {
    let experiment = |id: i64| Touched { resource: ResourceType::Experiment, id: id.to_string(), permission };
    let model = |id: String| Touched { resource: ResourceType::RegisteredModel, id, permission };
    match belongs {
        Belongs::Experiments(ids) => ids.into_iter().map(|id| vec![experiment(id)]).collect(),
        Belongs::Model(name) => vec![vec![model(name)]],
        Belongs::Files { experiment: id, models } => {
            let mut any = vec![experiment(id)];
            // Who may read a model may fetch its files; who changes them changes the experiment's.
            if permission == Permission::Read {
                any.extend(models.into_iter().map(model));
            }
            vec![any]
        }
    }
}
