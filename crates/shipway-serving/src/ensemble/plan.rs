//! Decides whether a graph can run: names, types, and an order in which each step comes after those it reads.
//!
//! Pure: no clock, no store, no caller; what the models take and give is told.

use std::collections::HashMap;

use shipway_core::{DataType, nearest};
use shipway_expression::{Expression, ExpressionError, Refusal, Scope};

use super::{
    error::{GraphError, Place},
    shape::{Shape, Takes},
    spec::{EnsembleGraph, StepSpec},
};

/// The most steps of a graph.
const MOST_STEPS: usize = 64;

/// The most columns of a graph: inputs, and what steps make.
const MOST_COLUMNS: usize = 4_096;

/// The longest name of a column, in bytes.
const LONGEST_NAME: usize = 100;

/// A graph that can run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Inputs, then what each step makes, in the order of the steps.
    pub(crate) columns: Vec<Column>,
    /// In an order in which each comes after those it reads.
    pub(crate) steps: Vec<Step>,
    /// What is answered: names, each with the place of its column.
    pub(crate) outputs: Vec<(String, usize)>,
}

/// A column of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// The place in the graph of the step that makes it; none for an input.
    maker: Option<usize>,
}

/// A step of a plan.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its place in the graph.
    pub(crate) place: usize,
    pub(crate) name: String,
    /// Steps of the plan that must have run.
    pub(crate) waits: Vec<usize>,
    /// Where the columns begin that it makes.
    pub(crate) first: usize,
    pub(crate) work: StepWork,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum StepWork {
    Compute(Vec<Computed>),
    Model(Call),
}

/// A column that is an expression. It reads columns in its own order.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) expression: Expression,
    pub(crate) reads: Vec<usize>,
}

/// A question to a model.
#[derive(Debug)]
pub(crate) struct Call {
    /// Inputs of the model, each with the place of the column that feeds it.
    pub(crate) feeds: Vec<(String, usize)>,
    /// Numbers for each row.
    pub(crate) outputs: usize,
}

impl Plan {
    pub(crate) fn output_types(&self) -> Vec<(String, DataType)> {
        let of = |(name, place): &(String, usize)| {
            (name.clone(), self.columns.get(*place).map_or(DataType::Text, |column| column.data_type))
        };
        self.outputs.iter().map(of).collect()
    }
}

/// Plans a graph. `shapes` has, for each step of the graph that asks a model, what that model takes and gives.
pub(crate) fn plan(graph: &EnsembleGraph, shapes: &[Option<Shape>]) -> Result<Plan, GraphError> {
    check(graph)?;
    let mut planner = Planner::new(graph, shapes)?;
    let mut left: Vec<usize> = (0..graph.steps.len()).collect();
    while !left.is_empty() {
        let before = left.len();
        let mut postponed = Vec::new();
        for place in left {
            if let Some(waits_for) = planner.settle(place)? {
                postponed.push((place, waits_for));
            }
        }
        if postponed.len() == before {
            return Err(planner.cycle(&postponed));
        }
        left = postponed.into_iter().map(|(place, _)| place).collect();
    }
    planner.finish()
}

/// Refuses inputs that a graph names and that its models do not have: a mistake in a graph that is deployed now, but none in one whose
/// model takes less since its alias moved.
pub(crate) fn check_inputs(graph: &EnsembleGraph, shapes: &[Option<Shape>]) -> Result<(), GraphError> {
    for (step, shape) in graph.steps.iter().zip(shapes) {
        let Some(shape) = shape else { continue };
        let is_unknown =
            |(input, _): &&(String, String)| shape.inputs.iter().all(|(known, _)| known != input);
        if let Some((input, _)) = step.inputs.0.iter().find(is_unknown) {
            let known = shape.inputs.iter().map(|(known, _)| known.as_str());
            let reason = format!("{} has no input `{input}`", shape.who);
            let hint = hint(input, known, "its inputs are");
            return Err(GraphError::at_step(step.name.as_str(), reason).with_hint(hint));
        }
    }
    Ok(())
}

/// What can be said of a graph without knowing its models.
fn check(graph: &EnsembleGraph) -> Result<(), GraphError> {
    let whole = |reason: String| Err(GraphError::new(Place::Graph, reason));
    if graph.steps.is_empty() || graph.steps.len() > MOST_STEPS {
        return whole(format!("it has 1 to {MOST_STEPS} steps, got {}", graph.steps.len()));
    }
    if graph.inputs.is_empty() || graph.outputs.is_empty() {
        return whole("it has inputs and outputs, at least one of each".to_owned());
    }
    for (name, data_type) in &graph.inputs.0 {
        if data_type.as_scalar().is_none() {
            let reason = format!("it is {data_type}; an input is one value for each row");
            return Err(GraphError::new(Place::Input(name.clone()), reason));
        }
    }
    for (place, step) in graph.steps.iter().enumerate() {
        if graph.steps.iter().take(place).any(|before| before.name == step.name) {
            return Err(GraphError::at_step(step.name.as_str(), "there are two steps of this name"));
        }
        check_step(step)?;
    }
    Ok(())
}

