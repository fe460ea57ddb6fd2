//! ONNX models through the real ONNX Runtime library and through rten, and a model as MLflow logs it.

#[cfg(test)]
mod library;
#[cfg(test)]
mod onnx;
#[cfg(test)]
mod protos;
#[cfg(test)]
mod rten;
#[cfg(test)]
mod tensors;
#[cfg(test)]
mod text;
