//! Routes that carry what they demand. There is no way to register one without a permission.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on, on_service},
};
use http::{Method, StatusCode, Uri};
use shipway_core::{Kind, Permission, ResourceType};
use tower::Service;

use crate::{
    Guard, Problem, ProblemRenderer,
    access::Locate,
    gate::{Gate, pass},
    grpc::render_grpc,
    observe::{RouteMetrics, observe},
};

/// How long a body may be where a route does not say otherwise: 16 MiB.
pub const DEFAULT_BODY_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// A group of routes whose handlers need the state `S`.
///
/// Each route states its permission. Paths are written as axum writes them: `/models/{name}`, `/files/{*path}`.
pub struct Routes<S = ()> {
    routes: Vec<Route<S>>,
    unknown_paths: Vec<(&'static str, ProblemRenderer)>,
}

struct Route<S> {
    description: RouteDescription,
    renderer: Option<ProblemRenderer>,
    locator: Option<Arc<dyn Locate>>,
    key_in_query: Option<&'static str>,
    key_in_subprotocol: Option<&'static str>,
    handler: MethodRouter<S, Infallible>,
}

/// What a route is and demands, for documents and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDescription {
    /// The method. A route for GET answers HEAD too.
    pub method: Method,
    /// The pattern of its path.
    pub path: &'static str,
    /// What its caller must be allowed to do.
    pub permission: Permission,
    /// To what. Without it only who may do everything may come in.
    pub resource: Option<ResourceType>,
    /// How many bytes its body may have.
    pub body_limit_bytes: u64,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    pub fn new() -> Self {
        Self { routes: Vec::new(), unknown_paths: Vec::new() }
    }

    /// Adds a route for GET (and HEAD).
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self {
        self.add(describe(Method::GET, path, permission), on(MethodFilter::GET, handler))
    }

    /// Adds a route for POST with the default body limit.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self {
        self.add(describe(Method::POST, path, permission), on(MethodFilter::POST, handler))
    }

    /// Adds a route for PUT with the default body limit.
    #[must_use]
    pub fn put<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self {
        self.add(describe(Method::PUT, path, permission), on(MethodFilter::PUT, handler))
    }

    /// Adds a route for PATCH with the default body limit.
    #[must_use]
    pub fn patch<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self {
        self.add(describe(Method::PATCH, path, permission), on(MethodFilter::PATCH, handler))
    }

    /// Adds a route for DELETE with the default body limit.
    #[must_use]
    pub fn delete<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self {
        self.add(describe(Method::DELETE, path, permission), on(MethodFilter::DELETE, handler))
    }

    /// Adds a route for POST whose body may have `limit_bytes` bytes. Read such a body with `BodyStream`.
    #[must_use]
    pub fn post_with_limit<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        limit_bytes: u64,
        handler: H,
    ) -> Self {
        let description =
            RouteDescription { body_limit_bytes: limit_bytes, ..describe(Method::POST, path, permission) };
        self.add(description, on(MethodFilter::POST, handler))
    }

    /// Adds a route for PUT whose body may have `limit_bytes` bytes. Read such a body with `BodyStream`.
    #[must_use]
    pub fn put_with_limit<H: Handler<T, S>, T: 'static>(
        self,
        path: &'static str,
        permission: Permission,
        limit_bytes: u64,
        handler: H,
    ) -> Self {
        let description =
            RouteDescription { body_limit_bytes: limit_bytes, ..describe(Method::PUT, path, permission) };
        self.add(description, on(MethodFilter::PUT, handler))
    }

    /// Adds the methods of a gRPC service under `path`, with the default body limit for the whole of what a call sends.
    ///
    /// `path` is one method, `/package.Service/Method`, or all methods that demand the same, `/package.Service/{*method}`.
    /// `service` is a tonic server, such as `ThingServer::new(thing)`; it finds the [`crate::Caller`] in the extensions of
    /// its request. What is refused before it has a gRPC status; see [`Routes::with_unknown_grpc_methods`] for the methods
    /// that no route knows.
    #[must_use]
    pub fn grpc<T>(self, path: &'static str, permission: Permission, service: T) -> Self
    where
        T: Service<Request, Error = Infallible, Response: IntoResponse, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.grpc_with_limit(path, permission, DEFAULT_BODY_LIMIT_BYTES, service)
    }

    /// The same as [`Routes::grpc`] for calls that may send `limit_bytes` bytes in all: uploads that are streams.
    #[must_use]
    pub fn grpc_with_limit<T>(
        mut self,
        path: &'static str,
        permission: Permission,
        limit_bytes: u64,
        service: T,
    ) -> Self
    where
        T: Service<Request, Error = Infallible, Response: IntoResponse, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let description =
            RouteDescription { body_limit_bytes: limit_bytes, ..describe(Method::POST, path, permission) };
        let handler = on_service(MethodFilter::POST, service);
        let renderer: Option<ProblemRenderer> = Some(render_grpc);
        self.routes.push(Route {
            description,
            renderer,
            locator: None,
            key_in_query: None,
            key_in_subprotocol: None,
            handler,
        });
        self
    }

    /// Answers methods that no route knows, of the gRPC service whose paths start with `prefix` (`/package.Service/`), in
    /// the way of that wire.
    #[must_use]
    pub fn with_unknown_grpc_methods(self, prefix: &'static str) -> Self {
        self.with_unknown_path_renderer(prefix, render_grpc)
    }

    fn add(mut self, description: RouteDescription, handler: MethodRouter<S, Infallible>) -> Self {
        self.routes.push(Route {
            description,
            renderer: None,
            locator: None,
            key_in_query: None,
            key_in_subprotocol: None,
            handler,
        });
        self
    }

    /// These routes and the others.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.unknown_paths.extend(other.unknown_paths);
        self
    }

    /// Says what the routes added so far are about. Routes of which it is said already keep what they are about.
    #[must_use]
    pub fn about(mut self, resource: ResourceType) -> Self {
        for route in &mut self.routes {
            route.description.resource.get_or_insert(resource);
        }
        self
    }

    /// Says who finds out which things a request to the routes added so far touches, so that callers who may do something to a few
    /// things of a type can come in. Routes that have one already keep theirs.
    #[must_use]
    pub fn located_by(mut self, locator: &Arc<dyn Locate>) -> Self {
        for route in &mut self.routes {
            route.locator.get_or_insert_with(|| Arc::clone(locator));
        }
        self
    }

    /// Takes a token out of the address of a request to the routes added so far, where no header shows one: for clients of an API that
    /// has it so. `name` is that of the parameter.
    #[must_use]
    pub fn with_key_in_query(mut self, name: &'static str) -> Self {
        for route in &mut self.routes {
            route.key_in_query.get_or_insert(name);
        }
        self
    }

    /// Takes a token out of the subprotocols that a WebSocket is asked with on the routes added so far, where no header shows one: pages
    /// in browsers can send it no other way. `prefix` is what stands before it.
    #[must_use]
    pub fn with_key_in_subprotocol(mut self, prefix: &'static str) -> Self {
        for route in &mut self.routes {
            route.key_in_subprotocol.get_or_insert(prefix);
        }
        self
    }

    /// Gives every problem of the routes added so far the body of a foreign wire: refusals of the guard, of limits, of
    /// extractors and of wrong methods, panics, and each `Problem` that a handler returns. Routes that have a renderer
    /// already keep theirs.
    #[must_use]
    pub fn with_problem_renderer(mut self, renderer: ProblemRenderer) -> Self {
        for route in &mut self.routes {
            route.renderer.get_or_insert(renderer);
        }
        self
    }

    /// Gives the 404 of unknown paths that start with `prefix` the body of a foreign wire. The longest prefix decides.
    #[must_use]
    pub fn with_unknown_path_renderer(mut self, prefix: &'static str, renderer: ProblemRenderer) -> Self {
        self.unknown_paths.push((prefix, renderer));
        self
    }

    /// Plugs the state in, so that groups with different states can be merged.
    #[must_use]
    pub fn with_state(self, state: S) -> Routes<()> {
        let routes = self.routes.into_iter().map(|route| Route {
            description: route.description,
            renderer: route.renderer,
            locator: route.locator,
            key_in_query: route.key_in_query,
            key_in_subprotocol: route.key_in_subprotocol,
            handler: route.handler.with_state(state.clone()),
        });
        Routes { routes: routes.collect(), unknown_paths: self.unknown_paths }
    }

    /// What the routes are and demand, in the order they were added.
    pub fn descriptions(&self) -> impl Iterator<Item = &RouteDescription> {
        self.routes.iter().map(|route| &route.description)
    }
}

