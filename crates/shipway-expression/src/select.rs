//! A `SELECT` over events: which of them, with which columns, and the views whose features they are joined with.
//!
//! It is asked of one event at a time, so it filters, computes and joins, and nothing else. Its expressions are those of the language:
//! the same event gives the same row, whenever it is asked.

use shipway_core::{DataType, Value};
use sqlparser::{
    ast::{
        BinaryOperator, Expr, Ident, JoinConstraint, JoinOperator, Query, Select as Parsed, SelectItem,
        SetExpr, Statement, TableFactor,
    },
    dialect::GenericDialect,
    parser::Parser,
};

use crate::{
    LONGEST_TEXT,
    compile::{DEEPEST, name_of, place, syntax},
    error::{ExpressionError, Refusal},
    expression::Expression,
    scope::{Row, Scope},
};

type Judged<T> = Result<T, ExpressionError>;

/// A text taken apart, before anything is known about the columns that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    from: Table,
    joins: Vec<Join>,
    items: Vec<Item>,
    filter: Option<Expr>,
}

/// A table and what it is called in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    name: String,
    alias: String,
}

/// A view whose features the events are joined with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The view.
    pub view: String,
    /// What it is called in the text.
    pub alias: String,
    /// Keys of the view, each with the column of the event that it must be equal to.
    pub on: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// Every column of the event.
    All,
    One {
        name: String,
        expression: Box<Expr>,
    },
}

/// A compiled `SELECT`: a row of an event's columns and of the features joined to it becomes a row of its own columns.
#[derive(Debug, Clone)]
pub struct Projection {
    columns: Vec<(String, Expression)>,
    filter: Option<Expression>,
}

impl Select {
    /// Takes `text` apart. Refuses what is not one `SELECT` over the events of one source, or cannot be asked of one event alone.
    pub fn parse(text: &str) -> Judged<Self> {
        if text.len() > LONGEST_TEXT {
            return Err(Refusal::TooLong { got: text.len(), limit: LONGEST_TEXT }.at(None));
        }
        let dialect = GenericDialect {};
        let parser = Parser::new(&dialect).with_recursion_limit(DEEPEST).try_with_sql(text);
        let statements = parser.and_then(|mut parser| parser.parse_statements()).map_err(syntax)?;
        let query = match statements.as_slice() {
            [Statement::Query(query)] => query,
            [] => return Err(not_here("nothing")),
            [_] => return Err(not_here("a statement other than SELECT")),
            _ => return Err(not_here("more than one statement")),
        };
        let select = plain(query)?;
        let (from, joins) = tables(select)?;
        let items =
            select.projection.iter().map(|item| self::item(item, &from)).collect::<Judged<Vec<_>>>()?;
        Ok(Self { from, joins, items, filter: select.selection.clone() })
    }

    /// The source whose events it selects from.
    pub fn from(&self) -> &str {
        &self.from.name
    }

    /// The views it joins, in the order written.
    pub fn joins(&self) -> &[Join] {
        &self.joins
    }

    /// Compiles it over the columns of an event, and of each join its features. In the row of [`Projection::row`] they lie in this
    /// order. A feature is named with its view's alias in front.
    pub fn compile(
        &self,
        event: &[(String, DataType)],
        joined: &[Vec<(String, DataType)>],
    ) -> Judged<Projection> {
        let mut scope = Scope::of(event.iter().map(|(name, data_type)| (name.as_str(), *data_type)));
        for (position, (name, data_type)) in event.iter().enumerate() {
            scope.add(&format!("{}.{name}", self.from.alias), *data_type, position);
        }
        let mut position = event.len();
        for (join, features) in self.joins.iter().zip(joined) {
            for (name, data_type) in features {
                scope.add(&format!("{}.{name}", join.alias), *data_type, position);
                position += 1;
            }
        }
        let mut columns: Vec<(String, Expression)> = Vec::new();
        for item in &self.items {
            match item {
                Item::All => {
                    for (name, _) in event {
                        columns.push((
                            name.clone(),
                            Expression::of(&Expr::Identifier(Ident::with_quote('"', name)), &scope)?,
                        ));
                    }
                }
                Item::One { name, expression } => {
                    columns.push((name.clone(), Expression::of(expression, &scope)?));
                }
            }
        }
        for (at, (name, _)) in columns.iter().enumerate() {
            if columns[..at].iter().any(|(other, _)| other == name) {
                return Err(not_here(&format!("column {name} twice")));
            }
        }
        let filter =
            self.filter.as_ref().map(|filter| Expression::condition_of(filter, &scope)).transpose()?;
        Ok(Projection { columns, filter })
    }
}

