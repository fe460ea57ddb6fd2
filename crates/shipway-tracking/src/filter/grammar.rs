//! Tokens to comparisons and orders: a conjunction of `field operator value`, no more.

use super::{
    AttributeKind, Comparison, DatasetField, Field, FilterError, Order, Relation, Subject, Test,
    subject::{Attribute, Metrics},
    token::{Part, Token, tokens},
};

/// Reads a filter. Empty text is the filter that everything passes.
pub(crate) fn parse_filter(text: &str, subject: &Subject) -> Result<Vec<Comparison>, FilterError> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let mut comparisons = Vec::new();
    while !reader.is_done() {
        if !comparisons.is_empty() {
            reader.keyword("and")?;
        }
        comparisons.push(reader.comparison(subject)?);
    }
    Ok(comparisons)
}

/// Reads one order clause: a field, then ASC or DESC or nothing.
pub(crate) fn parse_order(text: &str, subject: &Subject) -> Result<Order, FilterError> {
    let wrong = || FilterError(format!("Invalid order_by clause '{text}'"));
    let tokens = tokens(text).map_err(|_| wrong())?;
    let (field, direction) = match tokens.as_slice() {
        [field] => (field, None),
        [field, direction] => (field, Some(direction)),
        _ => return Err(wrong()),
    };
    let ascending = match direction {
        None => true,
        Some(word) if word.is_word("asc") => true,
        Some(word) if word.is_word("desc") => false,
        Some(_) => return Err(wrong()),
    };
    match field {
        Token::Identifier { parts } => {
            let field = field_of(parts, subject)?;
            let orderable = !matches!(field, Field::Dataset(_));
            if orderable { Ok(Order { field, ascending }) } else { Err(wrong()) }
        }
        _ => Err(wrong()),
    }
}

/// Reads the field of an order that states its direction apart.
pub(crate) fn parse_order_field(text: &str, subject: &Subject) -> Result<Field, FilterError> {
    Ok(parse_order(text, subject)?.field)
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn take(&mut self) -> Result<&'a Token, FilterError> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token.ok_or_else(|| FilterError("Invalid clause(s) in filter string: it ends too early".to_owned()))
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), FilterError> {
        let token = self.take()?;
        if token.is_word(keyword) { Ok(()) } else { Err(unexpected(token)) }
    }

    fn skip_word(&mut self, keyword: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.is_word(keyword));
        self.at += usize::from(found);
        found
    }

    fn comparison(&mut self, subject: &Subject) -> Result<Comparison, FilterError> {
        let token = self.take()?;
        let Token::Identifier { parts } = token else { return Err(unexpected(token)) };
        let field = field_of(parts, subject)?;
        let operator = self.take()?;
        let test = match operator {
            Token::Symbol(symbol) => {
                let relation = relation(symbol).ok_or_else(|| unexpected(operator))?;
                self.relational(&field, relation)?
            }
            word if word.is_word("like") || word.is_word("ilike") => {
                self.need(&field, allows_text(&field), operator)?;
                Test::Like { pattern: self.text(&field)?, case_sensitive: word.is_word("like") }
            }
            word if word.is_word("in") => self.list(&field, operator, true)?,
            word if word.is_word("not") => {
                self.keyword("in")?;
                self.list(&field, operator, false)?
            }
            word if word.is_word("is") => {
                let present = self.skip_word("not");
                self.keyword("null")?;
                self.need(&field, matches!(field, Field::Tag(_) | Field::Param(_)), operator)?;
                Test::Present(present)
            }
            other => return Err(unexpected(other)),
        };
        Ok(Comparison { field, test })
    }

    fn need(&self, field: &Field, fits: bool, operator: &Token) -> Result<(), FilterError> {
        if fits {
            return Ok(());
        }
        let operator = operator.quote();
        Err(FilterError(format!("Invalid comparator '{operator}' for {}", describe(field))))
    }

    fn relational(&mut self, field: &Field, relation: Relation) -> Result<Test, FilterError> {
        if is_number(field) {
            return match self.take()? {
                Token::Number(number) => Ok(Test::Number(relation, *number)),
                other => Err(wrong_value(field, "a number", other)),
            };
        }
        let equal = match relation {
            Relation::Equal => true,
            Relation::NotEqual => false,
            other => {
                return Err(FilterError(format!(
                    "Invalid comparator '{}' for {}",
                    other.sql(),
                    describe(field)
                )));
            }
        };
        if let (Field::Attribute(attribute), Some(Token::Number(number))) = (field, self.tokens.get(self.at))
            && attribute.kind == AttributeKind::NumberAsText
        {
            self.at += 1;
            return Ok(Test::Text { equal, value: number.to_string() });
        }
        if let Field::Attribute(Attribute { kind: AttributeKind::OrderOnly, .. }) = field {
            return Err(FilterError(format!("Invalid attribute key for a filter: {}", describe(field))));
        }
        Ok(Test::Text { equal, value: self.text(field)? })
    }

    fn text(&mut self, field: &Field) -> Result<String, FilterError> {
        match self.take()? {
            Token::Text(text) => Ok(text.clone()),
            other => Err(wrong_value(field, "a quoted string", other)),
        }
    }

    fn list(&mut self, field: &Field, operator: &Token, inside: bool) -> Result<Test, FilterError> {
        let fits = match field {
            Field::Dataset(_) => true,
            Field::Attribute(attribute) => {
                matches!(attribute.kind, AttributeKind::TextOrList | AttributeKind::NumberAsText)
            }
            _ => false,
        };
        self.need(field, fits, operator)?;
        match self.take()? {
            Token::Symbol("(") => {}
            other => return Err(wrong_value(field, "a list in parentheses", other)),
        }
        let mut values = Vec::new();
        loop {
            values.push(self.text(field)?);
            match self.take()? {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(Test::Among { inside, values }),
                other => return Err(unexpected(other)),
            }
        }
    }
}