fn check_step(step: &StepSpec) -> Result<(), GraphError> {
    let refused = |reason: &str| Err(GraphError::at_step(step.name.as_str(), reason));
    match (&step.model, step.compute.is_empty()) {
        (None, true) => refused("it does nothing; expected `model` or `compute`"),
        (Some(_), false) => refused("it has both `model` and `compute`; expected one of them"),
        (None, false) if !step.inputs.is_empty() || !step.outputs.is_empty() => {
            refused("`inputs` and `outputs` are of steps with a model; its columns are those of `compute`")
        }
        _ => Ok(()),
    }
}

struct Planner<'graph> {
    graph: &'graph EnsembleGraph,
    shapes: &'graph [Option<Shape>],
    /// Which step makes a column; none for an input.
    makers: HashMap<String, Option<usize>>,
    columns: Vec<Column>,
    /// Places of columns that are known.
    known: HashMap<String, usize>,
    steps: Vec<Step>,
}

/// What a step waits for: a column, and the step that makes it.
type WaitsFor = (String, usize);

impl<'graph> Planner<'graph> {
    /// Knows the inputs, and who makes what.
    fn new(graph: &'graph EnsembleGraph, shapes: &'graph [Option<Shape>]) -> Result<Self, GraphError> {
        let mut planner = Self {
            graph,
            shapes,
            makers: HashMap::new(),
            columns: Vec::new(),
            known: HashMap::new(),
            steps: Vec::new(),
        };
        for (name, data_type) in &graph.inputs.0 {
            named(name).map_err(|reason| GraphError::new(Place::Input(name.clone()), reason))?;
            planner.makers.insert(name.clone(), None);
            planner.put(name.clone(), *data_type, None);
        }
        for (place, step) in graph.steps.iter().enumerate() {
            for name in planner.made_by(place, step)? {
                let refused = |reason: String| Err(GraphError::at_step(step.name.as_str(), reason));
                if let Err(reason) = named(&name) {
                    return refused(format!("column `{name}`: {reason}"));
                }
                match planner.makers.insert(name.clone(), Some(place)) {
                    None => {}
                    Some(None) => return refused(format!("column `{name}` is an input already")),
                    Some(Some(other)) => {
                        let other = graph.steps.get(other).map_or("", |step| step.name.as_str());
                        return refused(format!("column `{name}` is made by step `{other}` already"));
                    }
                }
            }
        }
        if planner.makers.len() > MOST_COLUMNS {
            let reason = format!("it has {} columns, {MOST_COLUMNS} are the most", planner.makers.len());
            return Err(GraphError::new(Place::Graph, reason));
        }
        Ok(planner)
    }

    fn put(&mut self, name: String, data_type: DataType, maker: Option<usize>) {
        self.known.insert(name.clone(), self.columns.len());
        self.columns.push(Column { name, data_type, maker });
    }

