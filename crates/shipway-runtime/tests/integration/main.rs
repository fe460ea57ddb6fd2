//! ONNX models through the real ONNX Runtime library, and a model as MLflow logs it.

#[cfg(test)]
mod library;
#[cfg(test)]
mod onnx;
#[cfg(test)]
mod tensors;
#[cfg(test)]
mod text;
