//! Answers that must be JSON of a shape.

use serde_json::{Value, json};
use shipway_guardrails::{Detector, Misfit, TextSchema};

fn schema(schema: Value) -> TextSchema {
    TextSchema::new(&schema).unwrap_or_else(|bad| panic!("{schema}: {bad}"))
}

/// The values that fit and those that do not.
fn judges(of: Value, fit: &[Value], misfit: &[Value]) {
    let strict = schema(of.clone());
    let lenient = TextSchema::of_request(&of).unwrap();
    for (values, expected) in [(fit, Ok(())), (misfit, Err(Misfit::Shape))] {
        for value in values {
            assert_eq!(strict.check(&value.to_string()), expected, "{of}: {value}");
            assert_eq!(lenient.check(&value.to_string()), expected, "{of}: {value}");
        }
    }
}

#[test]
fn keywords_of_values_and_lists_judge_what_they_are_about_and_nothing_else() {
    judges(
        json!({ "type": "integer" }),
        &[json!(1), json!(1.0), json!(-3)],
        &[json!(1.5), json!("1"), json!(null)],
    );
    judges(json!({ "type": ["string", "null"] }), &[json!("a"), json!(null)], &[json!(1), json!([])]);
    judges(
        json!({ "const": { "a": [1, 2] } }),
        &[json!({ "a": [1.0, 2] })],
        &[json!({ "a": [2, 1] }), json!({})],
    );
    judges(
        json!({ "enum": ["a", 2, null] }),
        &[json!("a"), json!(2.0), json!(null)],
        &[json!("b"), json!(3)],
    );
    judges(
        json!({ "minimum": 1, "exclusiveMaximum": 2 }),
        &[json!(1), json!(1.9), json!("x")],
        &[json!(0.9), json!(2)],
    );
    judges(json!({ "exclusiveMinimum": 1, "maximum": 2 }), &[json!(2)], &[json!(1), json!(2.1)]);
    judges(json!({ "multipleOf": 0.1 }), &[json!(0.3), json!(7), json!(1.1)], &[json!(0.35)]);
    judges(json!({ "multipleOf": 3 }), &[json!(9), json!(-6), json!(0)], &[json!(10), json!(9.5)]);
    judges(
        json!({ "minLength": 2, "maxLength": 3 }),
        &[json!("éé"), json!("abc"), json!(1)],
        &[json!("é"), json!("abcd")],
    );
    judges(json!({ "pattern": "^[a-z]+$" }), &[json!("abc"), json!(1)], &[json!("aBc"), json!("")]);
    judges(
        json!({ "items": { "type": "string" } }),
        &[json!([]), json!(["a"]), json!("x")],
        &[json!(["a", 1])],
    );
    judges(
        json!({ "prefixItems": [{ "type": "string" }, true], "items": false }),
        &[json!([]), json!(["a"]), json!(["a", 1])],
        &[json!([1]), json!(["a", 1, 2])],
    );
    judges(
        json!({ "minItems": 1, "maxItems": 2 }),
        &[json!([1]), json!([1, 2])],
        &[json!([]), json!([1, 2, 3])],
    );
    judges(
        json!({ "uniqueItems": true }),
        &[json!([1, 2, "1", [1], { "a": 1 }]), json!([{ "a": 1 }, { "a": 2 }])],
        &[json!([1, 1.0]), json!([{ "a": 1, "b": 2 }, { "b": 2, "a": 1 }]), json!(["a", "a"])],
    );
    judges(json!({ "contains": { "type": "integer" } }), &[json!(["a", 1])], &[json!([]), json!(["a"])]);
    judges(
        json!({ "contains": { "type": "integer" }, "minContains": 2, "maxContains": 3 }),
        &[json!([1, 2, "a"])],
        &[json!([1]), json!([1, 2, 3, 4])],
    );
}

#[test]
fn keywords_of_objects_and_of_other_schemas_judge_what_they_are_about() {
    judges(json!({ "required": ["a"] }), &[json!({ "a": null }), json!([])], &[json!({ "b": 1 })]);
    judges(
        json!({ "minProperties": 1, "maxProperties": 1 }),
        &[json!({ "a": 1 })],
        &[json!({}), json!({ "a": 1, "b": 2 })],
    );
    judges(
        json!({ "properties": { "a": { "type": "string" } }, "patternProperties": { "^x_": { "type": "integer" } }, "additionalProperties": false }),
        &[json!({ "a": "b", "x_1": 1 }), json!({})],
        &[json!({ "a": 1 }), json!({ "x_1": "b" }), json!({ "b": 1 })],
    );
    judges(
        json!({ "additionalProperties": { "type": "integer" } }),
        &[json!({ "a": 1 })],
        &[json!({ "a": "b" })],
    );
    judges(json!({ "propertyNames": { "maxLength": 1 } }), &[json!({ "a": 1 })], &[json!({ "ab": 1 })]);
    judges(
        json!({ "dependentRequired": { "a": ["b"] } }),
        &[json!({ "b": 1 }), json!({ "a": 1, "b": 1 })],
        &[json!({ "a": 1 })],
    );
    judges(
        json!({ "dependentSchemas": { "a": { "required": ["c"] } } }),
        &[json!({}), json!({ "a": 1, "c": 1 }), json!("a")],
        &[json!({ "a": 1 })],
    );
    judges(json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }), &[json!(1)], &[json!(0), json!(3)]);
    judges(
        json!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }),
        &[json!("a"), json!(5)],
        &[json!(4)],
    );
    judges(
        json!({ "oneOf": [{ "multipleOf": 2 }, { "multipleOf": 3 }] }),
        &[json!(2), json!(3)],
        &[json!(6), json!(5)],
    );
    judges(json!({ "not": { "type": "string" } }), &[json!(1)], &[json!("a")]);
    judges(
        json!({ "if": { "properties": { "kind": { "const": "a" } }, "required": ["kind"] }, "then": { "required": ["x"] }, "else": { "required": ["y"] } }),
        &[json!({ "kind": "a", "x": 1 }), json!({ "kind": "b", "y": 1 })],
        &[json!({ "kind": "a", "y": 1 }), json!({ "x": 1 })],
    );
    judges(json!(false), &[], &[json!(1)]);
    judges(json!({ "format": "email", "title": "x", "default": 3 }), &[json!("no mail")], &[]);
}