fn relation(symbol: &str) -> Option<Relation> {
    Some(match symbol {
        "=" => Relation::Equal,
        "!=" => Relation::NotEqual,
        "<" => Relation::Less,
        "<=" => Relation::LessOrEqual,
        ">" => Relation::Greater,
        ">=" => Relation::GreaterOrEqual,
        _ => return None,
    })
}

fn is_number(field: &Field) -> bool {
    match field {
        Field::Metric(_) => true,
        Field::Attribute(attribute) => attribute.kind == AttributeKind::Number,
        _ => false,
    }
}

fn allows_text(field: &Field) -> bool {
    match field {
        Field::Metric(_) => false,
        Field::Attribute(attribute) => {
            matches!(attribute.kind, AttributeKind::Text | AttributeKind::TextOrList)
        }
        _ => true,
    }
}

fn field_of(parts: &[Part], subject: &Subject) -> Result<Field, FilterError> {
    let joined = |parts: &[Part]| parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
    let [first, rest @ ..] = parts else { return Err(FilterError("Invalid filter: no field".to_owned())) };
    if rest.is_empty() {
        return attribute_of(&first.text, subject);
    }
    let key = joined(rest);
    let wrong_entity = || {
        let known = known_entities(subject).join(", ");
        FilterError(format!("Invalid entity type '{}'. Valid values are [{known}]", first.text))
    };
    match first.text.to_ascii_lowercase().as_str() {
        "attribute" | "attributes" | "attr" | "run" => attribute_of(&key, subject),
        "metric" | "metrics" if subject.metrics != Metrics::None => Ok(Field::Metric(key)),
        "param" | "params" | "parameter" | "parameters" if subject.params.is_some() => Ok(Field::Param(key)),
        "tag" | "tags" if subject.tags.is_some() => Ok(Field::Tag(key)),
        "dataset" | "datasets" if subject.datasets => match key.as_str() {
            "name" => Ok(Field::Dataset(DatasetField::Name)),
            "digest" => Ok(Field::Dataset(DatasetField::Digest)),
            "context" => Ok(Field::Dataset(DatasetField::Context)),
            _ => Err(FilterError(format!(
                "Invalid dataset attribute '{key}'. Valid values are [name, digest, context]"
            ))),
        },
        _ => Err(wrong_entity()),
    }
}

