//! Reads an entity.

use shipway_core::DataType;

use crate::parse::reader::{Columns, Fields, Head, Lists, Reader};

pub(super) const FIELDS: &[&str] = &["kind", "name", "keys", "description", "owner", "tags"];

/// An entity as it is written.
#[derive(Debug)]
pub(crate) struct EntityDraft {
    pub(crate) head: Head,
    pub(crate) keys: Columns,
}

pub(super) fn read(mut head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> EntityDraft {
    let keys = match fields.required("keys", reader) {
        Some(node) => reader.columns("keys", "key", node, Lists::Refused),
        None => Vec::new(),
    };
    for (key, data_type) in &keys {
        if *data_type == DataType::Float {
            let hint =
                "a float that is computed twice may differ in its last bit; use int or text".to_owned();
            reader.refuse(
                key.line,
                format!("key {} is float, which identifies nothing", key.value),
                Some(hint),
            );
        }
    }
    head.broken = reader.has_refused();
    EntityDraft { head, keys }
}
