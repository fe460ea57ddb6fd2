//! The definitions that users write, and what makes them valid: pure, no I/O, no clock.
//!
//! YAML text becomes a [`DefinitionSet`] of immutable, hashed definitions, or a list of every error in every file, each
//! with its file, line, thing and remedy. The way of a text is a straight line: `yaml` → `parse` → `resolve` → `model`.
//!
//! - `yaml`: text to a tree of nodes that know their line
//! - `parse`: nodes to drafts, one file per kind; what can be judged without looking at another definition
//! - `resolve`: drafts to definitions; references, types and clashes
//! - `model`: the definitions, one file per kind, and the set of them
//! - `canonical`: the hash of a definition
//! - `error`: the errors a person reads
//! - `schema`: the JSON Schema of the file format, for editors
//! - `litellm`: a configuration of LiteLLM's proxy as definitions

#![deny(missing_docs)]

mod canonical;
mod error;
mod litellm;
mod model;
mod parse;
mod resolve;
mod schema;
mod yaml;

pub use error::{DefinitionError, DefinitionErrors, RestoreError, UnknownDefinition};
pub use litellm::{LeftOut, LitellmImport, NotLitellm};
pub use model::{
    Batch, BatchFormat, BatchFrom, Beyond, ColumnOrigin, Corrections, DefinitionKind, DefinitionSet,
    Deprecation, Derived, Entity, Feature, FeatureMetadata, Freshness, Gate, LlmApi, LlmCache, LlmCacheScope,
    LlmContent, LlmContentKeep, LlmCooldown, LlmDeployment, LlmEmbeddings, LlmGuardrail, LlmGuardrailAction,
    LlmGuardrailOn, LlmHedge, LlmLossy, LlmModel, LlmOutputLimit, LlmPrice, LlmPriceTier, LlmRates,
    LlmRetries, LlmRoute, LlmSimilar, LlmSimilarMode, LlmStickiness, LlmTimeouts, Pii, Requirement, Rule,
    Selection, SelectionJoin, Service, ServiceColumn, Sink, SinkFormat, SinkFrom, SinkTo, Source, Stream,
    StreamChanges, StreamEnvelope, StreamFormat, StreamStart, TimeUnit, UnknownFields, UnknownPrice,
    Unsendable, Versioned, View, ViewBody, ViewReference,
};
pub use parse::DefinitionFile;
pub use schema::schema;