fn known_entities(subject: &Subject) -> Vec<&'static str> {
    let mut known = vec!["attribute"];
    known.extend((subject.metrics != Metrics::None).then_some("metric"));
    known.extend(subject.params.map(|_| "parameter"));
    known.extend(subject.tags.map(|_| "tag"));
    known.extend(subject.datasets.then_some("dataset"));
    known
}

fn attribute_of(name: &str, subject: &Subject) -> Result<Field, FilterError> {
    let found = subject.attributes.iter().find(|attribute| attribute.names.contains(&name));
    found.map(Field::Attribute).ok_or_else(|| {
        let known: Vec<_> = subject.attributes.iter().map(|attribute| attribute.names[0]).collect();
        FilterError(format!(
            "Invalid attribute key '{name}' specified. Valid keys are [{}]",
            known.join(", ")
        ))
    })
}

fn describe(field: &Field) -> String {
    match field {
        Field::Attribute(attribute) => format!("attribute '{}'", attribute.names[0]),
        Field::Metric(key) => format!("metric '{key}'"),
        Field::Param(key) => format!("parameter '{key}'"),
        Field::Tag(key) => format!("tag '{key}'"),
        Field::Dataset(_) => "dataset".to_owned(),
    }
}

fn wrong_value(field: &Field, expected: &str, got: &Token) -> FilterError {
    FilterError(format!("Expected {expected} for {}, got '{}'", describe(field), got.quote()))
}

