//! Rows of keys and request columns, from `--row` or from a file.

use std::io::Read;

use serde_json::{Map, Value as Json, json};

use crate::{arguments::Rows, failure::CommandFailure};

/// The body that reads and predictions share: rows, moment, token.
pub(super) fn body(options: &Rows) -> Result<Json, CommandFailure> {
    let mut body = json!({ "rows": rows(options)? });
    if let Some(at) = &options.at {
        body["at"] = at.as_str().into();
    }
    if let Some(after) = &options.after {
        body["token"] = after.as_str().into();
    }
    Ok(body)
}

fn rows(options: &Rows) -> Result<Vec<Json>, CommandFailure> {
    let Some(file) = &options.file else {
        return options.rows.iter().map(|text| row(text)).collect();
    };
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = fs_err::read_to_string(file)?;
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| {
                CommandFailure::new(format!("{}:{}: not a JSON object: {error}", file.display(), index + 1))
            })
        })
        .collect()
}

/// `origin=JFK,distance=2475` as an object. A value that reads as JSON is that JSON; anything else is text, and so is
/// whatever stands in double quotes.
fn row(text: &str) -> Result<Json, CommandFailure> {
    let mut object = Map::new();
    for pair in text.split(',') {
        let (column, value) = pair.split_once('=').ok_or_else(|| {
            CommandFailure::new(format!("`{pair}` is not column=value"))
                .with_hint("write a row as origin=JFK,distance=2475, or pass JSON lines with --file")
        })?;
        let value = match value {
            "" => Json::Null,
            _ => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        };
        object.insert(column.trim().to_owned(), value);
    }
    Ok(Json::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_numbers_and_text_apart() {
        let read = row("origin=JFK,distance=2475.0,month=12,code=\"12\",tailnum=").unwrap();
        assert_eq!(
            read,
            json!({ "origin": "JFK", "distance": 2475.0, "month": 12, "code": "12", "tailnum": null })
        );
        assert!(row("JFK").is_err());
    }
}