    fn shape(&self, place: usize, step: &StepSpec) -> Result<&'graph Shape, GraphError> {
        let shape = self.shapes.get(place).and_then(Option::as_ref);
        shape.ok_or_else(|| GraphError::at_step(step.name.as_str(), "its model is not loaded"))
    }

    /// The names of the columns that a step makes.
    fn made_by(&self, place: usize, step: &StepSpec) -> Result<Vec<String>, GraphError> {
        if step.model.is_none() {
            return Ok(step.compute.0.iter().map(|(name, _)| name.clone()).collect());
        }
        let shape = self.shape(place, step)?;
        match (step.outputs.len(), shape.outputs) {
            (0, 1) => Ok(vec![step.name.to_string()]),
            (0, numbers) => Ok((0..numbers).map(|number| format!("{}_{number}", step.name)).collect()),
            (given, numbers) if given == numbers => Ok(step.outputs.clone()),
            (given, numbers) => Err(GraphError::at_step(
                step.name.as_str(),
                format!("`outputs` has {given} names; {} answers {numbers} for each row", shape.who),
            )),
        }
    }

    /// Types a step, or says what it waits for.
    fn settle(&mut self, place: usize) -> Result<Option<WaitsFor>, GraphError> {
        let Some(step) = self.graph.steps.get(place) else { return Ok(None) };
        let first = self.columns.len();
        let settled = match step.model {
            Some(_) => self.call(place, step)?,
            None => self.computed(place, step)?,
        };
        let work = match settled {
            Ok(work) => work,
            Err(waits_for) => return Ok(Some(waits_for)),
        };
        if let StepWork::Model(_) = work {
            for name in self.made_by(place, step)? {
                self.put(name, DataType::Float, Some(place));
            }
        }
        let waits = self.waits(place, &work);
        self.steps.push(Step { place, name: step.name.to_string(), waits, first, work });
        Ok(None)
    }

    fn call(&self, place: usize, step: &StepSpec) -> Result<Result<StepWork, WaitsFor>, GraphError> {
        let shape = self.shape(place, step)?;
        let name = step.name.as_str();
        let mut feeds = Vec::with_capacity(shape.inputs.len());
        for (input, takes) in &shape.inputs {
            let mapped = step.inputs.get(input);
            let column = mapped.unwrap_or(input);
            match (self.known.get(column), self.makers.get(column).copied().flatten()) {
                (Some(at), _) => {
                    self.fits(step, (input, *takes), *at)?;
                    feeds.push((input.clone(), *at));
                }
                (None, Some(maker)) if maker == place => {
                    let reason = format!("input `{input}` of {} would be fed by its own output", shape.who);
                    return Err(GraphError::at_step(name, reason));
                }
                (None, Some(maker)) => return Ok(Err((column.clone(), maker))),
                (None, None) => {
                    let hint = self.unknown_hint(column);
                    let reason = match mapped {
                        Some(_) => format!("input `{input}` of {}: there is no column `{column}`", shape.who),
                        None => format!("nothing feeds input `{input}` of {}", shape.who),
                    };
                    let hint = match mapped {
                        Some(_) => hint,
                        None => {
                            Some(format!("name a column of another name in `inputs`: {{{input}: COLUMN}}"))
                        }
                    };
                    return Err(GraphError::at_step(name, reason).with_hint(hint));
                }
            }
        }
        Ok(Ok(StepWork::Model(Call { feeds, outputs: shape.outputs })))
    }

    fn fits(&self, step: &StepSpec, (input, takes): (&str, Takes), at: usize) -> Result<(), GraphError> {
        let Some(column) = self.columns.get(at) else { return Ok(()) };
        if takes.fits(column.data_type) {
            return Ok(());
        }
        let reason = format!(
            "input `{input}` takes {}; column `{}` is {}",
            takes.expected(),
            column.name,
            column.data_type
        );
        let hint = format!("compute another column, such as CAST({} AS …)", column.name);
        Err(GraphError::at_step(step.name.as_str(), reason).with_hint(Some(hint)))
    }

    /// Types the expressions of a step; their columns are known from then on, each to those behind it.
    fn computed(&mut self, place: usize, step: &StepSpec) -> Result<Result<StepWork, WaitsFor>, GraphError> {
        let before = self.columns.len();
        let mut work = Vec::with_capacity(step.compute.0.len());
        for (name, text) in &step.compute.0 {
            match self.compiled(text) {
                Ok(computed) => {
                    self.put(name.clone(), computed.expression.data_type(), Some(place));
                    work.push(computed);
                }
                Err(error) => {
                    let waits_for = self.refused(place, step, name, &error)?;
                    self.forget(before);
                    return Ok(Err(waits_for));
                }
            }
        }
        Ok(Ok(StepWork::Compute(work)))
    }

    /// What an expression that does not compile waits for, or why it never will.
    fn refused(
        &self,
        place: usize,
        step: &StepSpec,
        name: &str,
        error: &ExpressionError,
    ) -> Result<WaitsFor, GraphError> {
        let refused = |reason: String| GraphError::at_step(step.name.as_str(), reason);
        let Refusal::UnknownColumn { name: column, .. } = &error.refusal else {
            return Err(refused(format!("column `{name}`: {error}")).with_hint(error.hint()));
        };
        match self.makers.get(column).copied().flatten() {
            Some(maker) if maker == place => {
                Err(refused(format!("column `{name}` reads `{column}`, which is computed after it")))
            }
            Some(maker) => Ok((column.clone(), maker)),
            None => Err(refused(format!("column `{name}`: {error}")).with_hint(self.unknown_hint(column))),
        }
    }

    /// Takes back columns of a step that waits.
    fn forget(&mut self, from: usize) {
        for column in self.columns.drain(from..) {
            self.known.remove(&column.name);
        }
    }

    /// An expression over the columns that are known, and which of them it reads.
    fn compiled(&self, text: &str) -> Result<Computed, ExpressionError> {
        let all = self.columns.iter().map(|column| (column.name.as_str(), column.data_type));
        let reads = Expression::compile(text, &Scope::of(all))?.reads().to_vec();
        // Again over these alone, so that a row of few values is enough.
        let read = reads.iter().filter_map(|place| self.columns.get(*place));
        let scope = Scope::of(read.map(|column| (column.name.as_str(), column.data_type)));
        Ok(Computed { expression: Expression::compile(text, &scope)?, reads })
    }

    /// The steps of the plan that make what a step reads.
    fn waits(&self, place: usize, work: &StepWork) -> Vec<usize> {
        let read: Vec<usize> = match work {
            StepWork::Compute(computed) => computed.iter().flat_map(|one| one.reads.clone()).collect(),
            StepWork::Model(call) => call.feeds.iter().map(|(_, at)| *at).collect(),
        };
        let makers: Vec<usize> = read
            .iter()
            .filter_map(|at| self.columns.get(*at)?.maker)
            .filter(|maker| *maker != place)
            .collect();
        let is_read = |(at, step): (usize, &Step)| makers.contains(&step.place).then_some(at);
        self.steps.iter().enumerate().filter_map(is_read).collect()
    }

    fn unknown_hint(&self, column: &str) -> Option<String> {
        hint(column, self.makers.keys().map(String::as_str), "the columns are")
    }

    fn cycle(&self, waiting: &[(usize, WaitsFor)]) -> GraphError {
        let name = |place: &usize| self.graph.steps.get(*place).map_or("", |step| step.name.as_str());
        let told: Vec<String> = waiting
            .iter()
            .map(|(place, (column, maker))| {
                format!("`{}` reads `{column}` of `{}`", name(place), name(maker))
            })
            .collect();
        GraphError::new(Place::Graph, format!("steps wait for each other: {}", told.join(", ")))
    }

    fn finish(self) -> Result<Plan, GraphError> {
        let mut outputs = Vec::with_capacity(self.graph.outputs.0.len());
        let mut is_used = vec![false; self.steps.len()];
        for (name, column) in &self.graph.outputs.0 {
            let refused = |reason: String| GraphError::new(Place::Output(name.clone()), reason);
            named(name).map_err(|reason| refused(reason.to_owned()))?;
            let at = self.known.get(column).copied().ok_or_else(|| {
                refused(format!("there is no column `{column}`")).with_hint(self.unknown_hint(column))
            })?;
            let Some(made) = self.columns.get(at) else { continue };
            if made.data_type.as_scalar().is_none() {
                return Err(refused(format!(
                    "column `{column}` is {}; an output is one value for each row",
                    made.data_type
                )));
            }
            outputs.push((name.clone(), at));
            self.mark(made.maker, &mut is_used);
        }
        let unused = self.steps.iter().zip(&is_used).find(|(_, is_used)| !**is_used);
        if let Some((step, _)) = unused {
            let made = |column: &&Column| column.maker == Some(step.place);
            let names: Vec<String> =
                self.columns.iter().filter(made).take(8).map(|column| format!("`{}`", column.name)).collect();
            let reason = format!("nothing uses what it makes: {}", names.join(", "));
            let hint = Some("leave it out, or name one of them in `outputs`".to_owned());
            return Err(GraphError::at_step(&step.name, reason).with_hint(hint));
        }
        Ok(Plan { columns: self.columns, steps: self.steps, outputs })
    }

    /// Marks a step, and all that it waits for.
    fn mark(&self, maker: Option<usize>, is_used: &mut [bool]) {
        let place_of = |maker| self.steps.iter().position(|step| step.place == maker);
        let mut open: Vec<usize> = maker.and_then(place_of).into_iter().collect();
        while let Some(at) = open.pop() {
            match is_used.get_mut(at) {
                Some(used) if !*used => *used = true,
                _ => continue,
            }
            open.extend(self.steps.get(at).into_iter().flat_map(|step| step.waits.iter().copied()));
        }
    }
}

/// Whether a column can have this name.
fn named(name: &str) -> Result<(), &'static str> {
    let is_plain = |letter: char| !letter.is_control() && !matches!(letter, '.' | '"' | '`');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
        return Err("a name has 1 to 100 bytes, and no full stops, quotes or control characters");
    }
    Ok(())
}

fn hint<'a>(wanted: &str, known: impl Iterator<Item = &'a str> + Clone, otherwise: &str) -> Option<String> {
    if let Some(near) = nearest(wanted, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut names: Vec<&str> = known.collect();
    names.sort_unstable();
    names.truncate(20);
    Some(format!("{otherwise} {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
