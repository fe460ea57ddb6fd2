//! Tokens to comparisons and orders: a conjunction of `field operator value`, no more.
//!
//! Which fields there are, and which operators each takes, is the business of a vocabulary.

use super::{
    Clause, Comparison, Condition, Field, FilterError, Order, Relation, Subject, Test,
    regular::regular,
    token::{Placed, Token, end_of, tokens},
    vocabulary::{Rules, Values, Vocabulary},
};

/// Reads a filter of a subject. Empty text is the filter that everything passes.
pub(crate) fn parse_filter(text: &str, subject: &Subject) -> Result<Vec<Comparison>, FilterError> {
    let comparison = |clause: Clause<Field>| match clause.condition {
        Condition::Test(test) => Ok(Comparison { field: clause.field, test }),
        Condition::Matches(_) => Err(FilterError::at(1, "Invalid comparator 'RLIKE'", "LIKE or ILIKE")),
    };
    parse_clauses(text, subject)?.into_iter().map(comparison).collect()
}

/// Reads a filter in the words of a vocabulary.
pub(crate) fn parse_clauses<V: Vocabulary>(
    text: &str,
    vocabulary: &V,
) -> Result<Vec<Clause<V::Field>>, FilterError> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, end: end_of(text) };
    let mut clauses = Vec::new();
    while !reader.is_done() {
        if !clauses.is_empty() {
            reader.keyword("AND", "AND or the end of the filter")?;
        }
        clauses.push(reader.clause(vocabulary)?);
    }
    Ok(clauses)
}

/// Reads one order clause: a field, then ASC or DESC or nothing.
pub(crate) fn parse_order(text: &str, subject: &Subject) -> Result<Order, FilterError> {
    let (field, ascending) = parse_order_of(text, subject)?;
    Ok(Order { field, ascending })
}

/// Reads the field of an order that states its direction apart.
pub(crate) fn parse_order_field(text: &str, subject: &Subject) -> Result<Field, FilterError> {
    Ok(parse_order(text, subject)?.field)
}

/// Reads one order clause in the words of a vocabulary: the field, and whether it ascends.
pub(crate) fn parse_order_of<V: Vocabulary>(
    text: &str,
    vocabulary: &V,
) -> Result<(V::Field, bool), FilterError> {
    let wrong = |at: usize, expected: &str| {
        FilterError::at(at, &format!("Invalid order_by clause '{text}'"), expected)
    };
    let tokens =
        tokens(text).map_err(|error| FilterError(format!("Invalid order_by clause '{text}': {error}")))?;
    let Some(Placed { token: Token::Identifier { parts }, at }) = tokens.first() else {
        return Err(wrong(tokens.first().map_or(end_of(text), |token| token.at), &vocabulary.expected()));
    };
    let ascending = match tokens.get(1) {
        None => true,
        Some(word) if word.token.is_word("asc") => true,
        Some(word) if word.token.is_word("desc") => false,
        Some(other) => return Err(wrong(other.at, "ASC, DESC or the end of the clause")),
    };
    if let Some(more) = tokens.get(2) {
        return Err(wrong(more.at, "the end of the clause"));
    }
    let field = vocabulary.field(parts, *at)?;
    if !vocabulary.orders(&field) {
        return Err(wrong(
            *at,
            &format!("a field with an order, which {} is not", vocabulary.describe(&field)),
        ));
    }
    Ok((field, ascending))
}

struct Reader<'a> {
    tokens: &'a [Placed],
    at: usize,
    /// The position after the text.
    end: usize,
}