impl Routes<()> {
    /// The router of the server, with the guard in front of every handler, and request ids, spans and metrics around
    /// everything. Unknown paths and wrong methods are problems too.
    ///
    /// # Panics
    /// When two routes have the same method and path, or a path is malformed: a server with such routes must not start.
    pub fn into_router(self, guard: Arc<Guard>) -> Router {
        let mut by_path: BTreeMap<&'static str, (MethodRouter, Option<ProblemRenderer>)> = BTreeMap::new();
        for Route { description, renderer, locator, key_in_query, key_in_subprotocol, handler } in self.routes
        {
            let path = description.path;
            let gate = Gate {
                guard: Arc::clone(&guard),
                route: description,
                locator,
                renderer,
                key_in_query,
                key_in_subprotocol,
            };
            let handler = handler.route_layer(from_fn_with_state(Arc::new(gate), pass));
            let (handlers, of_path) = by_path.entry(path).or_default();
            *handlers = std::mem::take(handlers).merge(handler);
            *of_path = of_path.or(renderer);
        }
        let metrics = Arc::new(RouteMetrics::new(by_path.keys().copied()));
        let mut router = Router::new();
        for (path, (handlers, renderer)) in by_path {
            let wrong_method =
                move |method: Method| async move { render(wrong_method(&method, path), renderer) };
            router = router.route(path, handlers.fallback(wrong_method));
        }
        let unknown_paths: Arc<[_]> = self.unknown_paths.into();
        let answer = move |uri: Uri| async move {
            let (path, prefixes) = (uri.path(), unknown_paths.iter());
            let renderer = prefixes
                .filter(|(prefix, _)| path.starts_with(prefix))
                .max_by_key(|(prefix, _)| prefix.len());
            render(unknown_path(path), renderer.map(|(_, renderer)| *renderer))
        };
        router.fallback(answer).layer(from_fn_with_state(metrics, observe))
    }
}

fn describe(method: Method, path: &'static str, permission: Permission) -> RouteDescription {
    RouteDescription { method, path, permission, resource: None, body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES }
}

fn render(problem: Problem, renderer: Option<ProblemRenderer>) -> Response {
    match renderer {
        Some(renderer) => renderer(problem),
        None => problem.into_response(),
    }
}

fn unknown_path(path: &str) -> Problem {
    Problem::new(Kind::NotFound, "web.unknown_path", format!("path {path}: nothing is there"))
}

fn wrong_method(method: &Method, path: &str) -> Problem {
    Problem::new(Kind::Invalid, "web.wrong_method", format!("path {path}: {method} is not possible"))
        .with_hint("the allow header lists the methods that are")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
