//! What deployments have done since their versions were loaded.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};
use shipway_web::{Path, Problem};

use crate::{
    error::ServingError,
    service::{Deployment, Served, Serving},
    statistics::{Phase, Total},
};

/// The times of a request's phases, under the protocol's words.
const PHASES: [(&str, Phase); 8] = [
    ("success", Phase::Success),
    ("fail", Phase::Fail),
    ("queue", Phase::Queue),
    ("compute_input", Phase::ComputeInput),
    ("compute_infer", Phase::ComputeInfer),
    ("compute_output", Phase::ComputeOutput),
    ("cache_hit", Phase::CacheHit),
    ("cache_miss", Phase::CacheMiss),
];

/// All deployments that serve.
pub(super) async fn all(State(serving): State<Serving>) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&chosen(&serving, None, None)?)))
}

/// One deployment.
pub(super) async fn model(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&chosen(&serving, Some(&name), None)?)))
}

/// One deployment, if it serves that version.
pub(super) async fn version(
    State(serving): State<Serving>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&chosen(&serving, Some(&name), Some(&version))?)))
}

/// The versions that are asked for, each with its deployment's name.
pub(super) fn chosen(
    serving: &Serving,
    name: Option<&str>,
    version: Option<&str>,
) -> Result<Vec<(String, Arc<Served>)>, ServingError> {
    let Some(name) = name else {
        let named = |deployment: &Arc<Deployment>| {
            let versions = deployment.versions();
            versions.into_iter().map(|served| (deployment.name.to_string(), served)).collect::<Vec<_>>()
        };
        return Ok(serving.all().iter().flat_map(named).collect());
    };
    Ok(vec![(name.to_owned(), serving.loaded_target(name, version)?.served)])
}

fn shown(versions: &[(String, Arc<Served>)]) -> Value {
    let one = |(name, served): &(String, Arc<Served>)| {
        let statistics = &served.statistics;
        let duration = |total: Total| json!({ "count": total.count, "ns": total.ns });
        let phases: serde_json::Map<String, Value> = PHASES
            .iter()
            .map(|(word, phase)| ((*word).to_owned(), duration(statistics.total(*phase))))
            .collect();
        let batches: Value = statistics
            .batches()
            .into_iter()
            .map(|(rows, total)| {
                json!({
                    "batch_size": rows,
                    "compute_input": duration(Total { count: total.count, ns: 0 }),
                    "compute_infer": duration(total),
                    "compute_output": duration(Total { count: total.count, ns: 0 }),
                })
            })
            .collect();
        json!({
            "name": name,
            "version": served.resolved.version.to_string(),
            "last_inference": statistics.last_ms(),
            "inference_count": statistics.rows(),
            "execution_count": statistics.executions(),
            "inference_stats": phases,
            "batch_stats": batches,
            "refused_count": statistics.refusals(),
            "waiting_count": served.batcher.waiting(),
        })
    };
    json!({ "model_stats": versions.iter().map(one).collect::<Value>() })
}
