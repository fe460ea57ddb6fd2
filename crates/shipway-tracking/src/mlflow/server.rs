//! What clients ask a server about itself.

use axum::extract::State;
use serde_json::json;
use shipway_core::Permission;
use shipway_web::Routes;

use super::{Body, both};
use crate::service::Tracking;

/// The version of the protocol that is spoken. Clients switch features on by it.
const VERSION: &str = "3.17.2";

pub(crate) fn routes() -> Routes<Tracking> {
    let routes =
        Routes::new().get("/health", Permission::Public, health).get("/version", Permission::Public, version);
    both!(routes, get, "3.0/mlflow/server-info", Permission::Public, server_info)
}

async fn health() -> &'static str {
    "OK"
}

async fn version() -> &'static str {
    VERSION
}

/// Large files are streamed in one piece, so clients are told not to split them.
async fn server_info(State(_): State<Tracking>) -> Body {
    Body(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": true,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": { "gateway": false },
    }))
}
