//! What can be typed of drops.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// Its kind: entity, source, view, service, gate, sink, llm_guardrail or llm_model
    pub(crate) kind: String,
    /// Its name
    pub(crate) name: String,
    /// Only say what it would lead to
    #[arg(long)]
    pub(crate) dry_run: bool,
}
