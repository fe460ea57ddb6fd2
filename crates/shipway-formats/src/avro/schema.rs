//! The JSON of an Avro schema to types that refer to each other by number, so that a type may contain itself.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value as Json};

use crate::{definition::TimeUnit, meaning::Meaning};

/// The number of a type within its schema.
pub(super) type NodeId = usize;

/// A schema; what its names stand for is resolved.
#[derive(Debug)]
pub(crate) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
}

#[derive(Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int(Meaning),
    Long(Meaning),
    Float,
    Double,
    Bytes(Meaning),
    Text,
    Fixed(usize, Meaning),
    Enum(Box<[Arc<str>]>),
    Array(NodeId),
    Map(NodeId),
    Union(Box<[NodeId]>),
    Record(Record),
    /// A name that is taken, and whose type is being read.
    Pending,
}

#[derive(Debug)]
pub(super) struct Record {
    /// With its namespace.
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) aliases: Vec<Box<str>>,
    pub(super) node: NodeId,
}

/// The most types that one schema may have.
const MOST_NODES: usize = 20_000;

impl Schema {
    /// Reads `text`; it may use the names of `references`, each of which may use those before it.
    pub(crate) fn parse(text: &str, references: &[String]) -> Result<Self, String> {
        let mut reader = Reader { nodes: Vec::new(), names: HashMap::new() };
        let mut root = None;
        for text in references.iter().map(String::as_str).chain([text]) {
            // A schema may be the bare name of a type.
            let json = serde_json::from_str(text)
                .or_else(|error| if is_name(text) { Ok(Json::from(text)) } else { Err(error) })
                .map_err(|error| format!("not an Avro schema: {error}"))?;
            root = Some(reader.node(&json, "")?);
        }
        let root = root.ok_or("there is no schema")?;
        Ok(Self { nodes: reader.nodes, root })
    }

    pub(super) const fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Pending)
    }

    /// The word for a type in a message for people.
    pub(super) fn word(&self, id: NodeId) -> &'static str {
        match self.node(id) {
            Node::Null => "null",
            Node::Boolean => "a boolean",
            Node::Int(_) | Node::Long(_) => "a whole number",
            Node::Float | Node::Double => "a float",
            Node::Bytes(_) | Node::Fixed(..) => "bytes",
            Node::Text => "a string",
            Node::Enum(_) => "an enum",
            Node::Array(_) => "an array",
            Node::Map(_) => "a map",
            Node::Union(_) => "a union",
            Node::Record(_) | Node::Pending => "a record",
        }
    }
}

struct Reader {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
}

