//! Reads a query within bounds, and picks what it selects out of an answer of the REST wire.

use std::collections::HashMap;

use graphql_parser::query::{
    Definition, Directive, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    Value as AstValue, parse_query,
};
use serde_json::{Map, Value, json};

use super::schema::{Kind, SCHEMA};
use crate::mlflow::message::snake;

/// How deep brackets may be nested, which bounds the parser, and how deep selections may be.
const DEPTH: usize = 32;
/// Fields at the top of a query: each is a request of its own.
const ROOT_FIELDS: usize = 10;
/// Selections in all, fragments counted each time that they are spread.
const SELECTIONS: usize = 1_000;

/// A query that was read: the operation that is asked, with what it needs.
pub(super) struct Query {
    /// `Query` or `Mutation`.
    root: &'static str,
    selection: SelectionSet<'static, String>,
    fragments: HashMap<String, FragmentDefinition<'static, String>>,
    variables: Map<String, Value>,
}

/// A field at the top: which one, with what, and under which name the answer has it.
#[derive(Debug)]
pub(super) struct RootField<'a> {
    pub(super) name: &'a str,
    pub(super) answer_name: &'a str,
    pub(super) input: Map<String, Value>,
    selection: &'a SelectionSet<'static, String>,
    answer_type: &'a str,
}

type Read<T> = Result<T, String>;

impl Query {
    /// Reads a query, and the operation `operation` of it; without a name there must be one only.
    pub(super) fn read(text: &str, operation: Option<&str>, variables: Map<String, Value>) -> Read<Self> {
        bracket_depth(text)?;
        let document =
            parse_query::<String>(text).map_err(|error| format!("the query cannot be read: {error}"))?;
        let (mut found, mut fragments) = (Vec::new(), HashMap::new());
        for definition in document.into_static().definitions {
            match definition {
                Definition::Operation(of) => found.push(of),
                Definition::Fragment(fragment) => drop(fragments.insert(fragment.name.clone(), fragment)),
            }
        }
        if let Some(name) = operation {
            found.retain(|of| name_of(of) == Some(name));
        }
        let [asked] = <[_; 1]>::try_from(found).map_err(|found| match (operation, found.len()) {
            (Some(name), _) => format!("the query has no operation {name}"),
            (None, 0) => "the query has no operation".to_owned(),
            (None, _) => "the query has several operations, and operationName names none of them".to_owned(),
        })?;
        let (root, selection, defaults) = match asked {
            OperationDefinition::SelectionSet(selection) => ("Query", selection, Vec::new()),
            OperationDefinition::Query(query) => ("Query", query.selection_set, query.variable_definitions),
            OperationDefinition::Mutation(query) => {
                ("Mutation", query.selection_set, query.variable_definitions)
            }
            OperationDefinition::Subscription(_) => return Err("there are no subscriptions here".to_owned()),
        };
        let mut query = Self { root, selection, fragments, variables };
        for variable in defaults {
            if let Some(default) = variable.default_value {
                let value = query.value(&default)?;
                query.variables.entry(variable.name).or_insert(value);
            }
        }
        query.bounds()?;
        Ok(query)
    }

    /// Counts before anything is done, so that a small text cannot ask for much.
    fn bounds(&self) -> Read<()> {
        let mut left = SELECTIONS;
        self.count(&self.selection, 0, &mut left)?;
        let roots = self.fields(&self.selection)?.len();
        if roots > ROOT_FIELDS {
            return Err(format!(
                "a query may have at most {ROOT_FIELDS} fields at its top, and this has {roots}"
            ));
        }
        Ok(())
    }

