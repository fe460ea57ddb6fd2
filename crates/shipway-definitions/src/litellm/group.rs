//! Entries of one name as a model with a route.

use std::collections::BTreeMap;

use super::{
    Losses, as_name,
    deployment::Deployment,
    not_yet,
    settings::{Fallback, RetriesByCause, Settings, Strategy},
};

/// More than a model can have.
const MOST_DEPLOYMENTS: usize = 64;
const MOST_WEIGHT: f64 = 1_000_000.0;

/// A model as it is written.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) called: Vec<String>,
    /// Each with a name of its own.
    pub(super) deployments: Vec<(String, Deployment)>,
    pub(super) route: Route,
    /// Where prompts go that are too long, and those that a policy refuses.
    pub(super) on_context_window: Option<Route>,
    pub(super) on_content_policy: Option<Route>,
    pub(super) retries: Option<[u32; 4]>,
    pub(super) total_seconds: Option<f64>,
    pub(super) first_token_seconds: Option<f64>,
    pub(super) failures: Option<u32>,
    pub(super) pause_seconds: Option<f64>,
    /// LiteLLM has a table of prices of its own; a call whose price it does not know it lets through.
    pub(super) lets_unknown_prices: bool,
}

/// In which order deployments are tried, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Deployment(String),
    Fallback(Vec<Route>),
    Weighted(Vec<(Route, u32)>),
    Latency(Vec<Route>),
    Cost(Vec<Route>),
}

/// Entries by the name that callers ask for.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

#[derive(Debug)]
struct Group {
    called: String,
    name: String,
    deployments: Vec<Deployment>,
}

impl Groups {
    pub(super) fn add(&mut self, (called, line): (String, u64), deployment: Deployment, losses: &mut Losses) {
        let place = self.0.iter().position(|group| group.called == called).unwrap_or_else(|| {
            let name = not_yet(&as_name(&called), |name| self.0.iter().any(|group| group.name == name));
            self.0.push(Group { called, name, deployments: Vec::new() });
            self.0.len() - 1
        });
        let Some(group) = self.0.get_mut(place) else { return };
        if group.deployments.len() < MOST_DEPLOYMENTS {
            group.deployments.push(deployment);
        } else {
            losses.say(line, deployment.place, format!("a model has {MOST_DEPLOYMENTS} deployments at most"));
        }
    }

    /// The models with everything that holds for them.
    pub(super) fn models(&self, settings: &Settings, losses: &mut Losses) -> Vec<Model> {
        self.look_for_strangers(settings, losses);
        self.0.iter().map(|group| self.model(group, settings, losses)).collect()
    }

    /// Lists fallbacks and aliases of models that are not there.
    fn look_for_strangers(&self, settings: &Settings, losses: &mut Losses) {
        let is_there = |name: &str| self.0.iter().any(|group| group.called == name);
        let detours = settings.on_context_window.iter().chain(&settings.on_content_policy);
        for fallback in settings.fallbacks.iter().chain(&settings.default_fallbacks).chain(detours) {
            for name in [&fallback.of, &fallback.to] {
                if !name.is_empty() && !is_there(name) {
                    losses.say(fallback.line, &fallback.place, format!("model {name} was not carried"));
                }
            }
        }
        for alias in &settings.aliases {
            if !is_there(&alias.model) {
                losses.say(alias.line, &alias.place, format!("model {} was not carried", alias.model));
            }
        }
    }