impl Reader {
    fn add(&mut self, node: Node) -> Result<NodeId, String> {
        if self.nodes.len() >= MOST_NODES {
            return Err(format!("the schema has more than {MOST_NODES} types"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// The JSON reader bounds how deep `json` is, and so how deep this goes.
    fn node(&mut self, json: &Json, namespace: &str) -> Result<NodeId, String> {
        match json {
            Json::String(name) => self.named(name, namespace, &Map::new()),
            Json::Array(branches) => {
                let branches = branches.iter().map(|branch| self.node(branch, namespace));
                let branches: Box<[NodeId]> = branches.collect::<Result<_, _>>()?;
                self.add(Node::Union(branches))
            }
            Json::Object(object) => match object.get("type") {
                Some(Json::String(name)) => self.object(name, object, namespace),
                Some(inner) => self.node(inner, namespace),
                None => Err("a type without `type`".to_owned()),
            },
            _ => Err(format!("{json} is not a type")),
        }
    }

    fn object(&mut self, word: &str, object: &Map<String, Json>, namespace: &str) -> Result<NodeId, String> {
        match word {
            "array" | "map" => {
                let member = if word == "array" { "items" } else { "values" };
                let items = object.get(member).ok_or_else(|| format!("type {word} without {member}"))?;
                let items = self.node(items, namespace)?;
                self.add(if word == "array" { Node::Array(items) } else { Node::Map(items) })
            }
            "record" | "error" | "enum" | "fixed" => {
                let name = object.get("name").and_then(Json::as_str);
                let name = name.ok_or_else(|| format!("a type {word} without a name"))?;
                let own = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
                let full_name = full_name(name, own);
                let id = self.add(Node::Pending)?;
                if self.names.insert(full_name.clone(), id).is_some() {
                    return Err(format!("two types have the name {full_name}"));
                }
                let inner = full_name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
                let node = match word {
                    "enum" => Node::Enum(symbols(object)?),
                    "fixed" => Node::Fixed(size(object)?, meaning(object)),
                    _ => Node::Record(Record { name: full_name, fields: self.fields(object, &inner)? }),
                };
                self.nodes[id] = node;
                Ok(id)
            }
            _ => self.named(word, namespace, object),
        }
    }

    fn named(
        &mut self,
        word: &str,
        namespace: &str,
        attributes: &Map<String, Json>,
    ) -> Result<NodeId, String> {
        let meaning = meaning(attributes);
        let node = match word {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" => Node::Int(meaning),
            "long" => Node::Long(meaning),
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" => Node::Bytes(meaning),
            "string" => Node::Text,
            _ => {
                let known = self.names.get(&full_name(word, namespace)).or_else(|| self.names.get(word));
                return known.copied().ok_or_else(|| format!("there is no type {word}"));
            }
        };
        self.add(node)
    }

    fn fields(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<Vec<Field>, String> {
        let fields = object.get("fields").and_then(Json::as_array).ok_or("a record without fields")?;
        let mut read: Vec<Field> = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field.get("name").and_then(Json::as_str).ok_or("a field without a name")?;
            if read.iter().any(|other| *other.name == *name) {
                return Err(format!("two fields have the name {name}"));
            }
            let data_type = field.get("type").ok_or_else(|| format!("field {name} has no type"))?;
            let node = self.node(data_type, namespace)?;
            let aliases = field.get("aliases").and_then(Json::as_array).into_iter().flatten();
            let aliases = aliases.filter_map(Json::as_str).map(Box::from).collect();
            read.push(Field { name: name.into(), aliases, node });
        }
        Ok(read)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        return name.trim_start_matches('.').to_owned();
    }
    format!("{namespace}.{name}")
}

fn symbols(object: &Map<String, Json>) -> Result<Box<[Arc<str>]>, String> {
    let symbols = object.get("symbols").and_then(Json::as_array).ok_or("an enum without symbols")?;
    let symbol = |symbol: &Json| symbol.as_str().map(Arc::from).ok_or("a symbol that is no text".to_owned());
    symbols.iter().map(symbol).collect()
}

fn size(object: &Map<String, Json>) -> Result<usize, String> {
    let size = object.get("size").and_then(Json::as_u64).and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| "a fixed type without a size".to_owned())
}

/// What the attributes of a type say. An unknown logical type is the type itself, as the specification has it.
fn meaning(attributes: &Map<String, Json>) -> Meaning {
    use TimeUnit::{Microseconds, Milliseconds, Nanoseconds};
    let text = |name: &str| attributes.get(name).and_then(Json::as_str).unwrap_or_default();
    match text("logicalType") {
        "timestamp-millis" | "local-timestamp-millis" => return Meaning::Epoch(Milliseconds),
        "timestamp-micros" | "local-timestamp-micros" => return Meaning::Epoch(Microseconds),
        "timestamp-nanos" | "local-timestamp-nanos" => return Meaning::Epoch(Nanoseconds),
        "date" => return Meaning::Days,
        "time-millis" | "time-micros" => return Meaning::TimeOfDay,
        "decimal" => {
            let scale = attributes.get("scale").and_then(Json::as_i64).unwrap_or(0);
            return Meaning::Decimal(i32::try_from(scale).unwrap_or(i32::MAX));
        }
        "uuid" => return Meaning::Uuid,
        "duration" => return Meaning::Duration,
        _ => {}
    }
    Meaning::of_connect(text("connect.name")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_through_namespaces_and_a_record_may_contain_itself() {
        let reference = r#"{"type": "enum", "name": "Cause", "namespace": "air", "symbols": ["WEATHER"]}"#;
        let schema = Schema::parse(
            r#"{"type": "record", "name": "air.Flight", "fields": [
                {"name": "cause", "type": "Cause"}, {"name": "next", "type": ["null", "Flight"]},
                {"name": "at", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}}]}"#,
            &[reference.to_owned()],
        )
        .unwrap();
        let Node::Record(record) = schema.node(schema.root()) else { panic!("a record") };
        assert_eq!(record.name, "air.Flight");
        assert!(
            matches!(schema.node(record.fields[0].node), Node::Enum(symbols) if &*symbols[0] == "WEATHER")
        );
        let Node::Union(branches) = schema.node(record.fields[1].node) else { panic!("a union") };
        assert_eq!(branches[1], schema.root());
        assert!(matches!(
            schema.node(record.fields[2].node),
            Node::Long(Meaning::Epoch(TimeUnit::Microseconds))
        ));
        assert!(Schema::parse("\"int\"", &[]).is_ok() && Schema::parse("int", &[]).is_ok());
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for wrong in [
            "",
            "{}",
            "7",
            "{\"type\": \"recrod\"}",
            "{\"type\": \"record\", \"name\": \"a\"}",
            "{\"type\": \"record\", \"name\": \"a\", \"fields\": [{\"name\": \"b\"}]}",
            "{\"type\": \"fixed\", \"name\": \"a\", \"size\": -1}",
            "{\"type\": \"array\"}",
            "[{\"type\": \"enum\", \"name\": \"a\", \"symbols\": []}, {\"type\": \"fixed\", \"name\": \"a\", \"size\": 1}]",
        ] {
            assert!(Schema::parse(wrong, &[]).is_err(), "{wrong}");
        }
        let deep = format!("{}\"int\"{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(Schema::parse(&deep, &[]).is_err());
    }
}
