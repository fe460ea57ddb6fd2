//! Models of text: a tokenizer, an encoder as ONNX, and what becomes of its outputs. Text in; an embedding, or a score for each
//! label, out.
//!
//! A row is answered by itself: what runs beside it fills nothing into it but what the attention mask hides, so company moves its
//! numbers by no more than the order in which floats are added.
//!
//! - `files`: which files of a model's folder make it a model of text
//! - `settings`: what those files say; pure
//! - `encoder`: the encoder's tensors, and how rows of tokens run
//! - `pooling`: from the vectors of tokens to one of a text, and from logits to scores; pure

mod encoder;
mod files;
mod pooling;
mod settings;

use bytes::Bytes;
use encoder::Encoder;
pub(crate) use files::files_beside;
pub use files::{MAX_FILE_BYTES, plan_of_folder};
use pooling::Activation;
pub use pooling::normalize;
use settings::Settings;
use shipway_core::Value;

use crate::{
    data::DataFile,
    error::RuntimeError,
    input::{InputKind, ModelInput, word_of},
    onnx::{Onnx, OnnxEngine},
    signature,
    tensor::{Datatype, Elements, Tensor, TensorSignature, TensorSpec},
    tokenizer::Tokenizer,
};

/// The input, and the column of rows: text, `[rows]` or `[rows, 1]`.
pub const TEXT: &str = "text";

/// The input for texts that were cut into tokens elsewhere: INT64 `[rows, tokens]`, short rows filled up with -1.
pub const TOKENS: &str = "tokens";

/// The output of an embedder: FP32 `[rows, dimensions]`.
pub const EMBEDDING: &str = "embedding";

/// The output of a classifier: FP32 `[rows, labels]`.
pub const SCORES: &str = "scores";

/// The other output of a classifier, the label of each row's highest score: BYTES `[rows]`.
pub const LABEL: &str = "label";

/// The longest text that is cut into tokens, in bytes: 1 MiB.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;

const FORMAT: &str = "text";

fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: reason.into() }
}

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// What a model of text answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTask {
    /// An embedding for each text.
    Embed,
    /// A score for each label.
    Classify,
}

/// A loaded model of text.
#[derive(Debug)]
pub struct TextModel {
    tokenizer: Tokenizer,
    encoder: Encoder,
    settings: Settings,
    task: TextTask,
    labels: Vec<String>,
    activation: Activation,
    /// The most tokens of a text, those around it included.
    max_tokens: usize,
    signature: TensorSignature,
}

/// Tokens of one text, those around it included, each with its type.
type Row = Vec<(u32, u8)>;

impl TextModel {
    /// Joins an encoder with the files beside it. `None` when these say that it stays a model of tensors.
    pub(crate) fn load(onnx: Onnx, files: &[DataFile]) -> Result<Result<Self, Onnx>, RuntimeError> {
        let settings = Settings::of(files)?;
        if settings.stays_tensors {
            return Ok(Err(onnx));
        }
        let tokenizer = files.iter().find(|file| file.path == files::TOKENIZER);
        let tokenizer = tokenizer.ok_or_else(|| damaged("tokenizer.json is missing"))?;
        let tokenizer = Tokenizer::load(&tokenizer.content)?;
        let task = encoder::task(onnx.signature(), settings.task)?;
        let encoder = Encoder::of(onnx, task, &settings, tokenizer.pad())?;
        let width = encoder.width();
        let labels = settings.labels(task, width)?;
        let activation = settings.activation(width);
        let max_tokens = settings.max_tokens.min(encoder.fixed_length().unwrap_or(usize::MAX));
        if tokenizer.frame().len() >= max_tokens {
            return Err(damaged(format!("{max_tokens} tokens are no room for a text")));
        }
        if let Some(wrong) = settings.dimensions.iter().find(|dimensions| !(1..=width).contains(*dimensions))
        {
            return Err(damaged(format!("dimensions has {wrong}; the model has {width}")));
        }
        let signature = signature_of(task, width);
        Ok(Ok(Self { tokenizer, encoder, settings, task, labels, activation, max_tokens, signature }))
    }