impl<'a> Reader<'a> {
    fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn take(&mut self, expected: &str) -> Result<&'a Placed, FilterError> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        let early =
            || FilterError::at(self.end, "Invalid clause(s) in filter string: it ends too early", expected);
        token.ok_or_else(early)
    }

    fn keyword(&mut self, keyword: &str, expected: &str) -> Result<(), FilterError> {
        let token = self.take(expected)?;
        if token.token.is_word(keyword) { Ok(()) } else { Err(unexpected(token, expected)) }
    }

    fn skip_word(&mut self, keyword: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|placed| placed.token.is_word(keyword));
        self.at += usize::from(found);
        found
    }

    fn clause<V: Vocabulary>(&mut self, vocabulary: &V) -> Result<Clause<V::Field>, FilterError> {
        let expected = vocabulary.expected();
        let placed = self.take(&expected)?;
        let Token::Identifier { parts } = &placed.token else { return Err(unexpected(placed, &expected)) };
        let field = vocabulary.field(parts, placed.at)?;
        let of = Compared { name: vocabulary.describe(&field), rules: vocabulary.rules(&field) };
        let condition = self.condition(&of)?;
        if let (Some(expected), Some(last)) =
            (vocabulary.fault(&field, &condition), self.tokens.get(self.at - 1))
        {
            return Err(of.wrong_value(last, &expected));
        }
        Ok(Clause { field, condition })
    }

    fn condition(&mut self, of: &Compared) -> Result<Condition, FilterError> {
        let operators = of.rules.operators();
        let operator = self.take(&operators)?;
        let need = |fits: bool| if fits { Ok(()) } else { Err(of.wrong_operator(operator)) };
        let test = match &operator.token {
            Token::Symbol(symbol) => {
                let relation = relation(symbol).ok_or_else(|| unexpected(operator, &operators))?;
                need(of.rules.allows(relation))?;
                self.relational(of, relation)?
            }
            word if word.is_word("like") || word.is_word("ilike") => {
                need(of.rules.like)?;
                Test::Like { pattern: self.text(of)?, case_sensitive: word.is_word("like") }
            }
            word if word.is_word("rlike") => {
                need(of.rules.regular)?;
                return self.regular(of);
            }
            word if word.is_word("in") => {
                need(of.rules.list)?;
                Test::Among { inside: true, values: self.list(of)? }
            }
            word if word.is_word("not") => {
                self.keyword("IN", "IN")?;
                need(of.rules.list)?;
                Test::Among { inside: false, values: self.list(of)? }
            }
            word if word.is_word("is") => {
                let present = self.skip_word("not");
                self.keyword("NULL", "NULL or NOT NULL")?;
                need(of.rules.null)?;
                Test::Present(present)
            }
            _ => return Err(unexpected(operator, &operators)),
        };
        Ok(Condition::Test(test))
    }

    fn relational(&mut self, of: &Compared, relation: Relation) -> Result<Test, FilterError> {
        let equality = match relation {
            Relation::Equal => Some(true),
            Relation::NotEqual => Some(false),
            _ => None,
        };
        match (equality, of.rules.equal) {
            (Some(equal), Values::Text) => Ok(Test::Text { equal, value: self.text(of)? }),
            (Some(equal), Values::TextOrNumber) => {
                let placed = self.take("a quoted string or a number")?;
                match &placed.token {
                    Token::Text(text) => Ok(Test::Text { equal, value: text.clone() }),
                    Token::Number(number) => Ok(Test::Text { equal, value: number.to_string() }),
                    _ => Err(of.wrong_value(placed, "a quoted string or a number")),
                }
            }
            _ => {
                let placed = self.take("a number")?;
                match placed.token {
                    Token::Number(number) => Ok(Test::Number(relation, number)),
                    _ => Err(of.wrong_value(placed, "a number")),
                }
            }
        }
    }

    fn text(&mut self, of: &Compared) -> Result<String, FilterError> {
        let placed = self.take("a quoted string")?;
        match &placed.token {
            Token::Text(text) => Ok(text.clone()),
            _ => Err(of.wrong_value(placed, "a quoted string")),
        }
    }

    fn regular(&mut self, of: &Compared) -> Result<Condition, FilterError> {
        let at = self.tokens.get(self.at).map_or(self.end, |placed| placed.at);
        let text = self.text(of)?;
        match regular(&text) {
            Ok(_) => Ok(Condition::Matches(text)),
            Err(reason) => {
                let problem = format!("Invalid regular expression '{text}' for {}", of.name);
                Err(FilterError::at(at, &problem, &reason))
            }
        }
    }

    fn list(&mut self, of: &Compared) -> Result<Vec<String>, FilterError> {
        let placed = self.take("a list in parentheses")?;
        if placed.token != Token::Symbol("(") {
            return Err(of.wrong_value(placed, "a list in parentheses"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.text(of)?);
            let next = self.take(", or )")?;
            match next.token {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(values),
                _ => return Err(unexpected(next, ", or )")),
            }
        }
    }
}

/// The field that is being compared: its name in messages, and what it takes.
struct Compared {
    name: String,
    rules: Rules,
}

impl Compared {
    fn wrong_operator(&self, operator: &Placed) -> FilterError {
        let problem = format!("Invalid comparator '{}' for {}", operator.token.quote(), self.name);
        FilterError::at(operator.at, &problem, &self.rules.operators())
    }

    fn wrong_value(&self, got: &Placed, expected: &str) -> FilterError {
        let problem = format!("Invalid value '{}' for {}", got.token.quote(), self.name);
        FilterError::at(got.at, &problem, expected)
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

fn unexpected(placed: &Placed, expected: &str) -> FilterError {
    let problem = format!("Invalid clause(s) in filter string: '{}'", placed.token.quote());
    FilterError::at(placed.at, &problem, expected)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            DatasetField,
            subject::{EXPERIMENTS, MODEL_VERSIONS, RUNS},
        },
        *,
    };

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
    }

    #[test]
    fn every_error_names_the_position_and_what_was_expected() {
        for (text, message) in [
            (
                "metrics.a > 1 OR metrics.b > 1",
                "Invalid clause(s) in filter string: 'OR' at position 15; expected AND or the end of the filter",
            ),
            (
                "tags.\u{e4} > 'x'",
                "Invalid comparator '>' for tag '\u{e4}' at position 8; expected one of =, !=, LIKE, ILIKE, IS NULL, \
                 IS NOT NULL",
            ),
            ("metrics.a > '1'", "Invalid value '1' for metric 'a' at position 13; expected a number"),
            (
                "metrics.a >",
                "Invalid clause(s) in filter string: it ends too early at position 12; expected a number",
            ),
            (
                "tags.x = 'open",
                "Invalid clause(s) in filter string: ''open' at position 10; expected a closing '",
            ),
            (
                "dataset.owner = 'x'",
                "Invalid dataset attribute 'owner' at position 1; expected one of name, digest, context",
            ),
            (
                "run_id IN ('a' 'b')",
                "Invalid clause(s) in filter string: 'b' at position 16; expected , or )",
            ),
        ] {
            assert_eq!(parse_filter(text, &RUNS).unwrap_err().to_string(), message, "{text}");
        }
        let unknown = parse_filter("tags.a = 'b' and colour = 'red'", &RUNS).unwrap_err().to_string();
        assert!(
            unknown.starts_with(
                "Invalid attribute key 'colour' specified at position 18; expected one of run_id"
            ),
            "{unknown}"
        );
        let order = parse_order("start_time sideways", &RUNS).unwrap_err().to_string();
        assert_eq!(
            order,
            "Invalid order_by clause 'start_time sideways' at position 12; expected ASC, DESC or the end of the clause"
        );
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
