//! The server that takes what is brought.

use std::collections::{BTreeMap, HashMap};

use reqwest::{Body, Method, RequestBuilder, header};
use serde_json::{Value as Json, json};
use shipway_core::DEFAULT_WORKSPACE;

use super::{
    http::{self, Tried, Trouble, judged, path_of, patiently},
    item::{Experiment, Inputs, LoggedModel, Point, Registration, Run, Version},
    source::Content,
};
use crate::client::{Client, segment};

/// What the server says that came of an item.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// `created`, `merged` or `present`.
    pub(super) outcome: String,
    pub(super) artifact_root: String,
    pub(super) notes: Vec<String>,
    pub(super) whole: Json,
}

pub(super) struct Destination<'a> {
    pub(super) client: &'a Client,
    /// Where everything goes; `default` when it is none.
    pub(super) workspace: Option<&'a str>,
}

const WHO: &str = "the destination";

fn notes(answer: &Json) -> Vec<String> {
    let notes = answer["notes"].as_array().into_iter().flatten();
    notes.filter_map(|note| note.as_str().map(str::to_owned)).collect()
}

fn arrival(whole: Json) -> Arrival {
    let text = |name: &str| whole[name].as_str().unwrap_or_default().to_owned();
    Arrival { outcome: text("outcome"), artifact_root: text("artifact_root"), notes: notes(&whole), whole }
}

impl Destination<'_> {
    async fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<Json, Trouble> {
        let path = format!("/import/mlflow/{path}");
        http::json(WHO, || self.request(Method::POST, &path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, path);
        match self.workspace {
            Some(workspace) => request.header("x-mlflow-workspace", workspace),
            None => request,
        }
    }

    /// Says where it is, or that it is not there: before anything is read.
    pub(super) async fn check(&self) -> Result<(), Trouble> {
        self.post("marks", &json!({ "kind": "run", "ids": [] })).await?;
        Ok(())
    }

    /// The digests that items came whole with, by id.
    pub(super) async fn marks(&self, kind: &str, ids: &[&str]) -> Result<HashMap<String, String>, Trouble> {
        let answer = self.post("marks", &json!({ "kind": kind, "ids": ids })).await?;
        let digests = answer["digests"].as_object().into_iter().flatten();
        let digest = |(id, digest): (&String, &Json)| Some((id.clone(), digest.as_str()?.to_owned()));
        Ok(digests.filter_map(digest).collect())
    }

    pub(super) async fn done(&self, kind: &str, id: &str, digest: &str) -> Result<(), Trouble> {
        self.post("done", &json!({ "kind": kind, "id": id, "digest": digest })).await?;
        Ok(())
    }

    pub(super) async fn experiment(&self, experiment: &Experiment) -> Result<Arrival, Trouble> {
        Ok(arrival(self.post("experiments", experiment).await?))
    }

    pub(super) async fn run(&self, run: &Run) -> Result<Arrival, Trouble> {
        Ok(arrival(self.post("runs", run).await?))
    }

    pub(super) async fn inputs(&self, run_id: &str, inputs: &Inputs) -> Result<Vec<String>, Trouble> {
        Ok(notes(&self.post(&format!("runs/{}/inputs", segment(run_id)), inputs).await?))
    }

    pub(super) async fn metrics(&self, run_id: &str, points: &[Point]) -> Result<Vec<String>, Trouble> {
        let body = json!({ "metrics": points });
        Ok(notes(&self.post(&format!("runs/{}/metrics", segment(run_id)), &body).await?))
    }

    pub(super) async fn logged_model(&self, model: &LoggedModel) -> Result<Arrival, Trouble> {
        Ok(arrival(self.post("logged-models", model).await?))
    }

    pub(super) async fn scores(&self, model_id: &str, points: &[Point]) -> Result<Vec<String>, Trouble> {
        let body = json!({ "metrics": points });
        Ok(notes(&self.post(&format!("logged-models/{}/metrics", segment(model_id)), &body).await?))
    }

    /// The registered model, and who holds its aliases here.
    pub(super) async fn registration(
        &self,
        registration: &Registration,
    ) -> Result<(Arrival, BTreeMap<String, i64>), Trouble> {
        let arrival = arrival(self.post("registered-models", registration).await?);
        let aliases = arrival.whole["aliases"].as_object().into_iter().flatten();
        let aliases =
            aliases.filter_map(|(alias, version)| Some((alias.clone(), version.as_i64()?))).collect();
        Ok((arrival, aliases))
    }

    pub(super) async fn version(&self, version: &Version) -> Result<Arrival, Trouble> {
        Ok(arrival(self.post("versions", version).await?))
    }

    /// Gives an alias: a promotion as any other, with its gates.
    pub(super) async fn alias(&self, name: &str, alias: &str, version: i64) -> Result<(), Trouble> {
        let key = match self.workspace.filter(|workspace| *workspace != DEFAULT_WORKSPACE) {
            Some(workspace) => format!("{workspace}/{name}"),
            None => name.to_owned(),
        };
        let path = format!("/models/{}/aliases/{}", segment(&key), segment(alias));
        let body = json!({ "version": version });
        http::json(WHO, || self.request(Method::POST, &path).json(&body)).await?;
        Ok(())
    }

    /// Paths and sizes of the files that are there already.
    pub(super) async fn files(&self, root: &str) -> Result<HashMap<String, u64>, Trouble> {
        let path = format!("/import/mlflow/files?root={}", segment(root));
        let answer = http::json(WHO, || self.request(Method::GET, &path)).await?;
        let files = answer["files"].as_array().into_iter().flatten();
        Ok(files.filter_map(|file| Some((file[0].as_str()?.to_owned(), file[1].as_u64()?))).collect())
    }

    /// Sends a file; `content` opens it anew for each try. Answers `created`, `present` or `differs`.
    pub(super) async fn file<F>(
        &self,
        root: &str,
        path: &str,
        mut content: impl FnMut() -> F,
    ) -> Result<String, Trouble>
    where
        F: Future<Output = Result<Content, Trouble>>,
    {
        let path = format!("/import/mlflow/files/{}", path_of(&format!("{root}/{path}")));
        let answer = patiently(|| {
            let opening = content();
            async {
                let content = match opening.await {
                    Ok(content) => content,
                    Err(trouble) => return Tried::Refused(trouble),
                };
                let request = self.request(Method::PUT, &path);
                let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
                match judged(WHO, request.body(Body::wrap_stream(content)).send().await).await {
                    Tried::Done(response) => match response.json::<Json>().await {
                        Ok(answer) => Tried::Done(answer),
                        Err(error) => Tried::Later(None, Trouble::item(error.to_string())),
                    },
                    Tried::Refused(trouble) => Tried::Refused(trouble),
                    // The source may have broken off as well as the destination: this file is at fault, not the whole.
                    Tried::Later(wait, Trouble::End(failure)) => {
                        Tried::Later(wait, Trouble::item(failure.message))
                    }
                    Tried::Later(wait, trouble) => Tried::Later(wait, trouble),
                }
            }
        })
        .await?;
        Ok(answer["outcome"].as_str().unwrap_or_default().to_owned())
    }
}
