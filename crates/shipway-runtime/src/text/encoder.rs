//! The encoder's tensors, and how rows of tokens run.
//!
//! Rows are run from the shortest to the longest and cut into runs of so many tokens, so that a short one is not filled up to the
//! length of a long one, and memory is bounded.

use super::{Row, TextTask, pooling, pooling::Pooling, settings::Settings, unsupported};
use crate::{
    error::RuntimeError,
    onnx::{Onnx, OnnxEngine},
    tensor::{Datatype, Elements, Tensor, TensorSignature, TensorSpec},
};

/// The most tokens that run at once, those that fill up included; one row runs whatever it has.
const TOKENS_AT_ONCE: usize = 16 * 1024;

/// A float output with this many dimensions.
const PER_TEXT: usize = 2;
const PER_TOKEN: usize = 3;

#[derive(Debug)]
pub(super) struct Encoder {
    onnx: Onnx,
    inputs: Vec<Input>,
    output: String,
    /// Whether the output has a vector for each token, which are pooled.
    is_per_token: bool,
    width: usize,
    /// The number of tokens that every row must be filled up to.
    fixed_length: Option<usize>,
    pad: i64,
}

#[derive(Debug)]
struct Input {
    name: String,
    content: Content,
    is_narrow: bool,
}

/// What an input takes of a row.
#[derive(Debug, Clone, Copy)]
enum Content {
    Tokens,
    Mask,
    Types,
    Positions,
}

fn is_float(spec: &TensorSpec) -> bool {
    matches!(spec.datatype, Datatype::Fp32 | Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp64)
}

/// The first output of floats with so many dimensions, those of these names first.
fn output_of<'model>(
    signature: &'model TensorSignature,
    dimensions: usize,
    names: &[&str],
) -> Option<&'model TensorSpec> {
    let fits = |spec: &&TensorSpec| is_float(spec) && spec.shape.len() == dimensions;
    let mut named = names.iter().filter_map(|name| signature.outputs.iter().find(|spec| spec.name == *name));
    named.find(fits).or_else(|| signature.outputs.iter().find(fits))
}

/// What an encoder does: as its files say, else as its outputs look.
pub(super) fn task(signature: &TensorSignature, said: Option<TextTask>) -> Result<TextTask, RuntimeError> {
    let has = |name: &str, dimensions| {
        signature.outputs.iter().any(|spec| spec.name == name && spec.shape.len() == dimensions)
    };
    let looks = || match () {
        () if has("logits", PER_TEXT) => Some(TextTask::Classify),
        () if has("logits", PER_TOKEN) => None,
        () => output_of(signature, PER_TOKEN, &[])
            .or_else(|| output_of(signature, PER_TEXT, &[]))
            .map(|_| TextTask::Embed),
    };
    said.or_else(looks).ok_or_else(|| unsupported("an encoder that neither embeds nor classifies texts"))
}

impl Encoder {
    pub(super) fn of(
        onnx: Onnx,
        task: TextTask,
        settings: &Settings,
        pad: Option<u32>,
    ) -> Result<Self, RuntimeError> {
        let signature = onnx.signature();
        let inputs: Vec<Input> = signature.inputs.iter().map(Input::of).collect::<Result<_, _>>()?;
        if !inputs.iter().any(|input| matches!(input.content, Content::Tokens)) {
            return Err(unsupported("an encoder without input_ids"));
        }
        let fixed_length = signature.inputs.iter().find_map(|spec| usize::try_from(*spec.shape.get(1)?).ok());
        let chosen = match task {
            TextTask::Classify => output_of(signature, PER_TEXT, &["logits"]),
            TextTask::Embed => {
                let pooled = signature.outputs.iter().find(|spec| spec.name == "sentence_embedding");
                pooled
                    .filter(|spec| is_float(spec) && spec.shape.len() == PER_TEXT)
                    .or_else(|| output_of(signature, PER_TOKEN, &["last_hidden_state", "token_embeddings"]))
                    .or_else(|| output_of(signature, PER_TEXT, &[]))
            }
        };
        let output = chosen.ok_or_else(|| unsupported("an encoder without an output of floats for texts"))?;
        let stated = output.shape.last().and_then(|size| usize::try_from(*size).ok());
        let known = match task {
            TextTask::Embed => settings.width,
            TextTask::Classify => settings.label_count(),
        };
        let width = stated.or(known).filter(|width| *width > 0);
        let width = width.ok_or_else(|| unsupported(format!("output {} of unknown width", output.name)))?;
        let (output, is_per_token) = (output.name.clone(), output.shape.len() == PER_TOKEN);
        let pad = i64::from(pad.or(settings.pad).unwrap_or(0));
        Ok(Self { onnx, inputs, output, is_per_token, width, fixed_length, pad })
    }

    pub(super) const fn engine(&self) -> OnnxEngine {
        self.onnx.engine()
    }

