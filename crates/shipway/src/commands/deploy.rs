//! `deploy`.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::Deploy,
    client::segment,
    failure::{CommandFailure, exit},
    output::{self, Format, member},
};

pub(super) async fn run(context: &Context, options: &Deploy) -> Result<ExitCode, CommandFailure> {
    let Some(name) = &options.name else { return list(context).await };
    let path = format!("/deployments/{}", segment(name));
    let answer = if options.remove {
        context.client.delete(&path).await?
    } else {
        let model = options.model.as_ref().ok_or_else(|| {
            CommandFailure::new(format!("deployment {name}: no model is named"))
                .with_hint(format!("shipway deploy {name} --model MODEL --alias {}", options.alias))
                .with_exit(exit::USAGE)
        })?;
        let body = json!({ "model": model, "alias": options.alias, "service": options.service });
        context.client.put(&path, &body).await?
    };
    if context.format == Format::Json {
        output::json(&answer);
    } else if options.remove {
        output::line(format!("{name} is taken down"));
    } else {
        output::line(format!(
            "{name} serves {} version {}",
            member(&answer, "model"),
            member(&answer["serves"], "version")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/deployments").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    table(&answer["deployments"]);
    Ok(ExitCode::SUCCESS)
}

/// Deployments as a table; `status` prints the same.
pub(super) fn table(deployments: &Json) {
    let rows = deployments.as_array().into_iter().flatten().map(|deployment| {
        let state = match deployment["trouble"].is_null() {
            true => "serving".to_owned(),
            false => format!("trouble: {}", member(&deployment["trouble"], "detail")),
        };
        let named = |name| member(deployment, name);
        vec![
            named("name"),
            named("model"),
            named("alias"),
            member(&deployment["serves"], "version"),
            named("service"),
            state,
        ]
    });
    output::table(
        &["deployment", "model", "alias", "version", "service", "state"],
        rows.collect(),
        "no deployments",
    );
}
