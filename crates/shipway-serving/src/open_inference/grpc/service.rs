//! The methods of the protocol: each extracts, calls what REST calls, and maps the answer.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use shipway_runtime::tensor::TensorSpec;
use shipway_web::Problem;
use tonic::{Request, Response, Status, Streaming};

use super::{
    message,
    v2::{
        DataType, InferBatchStatistics, InferParameter, InferStatistics, ModelConfig, ModelConfigRequest,
        ModelConfigResponse, ModelDynamicBatching, ModelInferRequest, ModelInferResponse, ModelInput,
        ModelMetadataRequest, ModelMetadataResponse, ModelOutput, ModelReadyRequest, ModelReadyResponse,
        ModelStatistics, ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse,
        RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
        RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
        ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
        ServerReadyRequest, ServerReadyResponse, StatisticDuration,
        grpc_inference_service_server::GrpcInferenceService, infer_parameter::ParameterChoice,
        repository_index_response::ModelIndex,
    },
};
use crate::{
    error::ServingError,
    open_inference::{
        call,
        config::{Configured, configured, type_word},
        metadata::{EXTENSIONS, SERVER, VERSION, describe},
        repository::{listed, refuse_overrides},
        statistics::{Counted, chosen},
    },
    refusal::sentence,
    service::Serving,
    statistics::{Phase, Total},
};

/// Requests of a stream that are answered at the same time; answers keep their order.
const STREAM_WIDTH: usize = 16;

/// The service.
#[derive(Clone)]
pub(super) struct Service(pub(super) Serving);

/// A version that is not stated is any.
fn stated(version: &str) -> Option<&str> {
    Some(version).filter(|version| !version.is_empty())
}

fn status(error: ServingError) -> Status {
    Status::from(Problem::from(error))
}

impl Service {
    async fn infer(&self, request: ModelInferRequest) -> Result<ModelInferResponse, ServingError> {
        let (name, version) = (request.model_name.clone(), request.model_version.clone());
        let call = message::read(request)?;
        call::answer(&self.0, &name, stated(&version), call).await.map(message::write)
    }

    /// The answer to a request of a stream: a failure is an answer too, and the stream goes on.
    async fn streamed(
        self,
        request: Result<ModelInferRequest, Status>,
    ) -> Result<ModelStreamInferResponse, Status> {
        let request = request?;
        let id = request.id.clone();
        Ok(match self.infer(request).await {
            Ok(mut response) => {
                let last = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
                response.parameters.insert("triton_final_response".to_owned(), last);
                ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) }
            }
            Err(error) => ModelStreamInferResponse {
                error_message: sentence(&Problem::from(error)),
                infer_response: Some(ModelInferResponse { id, ..ModelInferResponse::default() }),
            },
        })
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    type ModelStreamInferStream =
        Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.0.ready() }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER.to_owned(),
            version: VERSION.to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let ready = self.0.is_ready(&name, stated(&version)).map_err(status)?;
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let described = describe(&self.0, &name, stated(&version)).await.map_err(status)?;
        Ok(Response::new(ModelMetadataResponse {
            name: described.name,
            versions: vec![described.version],
            platform: described.platform.to_owned(),
            inputs: message::tensors(&described.inputs),
            outputs: message::tensors(&described.outputs),
        }))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let config = configured(&self.0, &name, stated(&version)).await.map_err(status)?;
        Ok(Response::new(ModelConfigResponse { config: Some(config_message(&config)) }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let counted = chosen(&self.0, stated(&name), stated(&version)).map_err(status)?;
        let model_stats = counted.iter().map(statistics_message).collect();
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.infer(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let service = self.clone();
        let answers =
            request.into_inner().map(move |request| service.clone().streamed(request)).buffered(STREAM_WIDTH);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let models = listed(&self.0, request.into_inner().ready)
            .into_iter()
            .map(|listed| ModelIndex {
                name: listed.name,
                version: listed.version,
                state: listed.state.to_owned(),
                reason: listed.reason,
            })
            .collect();
        Ok(Response::new(RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        let RepositoryModelLoadRequest { model_name, parameters, .. } = request.into_inner();
        refuse_overrides(parameters.keys().map(String::as_str)).map_err(status)?;
        self.0.load_again(&model_name).await.map_err(status)?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        self.0.unload(&request.into_inner().model_name).await.map_err(status)?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}

fn config_message(configured: &Configured) -> ModelConfig {
    let described = &configured.description;
    let data_type = |spec: &TensorSpec| {
        DataType::from_str_name(type_word(spec.datatype)).unwrap_or(DataType::TypeInvalid).into()
    };
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec),
        dims: configured.dims(spec).to_vec(),
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec),
        dims: configured.dims(spec).to_vec(),
    };
    ModelConfig {
        name: described.name.clone(),
        platform: described.platform.to_owned(),
        max_batch_size: configured.max_batch_size(),
        input: described.inputs.iter().map(input).collect(),
        output: described.outputs.iter().map(output).collect(),
        dynamic_batching: configured.batches.then_some(ModelDynamicBatching {
            max_queue_delay_microseconds: configured.batching.max_delay_us,
        }),
        backend: described.platform.split('_').next().unwrap_or_default().to_owned(),
    }
}

fn statistics_message(counted: &Counted) -> ModelStatistics {
    let statistics = &counted.statistics;
    let duration = |total: Total| Some(StatisticDuration { count: total.count, ns: total.ns });
    let of = |phase: Phase| duration(statistics.total(phase));
    let batch = |(rows, total): (usize, Total)| InferBatchStatistics {
        batch_size: rows as u64,
        compute_input: duration(Total { count: total.count, ns: 0 }),
        compute_infer: duration(total),
        compute_output: duration(Total { count: total.count, ns: 0 }),
    };
    ModelStatistics {
        name: counted.name.clone(),
        version: counted.version.to_string(),
        last_inference: statistics.last_ms(),
        inference_count: statistics.rows(),
        execution_count: statistics.executions(),
        inference_stats: Some(InferStatistics {
            success: of(Phase::Success),
            fail: of(Phase::Fail),
            queue: of(Phase::Queue),
            compute_input: of(Phase::ComputeInput),
            compute_infer: of(Phase::ComputeInfer),
            compute_output: of(Phase::ComputeOutput),
            cache_hit: of(Phase::CacheHit),
            cache_miss: of(Phase::CacheMiss),
        }),
        batch_stats: statistics.batches().into_iter().map(batch).collect(),
    }
}
