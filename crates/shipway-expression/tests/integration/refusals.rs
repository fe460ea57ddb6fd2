//! Every refusal in the words a person reads.

use shipway_expression::{Expression, LONGEST_TEXT, Scope, function_signatures};

use crate::scope;

fn refused(text: &str) -> String {
    let error = Expression::compile(text, &scope()).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn a_name_that_does_not_exist_gets_the_nearest() {
    let scope = Scope::of([("dep_delay", shipway_core::DataType::Float)]);
    let error = Expression::compile("1 + dep_dellay", &scope).unwrap_err();
    assert_eq!(error.to_string(), "column dep_dellay does not exist here (at character 5)");
    assert_eq!(error.hint().unwrap(), "did you mean dep_delay?");
    assert_eq!(
        refused("1 +\n  lenght(t)"),
        "function lenght does not exist (at line 2, character 3); did you mean length?"
    );
    assert_eq!(
        refused("i.j"),
        "i.j with a dot (a feature is named view__feature) is not part of the expression language (at character 1); \
         docs/expressions.md lists what an expression may hold"
    );
}

#[test]
fn what_is_not_decided_by_the_row_is_refused() {
    for text in ["now()", "random()", "uuid()", "current_timestamp", "CURRENT_DATE", "rand()"] {
        assert!(refused(text).contains("gives another answer each time"), "{text}: {}", refused(text));
    }
    for text in ["sum(i)", "count(*)", "avg(f) + 1", "max(i)", "count(DISTINCT i)"] {
        let said = refused(text);
        let is_named =
            said.contains("is an aggregate") || said.contains("is not part of the expression language");
        assert!(is_named, "{text}: {said}");
    }
    for text in [
        "(SELECT 1)",
        "i IN (SELECT 1)",
        "EXISTS (SELECT 1)",
        "lag(i) OVER (ORDER BY at)",
        "count(i) FILTER (WHERE b)",
        "i AT TIME ZONE 'UTC'",
        "t SIMILAR TO 'x'",
        "t ~ 'x'",
        "i & 1",
        "i ^ 2",
        "ARRAY[1, 2]",
        "(1, 2)",
        "\"t\"[1:2]",
        "t LIKE 'x' ESCAPE '!'",
        "$1",
        "x'ff'",
        "i IN UNNEST(list)",
        "i = ANY(list)",
        "*",
    ] {
        assert!(Expression::compile(text, &scope()).is_err(), "{text}");
    }
}

#[test]
fn types_that_do_not_fit_are_named_at_their_place() {
    assert_eq!(
        refused("t + 1"),
        "+ does not take text and int (at character 1); cast one of them, such as CAST(text_column AS DOUBLE)"
    );
    assert!(refused("t = 1").starts_with("= does not take text and int"));
    assert!(refused("at > 5").starts_with("> does not take timestamp and int"));
    assert!(refused("at > 'yesterday'").starts_with("> does not take timestamp and text"));
    assert!(refused("i AND b").starts_with("AND does not take int"));
    assert!(refused("NOT i").starts_with("NOT does not take int"));
    assert!(refused("CASE WHEN i THEN 1 END").starts_with("WHEN does not take int"));
    assert!(refused("CASE WHEN b THEN 1 ELSE 'x' END").starts_with("the branches of CASE are int and text"));
    assert!(refused("coalesce(i, t)").starts_with("the arguments of coalesce are int and text"));
    assert!(refused("i IN (1, 'x')").starts_with("the value and the list are int and text"));
    assert_eq!(
        refused("lower(i)"),
        "lower does not take (int) (at character 1); it is lower(text) \u{2192} text"
    );
    assert!(
        refused("substr(t)").contains("it is substr(text, int) \u{2192} text, or substr(text, int, int)")
    );
    assert!(refused("date_trunc('fortnight', at)").starts_with("fortnight is not a unit of date_trunc"));
    assert!(refused("EXTRACT(century FROM at)").starts_with("century is not a field of a timestamp"));
    assert!(refused("EXTRACT(hour FROM i)").starts_with("EXTRACT(hour FROM \u{2026}) does not take int"));
    assert!(refused("CAST(i AS TIMESTAMP)").starts_with("int cannot be cast to TIMESTAMP"));
    assert!(refused("CAST(f AS DECIMAL(10, 2))").starts_with("float cannot be cast to DECIMAL(10,2)"));
    assert!(refused("price = t").starts_with("= does not take decimal(10,2) and text"));
    assert!(refused("list + 1").starts_with("+ does not take list(int) and int"));
    assert!(refused("list['a']").starts_with("[\u{2026}] does not take list(int) and text"));
}

#[test]
fn literals_must_be_what_they_are_written_as() {
    assert!(refused("9223372036854775808").contains("is not an integer of 64 bits"));
    assert!(refused("1e999").contains("is not a number that a 64-bit float can hold"));
    assert!(refused("CAST('x' AS BIGINT)").starts_with("'x' is not an integer of 64 bits"));
    assert!(refused("TIMESTAMP 'noon'").starts_with("'noon' is not a moment"));
    assert!(refused("INTERVAL '1 month'").starts_with("'1 month' is not an interval"));
    assert!(refused("INTERVAL '1'").starts_with("'1' is not an interval"));
}

#[test]
fn the_result_must_be_something_that_a_column_can_hold() {
    assert!(refused("at - since").starts_with("the result is an interval; write EXTRACT(EPOCH FROM"));
    assert!(refused("NULL").starts_with("the result is null and of no type; say its type"));
    let error = Expression::condition("i + 1", &scope()).unwrap_err();
    assert_eq!(error.to_string(), "the result is int");
    assert!(Expression::condition("i > 1", &scope()).is_ok());
}

#[test]
fn what_is_no_sql_says_where() {
    assert_eq!(
        refused("i +"),
        "expected: an expression, found: EOF; write one SQL expression, such as price * quantity"
    );
    assert!(refused("i i").starts_with("expected the end of the expression, found i (at character 3)"));
    assert!(refused("(i").contains("expected: )"));
    assert!(refused("'open").contains("unterminated string literal"));
    assert!(refused("").contains("expected: an expression"));
}

#[test]
fn texts_and_nesting_have_bounds() {
    let long = format!("i + {}", "1 + ".repeat(LONGEST_TEXT));
    assert!(refused(&long).contains("are the most"));
    let deep = format!("{}i{}", "(".repeat(150), ")".repeat(150));
    assert!(refused(&deep).contains("nested more than 100 levels deep"));
    let chain = format!("i{}", " + 1".repeat(150));
    assert!(refused(&chain).contains("nested more than 100 levels deep"));
}

#[test]
fn the_documentation_lists_every_function_with_its_types() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/expressions.md");
    let page = fs_err::read_to_string(page).unwrap();
    let missing: Vec<String> = function_signatures()
        .into_iter()
        .filter(|signature| !page.contains(&format!("`{signature}`")))
        .collect();
    assert!(missing.is_empty(), "docs/expressions.md lacks\n{}", missing.join("\n"));
}