#[test]
fn what_refers_to_itself_and_to_parts_is_followed() {
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": { "node": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "next": { "$ref": "#/$defs/node" } },
            "required": ["name"],
            "additionalProperties": false
        }, "a/b c": { "type": "integer" } }
    });
    judges(
        tree,
        &[json!({ "name": "a", "next": { "name": "b" } })],
        &[json!({ "name": "a", "next": { "nam": "b" } }), json!("a")],
    );
    judges(
        json!({ "$ref": "#/$defs/a~1b%20c", "$defs": { "a/b c": { "type": "integer" } } }),
        &[json!(1)],
        &[json!("a")],
    );
}

#[test]
fn a_text_is_json_and_nothing_beside_it() {
    let any = schema(json!(true));
    for text in ["", "{", "```json\n{}\n```", "{} and more", "'a'", "NaN"] {
        assert_eq!(any.check(text), Err(Misfit::NoJson), "{text}");
    }
    for text in ["{}", " {\n} ", "1", "\"a\"", "null"] {
        assert_eq!(any.check(text), Ok(()), "{text}");
    }
    let long = format!("\"{}\"", "a".repeat(5 << 20));
    assert_eq!(any.check(&long), Err(Misfit::TooLong));
    // Deeper than anybody reads.
    assert_eq!(any.check(&"[".repeat(100_000)), Err(Misfit::NoJson));
}

#[test]
fn no_schema_takes_more_than_its_steps() {
    // Every level doubles the work.
    let both = json!({ "properties": { "a": { "$ref": "#" } }, "required": ["x"] });
    let doubling = json!({ "anyOf": [both.clone(), both] });
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "a": deep });
    }
    assert_eq!(schema(doubling).check(&deep.to_string()), Err(Misfit::TooMuch));
    // One that leads to itself ends.
    let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } });
    assert_eq!(schema(circle).check("1"), Err(Misfit::TooMuch));
    // A pattern that other engines need for ever for.
    let evil = schema(json!({ "pattern": "^(a+)+$" }));
    assert_eq!(evil.check(&format!("\"{}!\"", "a".repeat(1 << 20))), Err(Misfit::Shape));
    // Many names against many patterns.
    let patterns: serde_json::Map<String, Value> =
        (0..200).map(|index| (format!("x{index}y"), json!(true))).collect();
    let many: serde_json::Map<String, Value> =
        (0..20_000).map(|index| (format!("n{index}"), json!(1))).collect();
    let wide = schema(json!({ "patternProperties": patterns }));
    assert_eq!(wide.check(&Value::Object(many).to_string()), Err(Misfit::TooMuch));
}

#[test]
fn what_cannot_be_checked_is_refused_of_operators_and_says_nothing_in_requests() {
    for (unknown, words) in [
        (json!({ "unevaluatedProperties": false }), "`unevaluatedProperties` is not checked here"),
        (json!({ "pattern": "(?=a)" }), "look-around"),
        (json!({ "pattern": "(a)\\1" }), "backreferences are not supported"),
        (json!({ "$ref": "https://example.com/schema.json" }), "leads to nothing within the schema"),
        (json!({ "$ref": "#/$defs/none" }), "leads to nothing within the schema"),
        (json!({ "items": [{ "type": "string" }] }), "a schema is an object, true or false"),
        (json!({ "type": "text" }), "`type` is not written as it must be"),
        (json!({ "minLength": -1 }), "`minLength` is not written as it must be"),
        (json!({ "anyOf": [] }), "`anyOf` is not written as it must be"),
        (json!({ "multipleOf": 0 }), "`multipleOf` is not written as it must be"),
        (json!({ "properties": { "a": { "requird": [] } } }), "`requird` is not checked here"),
        (json!({ "description": "x".repeat(70_000) }), "more than 65536 bytes"),
    ] {
        let bad = Detector::JsonSchema(unknown.clone()).check().unwrap_err().to_string();
        assert!(bad.contains(words), "{unknown}: {bad}");
        if let Some(lenient) = TextSchema::of_request(&unknown) {
            assert_eq!(lenient.check("{\"b\":1}"), Ok(()), "{unknown}");
            assert_eq!(lenient.check("no json"), Err(Misfit::NoJson));
        }
    }
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "not": deep });
    }
    assert!(TextSchema::new(&deep).is_err());
}