    fn model(&self, group: &Group, settings: &Settings, losses: &mut Losses) -> Model {
        let mut deployments: Vec<(String, Deployment)> = Vec::new();
        let strategy = settings.strategy;
        let mut routes = vec![routed(group, ("", strategy), &mut deployments, losses)];
        let mut others = Others { strategy, routes: BTreeMap::new() };
        let every = settings.fallbacks.iter().filter(|fallback| fallback.of == group.called);
        let every = self.named(group, every.chain(&settings.default_fallbacks));
        routes.extend(others.routes_of(every, &mut deployments, losses));
        let route = one_of(routes);
        let mut detour = |fallbacks: &[Fallback], losses: &mut Losses| {
            let own = fallbacks.iter().filter(|one| one.of == group.called || one.of.is_empty());
            let routes = others.routes_of(self.named(group, own), &mut deployments, losses);
            (!routes.is_empty()).then(|| one_of(routes))
        };
        let on_context_window = detour(&settings.on_context_window, losses);
        let on_content_policy = detour(&settings.on_content_policy, losses);
        let called = [&group.called].into_iter().filter(|called| **called != group.name).chain(
            settings.aliases.iter().filter(|alias| alias.model == group.called).map(|alias| &alias.name),
        );
        let own = || deployments.iter().map(|(_, deployment)| deployment).take(group.deployments.len());
        let mut one = |name: &str, values: Vec<f64>| one_for_all(group, name, values, losses);
        let total = one("timeout", own().filter_map(|each| each.timeout_seconds).collect());
        let first = one("stream_timeout", own().filter_map(|each| each.stream_timeout_seconds).collect());
        let retries = one("num_retries", own().filter_map(|each| each.retries).map(f64::from).collect());
        for (_, deployment) in deployments.iter().take(group.deployments.len()) {
            if deployment.price.is_none() {
                let reason = "no price is written, and LiteLLM's table of prices is not copied: write input_cost_per_token and \
                              output_cost_per_token, or the price into the definition; until then its calls go through and are flagged";
                losses.say(deployment.line, &deployment.place, reason);
            }
        }
        Model {
            name: group.name.clone(),
            called: called.cloned().collect(),
            route,
            on_context_window,
            on_content_policy,
            retries: by_cause(retries, settings.retries),
            total_seconds: total.or(settings.timeout_seconds),
            first_token_seconds: first.or(settings.stream_timeout_seconds),
            failures: settings.failures,
            pause_seconds: settings.pause_seconds,
            lets_unknown_prices: deployments.iter().any(|(_, deployment)| deployment.price.is_none()),
            deployments,
        }
    }

    /// The models that answer when `group` does not, in their order, each once.
    fn named<'g, 'f>(
        &'g self,
        group: &Group,
        fallbacks: impl Iterator<Item = &'f Fallback>,
    ) -> Vec<&'g Group> {
        let mut found: Vec<&Group> = Vec::new();
        for Fallback { to, .. } in fallbacks {
            let other = self.0.iter().find(|other| other.called == *to && other.called != group.called);
            if let Some(other) = other.filter(|other| !found.iter().any(|known| known.called == other.called))
            {
                found.push(other);
            }
        }
        found
    }
}

/// Models that stand in for another one: whatever the reason is, each has its deployments there once.
struct Others<'g> {
    strategy: Strategy,
    routes: BTreeMap<&'g str, Route>,
}

impl<'g> Others<'g> {
    fn routes_of(
        &mut self,
        found: Vec<&'g Group>,
        deployments: &mut Vec<(String, Deployment)>,
        losses: &mut Losses,
    ) -> Vec<Route> {
        let mut routes = Vec::new();
        for other in found {
            let has_room = deployments.len() + other.deployments.len() <= MOST_DEPLOYMENTS;
            if !self.routes.contains_key(other.called.as_str()) && has_room {
                let route = routed(other, (&other.name, self.strategy), deployments, losses);
                self.routes.insert(&other.called, route);
            }
            routes.extend(self.routes.get(other.called.as_str()).cloned());
        }
        routes
    }
}

/// Adds the deployments of a group under names that nobody has yet; the route over them.
fn routed(
    group: &Group,
    (prefix, strategy): (&str, Strategy),
    deployments: &mut Vec<(String, Deployment)>,
    losses: &mut Losses,
) -> Route {
    // Those without an order come last.
    let mut levels: BTreeMap<u64, Vec<(String, &Deployment)>> = BTreeMap::new();
    for deployment in &group.deployments {
        let wanted = if prefix.is_empty() {
            deployment.provider.clone()
        } else {
            as_name(&format!("{prefix}_{}", deployment.provider))
        };
        let name = not_yet(&wanted, |name| deployments.iter().any(|(taken, _)| taken == name));
        deployments.push((name.clone(), deployment.clone()));
        levels.entry(deployment.order.unwrap_or(u64::MAX)).or_default().push((name, deployment));
    }
    one_of(levels.values().map(|level| spread(level, strategy, losses)).collect())
}