    /// What it answers.
    pub const fn task(&self) -> TextTask {
        self.task
    }

    /// Numbers per text: dimensions of the embedding, or labels.
    pub const fn width(&self) -> usize {
        self.encoder.width()
    }

    /// The labels of the scores, in order; empty for an embedder.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The most tokens of a text, those around it included. What is longer is cut.
    pub const fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Whether its settings say that a text which is too long may be cut where that is usually refused.
    pub const fn truncates(&self) -> bool {
        self.settings.truncate
    }

    /// Whether the first `dimensions` numbers of an embedding are an embedding by themselves: all of them, or as many as its settings say.
    pub fn has_dimensions(&self, dimensions: usize) -> bool {
        dimensions == self.width() || self.settings.dimensions.contains(&dimensions)
    }

    /// One more than the largest token.
    pub const fn tokens(&self) -> usize {
        self.tokenizer.tokens()
    }

    /// How many tokens a text has, those around it included, before any are cut.
    pub fn count(&self, text: &str) -> usize {
        self.tokenizer.encode(&self.prefixed(text)).len() + self.tokenizer.frame().len()
    }

    /// The tokens of a text in windows that the model takes whole, those around each included, for the input [`TOKENS`]: one where the text is
    /// short enough, else so many that every token is in one, of which neighbours share `shared` tokens. Of a text
    /// without tokens none. `None` where they are more than `most`, or where the text is longer than [`MAX_TEXT_BYTES`].
    pub fn windows(&self, text: &str, shared: usize, most: usize) -> Option<Vec<Vec<i64>>> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let tokens = self.tokenizer.encode(&self.prefixed(text));
        let frame = self.tokenizer.frame();
        let starts = window_starts(tokens.len(), self.max_tokens - frame.len(), shared);
        if starts.len() > most {
            return None;
        }
        let room = self.max_tokens - frame.len();
        let window = |start: usize| {
            let own = &tokens[start..tokens.len().min(start + room)];
            frame.around(own).into_iter().map(|(token, _)| i64::from(token)).collect::<Vec<i64>>()
        };
        Some(starts.into_iter().map(window).filter(|window| !window.is_empty()).collect())
    }

    pub(crate) const fn signature(&self) -> &TensorSignature {
        &self.signature
    }

    /// What runs its encoder.
    pub(crate) const fn onnx_engine(&self) -> OnnxEngine {
        self.encoder.engine()
    }

    pub(crate) fn inputs() -> Vec<ModelInput> {
        vec![ModelInput { name: TEXT.to_owned(), kind: InputKind::Category }]
    }

    /// The output that holds the numbers of a row.
    pub(crate) const fn row_output(&self) -> &'static str {
        match self.task {
            TextTask::Embed => EMBEDDING,
            TextTask::Classify => SCORES,
        }
    }

    /// Refuses tensors that [`TextModel::infer`] would refuse before it runs.
    pub(crate) fn check(&self, inputs: &[Tensor], wanted: &[&str]) -> Result<(), RuntimeError> {
        signature::check_wanted(&self.signature, wanted)?;
        match inputs {
            [only] if only.name == TEXT => texts(only).map(|_| ()),
            [only] if only.name == TOKENS => self.token_rows(only).map(|_| ()),
            _ => signature::check(&self.signature, inputs, wanted),
        }
    }

    pub(crate) fn infer(&self, inputs: &[Tensor], wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
        self.check(inputs, wanted)?;
        let rows = match inputs {
            [only] if only.name == TOKENS => self.token_rows(only)?,
            [only] => self.rows(&texts(only)?)?,
            _ => return Err(unsupported("more than one input")),
        };
        let count = rows.len();
        let numbers = self.answer(rows)?;
        let all: Vec<&str> = self.signature.outputs.iter().map(|spec| spec.name.as_str()).collect();
        let wanted = if wanted.is_empty() { &all } else { wanted };
        let output = |name: &&str| match *name {
            LABEL => self.label_tensor(&numbers),
            name => Tensor {
                name: name.to_owned(),
                shape: vec![count, self.width()],
                elements: Elements::Fp32(numbers.clone()),
            },
        };
        Ok(wanted.iter().map(output).collect())
    }

    /// The numbers of rows whose only value is text, `[rows, width]`.
    pub(crate) fn predict(&self, values: &[&Value]) -> Result<Vec<f64>, RuntimeError> {
        let text = |(row, value): (usize, &&Value)| match value {
            Value::Text(text) => Ok(text.to_string()),
            other => Err(RuntimeError::WrongValue {
                row,
                column: TEXT.to_owned(),
                expected: TEXT,
                got: word_of(other),
            }),
        };
        let texts = values.iter().enumerate().map(text).collect::<Result<Vec<String>, _>>()?;
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(self.answer(self.rows(&borrowed)?)?.into_iter().map(f64::from).collect())
    }

    /// The texts of a tensor as rows of values; none of what was cut into tokens elsewhere.
    pub(crate) fn rows_of(tensors: &[Tensor]) -> Option<Vec<Vec<Value>>> {
        let [only] = tensors else { return None };
        let texts = texts(only).ok().filter(|_| only.name == TEXT)?;
        Some(texts.into_iter().map(|text| vec![Value::text(text)]).collect())
    }

    /// The numbers in an output of this model, row by row.
    pub(crate) fn predictions_in(&self, answer: &Tensor) -> Option<Vec<Vec<f64>>> {
        let Elements::Fp32(numbers) = &answer.elements else { return None };
        let row = |row: &[f32]| row.iter().map(|number| f64::from(*number)).collect();
        Some(numbers.chunks(self.width()).map(row).collect())
    }

    fn prefixed<'text>(&self, text: &'text str) -> std::borrow::Cow<'text, str> {
        match self.settings.prefix.as_str() {
            "" => text.into(),
            prefix => format!("{prefix}{text}").into(),
        }
    }

    /// The texts as rows of tokens.
    fn rows(&self, texts: &[&str]) -> Result<Vec<Row>, RuntimeError> {
        let most = self.max_tokens - self.tokenizer.frame().len();
        let row = |(place, text): (usize, &&str)| {
            if text.len() > MAX_TEXT_BYTES {
                let reason =
                    format!("row {place} has {} bytes; at most {MAX_TEXT_BYTES} are read", text.len());
                return Err(RuntimeError::WrongTensor { name: TEXT.to_owned(), reason });
            }
            let mut tokens = self.tokenizer.encode(&self.prefixed(text));
            tokens.truncate(most);
            let row = self.tokenizer.frame().around(&tokens);
            let reason = format!("row {place} has no tokens");
            if row.is_empty() {
                Err(RuntimeError::WrongTensor { name: TEXT.to_owned(), reason })
            } else {
                Ok(row)
            }
        };
        texts.iter().enumerate().map(row).collect()
    }

    /// The rows of a tensor of tokens, without what fills them up.
    fn token_rows(&self, tensor: &Tensor) -> Result<Vec<Row>, RuntimeError> {
        let wrong = |reason: String| RuntimeError::WrongTensor { name: TOKENS.to_owned(), reason };
        let (Elements::Int64(tokens), [count, width]) = (&tensor.elements, tensor.shape.as_slice()) else {
            return Err(wrong("expected INT64 of shape [-1, -1]".to_owned()));
        };
        if *width == 0 || count.checked_mul(*width) != Some(tokens.len()) || tokens.is_empty() {
            return Err(wrong("it has no elements".to_owned()));
        }
        let row = |(place, row): (usize, &[i64])| {
            let own = row.iter().take_while(|token| **token != -1);
            let known = |token: &i64| {
                let token = u32::try_from(*token).ok().filter(|token| (*token as usize) < self.tokens());
                token.map(|token| (token, 0))
            };
            let row: Option<Row> = own.map(known).collect();
            let row =
                row.ok_or_else(|| wrong(format!("row {place}: tokens are 0 to {}", self.tokens() - 1)))?;
            match row.len() {
                0 => Err(wrong(format!("row {place} has no tokens"))),
                _ => Ok(row.into_iter().take(self.max_tokens).collect()),
            }
        };
        tokens.chunks(*width).enumerate().map(row).collect()
    }

    /// The numbers of each row: embeddings, or scores.
    fn answer(&self, rows: Vec<Row>) -> Result<Vec<f32>, RuntimeError> {
        let mut numbers = self.encoder.run(&rows, self.settings.pooling)?;
        for row in numbers.chunks_mut(self.width()) {
            match self.task {
                TextTask::Embed if self.settings.normalize => normalize(row),
                TextTask::Embed => {}
                TextTask::Classify => pooling::activate(row, self.activation),
            }
        }
        Ok(numbers)
    }

    /// The label of the highest score of each row.
    fn label_tensor(&self, scores: &[f32]) -> Tensor {
        let best = |row: &[f32]| {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let place = row.iter().position(|score| *score >= highest).unwrap_or(0);
            Bytes::from(self.labels.get(place).cloned().unwrap_or_default())
        };
        let labels: Vec<Bytes> = scores.chunks(self.width()).map(best).collect();
        Tensor { name: LABEL.to_owned(), shape: vec![labels.len()], elements: Elements::Bytes(labels) }
    }
}

