//! Everything that is printed: tables on a terminal, JSON for scripts, progress on long work.

#![expect(clippy::print_stderr, reason = "this is the module that prints")]

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value as Json;

use crate::failure::{CommandFailure, exit};

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Words and tables for a person.
    #[default]
    Text,
    /// One JSON document, exactly what the server answered.
    Json,
}

/// Begins a screen that is drawn anew: from the top on a terminal, below the last one elsewhere.
pub(crate) fn begin_screen() {
    raw(if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "\n" });
}

/// Prints one line.
pub(crate) fn line(text: impl AsRef<str>) {
    // A closed pipe (`shipway … | head`) is not an error of ours.
    let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
}

/// Prints text as it is.
pub(crate) fn raw(text: &str) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// Prints a JSON document.
pub(crate) fn json(document: &Json) {
    line(serde_json::to_string_pretty(document).unwrap_or_default());
}

/// Prints a note to standard error, so that standard output stays what was asked for.
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Prints a table with a header, or `empty` when there are no rows.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, empty: &str) {
    let header: Vec<_> = header.iter().map(|name| name.replace('_', " ").to_uppercase()).collect();
    table_as_named(&header, rows, empty);
}

/// The same with the names of the columns as they are, for columns that somebody else has named.
pub(crate) fn table_as_named(header: &[String], rows: Vec<Vec<String>>, empty: &str) {
    if rows.is_empty() {
        line(empty);
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(String::as_str));
    for row in rows {
        table.add_row(row);
    }
    for row in table.lines() {
        line(row.trim_end());
    }
}

/// Prints a wrong command line the way clap does, with our exit code: 2 belongs to `plan`.
pub(crate) fn usage(wrong: &clap::Error) -> ExitCode {
    let _ = wrong.print();
    ExitCode::from(if wrong.use_stderr() { exit::USAGE } else { 0 })
}

/// Prints why a command failed, to standard error.
pub(crate) fn failure(failure: &CommandFailure, format: Format) -> ExitCode {
    if format == Format::Json {
        let document =
            serde_json::json!({ "error": failure.message, "hint": failure.hint, "code": failure.code });
        eprintln!("{}", serde_json::to_string_pretty(&document).unwrap_or_default());
    } else {
        eprintln!("error: {}", failure.message);
        if let Some(hint) = &failure.hint {
            eprintln!("hint: {hint}");
        }
        if let Some(code) = &failure.code {
            eprintln!("code: {code}");
        }
    }
    failure.exit_code()
}

/// A bar for work whose size is known in bytes. Hidden when standard error is not a terminal.
pub(crate) fn bytes_bar(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{msg} {wide_bar} {bytes}/{total_bytes} {eta}")
}

/// A bar for work whose size is known in rows.
pub(crate) fn rows_bar(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{msg} {wide_bar} {human_pos}/{human_len} rows {eta}")
}

/// A bar for work whose size is known in steps.
pub(crate) fn steps_bar(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{msg} {wide_bar} {human_pos}/{human_len} {elapsed}")
}

/// Whether a person looks at standard error.
pub(crate) fn is_at_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A spinner for work whose size is not known.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

fn bar(total: u64, what: &str, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total).with_message(what.to_owned());
    let bar = match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    // Without it the last steps before a pause are not drawn, and a long step looks like a standstill.
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A JSON scalar as a cell of a table.
pub(crate) fn cell(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A member of a JSON object as a cell of a table.
pub(crate) fn member(object: &Json, name: &str) -> String {
    cell(&object[name])
}

/// A number of things: `1 row`, `334,264 rows`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A member that is a whole number, with thousands separated; `-` where there is none.
pub(crate) fn count_of(object: &Json, name: &str) -> String {
    object[name].as_u64().map_or_else(|| "-".to_owned(), count)
}

/// A member that is a moment, to the second: what is listed is told apart by more than its microseconds.
pub(crate) fn moment_of(object: &Json, name: &str) -> String {
    let moment = member(object, name);
    moment.split_once('.').map_or_else(|| moment.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// A whole number with thousands separated: `334,264`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size for people: `12.4 MiB`.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size < 1_024 {
        return format!("{size} B");
    }
    let mut scaled = size as f64 / 1_024.0;
    let mut unit = 0;
    while scaled >= 1_023.95 && unit + 1 < UNITS.len() {
        scaled /= 1_024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// A time for people: `about 3 s`, `about 12 min`, `about 2.5 h`.
pub(crate) fn about(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1.0 => "less than 1 s".to_owned(),
        seconds if seconds < 99.5 => format!("about {seconds:.0} s"),
        seconds if seconds < 99.5 * 60.0 => format!("about {:.0} min", seconds / 60.0),
        seconds => format!("about {:.1} h", seconds / 3_600.0),
    }
}

/// How long ago something was, for people: `1.1 s`, `12 min`, `5.5 h`, `40.6 days`.
pub(crate) fn age(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_unit_that_fits() {
        let ages = [
            (1.12, "1.1 s"),
            (119.0, "119.0 s"),
            (720.0, "12 min"),
            (19_800.0, "5.5 h"),
            (3_510_475.2, "40.6 days"),
        ];
        for (seconds, text) in ages {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!((counted(1, "row"), counted(2_000, "row")), ("1 row".to_owned(), "2,000 rows".to_owned()));
    }

    #[test]
    fn a_listed_moment_is_told_to_the_second() {
        let job = serde_json::json!({ "made": "2026-01-05T10:30:00.123456Z", "at": "2026-01-05T10:30:00Z" });
        assert_eq!(moment_of(&job, "made"), "2026-01-05T10:30:00Z");
        assert_eq!(moment_of(&job, "at"), "2026-01-05T10:30:00Z");
        assert_eq!(moment_of(&job, "ended"), "-");
    }

    #[test]
    fn sizes_and_times_have_the_unit_that_fits() {
        let sizes = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (13_002_342, "12.4 MiB"),
            (1 << 40, "1.0 TiB"),
        ];
        for (size, text) in sizes {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        let times = [
            (0.2, "less than 1 s"),
            (3.4, "about 3 s"),
            (99.0, "about 99 s"),
            (100.0, "about 2 min"),
            (5_400.0, "about 90 min"),
            (9_000.0, "about 2.5 h"),
        ];
        for (seconds, text) in times {
            assert_eq!(about(seconds), text);
        }
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (334_264, "334,264"), (1_000_000, "1,000,000")]
        {
            assert_eq!(count(number), text);
        }
    }
}
