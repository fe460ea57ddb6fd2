//! Functions, and what SQL writes in a way of its own but means as a function: EXTRACT, SUBSTRING, TRIM, POSITION, FLOOR.

use shipway_core::{DataType, Value};
use sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    ObjectNamePart, TrimWhereField,
};

use super::{Compiled, Compiler, Kind, Typed, name_of, place, unified, unified_all, widened};
use crate::{
    error::{ExpressionError, Place, Refusal},
    functions::{self, Body},
    node::Node,
    values::{nested, numbers, time},
};

/// Functions whose answer is not decided by their arguments.
const CHANGING: &[&str] = &[
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "today",
    "random",
    "rand",
    "uuid",
    "gen_random_uuid",
    "version",
    "current_user",
    "session_user",
];

/// Aggregates and window functions, which people may look for here.
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "variance",
    "var_pop",
    "var_samp",
    "median",
    "first",
    "last",
    "first_value",
    "last_value",
    "array_agg",
    "string_agg",
    "row_number",
    "rank",
    "lag",
    "lead",
    "approx_distinct",
    "corr",
    "bool_and",
    "bool_or",
];

type Arguments = Vec<(Typed, Option<Place>)>;

impl Compiler<'_> {
    pub(super) fn call(&self, expr: &Expr, depth: usize) -> Compiled {
        match expr {
            Expr::Function(function) => self.function(function, depth),
            Expr::Extract { field, expr: value, .. } => {
                let value = self.compile(value, depth)?;
                extract(&unit_of(field), value).map_err(|refusal| refusal.at(place(expr)))
            }
            Expr::Floor { expr: value, field } => self.rounded("floor", value, field, depth),
            Expr::Ceil { expr: value, field } => self.rounded("ceil", value, field, depth),
            Expr::Position { expr: part, r#in: whole } => self.named("strpos", &[whole, part], expr, depth),
            Expr::Substring { expr: value, substring_from, substring_for, .. } => {
                let first = first();
                let from = substring_from.as_deref();
                let from = from.or_else(|| substring_for.is_some().then_some(&first));
                let arguments: Vec<&Expr> =
                    [Some(value.as_ref()), from, substring_for.as_deref()].into_iter().flatten().collect();
                self.named("substr", &arguments, expr, depth)
            }
            Expr::Trim { trim_where, trim_what: None, expr: value, trim_characters: None } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "trim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                self.named(name, &[value], expr, depth)
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                Err(Refusal::NotInLanguage("a subquery".to_owned()).at(place(expr)))
            }
            other => Err(Refusal::NotInLanguage(other.to_string()).at(place(other))),
        }
    }

    fn rounded(&self, name: &str, value: &Expr, kind: &CeilFloorKind, depth: usize) -> Compiled {
        match kind {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                self.named(name, &[value], value, depth)
            }
            _ => Err(Refusal::NotInLanguage(format!("{name}(… TO …)")).at(place(value))),
        }
    }

    fn named(&self, name: &str, arguments: &[&Expr], whole: &Expr, depth: usize) -> Compiled {
        let mut compiled = Vec::with_capacity(arguments.len());
        for argument in arguments {
            compiled.push((self.compile(argument, depth)?, place(*argument)));
        }
        apply(name, compiled, place(whole))
    }

    fn function(&self, call: &Function, depth: usize) -> Compiled {
        let at = place(call);
        let [ObjectNamePart::Identifier(ident)] = call.name.0.as_slice() else {
            return Err(Refusal::UnknownFunction { name: call.name.to_string(), nearest: None }.at(at));
        };
        let name = name_of(ident);
        let arguments = match &call.args {
            // Words such as `user`, which SQL takes for a call, may be the names of columns.
            FunctionArguments::None if self.scope.find(&name).is_some() => return self.column(ident),
            FunctionArguments::None => &[],
            FunctionArguments::List(list)
                if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
            {
                list.args.as_slice()
            }
            FunctionArguments::List(_) | FunctionArguments::Subquery(_) => {
                return Err(Refusal::NotInLanguage(call.to_string()).at(at));
            }
        };
        if CHANGING.contains(&name.as_str()) {
            return Err(Refusal::NotDeterministic(name).at(at));
        }
        if call.over.is_some() {
            return Err(Refusal::NotInLanguage(format!("the window function {name}")).at(at));
        }
        if AGGREGATES.contains(&name.as_str()) || call.filter.is_some() || !call.within_group.is_empty() {
            return Err(Refusal::Aggregate(name).at(at));
        }
        let mut compiled = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else {
                return Err(Refusal::NotInLanguage(format!("the argument {argument}")).at(at));
            };
            compiled.push((self.compile(argument, depth)?, place(argument)));
        }
        apply(&name, compiled, at)
    }
}

