//! A plan as a person reads it: what changes, what it costs, and whom it touches.

use serde_json::Value as Json;

use crate::output::{self, member};

/// How much of a version is shown.
const SHORT: usize = 12;

/// Prints every change, and what stays though it is not in the files.
pub(super) fn print(answer: &Json) {
    for change in list(answer, "changes") {
        print_change(change);
    }
    for kept in list(answer, "kept") {
        let named = format!("{} {}", member(kept, "kind"), member(kept, "name"));
        output::line(format!("= {named} is not in these files and stays; --prune removes it"));
    }
}

/// `, 334,264 rows to read, about 3 s`, where something is built.
pub(super) fn cost(answer: &Json) -> String {
    let cost = &answer["cost"];
    match (cost["rows"].as_u64(), cost["seconds"].as_f64()) {
        (Some(rows), Some(seconds)) => {
            format!(", {} rows of history to read, {}", output::count(rows), output::about(seconds))
        }
        _ => String::new(),
    }
}

fn print_change(change: &Json) {
    let mark = match change["action"].as_str() {
        Some("created") => '+',
        Some("removed") => '-',
        _ => '~',
    };
    let named = format!("{mark} {} {}", member(change, "kind"), member(change, "name"));
    output::line(format!("{named}  {}", versions(change)));
    for field in list(change, "fields") {
        if let Some((before, after)) = sides(field) {
            output::line(format!("    {}: {before} → {after}", member(field, "field")));
        }
    }
    for consequence in list(change, "consequences") {
        output::line(format!("    {}", output::cell(consequence)));
    }
    if !change["rebuild"].is_null() {
        output::line(format!("    build: {}", build(&change["rebuild"])));
    }
    for class in ["personal", "sensitive"] {
        let names: Vec<_> = list(change, "personal")
            .filter(|data| data["pii"] == class)
            .map(|data| member(data, "name"))
            .collect();
        if !names.is_empty() {
            output::line(format!("    {class} data: {}", names.join(", ")));
        }
    }
    let consumers: Vec<_> = list(change, "consumers").map(consumer).collect();
    if !consumers.is_empty() {
        output::line("    touches:");
        consumers.iter().for_each(|consumer| output::line(format!("      {consumer}")));
    }
    for warning in list(change, "warnings") {
        output::line(format!("    warning: {}", output::cell(warning)));
    }
}

/// What a field was and what it is. Of a list, only what the other side lacks; an order, only where names that stay have
/// changed places: which names come and go is said by the other fields, and a service has hundreds of columns.
fn sides(field: &Json) -> Option<(String, String)> {
    let (name, before, after) = (member(field, "field"), member(field, "before"), member(field, "after"));
    let is_order = name.ends_with(" order");
    if !is_order && !name.starts_with("features of ") {
        return Some((before, after));
    }
    let part = |items: &str, others: &str| {
        let others: Vec<&str> = others.split(", ").collect();
        let part: Vec<&str> = items.split(", ").filter(|item| others.contains(item) == is_order).collect();
        if part.is_empty() { "-".to_owned() } else { part.join(", ") }
    };
    let (was, is) = (part(&before, &after), part(&after, &before));
    (was != is).then_some((was, is))
}

/// `a13a6b02df06 → d8f2c9324ab9`, or what there is of it.
fn versions(change: &Json) -> String {
    let short = |version: &Json| {
        version
            .as_str()
            .map(|text| text.rsplit(':').next().unwrap_or_default().chars().take(SHORT).collect::<String>())
    };
    match (short(&change["before"]), short(&change["after"])) {
        (Some(before), Some(after)) if before == after => format!("{after} (same version)"),
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => String::new(),
    }
}

/// `334,264 rows, 12.4 MiB in 3 files, about 3 s (measured over 4 builds: 120,000 rows/s)`.
fn build(rebuild: &Json) -> String {
    let number = |name: &str| rebuild[name].as_u64().unwrap_or_default();
    let (rows, bytes, files) = (number("rows"), number("bytes"), number("files"));
    if rows == 0 {
        return "there is no history yet, so it is ready at once".to_owned();
    }
    let speed = rebuild["rows_per_second"].as_f64().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a speed for people, not negative"
    )]
    let speed = output::count(speed.round() as u64);
    let basis = match number("measured_builds") {
        0 => format!("assuming {speed} rows/s; nothing was built here yet"),
        1 => format!("{speed} rows/s, measured over 1 build"),
        builds => format!("{speed} rows/s, measured over {builds} builds"),
    };
    let files = if files == 1 { "1 file".to_owned() } else { format!("{} files", output::count(files)) };
    let about = output::about(rebuild["seconds"].as_f64().unwrap_or_default());
    format!("{} rows, {} in {files}, {about} ({basis})", output::count(rows), output::bytes(bytes))
}

/// `model late_arrivals version 3 (champion) keeps version … of the view`.
fn consumer(consumer: &Json) -> String {
    let mut text = format!("{} {}", member(consumer, "kind"), member(consumer, "name"));
    if let Some(version) = consumer["version"].as_u64() {
        text.push_str(&format!(" version {version}"));
    }
    let aliases: Vec<_> = list(consumer, "aliases").map(output::cell).collect();
    if !aliases.is_empty() {
        text.push_str(&format!(" ({})", aliases.join(", ")));
    }
    format!("{text} {}", member(consumer, "effect"))
}

fn list<'a>(object: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    object[name].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_says_what_comes_and_goes_and_an_order_only_what_changes_places() {
        let of = |field: &str, before: &str, after: &str| {
            sides(&json!({ "field": field, "before": before, "after": after }))
        };
        let pair = |was: &str, is: &str| Some((was.to_owned(), is.to_owned()));
        assert_eq!(of("features of v", "a, b, c", "a, d, c"), pair("b", "d"));
        assert_eq!(of("features of v", "a", "a, b"), pair("-", "b"));
        assert_eq!(of("column order", "a, b, c", "a, d, c"), None);
        assert_eq!(of("column order", "a, b, c", "c, a, d"), pair("a, c", "c, a"));
        assert_eq!(of("owner", "ada", "bob"), pair("ada", "bob"));
    }
}