impl Projection {
    /// The columns that it gives, with their types, in the order written.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, DataType)> {
        self.columns.iter().map(|(name, expression)| (name.as_str(), expression.data_type()))
    }

    /// Whether the value at `position` of a row is read.
    pub fn reads(&self, position: usize) -> bool {
        let expressions = self.columns.iter().map(|(_, expression)| expression);
        expressions.chain(&self.filter).any(|expression| expression.reads().contains(&position))
    }

    /// Its columns for `row`; none where the condition is not true.
    pub fn row(&self, row: Row<'_>) -> Option<Vec<Value>> {
        if self.filter.as_ref().is_some_and(|filter| !filter.is_true(row)) {
            return None;
        }
        Some(self.columns.iter().map(|(_, expression)| expression.evaluate(row).into_owned()).collect())
    }
}

fn not_here(what: &str) -> ExpressionError {
    Refusal::NotOnStreams(what.to_owned()).at(None)
}

/// The `SELECT` of a query that is nothing else.
fn plain(query: &Query) -> Judged<&Parsed> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Err(not_here("UNION, VALUES or a query in parentheses"));
    };
    for (is_there, what) in [
        (query.with.is_some(), "WITH"),
        (query.order_by.is_some(), "ORDER BY"),
        (query.limit_clause.is_some() || query.fetch.is_some() || select.top.is_some(), "LIMIT"),
        (select.distinct.is_some(), "DISTINCT"),
        (select.having.is_some(), "HAVING"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.into.is_some(), "INTO"),
    ] {
        if is_there {
            return Err(not_here(what));
        }
    }
    // Whatever else the parser knows: what is taken here says the whole text again, or there is more in it.
    let list = |items: Vec<String>| items.join(", ");
    let items = list(select.projection.iter().map(ToString::to_string).collect());
    let from = list(select.from.iter().map(ToString::to_string).collect());
    let condition =
        select.selection.as_ref().map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
    let (taken, whole) = (format!("SELECT {items} FROM {from}{condition}"), query.to_string());
    if taken == whole {
        return Ok(select);
    }
    let rest = whole.strip_prefix(&taken).unwrap_or(&whole).trim();
    let word: Vec<&str> = rest.split_whitespace().take(2).collect();
    Err(not_here(&word.join(" ")))
}

fn tables(select: &Parsed) -> Judged<(Table, Vec<Join>)> {
    let [from] = select.from.as_slice() else {
        return Err(not_here("more or less than one source in FROM"));
    };
    let base = table(&from.relation)?;
    let mut joins: Vec<Join> = Vec::with_capacity(from.joins.len());
    for join in &from.joins {
        let joined = table(&join.relation)?;
        let constraint = match &join.join_operator {
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => constraint,
            _ => return Err(not_here(&format!("a join with {} other than LEFT JOIN", joined.name))),
        };
        if joined.alias == base.alias || joins.iter().any(|other| other.alias == joined.alias) {
            return Err(not_here(&format!("{} twice without an alias", joined.alias)));
        }
        let mut on = Vec::new();
        match constraint {
            JoinConstraint::On(condition) => equalities(condition, &base, &joined, &mut on)?,
            JoinConstraint::Using(columns) => {
                for column in columns {
                    on.push((column.to_string(), column.to_string()));
                }
            }
            JoinConstraint::Natural | JoinConstraint::None => {
                return Err(not_here(&format!("a join with {} without ON", joined.name)));
            }
        }
        joins.push(Join { view: joined.name, alias: joined.alias, on });
    }
    Ok((base, joins))
}

