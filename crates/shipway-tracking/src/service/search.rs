//! What a search asks for and gives, and how each kind of thing is searched.

use shipway_core::{Visible, Workspace};
use shipway_store::{Row, SqlValue};

use crate::{
    error::TrackingError,
    filter::{
        Comparison, Field, Order, Subject, Test,
        page::{Bounds, Page, wrong_token},
        parse_filter, parse_order, parse_order_field,
        subject::{EXPERIMENTS, LOGGED_MODELS, MODEL_VERSIONS, REGISTERED_MODELS, RUNS},
    },
    model::{Experiment, Lifecycle, LoggedModel, ModelVersion, RegisteredModel, Run, View},
    service::Tracking,
    store::{
        self, Rows,
        search::{PageOfRows, Search},
    },
};

/// A search as a client words it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SearchRequest {
    pub(crate) filter: String,
    pub(crate) order_by: Vec<String>,
    pub(crate) max_results: Option<i64>,
    pub(crate) page_token: String,
}

/// One order of a search for logged models, which states its parts apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderRequest {
    pub(crate) field: String,
    pub(crate) ascending: bool,
    pub(crate) dataset: Option<(String, String)>,
}

/// A search for logged models.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct LoggedModelSearch {
    pub(crate) experiment_ids: Vec<String>,
    pub(crate) filter: String,
    /// Name and, if known, digest.
    pub(crate) datasets: Vec<(String, String)>,
    pub(crate) order_by: Vec<OrderRequest>,
    pub(crate) max_results: Option<i64>,
    pub(crate) page_token: String,
}

/// One page of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_page_token: Option<String>,
}

const RUN_BOUNDS: Bounds = Bounds { default: 1_000, max: 50_000 };
const EXPERIMENT_BOUNDS: Bounds = Bounds { default: 1_000, max: 50_000 };
const REGISTERED_MODEL_BOUNDS: Bounds = Bounds { default: 100, max: 1_000 };
const MODEL_VERSION_BOUNDS: Bounds = Bounds { default: 10_000, max: 200_000 };
const LOGGED_MODEL_BOUNDS: Bounds = Bounds { default: 100, max: 1_000 };

/// A search that was read and checked, with its page and the text that its page tokens belong to.
struct Prepared {
    search: Search,
    page: Page,
    identity: String,
}

impl SearchRequest {
    fn prepare(
        &self,
        subject: &'static Subject,
        bounds: Bounds,
        scope: &str,
        experiments: Option<&[String]>,
    ) -> Result<Prepared, TrackingError> {
        let filter = parse_filter(&self.filter, subject)?;
        self.prepare_with(subject, bounds, scope, experiments, &filter)
    }

    /// A search among things that are named by their keys. What the client says of names is said of keys.
    fn prepare_keyed(
        &self,
        subject: &'static Subject,
        bounds: Bounds,
        workspace: &Workspace,
    ) -> Result<Prepared, TrackingError> {
        let filter = parse_filter(&self.filter, subject)?;
        let prefix = workspace.key_prefix();
        let filter: Vec<_> = filter.into_iter().map(|one| keyed(one, &prefix)).collect();
        let scope = if workspace.is_default() { "" } else { workspace.as_str() };
        Ok(self.prepare_with(subject, bounds, scope, None, &filter)?.of(workspace))
    }

    fn prepare_with(
        &self,
        subject: &'static Subject,
        bounds: Bounds,
        scope: &str,
        experiments: Option<&[String]>,
        filter: &[Comparison],
    ) -> Result<Prepared, TrackingError> {
        let identity = format!("{}|{scope}|{}|{:?}", subject.table, self.filter, self.order_by);
        let page = Page::of(self.max_results, &self.page_token, bounds, &identity)?;
        let orders =
            self.order_by.iter().map(|clause| parse_order(clause, subject)).collect::<Result<Vec<_>, _>>()?;
        let mut search = Search::of(subject);
        if let Some(ids) = experiments {
            search = search.within(numbers(ids));
        }
        let search = search.matching(filter).ordered_by(&orders);
        Ok(Prepared { search, page, identity })
    }
}

/// A comparison of names as one of keys. No name of a workspace has a character that means something in a pattern.
fn keyed(comparison: Comparison, prefix: &str) -> Comparison {
    let Comparison { field, test } = comparison;
    let is_name = matches!(&field, Field::Attribute(attribute) if attribute.column == "s.name");
    let test = match test {
        Test::Text { equal, value } if is_name => Test::Text { equal, value: format!("{prefix}{value}") },
        Test::Like { pattern, case_sensitive } if is_name => {
            Test::Like { pattern: format!("{prefix}{pattern}"), case_sensitive }
        }
        Test::Among { inside, values } if is_name => {
            Test::Among { inside, values: values.iter().map(|value| format!("{prefix}{value}")).collect() }
        }
        other => other,
    };
    Comparison { field, test }
}

/// An id that is not a number names no experiment, so it finds nothing.
fn numbers(ids: &[String]) -> Vec<i64> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}

impl Prepared {
    fn of(mut self, workspace: &Workspace) -> Self {
        self.search = self.search.among("s.workspace", [workspace.as_str()]);
        self
    }

    fn viewing(mut self, view: View) -> Self {
        let lifecycle = match view {
            View::Active => Lifecycle::Active,
            View::Deleted => Lifecycle::Deleted,
            View::All => return self,
        };
        self.search = self.search.among("s.lifecycle", [lifecycle.word()]);
        self
    }

