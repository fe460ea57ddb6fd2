//! The table of functions: what each takes and gives. `docs/expressions.md` says what each means.

use shipway_core::{DataType, Value};

use crate::{
    compile::Kind,
    values::{numbers as n, texts as t, time},
};

/// What is done with arguments, none of which is null.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    One(fn(&Value) -> Value),
    Two(fn(&Value, &Value) -> Value),
    Many(fn(&[Value]) -> Value),
}

/// A function for arguments of certain types.
#[derive(Debug)]
pub(crate) struct Overload {
    name: &'static str,
    pub(crate) takes: &'static [DataType],
    pub(crate) gives: DataType,
    pub(crate) body: Body,
}

const fn one(
    name: &'static str,
    takes: &'static [DataType],
    gives: DataType,
    body: fn(&Value) -> Value,
) -> Overload {
    Overload { name, takes, gives, body: Body::One(body) }
}

const fn two(
    name: &'static str,
    takes: &'static [DataType],
    gives: DataType,
    body: fn(&Value, &Value) -> Value,
) -> Overload {
    Overload { name, takes, gives, body: Body::Two(body) }
}

const fn many(
    name: &'static str,
    takes: &'static [DataType],
    gives: DataType,
    body: fn(&[Value]) -> Value,
) -> Overload {
    Overload { name, takes, gives, body: Body::Many(body) }
}

const BOOL: DataType = DataType::Bool;
const INT: DataType = DataType::Int;
const FLOAT: DataType = DataType::Float;
const TEXT: DataType = DataType::Text;
const TIME: DataType = DataType::Timestamp;

/// Of two that fit the first is taken, so exact ones stand before those that an int must become a float for.
const OVERLOADS: &[Overload] = &[
    one("abs", &[INT], INT, n::abs_int),
    one("abs", &[FLOAT], FLOAT, n::abs_float),
    one("sign", &[INT], INT, n::sign_int),
    one("sign", &[FLOAT], FLOAT, n::sign_float),
    one("floor", &[INT], INT, n::same),
    one("floor", &[FLOAT], FLOAT, n::floor),
    one("ceil", &[INT], INT, n::same),
    one("ceil", &[FLOAT], FLOAT, n::ceil),
    one("round", &[INT], INT, n::same),
    one("round", &[FLOAT], FLOAT, n::round),
    two("round", &[FLOAT, INT], FLOAT, n::round_to),
    one("trunc", &[INT], INT, n::same),
    one("trunc", &[FLOAT], FLOAT, n::trunc),
    two("div", &[INT, INT], INT, n::divide_int),
    one("sqrt", &[FLOAT], FLOAT, n::sqrt),
    one("exp", &[FLOAT], FLOAT, n::exp),
    one("ln", &[FLOAT], FLOAT, n::ln),
    one("log2", &[FLOAT], FLOAT, n::log2),
    one("log10", &[FLOAT], FLOAT, n::log10),
    two("power", &[FLOAT, FLOAT], FLOAT, n::power),
    one("sin", &[FLOAT], FLOAT, n::sin),
    one("cos", &[FLOAT], FLOAT, n::cos),
    two("atan2", &[FLOAT, FLOAT], FLOAT, n::atan2),
    one("radians", &[FLOAT], FLOAT, n::radians),
    one("isnan", &[FLOAT], BOOL, n::is_nan),
    one("lower", &[TEXT], TEXT, t::lower),
    one("upper", &[TEXT], TEXT, t::upper),
    one("trim", &[TEXT], TEXT, t::trim),
    one("ltrim", &[TEXT], TEXT, t::ltrim),
    one("rtrim", &[TEXT], TEXT, t::rtrim),
    one("length", &[TEXT], INT, t::length),
    two("left", &[TEXT, INT], TEXT, t::left),
    two("right", &[TEXT, INT], TEXT, t::right),
    two("substr", &[TEXT, INT], TEXT, t::substr_from),
    many("substr", &[TEXT, INT, INT], TEXT, t::substr),
    two("starts_with", &[TEXT, TEXT], BOOL, t::starts_with),
    two("ends_with", &[TEXT, TEXT], BOOL, t::ends_with),
    two("contains", &[TEXT, TEXT], BOOL, t::contains),
    two("strpos", &[TEXT, TEXT], INT, t::strpos),
    many("replace", &[TEXT, TEXT, TEXT], TEXT, t::replace),
    many("split_part", &[TEXT, TEXT, INT], TEXT, t::split_part),
    one("to_timestamp_seconds", &[INT], TIME, time::from_seconds),
    one("to_timestamp_seconds", &[FLOAT], TIME, time::from_float_seconds),
    one("to_timestamp_millis", &[INT], TIME, time::from_millis),
    one("to_timestamp_micros", &[INT], TIME, time::from_micros),
];

