//! What a view keeps per key, computed once from its definition.

use shipway_aggregate::{Aggregation, Over, StateKind, Window};
use shipway_core::{Digest, EntityKey, Name, Timestamp, Value};
use shipway_definitions::{View, ViewBody};
use shipway_expression::Row;

use crate::{
    error::{FeaturesError, invalid},
    model::{event::SourceEvent, expressions::ViewExpressions, schema::SourceSchema},
    state::RecentEvent,
};

/// How far before the newest event of a source a moment may lie and still be answered from tiles. On top of it comes the
/// source's `max_ahead`: the newest event may be that far ahead of the present.
const SLACK_US: i64 = 15 * 60 * 1_000_000;

/// A view over the present schema of its source.
#[derive(Debug, Clone)]
pub(crate) struct ViewLayout {
    pub(crate) name: Name,
    pub(crate) hash: Digest,
    /// Positions of the key columns among the source's columns, the derived ones behind them.
    key_columns: Vec<usize>,
    /// Positions, as before, of the columns that the view keeps.
    columns: Vec<usize>,
    expressions: Option<ViewExpressions>,
    pub(crate) body: Body,
    slack_us: i64,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Aggregates(AggregateLayout),
    Latest {
        ttl_us: Option<i64>,
        /// As the view's columns: those that are null earlier than the row.
        ttls_us: Vec<Option<i64>>,
    },
}

/// Slots are partial states that features share; levels are tile sizes, the finest first.
#[derive(Debug, Clone)]
pub(crate) struct AggregateLayout {
    pub(crate) slots: Vec<Slot>,
    pub(crate) levels: Vec<Level>,
    /// Slots that a lifetime window needs.
    pub(crate) lifetime: Vec<usize>,
    pub(crate) features: Vec<FeatureLayout>,
}

/// One kind of partial state over one kept column, or over whole events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) aggregation: Aggregation,
    pub(crate) column: Option<usize>,
    /// The kept column whose values are the buckets.
    pub(crate) bucket: Option<usize>,
}

/// Slots of one kind hold one state.
type SlotKind = (StateKind, Option<Over>, Option<usize>, Option<usize>);

impl Slot {
    fn kind(&self) -> SlotKind {
        (self.aggregation.state_kind(), self.aggregation.over(), self.column, self.bucket)
    }
}

/// Tiles of one size.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    pub(crate) hop_us: i64,
    pub(crate) longest_us: i64,
    pub(crate) slots: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct FeatureLayout {
    pub(crate) aggregation: Aggregation,
    pub(crate) slot: usize,
    pub(crate) window: Window,
}

/// The earliest moment that each level must still hold, given the newest event of the source.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) levels: Vec<i64>,
    /// Events before this matter to nobody; `i64::MIN` when every event matters.
    pub(crate) earliest: i64,
}

impl ViewLayout {
    pub(crate) fn new(view: &View, hash: Digest, source: &SourceSchema) -> Result<Self, FeaturesError> {
        let width = source.columns.len();
        let expressions = ViewExpressions::new(view, width, |column| source.index_of(column.as_str()))
            .map_err(|error| FeaturesError::Expression {
                thing: format!("view {}", view.name),
                source: Box::new(error),
            })?;
        let position = |column: &Name| {
            let derived = view.derived.iter().position(|derived| derived.name == *column);
            let found = derived.map_or_else(|| source.index_of(column.as_str()), |at| Some(width + at));
            found.ok_or_else(|| {
                invalid(format!("view {}: source {} has no column {column}", view.name, source.name))
            })
        };
        let type_at = |at: usize| match at.checked_sub(width) {
            Some(derived) => view.derived[derived].data_type,
            None => source.columns[at].1,
        };
        let key_columns = view.key_columns.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        let mut columns = Vec::new();
        let body = match &view.body {
            ViewBody::Latest { columns: wanted, ttl, ttls } => {
                columns = wanted.iter().map(position).collect::<Result<_, _>>()?;
                Body::Latest {
                    ttl_us: ttl.map(|ttl| ttl.micros()),
                    ttls_us: wanted.iter().map(|column| ttls.get(column).map(|ttl| ttl.micros())).collect(),
                }
            }
            ViewBody::Aggregates(features) => {
                let mut layout =
                    AggregateLayout { slots: vec![], levels: vec![], lifetime: vec![], features: vec![] };
                for feature in features {
                    let at = feature.column.as_ref().map(position).transpose()?;
                    let input = at.map(type_at);
                    let kept = at.map(|at| position_or_push(&mut columns, at));
                    let by = feature.by.as_ref().map(position).transpose()?;
                    let bucket = by.map(|by| position_or_push(&mut columns, by));
                    let by = by.map(type_at);
                    let over = feature.aggregation.over();
                    let aggregation =
                        Aggregation::shaped(feature.operation, input, over, by).map_err(|error| {
                            invalid(format!("view {}: feature {}: {error}", view.name, feature.name))
                        })?;
                    layout.add(Slot { aggregation, column: kept, bucket }, feature.window);
                }
                layout.levels.sort_by_key(|level| level.hop_us);
                Body::Aggregates(layout)
            }
        };
        let slack_us = SLACK_US.saturating_add(source.max_ahead_us);
        Ok(Self { name: view.name.clone(), hash, key_columns, columns, expressions, body, slack_us })
    }

