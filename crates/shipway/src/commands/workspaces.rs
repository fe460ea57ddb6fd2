//! `workspaces`.

use std::process::ExitCode;

use serde_json::json;

use super::Context;
use crate::{
    arguments::Workspaces,
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

pub(super) async fn run(context: &Context, action: &Workspaces) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    let (answer, done) = match action {
        Workspaces::List => (client.get("/workspaces").await?, None),
        Workspaces::Create { workspace, description } => {
            let body = json!({ "name": workspace, "description": description });
            (client.post("/workspaces", &body).await?, Some(format!("created {workspace}")))
        }
        Workspaces::Delete { workspace, remove_contents, move_contents } => {
            let contents = match (remove_contents, move_contents) {
                (true, _) => "remove",
                (_, true) => "move",
                _ => "refuse",
            };
            let path = format!("/workspaces/{}?contents={contents}", segment(workspace));
            (client.delete(&path).await?, Some(format!("deleted {workspace}")))
        }
    };
    match (context.format, done) {
        (Format::Json, _) => output::json(&answer),
        (Format::Text, Some(done)) => output::line(done),
        (Format::Text, None) => {
            let rows = answer["workspaces"].as_array().into_iter().flatten();
            let rows = rows.map(|one| vec![member(one, "name"), member(one, "description")]);
            output::table(&["workspace", "description"], rows.collect(), "no workspaces");
        }
    }
    Ok(ExitCode::SUCCESS)
}
