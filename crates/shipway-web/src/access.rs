//! What the caller of a route may do to what it touches: the one place that asks.
//!
//! Who may do what a route demands to every thing of its type comes in at once. Who may do it to some things only comes in when the
//! things that the request touches are known and all of them are among those; a route of which nobody can say it stays closed to them.

use async_trait::async_trait;
use axum::{body::Body, extract::Request};
use bytes::Bytes;
use http::request::Parts;
use shipway_core::{Kind, Permission, ResourceType, Workspace};

use crate::{BodyBytes, Caller, Problem, RouteDescription};

/// Finds out in which workspace a request is and which things it touches.
#[async_trait]
pub trait Locate: std::fmt::Debug + Send + Sync {
    /// Whether what names the things that this route touches is in bodies. What is read of one is held in memory.
    fn reads_body(&self, route: &RouteDescription) -> bool;

    /// Whether [`Locate::place`] has to see what names things: there is more than one workspace.
    fn is_divided(&self) -> bool;

    /// Notes in the request in which workspace it is, and refuses one that names things of another: for its caller those do not exist. Asked
    /// of every request to a route that demands something, before it is known what its caller may do. The body is empty where it is not read.
    async fn place(&self, route: &RouteDescription, request: &mut Parts, body: &Bytes)
    -> Result<(), Problem>;

    /// The workspace that was noted.
    fn workspace(&self, request: &Parts) -> Workspace;

    /// What this request touches; the body is empty where it is not read. Asked only for callers who may not do it to every thing. A
    /// request that names what does not exist is refused as its handler would.
    async fn locate(
        &self,
        route: &RouteDescription,
        request: &Parts,
        body: &Bytes,
    ) -> Result<Located, Problem>;
}

/// What a request touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// Things of which the request does not tell: all of the type that its route is about, wherever they are.
    Everything,
    /// These, all of them; when there are none, all of the type in the workspace. Where one has several things, any of them is enough: a file belongs to an experiment and to the model
    /// whose version it is.
    Things(Vec<Vec<Touched>>),
    /// A thing that is made by it.
    New,
    /// The handler shows the caller what they may see and nothing else.
    Narrowed,
}

/// One thing that a request touches, and what its caller must be allowed to do to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The type of the thing.
    pub resource: ResourceType,
    /// Its id, as grants name it.
    pub id: String,
    /// The workspace that it lies in.
    pub workspace: Workspace,
    /// What is done to it.
    pub permission: Permission,
}

impl Touched {
    /// Whether this caller may touch it so.
    pub fn is_allowed(&self, caller: &Caller) -> bool {
        caller.access.allows_in(self.resource, &self.id, self.workspace.as_str(), self.permission)
    }
}

/// Refuses a caller who may not do this to every thing of a type: for a handler that does more than its route says for some requests.
pub fn must_be_allowed_every(
    caller: &Caller,
    resource: ResourceType,
    permission: Permission,
) -> Result<(), Problem> {
    if caller.access.allows_every(resource, permission) {
        return Ok(());
    }
    Err(forbidden(caller, permission, resource, None))
}

/// The first of these things that the caller may not touch, as a refusal.
pub fn must_be_allowed(caller: &Caller, things: &[Vec<Touched>]) -> Result<(), Problem> {
    let refused = things.iter().find(|any| !any.iter().any(|one| one.is_allowed(caller)));
    match refused.and_then(|any| any.first()) {
        None if refused.is_some() => Err(forbidden(caller, Permission::Read, ResourceType::Workspace, None)),
        None => Ok(()),
        Some(Touched { resource, id, permission, .. }) => {
            Err(forbidden(caller, *permission, *resource, Some(id)))
        }
    }
}

/// Lets the request of this caller through, or says what they lack.
pub(crate) async fn authorise(
    caller: &Caller,
    route: &RouteDescription,
    locator: Option<&dyn Locate>,
    request: Request,
) -> Result<Request, Problem> {
    let permission = route.permission;
    if permission <= Permission::Known {
        return Ok(request);
    }
    let resource = route.resource.unwrap_or(ResourceType::Workspace);
    // Where nothing says what a route is about, nobody passes but who may do everything.
    let demanded = if route.resource.is_some() { permission } else { Permission::Manage };
    let may_touch_all = caller.access.allows_every(resource, demanded);
    let Some(locator) = locator else {
        return if may_touch_all { Ok(request) } else { Err(forbidden(caller, permission, resource, None)) };
    };
    let (mut parts, body) = request.into_parts();
    let (body, read) = if locator.reads_body(route) && (!may_touch_all || locator.is_divided()) {
        let BodyBytes(bytes) = BodyBytes::read(body).await?;
        (Body::from(bytes.clone()), bytes)
    } else {
        (body, Bytes::new())
    };
    locator.place(route, &mut parts, &read).await?;
    if !may_touch_all {
        let workspace = locator.workspace(&parts);
        let located = locator.locate(route, &parts, &read).await?;
        must_be_allowed_located(caller, (resource, permission, demanded), &workspace, &located)?;
    }
    Ok(Request::from_parts(parts, body))
}

fn must_be_allowed_located(
    caller: &Caller,
    (resource, permission, demanded): (ResourceType, Permission, Permission),
    workspace: &Workspace,
    located: &Located,
) -> Result<(), Problem> {
    let workspace = workspace.as_str();
    let passes = match located {
        Located::Narrowed => true,
        Located::New => caller.access.may_create_in(resource, workspace),
        Located::Everything => false,
        // A request that names nothing is no reason to let anybody in.
        Located::Things(things) if things.is_empty() => {
            caller.access.allows_every_in(resource, workspace, demanded)
        }
        Located::Things(things) => return must_be_allowed(caller, things),
    };
    if passes { Ok(()) } else { Err(forbidden(caller, permission, resource, None)) }
}

fn forbidden(caller: &Caller, permission: Permission, resource: ResourceType, id: Option<&str>) -> Problem {
    let thing = match id {
        Some(id) => format!("{resource} {id}"),
        None => format!("every {resource}"),
    };
    let detail = format!("{} may not {permission} {thing}", caller.name);
    Problem::new(Kind::Forbidden, "web.forbidden", detail)
        .with_hint("whoever manages it can grant that; a token may also have been made with narrower scopes")
}
