//! `ingest`: JSON lines to a source, in batches.

use std::{
    io::{BufRead, BufReader},
    process::ExitCode,
};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::Ingest,
    client::segment,
    failure::{CommandFailure, exit},
    output::{self, Format},
};

/// The sum of all batches' answers.
#[derive(Default)]
struct Totals {
    acknowledged: u64,
    duplicates: u64,
    quarantined: u64,
    late: u64,
    refused: Vec<Json>,
    token: Json,
}

pub(super) async fn run(context: &Context, options: &Ingest) -> Result<ExitCode, CommandFailure> {
    let reader: Box<dyn BufRead> = if options.file.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(fs_err::File::open(&options.file)?))
    };
    let path = format!("/ingest/{}", segment(&options.source));
    let progress = output::spinner("ingesting");
    let mut totals = Totals::default();
    let mut batch = String::new();
    let (mut in_batch, mut before_batch) = (0_u64, 0_u64);
    for line in reader.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        batch.push_str(&line);
        batch.push('\n');
        in_batch += 1;
        if in_batch as usize >= options.batch.max(1) {
            totals.send(context, &path, std::mem::take(&mut batch), before_batch).await?;
            before_batch += std::mem::take(&mut in_batch);
            progress.set_message(format!("ingesting: {} events", output::count(before_batch)));
        }
    }
    if in_batch > 0 {
        totals.send(context, &path, batch, before_batch).await?;
    }
    progress.finish_and_clear();
    totals.print(context.format);
    Ok(ExitCode::from(if totals.refused.is_empty() { 0 } else { exit::FAILED }))
}

impl Totals {
    async fn send(
        &mut self,
        context: &Context,
        path: &str,
        batch: String,
        before: u64,
    ) -> Result<(), CommandFailure> {
        let answer = context.client.post_bytes(path, "application/x-ndjson", batch).await?;
        let number = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.acknowledged += number("acknowledged");
        self.duplicates += number("duplicates");
        self.quarantined += number("quarantined");
        self.late += number("late");
        for refusal in answer["refused"].as_array().into_iter().flatten() {
            let index = before + refusal["index"].as_u64().unwrap_or(0);
            self.refused.push(json!({ "index": index, "reason": refusal["reason"] }));
        }
        self.token = answer["token"].clone();
        Ok(())
    }

    fn print(&self, format: Format) {
        if format == Format::Json {
            output::json(&json!({
                "acknowledged": self.acknowledged, "duplicates": self.duplicates, "quarantined": self.quarantined,
                "late": self.late, "refused": self.refused, "token": self.token,
            }));
            return;
        }
        output::line(format!("{} acknowledged", output::counted(self.acknowledged, "event")));
        for (number, what) in [
            (self.duplicates, "were there already"),
            (self.quarantined, "are in the future and were set aside"),
            (self.late, "came too late for the live features and were set aside"),
        ] {
            if number > 0 {
                output::line(format!("  {} {what}", output::count(number)));
            }
        }
        for refusal in self.refused.iter().take(20) {
            output::note(format!(
                "refused: event {}: {}",
                refusal["index"],
                output::member(refusal, "reason")
            ));
        }
        if self.refused.len() > 20 {
            output::note(format!("refused: {} more", self.refused.len() - 20));
        }
    }
}
