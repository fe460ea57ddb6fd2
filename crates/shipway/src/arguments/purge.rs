//! What can be typed of purges.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Only what has been deleted for longer than this, such as 30d; 0 is whatever is deleted
    #[arg(long, value_name = "LENGTH")]
    pub(crate) older_than: String,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
