//! The definitions as everything else sees them: references resolved, types known, valid by construction.
//!
//! The structs can be read by everyone and built only here: from text, through `parse` and `resolve`, or from their own
//! stored form, whose hash is checked. The stored form is the serde form; a change of it needs a new format version.
//!
//! - `entity`, `source`, `view`, `service`, `gate`, `sink`, `llm_model`, `llm_guardrail`: one kind each; `llm_api`: which APIs a server has
//! - `metadata`: what people and policies want to know about a feature
//! - `batch`: where the history of a source comes from; `stream` and `selection` where its events come from
//! - `derived`: columns that views and services compute; `carried` what of a view rests on other views
//! - `set`: all definitions that are in force, and the older versions that something still uses

mod batch;
mod carried;
mod derived;
mod entity;
mod gate;
mod llm_api;
mod llm_cache;
mod llm_guardrail;
mod llm_model;
mod metadata;
mod selection;
mod service;
mod set;
mod sink;
mod source;
mod stream;
mod view;

pub use batch::{Batch, BatchFormat, BatchFrom};
pub use carried::Unsendable;
pub use derived::Derived;
pub use entity::Entity;
pub use gate::{Gate, Requirement, Rule};
pub use llm_api::LlmApi;
pub use llm_cache::{LlmCache, LlmCacheScope, LlmEmbeddings, LlmSimilar, LlmSimilarMode};
pub use llm_guardrail::{LlmGuardrail, LlmGuardrailAction, LlmGuardrailOn};
pub use llm_model::{
    LlmContent, LlmContentKeep, LlmCooldown, LlmDeployment, LlmHedge, LlmLossy, LlmModel, LlmOutputLimit,
    LlmPrice, LlmPriceTier, LlmRates, LlmRetries, LlmRoute, LlmStickiness, LlmTimeouts, UnknownPrice,
};
pub use metadata::{Deprecation, FeatureMetadata, Pii};
pub(crate) use selection::compiled;
pub use selection::{Selection, SelectionJoin};
pub use service::{ColumnOrigin, Service, ServiceColumn, ViewReference};
pub use set::{DefinitionKind, DefinitionSet, Versioned};
pub use sink::{Sink, SinkFormat, SinkFrom, SinkTo};
pub use source::{Corrections, Source};
pub use stream::{Stream, StreamChanges, StreamEnvelope, StreamFormat, StreamStart, TimeUnit, UnknownFields};
pub(crate) use view::Computed;
pub use view::{Beyond, Feature, Freshness, View, ViewBody};

pub(crate) use service::ServiceParts;
