//! A candidate comes to serve step by step, and goes when it does not keep to its gates.

use std::{sync::Arc, time::Duration};

use shipway_core::{Failure as _, Kind, Name, failure::chain};
use uuid::Uuid;

use super::{Deployment, Served, Serving, Source, running::Running};
use crate::{
    error::ServingError,
    launch::{
        judge::Verdict,
        spec::LaunchSpec,
        stage::Stage,
        status::{Begun, LaunchStatus},
    },
    ports::ResolvedModel,
    store::launches::{self, Standing},
};

/// How often launches are judged.
const JUDGED_EVERY: Duration = Duration::from_millis(500);

/// Who moves launches that nobody moves by hand, in the audit trail.
const GATES: &str = "gates";

/// The most launches that are listed.
const MOST_LISTED: i64 = 100;

impl Serving {
    /// Begins to launch a version of a deployment's model. It is loaded, answers its golden inputs, and takes what the version that serves
    /// takes; otherwise nothing begins.
    pub async fn launch(
        &self,
        caller: &str,
        name: &str,
        spec: LaunchSpec,
    ) -> Result<LaunchStatus, ServingError> {
        spec.check()?;
        let Some(stage) = spec.first_stage() else {
            return Err(ServingError::WrongRequest("a launch needs a stage to begin with".to_owned()));
        };
        let _changing = self.inner.changing.lock().await;
        let deployment = self.deployment(name)?;
        let stable = self.served(&deployment).await?;
        if let Some(launch) = deployment.launch() {
            return Err(ServingError::LaunchGoesOn {
                name: name.to_owned(),
                candidate: launch.begun.candidate,
            });
        }
        let models = &self.inner.ports.models;
        let resolved = match (&spec.alias, spec.version) {
            (Some(alias), _) => models.resolve(&deployment.spec.model, alias).await?,
            (None, version) => {
                models.resolve_version(&deployment.spec.model, version.unwrap_or_default()).await?
            }
        };
        if resolved.version == stable.resolved.version {
            return Err(ServingError::WrongRequest(format!(
                "version {} serves already",
                stable.resolved.version
            )));
        }
        let candidate = self.load_beside(&deployment, resolved).await?;
        takes_the_same(&stable, &candidate)?;
        self.replanned(&deployment, &candidate)?;
        self.make_shadow_table(&deployment.name, &candidate).await?;
        let begun = Begun {
            id: Uuid::now_v7(),
            deployment: deployment.name.clone(),
            model: deployment.spec.model.clone(),
            candidate: candidate.resolved.version,
            stable: stable.resolved.version,
            spec,
            started_at: self.inner.clock.now(),
            started_by: caller.to_owned(),
        };
        launches::begin(&self.inner.store, &begun, stage).await?;
        tracing::info!(deployment = name, candidate = begun.candidate, stage = stage.word(), "launch begins");
        let since = begun.started_at;
        let launch = Arc::new(Running::new(begun, candidate, stage, since));
        deployment.put_launch(Some(Arc::clone(&launch)));
        Ok(launch.status())
    }

    /// The launch of a deployment that goes on, or the last one.
    pub async fn launch_of(&self, name: &str) -> Result<LaunchStatus, ServingError> {
        let deployment = self.deployment(name)?;
        if let Some(launch) = deployment.launch() {
            return Ok(launch.status());
        }
        let last = launches::of_deployment(&self.inner.store, &deployment.name, 1).await?;
        last.into_iter().next().ok_or_else(|| ServingError::NoLaunch(name.to_owned()))
    }

    /// The last launches of a deployment, the newest first.
    pub async fn launches(&self, name: &str) -> Result<Vec<LaunchStatus>, ServingError> {
        let deployment = self.deployment(name)?;
        let mut listed = launches::of_deployment(&self.inner.store, &deployment.name, MOST_LISTED).await?;
        if let (Some(launch), Some(first)) = (deployment.launch(), listed.first_mut()) {
            *first = launch.status();
        }
        Ok(listed)
    }

    /// Ends a launch by hand; the version that serves answers everything.
    pub async fn abort_launch(&self, caller: &str, name: &str) -> Result<LaunchStatus, ServingError> {
        let deployment = self.deployment(name)?;
        let launch = deployment.launch().ok_or_else(|| ServingError::NoLaunch(name.to_owned()))?;
        let reason = format!("ended by {caller}");
        self.end(&deployment, &launch, Stage::Cancelled, Some(reason), caller).await;
        Ok(launch.status())
    }

