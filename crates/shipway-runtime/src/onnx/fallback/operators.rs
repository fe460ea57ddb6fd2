//! The operators that rten evaluates as the standard says, seen from what it answers to the standard's own test cases
//! (`examples/onnx_cases.rs`), and, for `Einsum` and `LayerNormalization`, from what ONNX Runtime answers.
//!
//! Not among them, although rten has them: `Loop`, which may never end; `CastLike` and `BitCast`, since it knows types by what it has in
//! their place; those that answered a case otherwise (`ArgMax` and `ArgMin` name the last of equals, `Sign` of zero is 1, `QuantizeLinear`
//! rounds otherwise, `Resize` has one way of several, `NonMaxSuppression` leaves boxes out); and those that no case was right for.

const COVERED: &str = "
Abs Acos Acosh Add And Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Cast Ceil Clip Concat Constant
ConstantOfShape Conv Cos Cosh CumSum DepthToSpace DequantizeLinear Div Einsum Elu Equal Erf Exp Expand EyeLike Flatten
Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample
HardSigmoid HardSwish Identity If InstanceNormalization IsInf IsNaN LSTM LayerNormalization LeakyRelu Less LessOrEqual
Log LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mod Mul Neg NonZero Not Or PRelu Pad Pow RMSNormalization
Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
Reshape ReverseSequence RotaryEmbedding Round ScatterElements ScatterND Shape Sigmoid Sin Sinh Size Slice Softmax
Softplus Softsign Split Sqrt Squeeze Sub Sum Swish Tan Tanh Tile TopK Transpose Trilu Unsqueeze Where
";

/// Whether models with this operator are run.
pub(super) fn is_covered(domain: &str, operator: &str) -> bool {
    matches!(domain, "" | "ai.onnx") && COVERED.split_ascii_whitespace().any(|known| known == operator)
}
