//! Properties of any text and any row.

use proptest::prelude::*;
use shipway_core::{DataType, Decimal, Timestamp, Value};
use shipway_expression::{Comparison, Expression, Row};

use crate::{COLUMNS, scope};

/// Texts that compile, over every kind of column; deep enough that operators meet each other.
fn text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("i".to_owned()),
        Just("j".to_owned()),
        Just("f".to_owned()),
        Just("g".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("0".to_owned()),
        Just("-1.5".to_owned()),
        Just("length(t)".to_owned()),
        Just("EXTRACT(hour FROM at)".to_owned()),
        Just("EXTRACT(epoch FROM at - since)".to_owned()),
        Just("list[1]".to_owned()),
        Just("map['a']".to_owned()),
        Just("price".to_owned()),
        Just("rate".to_owned()),
    ];
    let number = number.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (prop::sample::select(vec!["abs", "sqrt", "ln", "round", "sign"]), inner.clone())
                .prop_map(|(function, value)| format!("{function}({value})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(condition, then, otherwise)| format!(
                "CASE WHEN {condition} > {then} THEN {then} ELSE {otherwise} END"
            )),
            (inner.clone(), inner.clone())
                .prop_map(|(first, second)| format!("coalesce({first}, greatest({second}, {first}))")),
            inner.prop_map(|value| format!("CAST(CAST({value} AS DOUBLE) AS BIGINT)")),
        ]
    });
    let condition =
        (number.clone(), prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]), number.clone())
            .prop_map(|(left, operator, right)| format!("({left} {operator} {right})"));
    let condition = condition.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["AND", "OR"]), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            inner.clone().prop_map(|condition| format!("NOT {condition}")),
            inner.prop_map(|condition| format!("({condition} IS NOT TRUE)")),
        ]
    });
    prop_oneof![
        number.clone(),
        condition,
        number.prop_map(|value| format!("CAST({value} AS TEXT) || t")),
        Just("at + INTERVAL '1 day'".to_owned()),
        Just("date_trunc('week', since)".to_owned()),
    ]
}

fn value(data_type: DataType) -> BoxedStrategy<Value> {
    let int = prop_oneof![any::<i64>(), -3..4_i64, Just(i64::MIN), Just(i64::MAX)];
    let float = prop_oneof![any::<f64>(), Just(-0.0), Just(0.5), Just(f64::NAN), Just(f64::INFINITY)];
    let moment = -62_135_596_800_000_000..253_402_300_799_999_999_i64;
    let some = match data_type {
        DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Int => int.prop_map(Value::Int).boxed(),
        DataType::Float => float.prop_map(Value::float).boxed(),
        DataType::Text => ".{0,5}".prop_map(Value::text).boxed(),
        DataType::Timestamp => moment.prop_map(|micros| Value::Timestamp(Timestamp(micros))).boxed(),
        DataType::Decimal(decimal) => {
            let most = 10_i128.pow(u32::from(decimal.precision())) - 1;
            let scale = decimal.scale();
            (-most..=most).prop_map(move |it| Value::Decimal(Decimal::new(it, scale).unwrap())).boxed()
        }
        DataType::List(_) => {
            prop::collection::vec(int.prop_map(Value::Int), 0..3).prop_map(Value::list).boxed()
        }
        _ => prop::collection::vec(float.prop_map(Value::float), 0..2)
            .prop_map(|values| Value::map(["a", "b"].into_iter().map(Into::into).zip(values)))
            .boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 4 => some].boxed()
}

fn row() -> impl Strategy<Value = Vec<Value>> {
    COLUMNS.iter().map(|(_, data_type)| value(*data_type)).collect::<Vec<_>>()
}

/// Whether a condition on one column holds, by the words of the reference.
fn holds(left: &Value, comparison: Comparison, right: &Value) -> bool {
    let order = left.cmp(right);
    !left.is_null()
        && match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_row_stops_an_expression_and_its_value_is_of_its_type(text in text(), row in row()) {
        let compiled = Expression::compile(&text, &scope()).map_err(|error| format!("{text}: {error}")).unwrap();
        let value = compiled.evaluate(Row::from(row.as_slice())).into_owned();
        prop_assert!(value.is_of(compiled.data_type()), "{} is {:?}", text, value);
        if let Value::Float(number) = value {
            let is_normal = number.to_bits() == Value::float(number).to_json().as_f64().map_or(number.to_bits(), f64::to_bits);
            prop_assert!(is_normal && !(number == 0.0 && number.is_sign_negative()));
        }
    }

    #[test]
    fn a_row_in_two_parts_has_the_value_of_the_row_in_one(text in text(), row in row(), cut in 0..14_usize) {
        let compiled = Expression::compile(&text, &scope()).unwrap();
        let (first, second) = row.split_at(cut.min(row.len()));
        let whole = compiled.evaluate(Row::from(row.as_slice())).into_owned();
        prop_assert_eq!(compiled.evaluate(Row::new(first, second)).into_owned(), whole);
    }

    #[test]
    fn only_the_columns_that_it_reads_decide(text in text(), row in row(), other in row()) {
        let compiled = Expression::compile(&text, &scope()).unwrap();
        let mixed: Vec<Value> = (0..row.len())
            .map(|at| if compiled.reads().contains(&at) { row[at].clone() } else { other[at].clone() })
            .collect();
        let value = compiled.evaluate(Row::from(row.as_slice())).into_owned();
        prop_assert_eq!(compiled.evaluate(Row::from(mixed.as_slice())).into_owned(), value);
    }

    #[test]
    fn what_is_necessary_holds_wherever_a_condition_is_true(
        bound in -3..4_i64, operator in prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]),
        rest in text(), row in row(), turned in any::<bool>(),
    ) {
        let comparison = if turned { format!("{bound} {operator} i") } else { format!("i {operator} {bound}") };
        let condition = format!("{comparison} AND t >= 'a' AND ({rest}) IS NOT NULL");
        let compiled = Expression::condition(&condition, &scope()).unwrap();
        let necessary = compiled.necessary();
        prop_assert_eq!(necessary.len(), 2);
        let all_hold = necessary.iter().all(|it| holds(&row[it.column], it.comparison, &it.value));
        if compiled.is_true(Row::from(row.as_slice())) {
            prop_assert!(all_hold);
        }
    }

    #[test]
    fn no_text_breaks_the_compiler(text in ".{0,60}") {
        let _ = Expression::compile(&text, &scope());
    }

    #[test]
    fn no_mixture_of_words_breaks_the_compiler(words in prop::collection::vec(prop::sample::select(vec![
        "i", "t", "at", "(", ")", "+", "-", "CASE", "WHEN", "THEN", "END", "AND", "NOT", "NULL", "'x'", "1", "1.5",
        "lower", ",", "CAST", "AS", "BIGINT", "INTERVAL", "'1 day'", "EXTRACT", "FROM", "hour", "IN", "IS", "LIKE",
        "[", "]", "::", "BETWEEN", "list", "map", "date_trunc",
    ]), 0..14)) {
        let _ = Expression::compile(&words.join(" "), &scope());
    }
}
