//! How a deployment is set, in the words of Triton's model configuration. What is batched has no first dimension there.

use axum::{Json, extract::State};
use serde_json::{Value, json};
use shipway_runtime::tensor::{Datatype, TensorSpec};
use shipway_web::{Path, Problem};

use super::metadata::{Description, describe};
use crate::{error::ServingError, model::settings::BatchingSettings, service::Serving};

/// A deployment and how it is set.
pub(super) struct Configured {
    pub(super) description: Description,
    pub(super) batching: BatchingSettings,
    /// Whether the first dimension of its tensors is that of the batch, which the configuration leaves out.
    pub(super) batches: bool,
    pub(super) timeout_us: u64,
    pub(super) max_requests: usize,
}

/// One deployment.
pub(super) async fn model(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&configured(&serving, &name, None).await?)))
}

/// One deployment, if it serves that version.
pub(super) async fn version(
    State(serving): State<Serving>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&configured(&serving, &name, Some(&version)).await?)))
}

/// How a deployment is set, if it serves the version asked for.
pub(super) async fn configured(
    serving: &Serving,
    name: &str,
    version: Option<&str>,
) -> Result<Configured, ServingError> {
    let description = describe(serving, name, version).await?;
    if let Some(ensemble) = serving.ensemble(name) {
        let queue = &ensemble.spec.queue;
        return Ok(Configured {
            description,
            batching: BatchingSettings { max_rows: Some(1), ..BatchingSettings::default() },
            batches: false,
            timeout_us: queue.timeout_ms.saturating_mul(1_000),
            max_requests: queue.max_requests,
        });
    }
    let deployment = serving.deployment(name)?;
    let served = serving.served(&deployment).await?;
    let batching = served.batching;
    let open = |spec: &TensorSpec| spec.shape.first() == Some(&-1);
    let batches =
        batching.rows_at_once() > 1 && description.inputs.iter().chain(&description.outputs).all(open);
    let queue = &deployment.spec.queue;
    Ok(Configured {
        description,
        batching,
        batches,
        timeout_us: queue.timeout_ms.saturating_mul(1_000),
        max_requests: queue.max_requests,
    })
}

impl Configured {
    /// The most rows of a batch; 0 where nothing is batched.
    pub(super) fn max_batch_size(&self) -> i32 {
        if self.batches { i32::try_from(self.batching.rows_at_once()).unwrap_or(i32::MAX) } else { 0 }
    }

    /// The dimensions of a tensor behind that of the batch.
    pub(super) fn dims<'spec>(&self, spec: &'spec TensorSpec) -> &'spec [i64] {
        let behind = spec.shape.get(1..).unwrap_or_default();
        match (self.batches, behind) {
            (true, []) => &[1],
            (true, behind) => behind,
            (false, _) => &spec.shape,
        }
    }
}

/// The configuration's word for a type.
pub(super) const fn type_word(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "TYPE_BOOL",
        Datatype::Int8 => "TYPE_INT8",
        Datatype::Int16 => "TYPE_INT16",
        Datatype::Int32 => "TYPE_INT32",
        Datatype::Int64 => "TYPE_INT64",
        Datatype::Uint8 => "TYPE_UINT8",
        Datatype::Uint16 => "TYPE_UINT16",
        Datatype::Uint32 => "TYPE_UINT32",
        Datatype::Uint64 => "TYPE_UINT64",
        Datatype::Fp16 => "TYPE_FP16",
        Datatype::Bf16 => "TYPE_BF16",
        Datatype::Fp32 => "TYPE_FP32",
        Datatype::Fp64 => "TYPE_FP64",
        Datatype::Bytes => "TYPE_STRING",
    }
}

fn shown(configured: &Configured) -> Value {
    let Configured { description, .. } = configured;
    let tensors = |specs: &[TensorSpec]| -> Value {
        let tensor = |spec: &TensorSpec| {
            json!({
                "name": spec.name,
                "data_type": type_word(spec.datatype),
                "dims": configured.dims(spec),
            })
        };
        specs.iter().map(tensor).collect()
    };
    let mut config = json!({
        "name": description.name,
        "platform": description.platform,
        "backend": description.platform.split('_').next().unwrap_or_default(),
        "version_policy": { "specific": { "versions": [description.version.parse::<u64>().unwrap_or(0)] } },
        "max_batch_size": configured.max_batch_size(),
        "input": tensors(&description.inputs),
        "output": tensors(&description.outputs),
        "instance_group": [{ "name": description.name, "kind": "KIND_CPU", "count": configured.batching.instances }],
    });
    if configured.batches
        && let Some(config) = config.as_object_mut()
    {
        let batching = json!({
            "max_queue_delay_microseconds": configured.batching.max_delay_us,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": configured.timeout_us,
                "allow_timeout_override": true,
                "max_queue_size": configured.max_requests,
            },
        });
        config.insert("dynamic_batching".to_owned(), batching);
    }
    config
}