/// The only route, or one after the other.
fn one_of(mut routes: Vec<Route>) -> Route {
    if routes.len() == 1 { routes.remove(0) } else { Route::Fallback(flat(routes)) }
}

/// Calls spread over deployments: by weight, else by the requests or the tokens that they may take, else evenly.
fn spread(level: &[(String, &Deployment)], strategy: Strategy, losses: &mut Losses) -> Route {
    if let [(name, _)] = level {
        return Route::Deployment(name.clone());
    }
    let all = || level.iter().map(|(name, _)| Route::Deployment(name.clone())).collect();
    match strategy {
        Strategy::Latency => return Route::Latency(all()),
        Strategy::Cost => return Route::Cost(all()),
        Strategy::Chance => {}
    }
    let by: [fn(&Deployment) -> Option<f64>; 3] =
        [|each| each.weight, |each| each.requests, |each| each.tokens];
    let chosen =
        by.into_iter().find(|by| level.iter().any(|(_, each)| by(each).is_some_and(|weight| weight > 0.0)));
    let weights: Vec<f64> =
        level.iter().map(|(_, each)| chosen.map_or(1.0, |by| by(each).unwrap_or(0.0))).collect();
    let most = weights.iter().copied().fold(1.0_f64, f64::max);
    let is_whole = weights.iter().all(|weight| weight.fract() == 0.0) && most <= MOST_WEIGHT;
    let scale = if is_whole { 1.0 } else { 1000.0 / most };
    let (mut shares, mut never) = (Vec::new(), Vec::new());
    for ((name, deployment), weight) in level.iter().zip(weights) {
        let route = Route::Deployment(name.clone());
        if weight == 0.0 {
            let reason =
                "it has no weight beside others that have one: it is asked when none of them answers";
            losses.say(deployment.line, &deployment.place, reason);
            never.push(route);
            continue;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to a million")]
        shares.push((route, (weight * scale).round().clamp(1.0, MOST_WEIGHT) as u32));
    }
    let spread = match shares.as_slice() {
        [(only, _)] => only.clone(),
        _ => Route::Weighted(shares),
    };
    if never.is_empty() { spread } else { Route::Fallback(std::iter::once(spread).chain(never).collect()) }
}

/// A fallback within a fallback is the same as its parts.
fn flat(routes: Vec<Route>) -> Vec<Route> {
    let parts = routes.into_iter().map(|route| match route {
        Route::Fallback(parts) => parts,
        other => vec![other],
    });
    parts.flatten().collect()
}

/// A setting of a deployment that a model has once: the greatest counts, and that there were others is listed.
fn one_for_all(group: &Group, name: &str, values: Vec<f64>, losses: &mut Losses) -> Option<f64> {
    let most = values.iter().copied().reduce(f64::max)?;
    #[expect(clippy::float_cmp, reason = "numbers of the file, as they are written")]
    let differs = values.len() < group.deployments.len() && group.deployments.len() > 1
        || values.iter().any(|value| *value != most);
    if differs && let Some(first) = group.deployments.first() {
        let reason = format!(
            "{name} differs between the deployments of {}: a model has one, the greatest",
            group.called
        );
        losses.say(first.line, &first.place, reason);
    }
    Some(most)
}

/// Retries after a rate limit, an overload, a broken connection, a timeout; none where nothing is said.
fn by_cause(own: Option<f64>, settings: RetriesByCause) -> Option<[u32; 4]> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "five at most")]
    let all = own.map(|own| own as u32).or(settings.all);
    if all.is_none() && settings == RetriesByCause::default() {
        return None;
    }
    // Where only some causes are said, the others are as the server has them.
    Some([
        settings.rate_limit.or(all).unwrap_or(0),
        settings.overloaded.or(all).unwrap_or(1),
        all.unwrap_or(1),
        settings.timeout.or(all).unwrap_or(0),
    ])
}