fn unexpected(token: &Token) -> FilterError {
    FilterError(format!("Invalid clause(s) in filter string: '{}'", token.quote()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::subject::{EXPERIMENTS, MODEL_VERSIONS, RUNS};
    use super::*;

    proptest! {
        #[test]
        fn no_text_upsets_the_parser(text in "\\PC{0,80}") {
            let _ = parse_filter(&text, &RUNS);
            let _ = parse_order(&text, &RUNS);
        }

        #[test]
        fn what_is_written_is_what_is_read(key in "[^`]{1,20}", value in "[^']{0,20}", number in -1e9..1e9) {
            let written = format!("params.`{key}` = '{value}' AND metrics.`{key}` <= {number}");
            let read = parse_filter(&written, &RUNS).unwrap();
            let param = Comparison {
                field: Field::Param(key.clone()),
                test: Test::Text { equal: true, value },
            };
            let metric =
                Comparison { field: Field::Metric(key), test: Test::Number(Relation::LessOrEqual, number) };
            prop_assert_eq!(read, vec![param, metric]);
        }
    }

    fn one(text: &str) -> Comparison {
        let mut all = parse_filter(text, &RUNS).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn fields_are_read_bare_quoted_and_by_every_alias() {
        for (text, field) in [
            ("metrics.auc > 0.5", Field::Metric("auc".into())),
            ("metric.`val auc` > 0.5", Field::Metric("val auc".into())),
            ("`metrics`.\"val/auc\" > 0.5", Field::Metric("val/auc".into())),
            ("tags.mlflow.runName = 'a'", Field::Tag("mlflow.runName".into())),
            ("tags.`mlflow.runName` = 'a'", Field::Tag("mlflow.runName".into())),
            ("params.lr = '0.1'", Field::Param("lr".into())),
            ("parameters.lr = \"0.1\"", Field::Param("lr".into())),
            ("dataset.context = 'train'", Field::Dataset(DatasetField::Context)),
        ] {
            assert_eq!(one(text).field, field, "{text}");
        }
        for text in ["run_id = 'a'", "attributes.run_id = 'a'", "attr.run_id = 'a'", "run.run_id = 'a'"] {
            assert!(
                matches!(one(text).field, Field::Attribute(attribute) if attribute.column == "s.run_id"),
                "{text}"
            );
        }
        assert!(parse_filter("attributes.`Run Name` = 'a' and Created > 5", &RUNS).is_ok());
    }

    #[test]
    fn tests_are_read_with_their_values() {
        assert_eq!(one("metrics.m >= -1e-3").test, Test::Number(Relation::GreaterOrEqual, -0.001));
        assert_eq!(one("metrics.m=5").test, Test::Number(Relation::Equal, 5.0));
        assert_eq!(one("params.p != 'x'").test, Test::Text { equal: false, value: "x".into() });
        assert_eq!(
            one("params.p iLiKe '%x'").test,
            Test::Like { pattern: "%x".into(), case_sensitive: false }
        );
        assert_eq!(
            one("run_id NOT IN ('a', 'b')").test,
            Test::Among { inside: false, values: vec!["a".into(), "b".into()] }
        );
        assert_eq!(one("tags.t IS NULL").test, Test::Present(false));
        assert_eq!(one("tags.t is not null").test, Test::Present(true));
        assert_eq!(parse_filter("  ", &RUNS), Ok(vec![]));
        assert_eq!(
            parse_filter("metrics.a > 1 and params.b = 'c' AND tags.d = 'e'", &RUNS).map(|all| all.len()),
            Ok(3)
        );
    }

    #[test]
    fn what_is_outside_the_grammar_is_refused() {
        for bad in [
            "metrics.a > 1 OR metrics.b > 1",
            "NOT metrics.a > 1",
            "(metrics.a > 1)",
            "metrics.a > 1;",
            "metrics.a > 1; DROP TABLE runs",
            "metrics.a > 1 -- why",
            "metrics.a > nan",
            "metrics.a > '1'",
            "metrics.a LIKE '1'",
            "metrics.a IS NULL",
            "params.a = 1",
            "params.a > 'x'",
            "params.a IN ('x')",
            "params.a = 'x",
            "run_name IN ('x')",
            "run_id IN ()",
            "run_id IN ('a',)",
            "colour = 'red'",
            "colours.a = 'red'",
            "dataset.owner = 'x'",
            "metrics.a >",
            "metrics.a > 1 and",
            "and",
            "metrics.a > 1 metrics.b > 1",
            "metrics. > 1",
            "start_time > 'x'",
            "metrics.a > 1e999",
        ] {
            assert!(parse_filter(bad, &RUNS).is_err(), "{bad}");
        }
        let error = parse_filter("metrics.a > 1 OR metrics.b > 1", &RUNS).unwrap_err();
        assert_eq!(error.to_string(), "Invalid clause(s) in filter string: 'OR'");
    }

    #[test]
    fn each_subject_has_its_own_words() {
        assert!(parse_filter("name = 'a' and tags.x = 'y'", &EXPERIMENTS).is_ok());
        assert!(parse_filter("experiment_id IN ('1', '2')", &EXPERIMENTS).is_ok());
        assert!(parse_filter("metrics.a > 1", &EXPERIMENTS).is_err());
        assert!(
            parse_filter("name = 'm' and version_number = 3 and run_id IN ('a')", &MODEL_VERSIONS).is_ok()
        );
    }

    #[test]
    fn orders_name_a_field_and_a_direction() {
        let order = parse_order("metrics.`val auc` DESC", &RUNS).unwrap();
        assert_eq!(order, Order { field: Field::Metric("val auc".into()), ascending: false });
        assert!(parse_order("start_time", &RUNS).unwrap().ascending);
        for bad in
            ["", "metrics.a sideways", "metrics.a DESC, b", "dataset.name", "'a'", "metrics.a DESC DESC"]
        {
            assert!(parse_order(bad, &RUNS).is_err(), "{bad}");
        }
    }
}