    /// Moves a launch on to its next stage, whatever it waits for.
    pub async fn advance_launch(&self, caller: &str, name: &str) -> Result<LaunchStatus, ServingError> {
        let deployment = self.deployment(name)?;
        let launch = deployment.launch().ok_or_else(|| ServingError::NoLaunch(name.to_owned()))?;
        self.go_on(&deployment, &launch, launch.stage(), caller).await?;
        Ok(launch.status())
    }

    /// Ends the launch of a deployment that goes on, if one does, because of what was done to the deployment.
    pub(super) async fn cancel_launch(&self, deployment: &Deployment, reason: &str) {
        if let Some(launch) = deployment.launch() {
            let reason = Some(reason.to_owned());
            self.end(deployment, &launch, Stage::Cancelled, reason, GATES).await;
        }
    }

    /// Takes up the launches that went on when the server stopped, each in its stage, which begins anew. One whose candidate does not load
    /// any more is rolled back.
    pub(super) async fn resume_launches(&self) -> Result<(), ServingError> {
        for (begun, standing) in launches::going_on(&self.inner.store).await? {
            let Ok(deployment) = self.deployment(begun.deployment.as_str()) else { continue };
            let loading = async {
                let models = &self.inner.ports.models;
                let resolved = models.resolve_version(&begun.model, begun.candidate).await?;
                let candidate = self.load_beside(&deployment, resolved).await?;
                let stable = self.served(&deployment).await?;
                takes_the_same(&stable, &candidate)?;
                self.make_shadow_table(&deployment.name, &candidate).await?;
                Ok::<_, ServingError>((stable, candidate))
            };
            let ended = match loading.await {
                Ok((stable, candidate)) if stable.resolved.version == begun.stable => {
                    let launch = Running::new(begun, candidate, standing.stage, self.inner.clock.now());
                    deployment.put_launch(Some(Arc::new(launch)));
                    continue;
                }
                Ok((stable, _)) => Standing {
                    stage: Stage::Cancelled,
                    since: self.inner.clock.now(),
                    reason: Some(format!(
                        "version {} serves since the server was stopped",
                        stable.resolved.version
                    )),
                },
                Err(error) => Standing {
                    stage: Stage::RolledBack,
                    since: self.inner.clock.now(),
                    reason: Some(format!("readiness: after a restart, {}", chain(&error))),
                },
            };
            tracing::warn!(deployment = %begun.deployment, candidate = begun.candidate, reason = ended.reason, "launch ends");
            launches::stand(&self.inner.store, &begun, &ended, GATES).await?;
        }
        Ok(())
    }

    /// Judges the launches that go on until the server stops.
    pub(super) async fn judge_launches(self) {
        while !self.is_stopping_within(JUDGED_EVERY).await {
            for deployment in self.all() {
                if let Some(launch) = deployment.launch() {
                    self.judge(&deployment, &launch).await;
                }
            }
        }
    }

    async fn judge(&self, deployment: &Deployment, launch: &Arc<Running>) {
        match launch.judge() {
            (_, Verdict::Wait(_)) => {}
            (stage, Verdict::GoOn) => {
                if let Err(error) = self.go_on(deployment, launch, stage, GATES).await {
                    // What cannot be done now is tried again with the next judgement.
                    tracing::warn!(deployment = %deployment.name, error = chain(&error), "a launch cannot go on");
                }
            }
            (_, Verdict::RollBack(reason)) => {
                self.end(deployment, launch, Stage::RolledBack, Some(reason), GATES).await;
            }
        }
    }

    /// Brings a launch to the stage after `from`; at the last one the candidate is promoted, and takes over.
    async fn go_on(
        &self,
        deployment: &Deployment,
        launch: &Arc<Running>,
        from: Stage,
        mover: &str,
    ) -> Result<(), ServingError> {
        let to = launch.begun.spec.after(from);
        if to == Stage::Full {
            return self.take_all(deployment, launch, from, mover).await;
        }
        let since = self.inner.clock.now();
        if launch.move_on(from, to, since, None) {
            tracing::info!(
                deployment = %deployment.name, candidate = launch.begun.candidate, stage = to.word(),
                share = f64::from(launch.begun.spec.share(to)), "launch goes on"
            );
            launches::stand(
                &self.inner.store,
                &launch.begun,
                &Standing { stage: to, since, reason: None },
                mover,
            )
            .await?;
        }
        Ok(())
    }