fn table(factor: &TableFactor) -> Judged<Table> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else {
        return Err(not_here(&format!("{factor} in FROM")));
    };
    let plain = alias.as_ref().is_none_or(|alias| alias.columns.is_empty());
    let [part] = name.0.as_slice() else { return Err(not_here(&format!("{name} with a dot in FROM"))) };
    let Some(ident) = part.as_ident().filter(|_| plain) else {
        return Err(not_here(&format!("{factor} in FROM")));
    };
    let name = name_of(ident);
    let alias = alias.as_ref().map_or_else(|| name.clone(), |alias| name_of(&alias.name));
    // Samples, hints and versions would be left out in silence.
    let said = if alias == name {
        factor.to_string().split_whitespace().count() == 1
    } else {
        factor.to_string().split_whitespace().count() <= 3
    };
    if said { Ok(Table { name, alias }) } else { Err(not_here(&format!("{factor} in FROM"))) }
}

/// The pairs of `alias.key = column`, whichever comes first.
fn equalities(
    condition: &Expr,
    base: &Table,
    joined: &Table,
    into: &mut Vec<(String, String)>,
) -> Judged<()> {
    let refused = || {
        let what = format!("a join with {} on other than {}.key = column AND …", joined.name, joined.alias);
        Refusal::NotOnStreams(what).at(place(condition))
    };
    match condition {
        Expr::Nested(inner) => equalities(inner, base, joined, into),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            equalities(left, base, joined, into)?;
            equalities(right, base, joined, into)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let sides = [left, right].map(|side| column(side));
            let [Some(one), Some(other)] = sides else { return Err(refused()) };
            let of_joined =
                |side: &(Option<String>, String)| side.0.as_deref() == Some(joined.alias.as_str());
            let of_event =
                |side: &(Option<String>, String)| side.0.as_deref().is_none_or(|alias| alias == base.alias);
            let (key, column) = match (of_joined(&one), of_joined(&other)) {
                (true, false) if of_event(&other) => (one.1, other.1),
                (false, true) if of_event(&one) => (other.1, one.1),
                _ => return Err(refused()),
            };
            into.push((key, column));
            Ok(())
        }
        _ => Err(refused()),
    }
}

/// A plain column, and the table that it is said to be of.
fn column(of: &Expr) -> Option<(Option<String>, String)> {
    match of {
        Expr::Identifier(name) => Some((None, name_of(name))),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, name] => Some((Some(name_of(table)), name_of(name))),
            _ => None,
        },
        _ => None,
    }
}

