//! What deployments have done since their versions were loaded.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};
use shipway_web::{Path, Problem};

use crate::{
    error::ServingError,
    service::{Ensemble, Served, Serving},
    statistics::{Phase, Statistics, Total},
};

/// Something that has done something: a version of a deployment, or an ensemble.
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) statistics: Arc<Statistics>,
    waiting: usize,
}

impl Counted {
    fn of_version(name: &str, served: &Served) -> Self {
        Self {
            name: name.to_owned(),
            version: served.resolved.version,
            statistics: Arc::clone(&served.statistics),
            waiting: served.batcher.waiting(),
        }
    }

    /// Its requests wait for the models of its steps.
    fn of_ensemble(ensemble: &Ensemble) -> Self {
        Self {
            name: ensemble.name.to_string(),
            version: ensemble.version,
            statistics: Arc::clone(&ensemble.statistics),
            waiting: 0,
        }
    }
}

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

/// What is asked for: versions, ensembles, or one of these.
pub(super) fn chosen(
    serving: &Serving,
    name: Option<&str>,
    version: Option<&str>,
) -> Result<Vec<Counted>, ServingError> {
    let Some(name) = name else {
        let mut all = Vec::new();
        for deployment in serving.all() {
            let versions = deployment.versions();
            all.extend(versions.iter().map(|served| Counted::of_version(deployment.name.as_str(), served)));
        }
        all.extend(serving.all_ensembles().iter().map(|ensemble| Counted::of_ensemble(ensemble)));
        return Ok(all);
    };
    if let Some(ensemble) = serving.ensemble_version(name, version)? {
        return Ok(vec![Counted::of_ensemble(&ensemble)]);
    }
    Ok(vec![Counted::of_version(name, &serving.loaded_target(name, version)?.served)])
}

fn shown(counted: &[Counted]) -> Value {
    let one = |Counted { name, version, statistics, waiting }: &Counted| {
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
            "version": version.to_string(),
            "last_inference": statistics.last_ms(),
            "inference_count": statistics.rows(),
            "execution_count": statistics.executions(),
            "inference_stats": phases,
            "batch_stats": batches,
            "refused_count": statistics.refusals(),
            "waiting_count": waiting,
        })
    };
    json!({ "model_stats": counted.iter().map(one).collect::<Value>() })
}
