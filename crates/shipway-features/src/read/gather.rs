//! One read, from its rows to its answer: every distinct key is looked up once for the whole request, all of a source together.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use shipway_core::{Clock, Timestamp, Value};
use shipway_definitions::Beyond;

use crate::{
    error::FeaturesError,
    materialise::{ActiveView, views::state_key_of},
    read::{
        answer::{KeyAnswer, answer, nothing},
        hot::{HotKeys, counts_for},
        plan::{PlannedView, ReadPlan},
        rows::RequestRow,
        service::{AnsweredRow, ReadAnswer, ViewFreshness},
        sources::SourceStates,
        states::{Found, Wanted, states},
    },
    state::cache::StateCache,
};

/// So few keys are told apart by comparing them with each other.
const FEW_KEYS: usize = 16;

/// A read with everything that it needs.
pub(crate) struct Read {
    pub(crate) plan: Arc<ReadPlan>,
    /// As the plan's sources.
    pub(crate) published: Vec<SourceStates>,
    pub(crate) rows: Vec<RequestRow>,
    pub(crate) q: Timestamp,
}

/// What reads share beside the states.
pub(crate) struct Desk<'a> {
    pub(crate) cache: &'a StateCache,
    pub(crate) clock: &'a dyn Clock,
    /// Where look-ups are counted, and the number of reads before this one.
    pub(crate) hot_keys: Option<(&'a HotKeys, u64)>,
}

/// The distinct states that a read needs, and who needs which.
struct Lookups<'a> {
    /// As the plan's sources.
    wanted: Vec<Vec<Wanted<'a>>>,
    /// For each view, and in it each row: the position among those wanted of the view's source; none for a null key.
    positions: Vec<Option<usize>>,
}

impl Read {
    /// How many keys there are, if all are distinct.
    pub(crate) fn size(&self) -> usize {
        self.rows.len() * self.plan.views.len()
    }

    /// The distinct state keys that the read needs of each source, as the plan's sources.
    pub(crate) fn wanted_keys(&self) -> Result<Vec<Vec<Bytes>>, FeaturesError> {
        let wanted = self.lookups()?.wanted.into_iter();
        Ok(wanted.map(|wanted| wanted.into_iter().map(|wanted| wanted.key).collect()).collect())
    }

    pub(crate) fn answer(self, desk: &Desk<'_>) -> Result<ReadAnswer, FeaturesError> {
        let plan = &self.plan;
        let lookups = self.lookups()?;
        let mut found = Vec::with_capacity(lookups.wanted.len());
        let counted = desk.hot_keys.and_then(|(hot_keys, reads)| Some((hot_keys, counts_for(reads)?)));
        for (published, wanted) in self.published.iter().zip(&lookups.wanted) {
            if let Some((hot_keys, times)) = counted {
                wanted.iter().for_each(|wanted| hot_keys.note(&wanted.key, times));
            }
            found.push(states(desk.cache, published.number(), wanted, |keys| published.load(keys))?);
        }
        let mut rows: Vec<AnsweredRow> = self
            .rows
            .iter()
            .map(|_| AnsweredRow {
                values: Vec::with_capacity(plan.columns.len()),
                views: Vec::with_capacity(plan.views.len()),
            })
            .collect();
        let count = rows.len().max(1);
        for (view, positions) in plan.views.iter().zip(lookups.positions.chunks(count)) {
            self.answer_view(desk.clock, view, positions, &found[view.source], &mut rows)?;
        }
        drop(lookups);
        let Self { plan, published, rows: asked, q } = self;
        for (row, asked) in rows.iter_mut().zip(asked) {
            row.values.extend(asked.request);
            if let Some(computed) = &plan.computed {
                let mut head = asked.keys;
                head.push(Value::Timestamp(q));
                computed.extend(&head, &mut row.values);
            }
        }
        let watermarks = plan.sources.iter().zip(&published);
        Ok(ReadAnswer {
            service: plan.service.clone(),
            service_hash: plan.hash,
            at: q,
            columns: plan.columns.clone(),
            types: Arc::clone(&plan.types),
            rows,
            watermarks: watermarks
                .map(|(source, published)| (source.to_string(), published.applied()))
                .collect(),
        })
    }

