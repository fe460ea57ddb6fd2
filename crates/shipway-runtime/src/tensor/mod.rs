//! Tensors: typed elements in row-major order with a shape, as models of any shape take and give them.
//!
//! - `datatype`: the types of elements
//! - `elements`: the elements themselves
//! - `raw`: tensors as bytes, little-endian, the way inference protocols send them
//! - `batch`: tensors of several requests as one along the first dimension, and back

mod batch;
mod datatype;
mod elements;
mod raw;

pub use batch::{concatenated, split};
pub use datatype::{Datatype, UnknownDatatype};
pub use elements::Elements;
pub use raw::WrongBytes;

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// The size of each dimension; no dimensions is a single element.
    pub shape: Vec<usize>,
    /// As many as the shape says, in row-major order.
    pub elements: Elements,
}

/// What a model says of one of its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub datatype: Datatype,
    /// The size of each dimension; -1 where any size goes.
    pub shape: Vec<i64>,
}

/// The tensors that a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSignature {
    /// What it takes, in its own order.
    pub inputs: Vec<TensorSpec>,
    /// What it gives, in its own order.
    pub outputs: Vec<TensorSpec>,
}

impl TensorSignature {
    /// Whether requests can be put together along the first dimension: every tensor leaves the size of that dimension open.
    pub fn batches(&self) -> bool {
        !self.inputs.is_empty()
            && self.inputs.iter().chain(&self.outputs).all(|spec| spec.shape.first() == Some(&-1))
    }
}

impl TensorSpec {
    /// What keeps `tensor` from standing here, in words; `None` when it fits.
    pub fn refusal(&self, tensor: &Tensor) -> Option<String> {
        if tensor.elements.datatype() != self.datatype {
            return Some(format!(
                "expected {}, got {}",
                self.datatype.word(),
                tensor.elements.datatype().word()
            ));
        }
        let fits = self.shape.len() == tensor.shape.len()
            && self
                .shape
                .iter()
                .zip(&tensor.shape)
                .all(|(wanted, size)| *wanted < 0 || u64::try_from(*wanted).ok() == Some(*size as u64));
        (!fits).then(|| format!("expected shape {:?}, got {:?}", self.shape, tensor.shape))
    }
}