/// The place of the first character.
fn first() -> Expr {
    Expr::value(sqlparser::ast::Value::Number("1".to_owned(), false))
}

fn unit_of(field: &DateTimeField) -> String {
    field.to_string().to_lowercase()
}

fn apply(name: &str, arguments: Arguments, at: Option<Place>) -> Compiled {
    let kinds: Vec<Kind> = arguments.iter().map(|((_, kind), _)| *kind).collect();
    let unfit = || {
        let got: Vec<String> = kinds.iter().map(|kind| kind.word()).collect();
        let function = name.to_owned();
        Refusal::Arguments { function, got: got.join(", "), signatures: functions::signatures_of(name) }
            .at(at)
    };
    if let Some(special) = special(name, &arguments, at) {
        return special?.ok_or_else(unfit);
    }
    if functions::signatures_of(name).is_empty() {
        let nearest = functions::nearest(name);
        return Err(Refusal::UnknownFunction { name: name.to_owned(), nearest }.at(at));
    }
    let overload = functions::overload(name, &kinds).ok_or_else(unfit)?;
    let nodes = arguments.into_iter().zip(overload.takes).map(|(((node, kind), _), wanted)| {
        let is_exact = matches!(kind, Kind::INT | Kind::Value(DataType::Decimal(_)));
        if is_exact && *wanted == DataType::Float { widened(node) } else { node }
    });
    let nodes: Vec<Node> = nodes.collect();
    let node = match (overload.body, <[Node; 2]>::try_from(nodes)) {
        (Body::Two(function), Ok(sides)) => Node::Two(function, Box::new(sides)),
        (Body::Many(function), Ok(sides)) => Node::Many(function, Box::new(sides)),
        (Body::Many(function), Err(nodes)) => Node::Many(function, nodes.into()),
        (Body::One(function), Err(mut nodes)) if nodes.len() == 1 => {
            Node::One(function, Box::new(nodes.remove(0)))
        }
        _ => return Err(unfit()),
    };
    Ok((node, Kind::Value(overload.gives)))
}