    fn count(&self, selection: &SelectionSet<'static, String>, depth: usize, left: &mut usize) -> Read<()> {
        if depth > DEPTH {
            return Err(format!("selections may be nested at most {DEPTH} deep"));
        }
        for item in &selection.items {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| format!("a query may select at most {SELECTIONS} things"))?;
            let inner = match item {
                Selection::Field(field) => &field.selection_set,
                Selection::InlineFragment(inline) => &inline.selection_set,
                Selection::FragmentSpread(spread) => &self.fragment(&spread.fragment_name)?.selection_set,
            };
            self.count(inner, depth + 1, left)?;
        }
        Ok(())
    }

    fn fragment(&self, name: &str) -> Read<&FragmentDefinition<'static, String>> {
        self.fragments.get(name).ok_or_else(|| format!("the query has no fragment {name}"))
    }

    /// The fields of a selection, with those of its fragments.
    fn fields<'a>(
        &'a self,
        selection: &'a SelectionSet<'static, String>,
    ) -> Read<Vec<&'a Field<'static, String>>> {
        let mut fields = Vec::new();
        for item in &selection.items {
            let (directives, inner) = match item {
                Selection::Field(field) => (&field.directives, None),
                Selection::InlineFragment(inline) => (&inline.directives, Some(&inline.selection_set)),
                Selection::FragmentSpread(spread) => {
                    (&spread.directives, Some(&self.fragment(&spread.fragment_name)?.selection_set))
                }
            };
            if !self.is_included(directives)? {
                continue;
            }
            match (item, inner) {
                (Selection::Field(field), _) => fields.push(field),
                (_, Some(inner)) => fields.extend(self.fields(inner)?),
                _ => {}
            }
        }
        Ok(fields)
    }

    fn is_included(&self, directives: &[Directive<'static, String>]) -> Read<bool> {
        for directive in directives {
            let condition = directive.arguments.iter().find(|(name, _)| name == "if");
            let condition = match condition {
                Some((_, value)) => self.value(value)?.as_bool().unwrap_or_default(),
                None => false,
            };
            match directive.name.as_str() {
                "include" if !condition => return Ok(false),
                "skip" if condition => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    /// What is asked at the top.
    pub(super) fn roots(&self) -> Read<Vec<RootField<'_>>> {
        let field = |field| self.root_field(field);
        self.fields(&self.selection)?.into_iter().map(field).collect()
    }

    fn root_field<'a>(&'a self, field: &'a Field<'static, String>) -> Read<RootField<'a>> {
        let answer_name = field.alias.as_deref().unwrap_or(&field.name);
        if field.name == "__typename" {
            let (selection, input) = (&field.selection_set, Map::new());
            return Ok(RootField {
                name: &field.name,
                answer_name,
                input,
                selection,
                answer_type: self.root,
            });
        }
        let Some(Kind::Object(answer_type)) = SCHEMA.kind(self.root, &field.name) else {
            return Err(no_such_field(&field.name, self.root));
        };
        let mut input = Map::new();
        for (name, value) in &field.arguments {
            match (name.as_str(), self.value(value)?) {
                ("input", Value::Object(fields)) => input = fields,
                ("input", Value::Null) => {}
                ("input", _) => return Err(format!("the input of {} must be an object", field.name)),
                (name, _) => return Err(format!("{} has no argument {name}", field.name)),
            }
        }
        Ok(RootField { name: &field.name, answer_name, input, selection: &field.selection_set, answer_type })
    }

    /// Whether `path`, names of fields from the top of an answer, is selected: what is costly to find out is found out only then.
    pub(super) fn selects(&self, root: &RootField<'_>, path: &[&str]) -> bool {
        let mut selections = vec![root.selection];
        for name in path {
            let fields = selections.iter().filter_map(|selection| self.fields(selection).ok()).flatten();
            selections =
                fields.filter(|field| field.name == *name).map(|field| &field.selection_set).collect();
        }
        !selections.is_empty()
    }

    /// Picks what a field at the top selects out of its answer.
    pub(super) fn pick(&self, root: &RootField<'_>, answer: &Value) -> Read<Value> {
        if root.name == "__typename" {
            return Ok(json!(root.answer_type));
        }
        self.object(root.answer_type, root.selection, answer)
    }

    fn object(&self, of: &str, selection: &SelectionSet<'static, String>, value: &Value) -> Read<Value> {
        if selection.items.is_empty() {
            return Err(format!("something of {of} must be selected"));
        }
        let mut picked = Map::new();
        for field in self.fields(selection)? {
            let name = field.alias.as_deref().unwrap_or(&field.name);
            let found = if field.name == "__typename" {
                json!(of)
            } else {
                let kind = SCHEMA.kind(of, &field.name).ok_or_else(|| no_such_field(&field.name, of))?;
                self.convert(kind, field, &value[snake(&field.name)])?
            };
            picked.insert(name.to_owned(), found);
        }
        Ok(Value::Object(picked))
    }

    /// Unset fields have the value that protobuf gives them, as in the schema's own server.
    fn convert(&self, kind: &Kind, field: &Field<'static, String>, value: &Value) -> Read<Value> {
        Ok(match (kind, value) {
            (Kind::Object(of), _) if of == "ApiError" && value.is_null() => Value::Null,
            (Kind::Object(of), value) => self.object(of, &field.selection_set, value)?,
            (Kind::List(inner), Value::Array(items)) => {
                items.iter().map(|item| self.convert(inner, field, item)).collect::<Read<Vec<_>>>()?.into()
            }
            (Kind::List(_), _) => json!([]),
            (Kind::String | Kind::LongString, Value::String(_)) => value.clone(),
            (Kind::String | Kind::LongString, Value::Number(number)) => json!(number.to_string()),
            (Kind::String, _) => json!(""),
            (Kind::LongString, _) => json!("0"),
            (Kind::Float, Value::Number(_)) => value.clone(),
            // What is no number has no place in a Float.
            (Kind::Float, Value::String(_)) => Value::Null,
            (Kind::Float, _) => json!(0.0),
            (Kind::Boolean, _) => json!(value.as_bool().unwrap_or_default()),
        })
    }

    fn value(&self, value: &AstValue<'static, String>) -> Read<Value> {
        Ok(match value {
            AstValue::Variable(name) => self.variables.get(name).cloned().unwrap_or(Value::Null),
            AstValue::Int(number) => json!(number.as_i64()),
            AstValue::Float(number) => json!(number),
            AstValue::String(text) | AstValue::Enum(text) => json!(text),
            AstValue::Boolean(flag) => json!(flag),
            AstValue::Null => Value::Null,
            AstValue::List(items) => {
                items.iter().map(|item| self.value(item)).collect::<Read<Vec<_>>>()?.into()
            }
            AstValue::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((name.clone(), self.value(value)?)));
                Value::Object(fields.collect::<Read<Map<_, _>>>()?)
            }
        })
    }
}