/// Where windows of `room` tokens begin that share `shared` with their neighbours and cover `count` tokens.
fn window_starts(count: usize, room: usize, shared: usize) -> Vec<usize> {
    let step = room.saturating_sub(shared).max(1);
    let mut starts = vec![0];
    let mut end = room;
    while end < count {
        let start = starts.len() * step;
        starts.push(start);
        end = start + room;
    }
    starts
}

/// The texts of a tensor of shape `[rows]` or `[rows, 1]`.
fn texts(tensor: &Tensor) -> Result<Vec<&str>, RuntimeError> {
    let wrong = |reason: String| RuntimeError::WrongTensor { name: TEXT.to_owned(), reason };
    let Elements::Bytes(texts) = &tensor.elements else {
        let got = tensor.elements.datatype();
        return Err(wrong(format!("expected {}, got {got}", Datatype::Bytes)));
    };
    let rows = match tensor.shape.as_slice() {
        [rows] | [rows, 1] => *rows,
        shape => return Err(wrong(format!("expected shape [-1] or [-1, 1], got {shape:?}"))),
    };
    if rows != texts.len() {
        let got = texts.len();
        return Err(wrong(format!(
            "shape {:?} has another number of elements than the {got} given",
            tensor.shape
        )));
    }
    if rows == 0 {
        return Err(wrong("it has no elements".to_owned()));
    }
    let no_text = |row| wrong(format!("row {row} is not UTF-8"));
    texts.iter().enumerate().map(|(row, text)| std::str::from_utf8(text).map_err(|_| no_text(row))).collect()
}

