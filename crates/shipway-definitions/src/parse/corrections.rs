//! Reads what it means that an event id comes again: `same_id` and `deleted`.

use crate::{
    Stream, StreamChanges, StreamEnvelope,
    parse::{
        expressions,
        reader::{Fields, Located, Reader},
    },
};

/// That later events take the place of earlier ones, as it is written.
#[derive(Debug)]
pub(crate) struct CorrectionsDraft {
    pub(crate) deleted: Option<Located<String>>,
}

const ONCE: &str = "once";
const REPLACE: &str = "replace";

pub(super) fn read(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<CorrectionsDraft> {
    let same_id = fields.optional("same_id").and_then(|node| {
        let word = reader.text("same_id", node)?;
        if word.value != ONCE && word.value != REPLACE {
            let message = format!("same_id is {ONCE} or {REPLACE}, got {}", word.value);
            let hint = "once: an event whose id was there is left out; replace: it takes the place of the earlier one";
            reader.refuse(word.line, message, Some(hint.to_owned()));
            return None;
        }
        Some(word)
    });
    let deleted = fields.optional("deleted");
    let Some(same_id) = same_id.filter(|word| word.value == REPLACE) else {
        if let Some(node) = deleted
            && !reader.has_refused()
        {
            let hint = "write same_id: replace: without it no event takes another one away".to_owned();
            reader.refuse(node.line, "deleted needs same_id: replace".to_owned(), Some(hint));
        }
        return None;
    };
    if !fields.is_written("event_id") {
        let hint = "name the column that is the key of a row: event_id".to_owned();
        reader.refuse(same_id.line, "same_id: replace needs an event_id".to_owned(), Some(hint));
    }
    let others = [
        ("dedupe", "leave it out: an id is known for as long as its event"),
        ("batch", "let its rows come over a topic or the ingest route: each is looked up by its id"),
        ("select", "select from it without same_id, or correct the source that it is selected from"),
    ];
    for (other, hint) in others {
        if let Some(node) = fields.optional(other) {
            reader.refuse(
                node.line,
                format!("a source with same_id: replace has no {other}"),
                Some(hint.to_owned()),
            );
        }
    }
    let deleted = deleted.and_then(|node| expressions::read_one("deleted", node, reader));
    Some(CorrectionsDraft { deleted })
}

/// Whether what a stream brings of the changes of a table, and what the source makes of them, fit.
pub(super) fn check_stream(
    corrections: Option<&CorrectionsDraft>,
    stream: Option<&Stream>,
    fields: &Fields<'_>,
    reader: &mut Reader<'_>,
) {
    let (Some(corrections), Some(stream), Some(node)) = (corrections, stream, fields.optional("same_id"))
    else {
        return;
    };
    if stream.envelope != StreamEnvelope::Debezium {
        return;
    }
    if stream.changes == StreamChanges::Inserts {
        let message = "same_id: replace with changes: inserts would never see a correction".to_owned();
        reader.refuse(node.line, message, Some("write changes: all under stream".to_owned()));
    } else if corrections.deleted.is_none() {
        let operation = stream.operation.as_ref().map_or("operation", |column| column.as_str());
        let message = "changes: all brings deletions, and nothing says which events are some".to_owned();
        let hint = format!("write deleted: \"{operation} = 'delete'\"");
        reader.refuse(node.line, message, Some(hint));
    }
}