/// Functions that no table of types describes. None for every other name; inside, none for arguments that do not fit.
fn special(
    name: &str,
    arguments: &Arguments,
    at: Option<Place>,
) -> Option<Result<Option<Typed>, ExpressionError>> {
    let taken: Vec<Typed> = arguments.iter().map(|(argument, _)| argument.clone()).collect();
    Some(match name {
        "coalesce" | "greatest" | "least" if taken.is_empty() => Ok(None),
        "coalesce" => unified_all("the arguments of coalesce", arguments.clone())
            .map(|(nodes, kind)| Some((Node::Coalesce(nodes.into()), kind))),
        "greatest" | "least" => {
            let what =
                if name == "greatest" { "the arguments of greatest" } else { "the arguments of least" };
            let function = if name == "greatest" { numbers::greatest } else { numbers::least };
            unified_all(what, arguments.clone())
                .map(|(nodes, kind)| Some((Node::WithNulls(function, nodes.into()), kind)))
        }
        "nullif" => Ok(two(taken).and_then(|[left, right]| nullif(left, right))),
        "concat" => Ok(taken
            .iter()
            .all(|(_, kind)| [Kind::TEXT, Kind::Null].contains(kind))
            .then(|| taken.into_iter().map(|(node, _)| node).collect::<Vec<_>>())
            .map(|nodes| (Node::WithNulls(crate::values::texts::concat, nodes.into()), Kind::TEXT))),
        "cardinality" | "array_length" => Ok(match <[Typed; 1]>::try_from(taken) {
            Ok([(node, Kind::Value(DataType::List(_) | DataType::Map(_)))]) => {
                Some((Node::One(nested::cardinality, Box::new(node)), Kind::INT))
            }
            _ => None,
        }),
        "array_contains" => Ok(two(taken).and_then(|[list, item]| contains(list, item))),
        "date_part" | "date_trunc" => {
            let Some([(Node::Literal(Value::Text(unit)), _), value]) = two(taken) else {
                return Some(Ok(None));
            };
            let unit = unit.to_lowercase();
            if name == "date_part" {
                extract(&unit, value).map(Some).map_err(|refusal| refusal.at(at))
            } else {
                truncate(&unit, value).map(Some).map_err(|refusal| refusal.at(at))
            }
        }
        _ => return None,
    })
}

fn two(arguments: Vec<Typed>) -> Option<[Typed; 2]> {
    arguments.try_into().ok()
}

/// The left value, or null where both are equal.
fn nullif(left: Typed, right: Typed) -> Option<Typed> {
    let (value, kind) = left.clone();
    let (left, right, _) = unified(left, right).ok()?;
    let equal = Node::Compare(crate::node::Comparison::Equal, Box::new([left, right]));
    let branches = [(equal, Node::Literal(Value::Null))];
    Some((Node::Case(Box::new(branches), Box::new(value)), kind))
}

fn contains((list, kind): Typed, item: Typed) -> Option<Typed> {
    let Kind::Value(DataType::List(of)) = kind else { return None };
    let of = Kind::Value(of.data_type());
    let (_, item, kind) = unified((Node::Literal(Value::Null), of), item).ok()?;
    (kind == of).then(|| (Node::Two(nested::contains, Box::new([list, item])), Kind::BOOL))
}

/// One field of a timestamp, or the seconds of an interval.
fn extract(unit: &str, (node, kind): Typed) -> Result<Typed, Refusal> {
    let node = Box::new(node);
    match (kind, unit) {
        (Kind::Interval, "epoch") => Ok((Node::One(time::interval_seconds, node), Kind::FLOAT)),
        (Kind::TIMESTAMP | Kind::Null, "epoch") => Ok((Node::One(time::epoch_seconds, node), Kind::FLOAT)),
        (Kind::TIMESTAMP | Kind::Null, unit) => {
            let field = time::field(unit).ok_or_else(|| Refusal::Literal {
                text: unit.to_owned(),
                expected: "a field of a timestamp: year, quarter, month, week, day, doy, dow, isodow, hour, minute, \
                           second or epoch",
            })?;
            Ok((Node::One(field, node), Kind::INT))
        }
        (kind, _) => {
            Err(Refusal::Operands { operator: format!("EXTRACT({unit} FROM …)"), got: kind.word() })
        }
    }
}

/// The start of the unit that holds a timestamp.
fn truncate(unit: &str, (node, kind): Typed) -> Result<Typed, Refusal> {
    if !matches!(kind, Kind::TIMESTAMP | Kind::Null) {
        return Err(Refusal::Operands { operator: "date_trunc".to_owned(), got: kind.word() });
    }
    let start = time::start_of(unit).ok_or_else(|| Refusal::Literal {
        text: unit.to_owned(),
        expected: "a unit of date_trunc: year, quarter, month, week, day, hour, minute or second",
    })?;
    Ok((Node::One(start, Box::new(node)), Kind::TIMESTAMP))
}
