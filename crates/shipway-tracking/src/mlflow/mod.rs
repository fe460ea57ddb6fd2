//! The MLflow wire, REST 2.0 and 3.0: its messages, its error body, its routes. It calls `service/` and holds no rules.
//!
//! - `message`: requests: JSON bodies and query strings, read leniently as protobuf JSON is
//! - `plain`: requests that are sent over and over, read quickly where they are written plainly
//! - `view`: answers: unset fields left out, 64-bit integers as numbers; `run_view`: those of runs, which are many
//! - `error`: the error body and its codes
//! - `experiments`, `runs`, `logging`, `metrics`, `logged_models`, `artifacts`, `registry`, `versions`, `datasets`, `scorers`,
//!   `webhooks`, `workspaces`, `server`: the endpoints
//! - `here`: tracking as the workspace of a request sees it
//! - `graphql`, `browser`: what MLflow's own interface asks beside them
//! - `left_out`: the endpoints that are known and not served
//! - `touches`, `locate`: which experiments and models a request touches, for callers who were granted some of them only
//! - `traces`, `trace_view`, `assessments`, `trace_metrics`, `legacy_traces`: the endpoints of traces
//! - `otlp`: the endpoint that takes spans over the OpenTelemetry protocol
//!
//! Every endpoint answers under `/api/…`, where the Python client asks, and under `/ajax-api/…`, where the browser does.

mod artifacts;
mod assessments;
mod browser;
mod datasets;
mod error;
mod experiments;
mod graphql;
mod here;
mod left_out;
mod legacy_traces;
mod locate;
mod logged_models;
mod logging;
mod message;
mod metrics;
mod otlp;
mod plain;
mod registry;
mod run_view;
mod runs;
mod scorers;
mod server;
mod touches;
mod trace_metrics;
mod trace_view;
mod traces;
mod versions;
mod view;
mod webhooks;
mod workspaces;

use axum::response::{IntoResponse, Response};
use serde_json::Value;
use shipway_core::ResourceType;
use shipway_web::Routes;

use crate::service::Tracking;
pub use error::render as render_mlflow_problem;
use error::{WireError, render};
pub(crate) use here::Here;
pub(crate) use locate::Locator;
pub use otlp::UNPACKING_PATH;
pub(crate) use workspaces::{is_shown, must_be_allowed_contents};

/// What a handler of this wire gives back.
type Answer = Result<Body, WireError>;

/// A JSON body.
struct Body(Value);

impl Body {
    fn empty() -> Self {
        Self(Value::Object(serde_json::Map::new()))
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Adds one endpoint under both prefixes.
macro_rules! both {
    ($routes:expr, $method:ident, $path:literal, $permission:expr, $handler:expr) => {
        $routes.$method(concat!("/api/", $path), $permission, $handler).$method(
            concat!("/ajax-api/", $path),
            $permission,
            $handler,
        )
    };
    ($routes:expr, $method:ident, $path:literal, $permission:expr, $limit:expr, $handler:expr) => {
        $routes.$method(concat!("/api/", $path), $permission, $limit, $handler).$method(
            concat!("/ajax-api/", $path),
            $permission,
            $limit,
            $handler,
        )
    };
}
use both;

/// All endpoints of this wire.
pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new()
        .merge(server::routes())
        .merge(registry::routes().merge(versions::routes()).about(ResourceType::RegisteredModel))
        .merge(browser::routes())
        .merge(webhooks::routes().about(ResourceType::Webhook))
        .merge(workspaces::routes().about(ResourceType::Workspace))
        .merge(left_out::routes())
        .merge(experiments::routes())
        .merge(runs::routes())
        .merge(logging::routes())
        .merge(metrics::routes())
        .merge(logged_models::routes())
        .merge(artifacts::routes())
        .merge(graphql::routes())
        .merge(datasets::routes())
        .merge(scorers::routes())
        .merge(traces::routes())
        .merge(assessments::routes())
        .merge(trace_metrics::routes())
        .merge(legacy_traces::routes())
        .merge(otlp::routes())
        .about(ResourceType::Experiment)
        .with_problem_renderer(render)
        .with_unknown_path_renderer("/api/2.0/mlflow", render)
        .with_unknown_path_renderer("/api/3.0/mlflow", render)
        .with_unknown_path_renderer("/ajax-api/", render)
}
