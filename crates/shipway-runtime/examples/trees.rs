//! How long a model takes per row: `trees <lightgbm|xgboost|catboost|onnx> <model> <matrix> <features> [library]`.
//!
//! The matrix is little-endian doubles, row after row. Prints JSON: nanoseconds per row, one row at a time and 1,024 at a
//! time, each the median, the least and the most of nine rounds, and the sum of all predictions.

use std::{
    error::Error,
    io::Write as _,
    time::{Duration, Instant},
};

use shipway_runtime::{Model, ModelFormat, RuntimeOptions};

const ROUNDS: usize = 9;
const LEAST: Duration = Duration::from_millis(60);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, model, matrix, features, library @ ..] = arguments.as_slice() else {
        return Err(
            "usage: trees <lightgbm|xgboost|catboost|onnx> <model> <matrix> <features> [library]".into()
        );
    };
    let format = match format.as_str() {
        "lightgbm" => ModelFormat::LightGbmText,
        "xgboost" => ModelFormat::XgBoost,
        "catboost" => ModelFormat::CatBoostJson,
        "onnx" => ModelFormat::Onnx,
        other => return Err(format!("unknown format {other}").into()),
    };
    let options =
        RuntimeOptions { onnx_library: library.first().map(Into::into), ..RuntimeOptions::default() };
    let began = Instant::now();
    let model = Model::load(format, &fs_err::read(model)?, &options)?;
    let load_ms = began.elapsed().as_secs_f64() * 1e3;
    let features: usize = features.parse()?;
    let bytes = fs_err::read(matrix)?;
    let numbers: Vec<f64> =
        bytes.as_chunks::<8>().0.iter().map(|number| f64::from_le_bytes(*number)).collect();
    let rows = numbers.len() / features;
    let sum: f64 = model.predict_raw(&numbers, rows)?.iter().sum();
    let one = measure(&model, &numbers, features, 1)?;
    let many = measure(&model, &numbers, features, rows.min(1024))?;
    writeln!(
        std::io::stdout(),
        "{{\"load_ms\": {load_ms:.2}, \"ns_row_1\": {one:.0?}, \"ns_row_1024\": {many:.0?}, \"sum\": {sum:?}}}"
    )?;
    Ok(())
}

/// Nanoseconds per row when `batch` rows are predicted at a time: median, least and most of the rounds.
fn measure(
    model: &Model,
    numbers: &[f64],
    features: usize,
    batch: usize,
) -> Result<[f64; 3], Box<dyn Error>> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (began, mut rows) = (Instant::now(), 0_u32);
        while began.elapsed() < LEAST {
            for batch in numbers.chunks_exact(batch * features) {
                let count = batch.len() / features;
                std::hint::black_box(model.predict_raw(std::hint::black_box(batch), count)?);
                rows += u32::try_from(count)?;
            }
        }
        rounds.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(rows));
    }
    rounds.sort_unstable_by(f64::total_cmp);
    Ok([rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1]])
}