    /// Gives the deployment's alias to the candidate and lets it take over. A promotion that is refused rolls the launch back.
    async fn take_all(
        &self,
        deployment: &Deployment,
        launch: &Arc<Running>,
        from: Stage,
        mover: &str,
    ) -> Result<(), ServingError> {
        let _changing = self.inner.changing.lock().await;
        if launch.stage() != from {
            return Ok(());
        }
        let (begun, spec) = (&launch.begun, &deployment.spec);
        let promoted =
            self.inner.ports.models.promote(&begun.started_by, &spec.model, &spec.alias, begun.candidate);
        if let Err(refused) = promoted.await {
            if matches!(refused.kind(), Kind::Unavailable | Kind::Internal | Kind::Exhausted) {
                return Err(refused.into());
            }
            let reason = format!("promotion: {}", chain(&refused));
            self.end(deployment, launch, Stage::RolledBack, Some(reason), GATES).await;
            return Ok(());
        }
        deployment.take_over(Arc::clone(&launch.candidate));
        metrics::counter!("shipway_deployment_switches_total", "deployment" => deployment.name.to_string())
            .increment(1);
        self.end(deployment, launch, Stage::Full, None, mover).await;
        Ok(())
    }

    /// Ends a launch, if it has not ended: from here on no request is given to the candidate as one.
    async fn end(
        &self,
        deployment: &Deployment,
        launch: &Arc<Running>,
        to: Stage,
        reason: Option<String>,
        mover: &str,
    ) {
        let since = self.inner.clock.now();
        if !launch.move_on(launch.stage(), to, since, reason.clone()) {
            return;
        }
        deployment.put_launch(None);
        let outcome = to.word();
        metrics::counter!(
            "shipway_launches_total", "deployment" => deployment.name.to_string(), "outcome" => outcome
        )
        .increment(1);
        let candidate = launch.begun.candidate;
        match to {
            Stage::RolledBack => {
                tracing::warn!(deployment = %deployment.name, candidate, reason, "launch is rolled back");
            }
            _ => tracing::info!(deployment = %deployment.name, candidate, outcome, reason, "launch ends"),
        }
        let standing = Standing { stage: to, since, reason };
        if let Err(error) = launches::stand(&self.inner.store, &launch.begun, &standing, mover).await {
            // After a restart it would be taken up again, and be judged again.
            tracing::error!(deployment = %deployment.name, error = chain(&error), "the end of a launch is not recorded");
        }
    }

    /// Loads a candidate, which the version that serves does not make room for.
    async fn load_beside(
        &self,
        deployment: &Deployment,
        resolved: ResolvedModel,
    ) -> Result<Arc<Served>, ServingError> {
        let memory =
            self.memory_for(&deployment.name, &resolved, deployment.spec.batching.instances, None)?;
        Ok(Arc::new(self.load(&deployment.name, &deployment.spec, resolved, memory).await?))
    }

    /// Makes the table of what the candidate answers for nobody to see, so that its first answers do not wait for that.
    async fn make_shadow_table(&self, deployment: &Name, candidate: &Served) -> Result<(), ServingError> {
        let schema = match &candidate.source {
            Source::Direct { schema, .. } => Arc::clone(schema),
            Source::Service(service) => Arc::clone(&service.current().schema),
            Source::Tensors => match &candidate.tensor_log {
                Some(log) => Arc::clone(&log.schema),
                None => return Ok(()),
            },
        };
        candidate.shadow_table.schema(&self.inner.lake, deployment, &schema).await?;
        Ok(())
    }
}

/// Refuses a candidate that does not take what the version that serves takes: a request is made for one of them and given to the other.
fn takes_the_same(stable: &Served, candidate: &Served) -> Result<(), ServingError> {
    let differs = |what: String| {
        Err(ServingError::OtherInputs {
            candidate: candidate.resolved.version,
            stable: stable.resolved.version,
            what,
        })
    };
    match (&stable.source, &candidate.source) {
        (Source::Service(before), Source::Service(after)) => {
            let (before, after) = (before.current(), after.current());
            let (before, after) = (&before.binding.shape, &after.binding.shape);
            if before.keys != after.keys || before.request != after.request {
                return differs(
                    "the feature service that it is pinned to has other keys or request columns".to_owned(),
                );
            }
        }
        (Source::Direct { .. }, Source::Direct { .. }) => {
            let names = |served: &Served| -> Vec<String> {
                served.model.inputs().iter().map(|input| input.name.clone()).collect()
            };
            let (before, after) = (names(stable), names(candidate));
            if let Some(new) = after.iter().find(|name| !before.contains(name)) {
                return differs(format!("it has the column `{new}`"));
            }
            if let Some(gone) = before.iter().find(|name| !after.contains(name)) {
                return differs(format!("it has no column `{gone}`"));
            }
            if before != after {
                return differs("its columns come in another order".to_owned());
            }
        }
        (Source::Tensors, Source::Tensors) => {}
        _ => return differs("one takes rows, the other takes tensors alone".to_owned()),
    }
    if stable.model.signature() != candidate.model.signature() {
        return differs("its tensors have other names, types or shapes".to_owned());
    }
    Ok(())
}
