//! The types of the schema, read from its text once.

use std::{collections::HashMap, sync::LazyLock};

use graphql_parser::schema::{Definition, Type as AstType, TypeDefinition, parse_schema};

const TEXT: &str = include_str!("schema.graphql");

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    /// A 64-bit integer, as text.
    LongString,
    Float,
    Boolean,
    List(Box<Self>),
    Object(String),
}

/// Fields by name, by the name of their type.
pub(super) struct Schema(HashMap<String, HashMap<String, Kind>>);

pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema(read()));

impl Schema {
    /// What a field of a type holds; `None` when the type has no such field.
    pub(super) fn kind(&self, of: &str, field: &str) -> Option<&Kind> {
        self.0.get(of)?.get(field)
    }
}

fn read() -> HashMap<String, HashMap<String, Kind>> {
    // A text that cannot be read leaves no types; the test below would say so.
    let definitions = parse_schema::<String>(TEXT).map(|document| document.definitions).unwrap_or_default();
    let types = definitions.into_iter().filter_map(|definition| match definition {
        Definition::TypeDefinition(TypeDefinition::Object(object)) => {
            let fields = object.fields.into_iter().map(|field| (field.name, kind(&field.field_type)));
            Some((object.name, fields.collect()))
        }
        _ => None,
    });
    types.collect()
}

fn kind(of: &AstType<'_, String>) -> Kind {
    match of {
        AstType::NonNullType(inner) => kind(inner),
        AstType::ListType(inner) => Kind::List(Box::new(kind(inner))),
        AstType::NamedType(name) => match name.as_str() {
            "String" => Kind::String,
            "LongString" => Kind::LongString,
            "Float" => Kind::Float,
            "Boolean" => Kind::Boolean,
            object => Kind::Object(object.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_field_holds_is_in_the_schema() {
        assert!(SCHEMA.0.len() > 20);
        for (name, fields) in &SCHEMA.0 {
            for (field, kind) in fields {
                let mut kind = kind;
                while let Kind::List(inner) = kind {
                    kind = inner;
                }
                if let Kind::Object(object) = kind {
                    assert!(SCHEMA.0.contains_key(object), "{name}.{field}: {object}");
                }
            }
        }
    }
}