    /// `event` as the view sees it, `None` when it does not count here.
    pub(crate) fn see<'a>(&self, event: &'a SourceEvent) -> Option<Seen<'a>> {
        let derived = match &self.expressions {
            None => Vec::new(),
            Some(expressions) => expressions.derive(&event.values)?,
        };
        Some(Seen { event, derived })
    }

    /// `event` with the columns that the view derives, and whether it counts: a view is asked by the keys of any event.
    pub(crate) fn look_at<'a>(&self, event: &'a SourceEvent) -> (Seen<'a>, bool) {
        let (derived, counts) = match &self.expressions {
            None => (Vec::new(), true),
            Some(expressions) => expressions.derive_of_any(&event.values),
        };
        (Seen { event, derived }, counts)
    }

    /// The parts of the key of an event, null or not.
    pub(crate) fn key_parts(&self, seen: &Seen<'_>) -> Vec<Value> {
        self.key_columns.iter().map(|&at| seen.value(at).clone()).collect()
    }

    /// The key of an event, `None` when a part of it is null.
    pub(crate) fn key(&self, seen: &Seen<'_>) -> Option<EntityKey> {
        EntityKey::encode(self.key_columns.iter().map(|&at| seen.value(at)))
    }

    /// What the view keeps of an event.
    pub(crate) fn narrow(&self, seen: &Seen<'_>) -> RecentEvent {
        let values = self.columns.iter().map(|&at| seen.value(at).clone()).collect();
        RecentEvent { time: seen.event.time, id: seen.event.id.clone(), values }
    }

    /// How many columns the view keeps.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// What must still be held when the newest event of the source is at `newest`.
    pub(crate) fn reach(&self, newest: Timestamp) -> Reach {
        let from = newest.micros().saturating_sub(self.slack_us);
        match &self.body {
            Body::Latest { ttl_us: Some(ttl_us), .. } => {
                Reach { levels: vec![], earliest: from.saturating_sub(*ttl_us) }
            }
            Body::Latest { ttl_us: None, .. } => Reach { levels: vec![], earliest: i64::MIN },
            Body::Aggregates(layout) => layout.reach(from),
        }
    }
}

/// An event that counts for a view, with the columns that the view derives from it.
pub(crate) struct Seen<'a> {
    event: &'a SourceEvent,
    derived: Vec<Value>,
}

impl Seen<'_> {
    fn value(&self, at: usize) -> &Value {
        Row::new(&self.event.values, &self.derived).get(at)
    }
}

impl AggregateLayout {
    fn add(&mut self, wanted: Slot, window: Window) {
        let slot = self.slots.iter().position(|slot| slot.kind() == wanted.kind()).unwrap_or_else(|| {
            self.slots.push(wanted);
            self.slots.len() - 1
        });
        match (window, window.hop_us()) {
            (Window::Sized(length), Some(hop_us)) => {
                let at = self.levels.iter().position(|level| level.hop_us == hop_us).unwrap_or_else(|| {
                    self.levels.push(Level { hop_us, longest_us: 0, slots: vec![] });
                    self.levels.len() - 1
                });
                let level = &mut self.levels[at];
                level.longest_us = level.longest_us.max(length.micros());
                position_or_push(&mut level.slots, slot);
            }
            _ => {
                position_or_push(&mut self.lifetime, slot);
            }
        }
        self.features.push(FeatureLayout { aggregation: wanted.aggregation, slot, window });
    }

    /// A level holds its longest window, and whatever resolves the open tile of any coarser level.
    fn reach(&self, from: i64) -> Reach {
        let floor = |moment: i64, step_us: i64| Timestamp(moment).floor_to(step_us).micros();
        let levels: Vec<i64> = self
            .levels
            .iter()
            .map(|level| {
                let own = floor(from.saturating_sub(level.longest_us), level.hop_us);
                let coarser = self.levels.iter().filter(|other| other.hop_us > level.hop_us);
                coarser.map(|other| floor(from, other.hop_us)).fold(own, i64::min)
            })
            .collect();
        let earliest = if self.lifetime.is_empty() {
            levels.iter().copied().min().unwrap_or(i64::MIN)
        } else {
            i64::MIN
        };
        Reach { levels, earliest }
    }
}

fn position_or_push(among: &mut Vec<usize>, wanted: usize) -> usize {
    among.iter().position(|held| *held == wanted).unwrap_or_else(|| {
        among.push(wanted);
        among.len() - 1
    })
}