fn item(item: &SelectItem, from: &Table) -> Judged<Item> {
    match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            Ok(Item::One { name: name_of(alias), expression: Box::new(expr.clone()) })
        }
        SelectItem::UnnamedExpr(expr) => match column(expr) {
            Some((_, name)) => Ok(Item::One { name, expression: Box::new(expr.clone()) }),
            None => Err(Refusal::Nameless(expr.to_string()).at(place(expr))),
        },
        SelectItem::Wildcard(_) if item.to_string() == "*" => Ok(Item::All),
        SelectItem::QualifiedWildcard(..) if item.to_string() == format!("{}.*", from.alias) => Ok(Item::All),
        other => Err(not_here(&other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Vec<(String, DataType)> {
        [("flight", DataType::Text), ("carrier", DataType::Text), ("delay", DataType::Float)]
            .map(|(name, data_type)| (name.to_owned(), data_type))
            .to_vec()
    }

    fn tiers() -> Vec<Vec<(String, DataType)>> {
        vec![vec![("tier".to_owned(), DataType::Text)]]
    }

    fn refusal(text: &str) -> String {
        let refused = Select::parse(text).and_then(|select| select.compile(&event(), &tiers()).map(drop));
        refused.unwrap_err().to_string()
    }

    #[test]
    fn events_are_filtered_computed_and_joined_one_by_one() {
        let text = "SELECT flight, d.delay / 60 AS hours, upper(info.tier) AS tier \
            FROM departures AS d LEFT JOIN carrier_info info ON d.carrier = info.code WHERE delay > 30 AND info.tier IS NOT NULL";
        let select = Select::parse(text).unwrap();
        assert_eq!(select.from(), "departures");
        let on = vec![("code".to_owned(), "carrier".to_owned())];
        assert_eq!(select.joins(), [Join { view: "carrier_info".into(), alias: "info".into(), on }]);
        let projection = select.compile(&event(), &tiers()).unwrap();
        let columns: Vec<_> = projection.columns().collect();
        assert_eq!(
            columns,
            [("flight", DataType::Text), ("hours", DataType::Float), ("tier", DataType::Text)]
        );
        assert!(projection.reads(3) && projection.reads(2) && !projection.reads(1));

        let event = |delay| [Value::text("f1"), Value::text("DL"), Value::float(delay)];
        let row = |delay, tier: Value| projection.row(Row::new(&event(delay), &[tier]));
        assert_eq!(
            row(90.0, Value::text("gold")),
            Some(vec![Value::text("f1"), Value::float(1.5), Value::text("GOLD")])
        );
        assert_eq!(row(30.0, Value::text("gold")), None);
        assert_eq!(row(90.0, Value::Null), None, "nothing is known of the carrier");
    }

    #[test]
    fn a_star_is_every_column_of_the_event() {
        for text in ["select * from departures", "select d.*, 1 as one from departures d"] {
            let projection = Select::parse(text).unwrap().compile(&event(), &[]).unwrap();
            let names: Vec<_> = projection.columns().map(|(name, _)| name.to_owned()).collect();
            assert_eq!(names[..3], ["flight", "carrier", "delay"]);
        }
    }

    #[test]
    fn what_cannot_be_asked_of_one_event_is_refused_by_its_name() {
        for (text, what) in [
            ("select flight from departures group by flight", "GROUP BY"),
            ("select distinct flight from departures", "DISTINCT"),
            ("select flight from departures order by flight", "ORDER BY"),
            ("select flight from departures limit 3", "LIMIT"),
            ("with a as (select 1) select flight from departures", "WITH"),
            ("select flight from departures union all select flight from arrivals", "UNION"),
            ("select flight from departures, arrivals", "more or less than one source"),
            ("select flight from (select * from departures) d", "in FROM"),
            ("select flight from departures tablesample (10 percent)", "in FROM"),
            ("select flight from departures d join info on info.code = d.carrier", "other than LEFT JOIN"),
            ("select flight from departures d left join info on info.code > d.carrier", "on other than"),
            ("select flight from departures d left join info on d.flight = d.carrier", "on other than"),
            ("select flight, carrier as flight from departures", "column flight twice"),
            ("select i.* from departures left join i on i.code = carrier", "i.*"),
            ("delete from departures", "a statement other than SELECT"),
            ("select flight from departures; select flight from departures", "more than one statement"),
            ("select delay * 2 from departures", "has no name"),
            ("select max(delay) as most from departures", "aggregate"),
            ("select now() as at from departures", "another answer each time"),
            ("select flight from departures where delay", "the result is float"),
            ("select fligth from departures", "column fligth does not exist"),
            ("select x.tier from departures", "column x.tier does not exist"),
            ("select flight from departures where exists (select 1)", "not part of the expression language"),
        ] {
            let words = refusal(text);
            assert!(words.contains(what), "{text}: {words}");
        }
    }
}
