//! Resolves the expressions of a view and of a service: every name is a column, every type is known.

use std::collections::BTreeMap;

use shipway_core::{DataType, Name};
use shipway_expression::{Expression, ExpressionError};

use crate::{
    Corrections, Derived, Service, Source,
    parse::{CorrectionsDraft, Expressions, Head, Located},
    resolve::Resolver,
};

/// What a view says with expressions, and its source as the rest of the view sees it.
pub(super) struct ViewExpressions {
    pub(super) filter: Option<String>,
    pub(super) derived: Vec<Derived>,
    /// The source with the derived columns behind its own.
    pub(super) source: Source,
    /// The columns of the source that the expressions read, and their types.
    reads: BTreeMap<Name, DataType>,
}

impl ViewExpressions {
    /// Makes `column_types` the columns of the source, without the derived ones and with those that expressions read.
    pub(super) fn settle(&self, column_types: &mut BTreeMap<Name, DataType>) {
        column_types.retain(|name, _| self.derived.iter().all(|derived| derived.name != *name));
        column_types.extend(self.reads.clone());
    }
}

/// The columns that the expressions of a service may name beside those of its vector.
pub(super) struct RequestColumns<'a> {
    pub(super) keys: &'a [(Name, DataType)],
    pub(super) columns: Vec<(String, DataType)>,
}

impl Resolver<'_> {
    /// None when a derived column has an error: nothing is said then about what may build on it.
    pub(super) fn view_expressions(
        &mut self,
        head: &Head,
        source: &Source,
        filter: Option<Located<String>>,
        derive: Expressions,
    ) -> Option<ViewExpressions> {
        let mut found = ViewExpressions {
            filter: None,
            derived: Vec::new(),
            source: source.clone(),
            reads: BTreeMap::new(),
        };
        for (name, text) in derive {
            if source.column_type(name.value.as_str()).is_some() {
                let message = format!("column {} of derive is in source {} already", name.value, source.name);
                self.refuse(head, name.line, &message, Some("give it another name".to_owned()));
                return None;
            }
            let compiled = Expression::compile(&text.value, &found.source.scope());
            let compiled =
                self.compiled(head, &format!("column {} of derive", name.value), &text, compiled)?;
            note_reads(source, &compiled, &mut found.reads);
            found.source.columns.push((name.value.clone(), compiled.data_type()));
            found.derived.push(Derived::new(name.value, text.value, compiled.data_type()));
        }
        if let Some(text) = filter {
            let compiled = Expression::condition(&text.value, &found.source.scope());
            if let Some(compiled) = self.compiled(head, "where", &text, compiled) {
                note_reads(source, &compiled, &mut found.reads);
                found.filter = Some(text.value);
            }
        }
        Some(found)
    }

    /// What `source` says of events that come again.
    pub(super) fn corrections(
        &mut self,
        head: &Head,
        source: &Source,
        draft: CorrectionsDraft,
    ) -> Option<Corrections> {
        if let Some(text) = &draft.deleted {
            let compiled = Expression::condition(&text.value, &source.scope());
            self.compiled(head, "deleted", text, compiled)?;
        }
        Some(Corrections { deleted: draft.deleted.map(|text| text.value) })
    }

    /// Refuses `what` where the events of `source` are corrected by their ids.
    pub(super) fn needs_events_that_stay(
        &mut self,
        head: &Head,
        line: u64,
        source: &Source,
        what: &str,
    ) -> bool {
        if source.corrections.is_none() {
            return true;
        }
        let message = format!("{what}: events of source {} are replaced (same_id: replace)", source.name);
        let hint =
            "make a source of every change beside it, with changes: all and without same_id".to_owned();
        self.refuse(head, line, &message, Some(hint));
        false
    }

    /// The computed columns of a service, in the order written.
    pub(super) fn computed(
        &mut self,
        head: &Head,
        compute: Expressions,
        request: RequestColumns<'_>,
    ) -> Vec<Derived> {
        let RequestColumns { keys, mut columns } = request;
        let named = |name: &str, columns: &[(String, DataType)]| {
            keys.iter().any(|(key, _)| key.as_str() == name)
                || columns.iter().any(|(column, _)| column == name)
        };
        if let Some((first, _)) = compute.first()
            && named(Service::MOMENT, &columns)
        {
            let message = format!(
                "a key or request column is called {0}, which is the moment of the row in compute",
                Service::MOMENT
            );
            self.refuse(head, first.line, &message, Some("give it another name".to_owned()));
        }
        let mut computed = Vec::new();
        for (name, text) in compute {
            if named(name.value.as_str(), &columns) || name.value.as_str() == Service::MOMENT {
                let message = format!("column {} of compute has the name of another column", name.value);
                self.refuse(head, name.line, &message, Some("give it another name".to_owned()));
                continue;
            }
            let own = columns.iter().map(|(name, data_type)| (name.as_str(), *data_type));
            let scope = Service::scope(keys, own);
            let compiled = Expression::compile(&text.value, &scope);
            let what = format!("column {} of compute", name.value);
            // Later ones may build on it, so nothing is said about them.
            let Some(compiled) = self.compiled(head, &what, &text, compiled) else { break };
            columns.push((name.value.to_string(), compiled.data_type()));
            computed.push(Derived::new(name.value, text.value, compiled.data_type()));
        }
        computed
    }

    fn compiled(
        &mut self,
        head: &Head,
        what: &str,
        text: &Located<String>,
        compiled: Result<Expression, ExpressionError>,
    ) -> Option<Expression> {
        compiled.map_err(|error| self.refuse(head, text.line, &format!("{what}: {error}"), error.hint())).ok()
    }
}

/// The source's own columns come first, so positions within them are its.
fn note_reads(source: &Source, compiled: &Expression, reads: &mut BTreeMap<Name, DataType>) {
    reads.extend(compiled.reads().iter().filter_map(|position| source.columns.get(*position).cloned()));
}