    /// Numbers per text.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    pub(super) const fn fixed_length(&self) -> Option<usize> {
        self.fixed_length
    }

    /// The numbers of each row, `[rows, width]`, in the order of `rows`: pooled vectors, or what the encoder gives.
    pub(super) fn run(&self, rows: &[Row], pooling: Pooling) -> Result<Vec<f32>, RuntimeError> {
        let mut by_length: Vec<usize> = (0..rows.len()).collect();
        by_length.sort_by_key(|place| rows.get(*place).map_or(0, Vec::len));
        let mut numbers = vec![0.0; rows.len().saturating_mul(self.width)];
        let mut waiting = by_length.as_slice();
        while !waiting.is_empty() {
            let (now, later) = waiting.split_at(self.most_of(waiting, rows));
            let together: Vec<&Row> = now.iter().filter_map(|place| rows.get(*place)).collect();
            let answered = self.run_together(&together, pooling)?;
            for (place, answer) in now.iter().zip(answered.chunks_exact(self.width)) {
                let start = place * self.width;
                if let Some(into) = numbers.get_mut(start..start + self.width) {
                    into.copy_from_slice(answer);
                }
            }
            waiting = later;
        }
        Ok(numbers)
    }

    /// How many of the rows that wait run together, the shortest in front.
    fn most_of(&self, waiting: &[usize], rows: &[Row]) -> usize {
        let length =
            |place: &usize| self.fixed_length.or_else(|| rows.get(*place).map(Vec::len)).unwrap_or(0);
        let fits =
            |(count, place): &(usize, &usize)| (count + 1).saturating_mul(length(place)) <= TOKENS_AT_ONCE;
        waiting.iter().enumerate().take_while(fits).count().max(1)
    }

    fn run_together(&self, rows: &[&Row], pooling: Pooling) -> Result<Vec<f32>, RuntimeError> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let length = self.fixed_length.unwrap_or(longest);
        let inputs = self.inputs.iter().map(|input| input.tensor(rows, length, self.pad)).collect();
        let answers = self.onnx.infer(inputs, &[self.output.as_str()])?;
        let wrong =
            || unsupported(format!("output {}, which is not one of {} numbers", self.output, self.width));
        let answer = answers.first().ok_or_else(wrong)?;
        let expected: &[usize] =
            if self.is_per_token { &[rows.len(), length, self.width] } else { &[rows.len(), self.width] };
        if answer.shape != expected {
            return Err(wrong());
        }
        let per_row = expected.iter().skip(1).product();
        let all: Option<Vec<f64>> =
            (0..answer.elements.len()).map(|place| answer.elements.number(place)).collect();
        let all = all.ok_or_else(wrong)?;
        let mut numbers = Vec::with_capacity(rows.len() * self.width);
        for (row, vectors) in rows.iter().zip(all.chunks_exact(per_row)) {
            // Only the row's own tokens count, and none of those that fill it up.
            let own = if self.is_per_token { row.len() * self.width } else { self.width };
            let pooling = if self.is_per_token { pooling } else { Pooling::Cls };
            pooling::pool(vectors.get(..own).ok_or_else(wrong)?, self.width, pooling, &mut numbers);
        }
        Ok(numbers)
    }
}

impl Input {
    fn of(spec: &TensorSpec) -> Result<Self, RuntimeError> {
        let content = match spec.name.as_str() {
            "input_ids" => Content::Tokens,
            "attention_mask" => Content::Mask,
            "token_type_ids" => Content::Types,
            "position_ids" => Content::Positions,
            other => return Err(unsupported(format!("an encoder with the input {other}"))),
        };
        let is_narrow = match spec.datatype {
            Datatype::Int64 => false,
            Datatype::Int32 => true,
            other => return Err(unsupported(format!("{} of type {other}", spec.name))),
        };
        match spec.shape.as_slice() {
            [-1, _] => Ok(Self { name: spec.name.clone(), content, is_narrow }),
            shape => Err(unsupported(format!("{} of shape {shape:?}; [-1, -1] is needed", spec.name))),
        }
    }

    /// This input for all rows, each filled up to `length`.
    fn tensor(&self, rows: &[&Row], length: usize, pad: i64) -> Tensor {
        let mut cells: Vec<i64> = Vec::with_capacity(rows.len().saturating_mul(length));
        for row in rows {
            let own = row.iter().zip(0_i64..).map(|((token, type_id), position)| match self.content {
                Content::Tokens => i64::from(*token),
                Content::Mask => 1,
                Content::Types => i64::from(*type_id),
                Content::Positions => position,
            });
            let filler = if matches!(self.content, Content::Tokens) { pad } else { 0 };
            cells.extend(own.chain(std::iter::repeat(filler)).take(length));
        }
        let elements = match self.is_narrow {
            true => Elements::Int32(cells.into_iter().map(|cell| i32::try_from(cell).unwrap_or(0)).collect()),
            false => Elements::Int64(cells),
        };
        Tensor { name: self.name.clone(), shape: vec![rows.len(), length], elements }
    }
}
