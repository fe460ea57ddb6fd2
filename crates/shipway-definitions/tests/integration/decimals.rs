//! Columns, keys and features of decimals.

use insta::assert_snapshot;

use crate::{parse, valid};

const SALES: &str = r#"
kind: entity
name: tariff
keys: { rate: "decimal(5,3)" }
---
kind: source
name: sales
event_time: at
columns:
  at: timestamp
  rate: decimal(5,3)
  price: decimal(18, 2)
  parts: list(decimal(9,4))
  currency: text
"#;

fn features(view: &str) -> String {
    let text = format!("kind: view\nname: v\nentity: tariff\nsource: sales\n{view}");
    let set = valid(&[&text, SALES]);
    let outputs = set.view("v").unwrap().definition.outputs();
    outputs.iter().map(|(name, data_type)| format!("{name}: {data_type}\n")).collect()
}

fn refused(view: &str) -> String {
    let text = format!(
        "kind: view\nname: v\nentity: tariff\nsource: sales\naggregate:\n  - {view}\n    windows: [1h]"
    );
    parse(&[&text, SALES]).unwrap_err()
}

#[test]
fn features_of_decimals_have_the_types_that_keep_them_exact() {
    assert_snapshot!(features("aggregate:\n  - column: price\n    operations: [sum, avg, min, stddev, last_k(2), distinct_count, histogram(5)]\n    windows: [1h]\n  - column: parts\n    over: positions\n    operations: [sum]\n    windows: [1h]\n  - operations: [count]\n    by: rate\n    windows: [1h]"), @r"
    price_sum_1h: decimal(38,2)
    price_avg_1h: float
    price_min_1h: decimal(18,2)
    price_stddev_1h: float
    price_last_k_2_1h: list(decimal(18,2))
    price_distinct_count_1h: int
    price_histogram_5_1h: map(int)
    parts_sum_1h: list(decimal(38,4))
    count_by_rate_1h: map(int)
    ");
    assert_snapshot!(features("latest: [price, parts]"), @r"
    price: decimal(18,2)
    parts: list(decimal(9,4))
    ");
}

#[test]
fn what_does_not_fit_names_the_column_the_operation_and_a_remedy() {
    assert_snapshot!(refused("column: parts\n    operations: [sum]"), @r"
    a.yaml:7: view v: column parts is list(decimal(9,4)); sum needs a number
      hint: say `over: elements` or `over: positions`, to look into the lists
    ");
    assert_snapshot!(refused("column: price\n    operations: [sum]\n    over: elements"), @r"
    a.yaml:8: view v: column price is decimal(18,2); over: elements needs a list
      hint: remove `over:`, or name a column of lists
    ");
    assert_snapshot!(refused("operations: [count]\n    by: parts"), @r"
    a.yaml:7: view v: column parts is list(decimal(9,4)); by needs a bool, an int, a decimal, a text or a timestamp
      hint: name a column of few distinct values with `by:`
    ");
    let other_scale = SALES.replace("rate: decimal(5,3)", "rate: decimal(5,2)");
    assert_snapshot!(parse(&["kind: view\nname: v\nentity: tariff\nsource: sales\nlatest: [price]", &other_scale]).unwrap_err(), @r"
    a.yaml:2: view v: column rate is decimal(5,2) in source sales; key rate of entity tariff is decimal(5,3)
      hint: declare both with one type, or name another column with `keys: […]`
    ");
}

#[test]
fn a_type_that_is_no_decimal_is_refused_with_one_that_is() {
    let source = |columns: &str| {
        parse(&[&format!("kind: source\nname: s\nevent_time: at\ncolumns:\n  at: timestamp\n{columns}")])
            .unwrap_err()
    };
    assert_snapshot!(source("  a: decimal\n  b: decimal(39,2)\n  c: decimal(2,3)\n  d: list(decimal)"), @r"
    a.yaml:6: source s: column a has the type decimal, which does not exist
      hint: write decimal(18,2): 1 to 38 digits, and how many of them stand after the point
    a.yaml:7: source s: column b has the type decimal(39,2), which does not exist
      hint: write decimal(18,2): 1 to 38 digits, and how many of them stand after the point
    a.yaml:8: source s: column c has the type decimal(2,3), which does not exist
      hint: write decimal(18,2): 1 to 38 digits, and how many of them stand after the point
    a.yaml:9: source s: column d has the type list(decimal), which does not exist
      hint: write decimal(18,2): 1 to 38 digits, and how many of them stand after the point
    ");
    assert_snapshot!(parse(&["kind: source\nname: s\nevent_time: at\ncolumns: { at: timestamp, price: decimal(18,2) }"]).unwrap_err(), @r#"
    a.yaml:4: source s: column `2)` is not a name
      hint: use a lower-case letter, then at most 62 of a-z, 0-9 and _
    a.yaml:4: source s: column price has the type decimal(18, which does not exist
      hint: in braces a comma ends a value: write it in quotes, "decimal(18,2)"
    "#);
}

#[test]
fn one_type_has_one_hash_however_it_is_spaced_and_another_scale_has_another() {
    let hash = |price: &str| {
        let source = SALES.replace("decimal(18, 2)", price);
        valid(&[&source]).source("sales").unwrap().hash
    };
    assert_eq!(hash("decimal(18,2)"), hash("decimal( 18 , 2 )"));
    assert_ne!(hash("decimal(18,2)"), hash("decimal(18,3)"));
    assert_ne!(hash("decimal(18,2)"), hash("decimal(17,2)"));
}
