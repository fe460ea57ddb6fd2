//! Which engine runs ONNX models: ONNX Runtime where its library is, else rten.

use std::str::FromStr;

use crate::{
    error::RuntimeError,
    model::{Device, RuntimeOptions},
};

/// What runs ONNX models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnnxEngine {
    /// ONNX Runtime where a library of it is configured or found, rten otherwise.
    #[default]
    Auto,
    /// ONNX Runtime only: without its library, ONNX models are refused.
    OnnxRuntime,
    /// rten, which is part of the program, runs on the processor, and has fewer operators and types.
    Rten,
}

impl OnnxEngine {
    /// The word for it in the configuration and in what is reported.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OnnxRuntime => "onnxruntime",
            Self::Rten => "rten",
        }
    }
}

impl FromStr for OnnxEngine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Auto, Self::OnnxRuntime, Self::Rten];
        let found = all.into_iter().find(|engine| engine.word() == text);
        found.ok_or_else(|| format!("expected auto, onnxruntime or rten, got `{text}`"))
    }
}

/// Whether rten runs the models. A GPU is asked of ONNX Runtime alone: a model that was meant for one would answer late without it.
pub(super) fn is_fallback(options: &RuntimeOptions) -> Result<bool, RuntimeError> {
    let is_on_processor = options.device == Device::Cpu;
    match options.onnx_engine {
        OnnxEngine::OnnxRuntime => Ok(false),
        OnnxEngine::Rten if is_on_processor => Ok(true),
        OnnxEngine::Rten => Err(RuntimeError::Fallback { lacks: "GPUs".to_owned() }),
        OnnxEngine::Auto if options.onnx_library.is_some() || !is_on_processor => Ok(false),
        OnnxEngine::Auto => {
            tracing::warn!("there is no library of ONNX Runtime: rten runs the ONNX model");
            Ok(true)
        }
    }
}