fn signature_of(task: TextTask, width: usize) -> TensorSignature {
    let spec = |name: &str, datatype, shape| TensorSpec { name: name.to_owned(), datatype, shape };
    let wide = vec![-1, i64::try_from(width).unwrap_or(i64::MAX)];
    let outputs = match task {
        TextTask::Embed => vec![spec(EMBEDDING, Datatype::Fp32, wide)],
        TextTask::Classify => {
            vec![spec(SCORES, Datatype::Fp32, wide), spec(LABEL, Datatype::Bytes, vec![-1])]
        }
    };
    TensorSignature { inputs: vec![spec(TEXT, Datatype::Bytes, vec![-1])], outputs }
}

#[cfg(test)]
mod tests {
    use super::window_starts;

    #[test]
    fn windows_cover_every_token_and_share_some() {
        assert_eq!(window_starts(0, 8, 2), [0]);
        assert_eq!(window_starts(8, 8, 2), [0]);
        assert_eq!(window_starts(9, 8, 2), [0, 6]);
        assert_eq!(window_starts(20, 8, 2), [0, 6, 12]);
        assert_eq!(window_starts(21, 8, 2), [0, 6, 12, 18]);
        // Where all would be shared, they still go on.
        assert_eq!(window_starts(3, 1, 5), [0, 1, 2]);
    }
}
