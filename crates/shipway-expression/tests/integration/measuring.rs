//! How long an expression takes, for people: `cargo test -p shipway-expression -- --ignored --nocapture measuring`.

use std::{hint::black_box, time::Instant};

use shipway_expression::{Expression, Row};

use crate::{row, scope};

#[test]
#[ignore = "prints times, judges nothing"]
fn measuring_a_row() {
    const TIMES: u32 = 1_000_000;
    let row = row();
    for text in [
        "i + 1",
        "f / nullif(i, 0)",
        "f > 0 AND t <> 'x'",
        "EXTRACT(epoch FROM at - since) / 60",
        "CASE WHEN i > 5 THEN f * 2 WHEN b THEN 0.5 ELSE -f END",
        "upper(t) || '!'",
        "t LIKE '%\u{ef}%'",
    ] {
        let started = Instant::now();
        let compiled = Expression::compile(text, &scope()).unwrap();
        let compiling = started.elapsed();
        let started = Instant::now();
        for _ in 0..TIMES {
            black_box(compiled.evaluate(Row::from(black_box(row.as_slice()))));
        }
        println!("{text}: {:?} for a row, {compiling:?} to compile", started.elapsed() / TIMES);
    }
}
