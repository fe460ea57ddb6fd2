//! Finds out in which workspace a request is and, for callers who were granted some things only, which experiments and registered models
//! it touches.

use async_trait::async_trait;
use axum::extract::RawPathParams;
use bytes::Bytes;
use http::request::Parts;
use shipway_core::{Permission, ResourceType, Workspace};
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
    /// As [`Touch::Names`]; the handler leaves out what lies in another workspace, instead of refusing it.
    Among(Kind, Where),
    /// Everything of the type of the route in the workspace of the request; the handler looks nowhere else.
    AllHere,
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
    /// A registered model, by its name in the workspace of the request.
    RegisteredModel,
    /// A registered model, by the name that it has for the whole server.
    ModelKey,
    Source,
    Workspace,
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

/// The header that names the workspace of a request.
const WORKSPACE_HEADER: &str = "x-mlflow-workspace";

#[async_trait]
impl Locate for Locator {
    fn reads_body(&self, route: &RouteDescription) -> bool {
        let is_in_message = |touch: &Touch| match touch {
            Touch::Names(_, place) | Touch::Reads(_, place) | Touch::Among(_, place) => place.is_in_message(),
            Touch::New | Touch::Narrows | Touch::AllHere => false,
        };
        touches_of(route.path).is_some_and(|touches| touches.iter().any(is_in_message))
    }

    fn is_divided(&self) -> bool {
        self.0.is_divided()
    }

    async fn place(
        &self,
        route: &RouteDescription,
        request: &mut Parts,
        body: &Bytes,
    ) -> Result<(), Problem> {
        let named =
            request.headers.get(WORKSPACE_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let workspace = self.0.known_workspace(named.as_deref()).map_err(WireError::from)?;
        request.extensions.insert(workspace.clone());
        let Some(touches) = touches_of(route.path).filter(|_| self.is_divided()) else { return Ok(()) };
        let asked = Asked::read(request, body).await?;
        must_be_here(&self.0.within(workspace), touches, &asked).await
    }

    fn workspace(&self, request: &Parts) -> Workspace {
        request.extensions.get::<Workspace>().cloned().unwrap_or_default()
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
            [Touch::AllHere] => return Ok(Located::Things(Vec::new())),
            _ => {}
        }
        let tracking = self.0.within(self.workspace(request));
        let request = Asked::read(request, body).await?;
        Ok(Located::Things(things(&tracking, touches, route.permission, &request).await?))
    }
}

/// Refuses a request that names a thing of another workspace: seen from this one, it is not there.
async fn must_be_here(tracking: &Tracking, touches: &[Touch], asked: &Asked) -> Result<(), Problem> {
    for touch in touches {
        let (Touch::Names(kind, place) | Touch::Reads(kind, place)) = touch else { continue };
        if asked.is_prompt_source(*kind)? {
            continue;
        }
        for id in asked.named(*place)? {
            tracking.must_be_here(&named(tracking, *kind, id)?).await.map_err(WireError::from)?;
        }
    }
    Ok(())
}

/// Refuses a question of this wire that came in another form, as the route of that path would refuse it.
pub(super) async fn must_be_allowed_to(
    caller: &Caller,
    tracking: &Tracking,
    path: &str,
    message: &Message,
) -> Result<(), Problem> {
    let touches = touches_of(path).unwrap_or_default();
    let asked = Asked { message: message.clone(), ..Asked::default() };
    if tracking.is_divided() {
        must_be_here(tracking, touches, &asked).await?;
    }
    if caller.access.allows_every(ResourceType::Experiment, Permission::Read) {
        return Ok(());
    }
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

    /// Whether this is the source of a prompt: its text is in its tags, and its source is kept as text and never resolved.
    fn is_prompt_source(&self, kind: Kind) -> Result<bool, WireError> {
        Ok(matches!(kind, Kind::Source) && is_prompt(&self.message.pairs("tags")?))
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

fn named(tracking: &Tracking, kind: Kind, id: String) -> Result<Named, WireError> {
    Ok(match kind {
        Kind::Experiment => Named::Experiment(id),
        Kind::ExperimentName => Named::ExperimentName(id),
        Kind::Run => Named::Run(id),
        Kind::LoggedModel => Named::LoggedModel(id),
        Kind::Trace => Named::Trace(id),
        Kind::TraceToBe => Named::TraceToBe(id),
        Kind::EvaluationDataset => Named::EvaluationDataset(id),
        Kind::File => Named::File(ArtifactPath::parse(&id)?),
        Kind::RegisteredModel => Named::Model(tracking.model_key(&id)?),
        Kind::ModelKey => Named::Model(id),
        Kind::Source => Named::Source(id),
        Kind::Workspace => Named::Workspace(id),
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
            Touch::Names(kind, place) | Touch::Among(kind, place) => (*kind, *place, demanded),
            Touch::Reads(kind, place) => (*kind, *place, Permission::Read),
            Touch::New | Touch::Narrows | Touch::AllHere => continue,
        };
        if asked.is_prompt_source(kind)? {
            continue;
        }
        for id in asked.named(place)? {
            let belongs = tracking.belongs(&named(tracking, kind, id)?).await.map_err(WireError::from)?;
            for thing in touched(belongs, permission, tracking.workspace()) {
                if !things.contains(&thing) {
                    things.push(thing);
                }
            }
        }
    }
    Ok(things)
}

/// Things of other workspaces were refused before, or are left out later.
fn touched(belongs: Belongs, permission: Permission, workspace: &Workspace) -> Vec<Vec<Touched>> {
    let thing = |resource: ResourceType, id: String| Touched {
        resource,
        id,
        workspace: workspace.clone(),
        permission,
    };
    let experiment = |id: i64| thing(ResourceType::Experiment, id.to_string());
    let model = |key: String| thing(ResourceType::RegisteredModel, key);
    match belongs {
        Belongs::Experiments(ids) => ids.into_iter().map(|id| vec![experiment(id)]).collect(),
        Belongs::Model(key) => vec![vec![model(key)]],
        Belongs::Workspace(name) => vec![vec![thing(ResourceType::Workspace, name)]],
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
