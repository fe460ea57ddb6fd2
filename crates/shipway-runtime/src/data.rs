//! Files that a model keeps its weights in, beside the file that describes it.

use std::sync::Arc;

/// A file of weights.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Relative to the folder of the model's own file, with `/` between parts; what the model calls it.
    pub path: String,
    /// Its content.
    pub content: Arc<[u8]>,
}