/// Functions that the compiler knows by itself.
const SPECIAL: &[(&str, &[&str])] = &[
    ("array_contains", &["array_contains(list(T), T) \u{2192} bool"]),
    ("array_length", &["array_length(list or map) \u{2192} int"]),
    ("cardinality", &["cardinality(list or map) \u{2192} int"]),
    ("coalesce", &["coalesce(T, T, \u{2026}) \u{2192} T"]),
    ("concat", &["concat(text, text, \u{2026}) \u{2192} text"]),
    ("date_part", &["date_part('field', timestamp) \u{2192} int, float for 'epoch'"]),
    ("date_trunc", &["date_trunc('unit', timestamp) \u{2192} timestamp"]),
    ("greatest", &["greatest(T, T, \u{2026}) \u{2192} T"]),
    ("least", &["least(T, T, \u{2026}) \u{2192} T"]),
    ("nullif", &["nullif(T, T) \u{2192} T"]),
];

/// Other names of functions in the table.
const ALIASES: &[(&str, &str)] = &[
    ("ceiling", "ceil"),
    ("pow", "power"),
    ("char_length", "length"),
    ("character_length", "length"),
    ("substring", "substr"),
    ("btrim", "trim"),
    ("is_nan", "isnan"),
];

fn real_name(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real)
}

/// Every function with its types, as a person reads it, by name.
pub fn function_signatures() -> Vec<String> {
    let mut signatures: Vec<String> = OVERLOADS.iter().map(Overload::signature).collect();
    signatures.extend(SPECIAL.iter().flat_map(|(_, signatures)| signatures.iter().map(ToString::to_string)));
    signatures.sort();
    signatures
}

/// The signatures of one function; none when there is no such function.
pub(crate) fn signatures_of(name: &str) -> Vec<String> {
    let name = real_name(name);
    if let Some((_, signatures)) = SPECIAL.iter().find(|(special, _)| *special == name) {
        return signatures.iter().map(ToString::to_string).collect();
    }
    OVERLOADS.iter().filter(|overload| overload.name == name).map(Overload::signature).collect()
}

/// The function that is most like `name`.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let special = SPECIAL.iter().map(|(name, _)| *name);
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    shipway_core::nearest(name, OVERLOADS.iter().map(|overload| overload.name).chain(special).chain(aliases))
}

/// The function `name` for arguments of these types. Null fits every type, an int or a decimal fits where a float is taken.
pub(crate) fn overload(name: &str, got: &[Kind]) -> Option<&'static Overload> {
    let name = real_name(name);
    OVERLOADS.iter().find(|overload| {
        overload.name == name
            && overload.takes.len() == got.len()
            && overload.takes.iter().zip(got).all(|(wanted, got)| match got {
                Kind::Null => true,
                Kind::Interval => false,
                Kind::Value(got) => {
                    let is_exact = matches!(got, DataType::Int | DataType::Decimal(_));
                    got == wanted || is_exact && *wanted == FLOAT
                }
            })
    })
}

impl Overload {
    fn signature(&self) -> String {
        let takes: Vec<String> = self.takes.iter().map(ToString::to_string).collect();
        format!("{}({}) \u{2192} {}", self.name, takes.join(", "), self.gives)
    }
}
