//! `drop`.

use std::process::ExitCode;

use super::{Context, changes};
use crate::{
    arguments::Drop,
    client::segment,
    failure::CommandFailure,
    output::{self, Format},
};

pub(super) async fn run(context: &Context, options: &Drop) -> Result<ExitCode, CommandFailure> {
    let Drop { kind, name, dry_run } = options;
    let dry = if *dry_run { "?dry_run=true" } else { "" };
    let path = format!("/definitions/{}/{}{dry}", segment(kind), segment(name));
    let answer = context.client.delete(&path).await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    changes::print(&answer);
    output::line(match dry_run {
        true => format!("nothing was changed; shipway drop {kind} {name} does it"),
        false => format!("dropped {kind} {name}"),
    });
    Ok(ExitCode::SUCCESS)
}
