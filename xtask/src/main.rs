//! Checks of the repository that no compiler makes: `cargo xtask layers | files | map | error-pages | all`.
//!
//! This file does the reading and the printing; the judgement is pure and lives beside it.
//!
//! - `layers`: arrows between crates point down, and each engine has one owner
//! - `files`: files stay short and say why they exist
//! - `map`: every crate is on the map in ARCHITECTURE.md
//! - `error_pages`: every error code has a page in docs/errors
//! - `workspace`: the crates and files, as they are

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool answers by printing")]

mod error_pages;
mod files;
mod layers;
mod map;
mod workspace;

use std::{collections::BTreeMap, error::Error, process::ExitCode};

const USAGE: &str = "usage: cargo xtask layers | files | map | error-pages | all";

type Findings = Result<Vec<String>, Box<dyn Error>>;
type Check = (&'static str, fn() -> Findings);

/// 0 when everything holds, 1 when something does not, 2 when a check could not be made.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let checks: &[Check] = match names.as_slice() {
        ["layers"] => &[("layers", check_layers)],
        ["files"] => &[("files", check_files)],
        ["map"] => &[("map", check_map)],
        ["error-pages"] => &[("error-pages", check_error_pages)],
        ["all"] => &[
            ("layers", check_layers),
            ("files", check_files),
            ("map", check_map),
            ("error-pages", check_error_pages),
        ],
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let codes = checks.iter().map(|(name, check)| report(name, check()));
    // Every check speaks before the worst of them decides.
    ExitCode::from(codes.max().unwrap_or_default())
}

fn report(check: &str, findings: Findings) -> u8 {
    match findings {
        Ok(findings) if findings.is_empty() => {
            println!("{check}: ok");
            0
        }
        Ok(findings) => {
            for finding in &findings {
                eprintln!("error: {check}: {finding}");
            }
            1
        }
        Err(error) => {
            eprintln!("error: {check}: {error}");
            2
        }
    }
}

fn check_layers() -> Findings {
    Ok(layers::judge(&workspace::crates()?))
}

fn check_files() -> Findings {
    let exceptions = fs_err::read_to_string(workspace::root().join("xtask/long-files.txt"))?;
    Ok(files::judge(&workspace::source_files()?, &exceptions))
}

fn check_map() -> Findings {
    let path = workspace::root().join("ARCHITECTURE.md");
    if !path.exists() {
        return Ok(vec!["ARCHITECTURE.md is missing; write it, with a line for every crate".to_owned()]);
    }
    let crates = workspace::crates()?;
    Ok(map::judge(&fs_err::read_to_string(path)?, crates.iter().map(|member| member.name.as_str())))
}

fn check_error_pages() -> Findings {
    let root = workspace::root();
    let mut codes = BTreeMap::new();
    for file in workspace::source_files()?.iter().filter(|file| error_pages::may_make_errors(&file.path)) {
        let text = fs_err::read_to_string(root.join(&file.path))?;
        codes.extend(error_pages::codes(&text).into_iter().map(|code| (code, file.path.clone())));
    }
    let folder = root.join("docs/errors");
    let mut pages = BTreeMap::new();
    for entry in fs_err::read_dir(&folder)? {
        let path = entry?.path();
        // Codes have a dot of their own, so the name is what is left before the last one.
        if let Some(page) = path.file_stem().and_then(|name| name.to_str()).filter(|name| *name != "README") {
            pages.insert(page.to_owned(), fs_err::read_to_string(&path)?);
        }
    }
    Ok(error_pages::judge(&codes, &pages, &fs_err::read_to_string(folder.join("README.md"))?))
}