fn name_of<'a>(operation: &'a OperationDefinition<'static, String>) -> Option<&'a str> {
    match operation {
        OperationDefinition::SelectionSet(_) => None,
        OperationDefinition::Query(query) => query.name.as_deref(),
        OperationDefinition::Mutation(query) => query.name.as_deref(),
        OperationDefinition::Subscription(query) => query.name.as_deref(),
    }
}

fn no_such_field(field: &str, of: &str) -> String {
    format!("Cannot query field '{field}' on type '{of}'")
}

/// The parser follows brackets by calling itself, so they are counted first, wherever they stand.
fn bracket_depth(text: &str) -> Read<()> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(format!("brackets may be nested at most {DEPTH} deep"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picked(text: &str, variables: Value, answer: &Value) -> Read<Value> {
        let Value::Object(variables) = variables else { return Err("no object".to_owned()) };
        let query = Query::read(text, None, variables)?;
        let mut data = Map::new();
        for root in query.roots()? {
            data.insert(root.answer_name.to_owned(), query.pick(&root, answer)?);
        }
        Ok(Value::Object(data))
    }

    #[test]
    fn what_is_selected_is_picked_and_converted() {
        let answer = json!({ "run": {
            "info": { "run_id": "r", "start_time": 1_700_000_000_123_i64, "experiment_id": "3" },
            "data": { "metrics": [{ "key": "auc", "value": 0.5, "step": 7 }, { "key": "loss", "value": "NaN" }] },
        }});
        let text = "query Q($data: MlflowGetRunInput!, $deep: Boolean = false) @component(name: \"x\") {
            mine: mlflowGetRun(input: $data) { __typename apiError { code } run { ...r data @include(if: $deep) { tags { key } } } }
        }
        fragment r on MlflowRunExtension { info { id: runId startTime endTime } data { metrics { key value step } } modelVersions { name } }";
        let found = picked(text, json!({ "data": { "runId": "r" } }), &answer).unwrap();
        assert_eq!(
            found,
            json!({ "mine": { "__typename": "MlflowGetRunResponse", "apiError": null, "run": {
                "info": { "id": "r", "startTime": "1700000000123", "endTime": "0" },
                "data": { "metrics": [
                    { "key": "auc", "value": 0.5, "step": "7" }, { "key": "loss", "value": null, "step": "0" },
                ] },
                "modelVersions": [],
            }}})
        );
    }

    #[test]
    fn what_cannot_be_asked_is_refused_in_words() {
        let many_roots: String =
            (0..11).map(|n| format!("a{n}: mlflowGetRun {{ run {{ info {{ runId }} }} }} ")).collect();
        let wide: String = (0..1_001).map(|n| format!("a{n}: runId ")).collect();
        for (text, words) in [
            ("{ mlflowGetRun { nothing } }", "Cannot query field 'nothing' on type 'MlflowGetRunResponse'"),
            ("{ mlflowDeleteRun { run } }", "Cannot query field 'mlflowDeleteRun' on type 'Query'"),
            ("{ mlflowGetRun { run } }", "something of MlflowRunExtension must be selected"),
            ("{ mlflowGetRun(input: 3) { run { info { runId } } } }", "must be an object"),
            ("{ mlflowGetRun { ...missing } }", "no fragment missing"),
            ("{ mlflowGetRun { ...a } } fragment a on X { ...b } fragment b on X { ...a }", "nested at most"),
            (
                "query A { mlflowGetRun { run { info { runId } } } } query B { mlflowGetRun { run { info { runId } } } }",
                "several operations",
            ),
            ("subscription { a }", "no subscriptions"),
            ("", "cannot be read"),
            (&format!("{{ {many_roots} }}"), "at most 10 fields"),
            (&format!("{{ mlflowGetRun {{ run {{ info {{ {wide} }} }} }} }}"), "at most 1000 things"),
            (&"{a".repeat(20_000), "brackets may be nested"),
        ] {
            let refused = picked(text, json!({}), &json!({ "run": {} })).unwrap_err();
            assert!(refused.contains(words), "{text:.60}: {refused}");
        }
    }

    #[test]
    fn fragments_cannot_multiply_a_small_text() {
        let fragments: String = (0..20)
            .map(|n| format!("fragment f{n} on X {{ ...f{next} ...f{next} }} ", next = n + 1))
            .collect();
        let text =
            format!("{{ mlflowGetRun {{ ...f0 }} }} {fragments} fragment f20 on X {{ apiError {{ code }} }}");
        assert!(picked(&text, json!({}), &json!({})).unwrap_err().contains("at most"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_refused(text in "[{}()a-z$:!@ \"\\[\\]\n.]{0,200}") {
            let _ = picked(&text, json!({}), &json!({}));
        }
    }
}