    /// Leaves out what the caller may not see; `column` holds its ids.
    fn seen<V: Into<SqlValue>>(
        mut self,
        column: &str,
        visible: &Visible,
        read: fn(&String) -> Option<V>,
    ) -> Self {
        self.search = match visible {
            Visible::AllBut(hidden) if hidden.is_empty() => self.search,
            Visible::AllBut(hidden) => self.search.except(column, hidden.iter().filter_map(read)),
            Visible::Only(seen) => self.search.among(column, seen.iter().filter_map(read)),
        };
        self
    }

    /// The page, and the token of the one after it.
    async fn run(self, rows: &mut impl Rows) -> Result<(Vec<Row>, Option<String>), TrackingError> {
        let PageOfRows { rows, end } = self.search.run(rows, &self.page).await?.ok_or_else(wrong_token)?;
        Ok((rows, end.map(|place| place.token(&self.identity))))
    }
}

impl Tracking {
    /// Runs of the experiments that match, with all that was logged for them.
    pub(crate) async fn search_runs(
        &self,
        experiment_ids: &[String],
        view: View,
        request: &SearchRequest,
    ) -> Result<Found<Run>, TrackingError> {
        let experiment_ids = &self.experiments_here(experiment_ids).await?;
        let scope = format!("{experiment_ids:?}|{view:?}");
        let prepared = request.prepare(&RUNS, RUN_BOUNDS, &scope, Some(experiment_ids))?;
        let (rows, next_page_token) = prepared.viewing(view).run(&mut self.reader()).await?;
        let runs = store::runs::from_rows(&mut self.reader(), &rows).await?;
        Ok(Found { items: runs, next_page_token })
    }

    pub(crate) async fn search_experiments(
        &self,
        view: View,
        visible: &Visible,
        request: &SearchRequest,
    ) -> Result<Found<Experiment>, TrackingError> {
        let scope = format!("{view:?}|{}", self.workspace());
        let prepared = request.prepare(&EXPERIMENTS, EXPERIMENT_BOUNDS, &scope, None)?.of(self.workspace());
        let prepared = prepared.viewing(view).seen("s.experiment_id", visible, |id| id.parse::<i64>().ok());
        let (rows, next_page_token) = prepared.run(&mut self.reader()).await?;
        let experiments = store::experiments::from_rows(&mut self.reader(), &rows).await?;
        Ok(Found { items: experiments, next_page_token })
    }

    pub(crate) async fn search_registered_models(
        &self,
        visible: &Visible,
        request: &SearchRequest,
    ) -> Result<Found<RegisteredModel>, TrackingError> {
        let prepared =
            request.prepare_keyed(&REGISTERED_MODELS, REGISTERED_MODEL_BOUNDS, self.workspace())?;
        let prepared = prepared.seen("s.name", visible, |name| Some(name.clone()));
        let (rows, next_page_token) = prepared.run(&mut self.reader()).await?;
        let models = store::registry::from_rows(&mut self.reader(), &rows).await?;
        Ok(Found { items: models, next_page_token })
    }

    pub(crate) async fn search_model_versions(
        &self,
        visible: &Visible,
        request: &SearchRequest,
    ) -> Result<Found<ModelVersion>, TrackingError> {
        let prepared = request.prepare_keyed(&MODEL_VERSIONS, MODEL_VERSION_BOUNDS, self.workspace())?;
        let prepared = prepared.seen("s.name", visible, |name| Some(name.clone()));
        let (rows, next_page_token) = prepared.run(&mut self.reader()).await?;
        let versions = store::versions::from_rows(&mut self.reader(), &rows).await?;
        Ok(Found { items: versions, next_page_token })
    }

    /// Logged models of the experiments that match. Where data sets are named, metrics count only on those.
    pub(crate) async fn search_logged_models(
        &self,
        request: &LoggedModelSearch,
    ) -> Result<Found<LoggedModel>, TrackingError> {
        let LoggedModelSearch { experiment_ids, filter, datasets, order_by, .. } = request;
        let experiment_ids = &self.experiments_here(experiment_ids).await?;
        let identity = format!("logged|{experiment_ids:?}|{filter}|{datasets:?}|{order_by:?}");
        let page = Page::of(request.max_results, &request.page_token, LOGGED_MODEL_BOUNDS, &identity)?;
        let comparisons = parse_filter(filter, &LOGGED_MODELS)?;
        let mut search = Search::of(&LOGGED_MODELS)
            .within(numbers(experiment_ids))
            .on_datasets(datasets.clone())
            .matching(&comparisons);
        for order in order_by {
            let field = parse_order_field(&order.field, &LOGGED_MODELS)?;
            let place = order.dataset.clone().map_or_else(|| datasets.clone(), |one| vec![one]);
            search = search.on_datasets(place).ordered_by(&[Order { field, ascending: order.ascending }]);
        }
        let search = search.among("s.lifecycle", [Lifecycle::Active.word()]);
        let prepared = Prepared { search, page, identity };
        let (rows, next_page_token) = prepared.run(&mut self.reader()).await?;
        let models = store::logged_models::from_rows(&mut self.reader(), &rows).await?;
        Ok(Found { items: models, next_page_token })
    }
}
