//! What was brought, what was left out and why, what differs, and what failed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::output;

/// Lines of one kind that a person is shown; the JSON has all of them.
const SHOWN: usize = 20;

/// How many of a family came, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// Were not there.
    pub(crate) created: u64,
    /// Were added to something of that name that no import had made.
    pub(crate) merged: u64,
    /// Were there.
    pub(crate) present: u64,
}

impl Count {
    pub(super) fn add(&mut self, outcome: &str) {
        match outcome {
            "created" => self.created += 1,
            "merged" => self.merged += 1,
            _ => self.present += 1,
        }
    }
}

/// A sentence on one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Remark {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// An experiment whose id is another one here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mapped {
    pub(crate) name: String,
    pub(crate) id_there: String,
    pub(crate) id_here: String,
}

/// The sum of an import.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) source: String,
    pub(crate) experiments: Count,
    pub(crate) runs: Count,
    pub(crate) logged_models: Count,
    pub(crate) registered_models: Count,
    pub(crate) prompts: Count,
    pub(crate) versions: Count,
    pub(crate) aliases: Count,
    /// Points that were sent; those that were there already are among them.
    pub(crate) metric_points: u64,
    pub(crate) files: Count,
    /// Of the files that were not there.
    pub(crate) file_bytes: u64,
    pub(crate) mapped: Vec<Mapped>,
    pub(crate) left_out: Vec<Remark>,
    pub(crate) differs: Vec<Remark>,
    pub(crate) failed: Vec<Remark>,
}

impl Remark {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

impl Report {
    pub(super) fn leaves_out(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(Remark::new(what, why));
    }

    pub(super) fn fails(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.failed.push(Remark::new(what, why));
    }

    /// Where the id of an experiment is not the one that it had.
    pub(super) fn maps(&mut self, name: &str, id_there: &str, id_here: &str) {
        if id_there != id_here {
            let [name, id_there, id_here] = [name, id_there, id_here].map(str::to_owned);
            self.mapped.push(Mapped { name, id_there, id_here });
        }
    }

    /// What the destination says of an item beside its outcome.
    pub(super) fn notes(&mut self, what: &str, notes: Vec<String>) {
        self.differs.extend(notes.into_iter().map(|why| Remark::new(what, why)));
    }

    fn families(&self) -> [(&'static str, Count); 8] {
        [
            ("experiments", self.experiments),
            ("runs", self.runs),
            ("logged models", self.logged_models),
            ("registered models", self.registered_models),
            ("prompts", self.prompts),
            ("versions", self.versions),
            ("aliases", self.aliases),
            ("files", self.files),
        ]
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }

    pub(crate) fn print(&self) {
        let rows = self.families().into_iter().map(|(name, count)| {
            let cells = [count.created, count.merged, count.present].map(output::count);
            std::iter::once(name.to_owned()).chain(cells).collect()
        });
        output::line(format!("from {}", self.source));
        output::table(&["of", "new", "added_to", "were_here"], rows.collect(), "");
        output::line(format!(
            "{} sent, {} of new files",
            output::counted(self.metric_points, "metric point"),
            output::bytes(self.file_bytes)
        ));
        for Mapped { name, id_there, id_here } in &self.mapped {
            output::line(format!("experiment {name}: id {id_there} there is {id_here} here"));
        }
        section("left out", &self.left_out);
        section("differs", &self.differs);
        section("failed", &self.failed);
    }
}

/// The remarks of one kind; those with one reason are said once.
fn section(title: &str, remarks: &[Remark]) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for remark in remarks {
        by_reason.entry(&remark.why).or_default().push(&remark.what);
    }
    for (why, whats) in by_reason.iter().take(SHOWN) {
        let (first, more) = (whats.first().copied().unwrap_or_default(), whats.len().saturating_sub(1));
        let what = if more == 0 { first.to_owned() } else { format!("{first} and {more} more") };
        output::note(format!("{title}: {what}: {why}"));
    }
    if by_reason.len() > SHOWN {
        output::note(format!("{title}: {} reasons more; --output json lists all", by_reason.len() - SHOWN));
    }
}