    fn active(&self, view: &PlannedView) -> Result<&ActiveView, FeaturesError> {
        let active = self.published[view.source].views().get(&view.hash);
        active.ok_or_else(|| FeaturesError::Building { view: view.name.to_string(), progress: None })
    }

    fn lookups(&self) -> Result<Lookups<'_>, FeaturesError> {
        let plan = &self.plan;
        let mut wanted: Vec<Vec<Wanted<'_>>> = plan.sources.iter().map(|_| Vec::new()).collect();
        let mut positions = Vec::with_capacity(self.size());
        let mut known: HashMap<Bytes, usize> = HashMap::new();
        let is_small = self.size() <= FEW_KEYS;
        for view in &plan.views {
            let active = self.active(view)?;
            let layout = &*active.layout;
            let wanted = &mut wanted[view.source];
            for row in &self.rows {
                let key = state_key_of(active, view.key.iter().map(|&part| &row.keys[part]));
                positions.push(key.map(|key| {
                    let held = if is_small {
                        wanted.iter().position(|wanted| wanted.key == key)
                    } else {
                        known.get(&key).copied()
                    };
                    held.unwrap_or_else(|| {
                        if !is_small {
                            known.insert(key.clone(), wanted.len());
                        }
                        wanted.push(Wanted { layout, key });
                        wanted.len() - 1
                    })
                }));
            }
        }
        Ok(Lookups { wanted, positions })
    }

    /// Adds the features of one view to all rows; each distinct key is answered once.
    fn answer_view(
        &self,
        clock: &dyn Clock,
        view: &PlannedView,
        positions: &[Option<usize>],
        found: &[Found],
        rows: &mut [AnsweredRow],
    ) -> Result<(), FeaturesError> {
        let active = self.active(view)?;
        let mut known: Vec<Option<KeyAnswer>> = vec![None; if positions.len() > 1 { found.len() } else { 0 }];
        for (row, position) in rows.iter_mut().zip(positions) {
            let answered = match position {
                None => nothing(view),
                Some(position) => match known.get(*position) {
                    Some(Some(answered)) => answered.clone(),
                    _ => {
                        let answered = answer(active, &found[*position], view, self.q)?;
                        if let Some(known) = known.get_mut(*position) {
                            *known = Some(answered.clone());
                        }
                        answered
                    }
                },
            };
            self.add(clock, view, answered, row)?;
        }
        Ok(())
    }

    /// Adds one key's features to its row, as the freshness objectives of the view and its features say.
    fn add(
        &self,
        clock: &dyn Clock,
        view: &PlannedView,
        found: KeyAnswer,
        row: &mut AnsweredRow,
    ) -> Result<(), FeaturesError> {
        let age_us = found.event_time.map(|time| self.q.micros().saturating_sub(time.micros()));
        let objective_us = view.objective.as_ref().map(|objective| objective.freshness.objective.micros());
        let fresh = objective_us.is_none_or(|objective| age_us.is_some_and(|age| age <= objective));
        let first = row.values.len();
        row.values.extend(found.values.iter().cloned());
        let mut stale_features = Vec::new();
        for objective in view.objective.iter().chain(&view.own_objectives) {
            let Some(age_us) = age_us.filter(|age| *age > objective.freshness.objective.micros()) else {
                continue;
            };
            if objective.features.is_empty() {
                continue;
            }
            objective.breaches.note(age_us, clock.now());
            match objective.freshness.beyond {
                Beyond::Refuse => return Err(FeaturesError::Stale { thing: objective.thing(&view.name) }),
                Beyond::Null => {
                    objective.features.iter().for_each(|&at| row.values[first + at] = Value::Null)
                }
                Beyond::Serve => {}
            }
            stale_features.extend(objective.feature.clone());
        }
        row.views.push(ViewFreshness {
            view: view.name.clone(),
            event_time: found.event_time,
            age_us,
            fresh,
            stale_features,
        });
        Ok(())
    }
}
