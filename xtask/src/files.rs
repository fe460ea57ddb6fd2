//! The judgement about files: they stay short, and a Rust file opens by saying why it exists.

use std::collections::BTreeMap;

const MAXIMUM_LINES: usize = 500;

/// A file of the repository, as far as it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    lines: usize,
    says_why: bool,
}

impl SourceFile {
    pub(crate) fn new(path: String, text: &str) -> Self {
        let says_why = !path.ends_with(".rs") || text.starts_with("//!");
        Self { path, lines: text.lines().count(), says_why }
    }
}

/// Everything that is wrong with `files`, given the text of the list of exceptions; empty when all is well.
pub(crate) fn judge(files: &[SourceFile], exceptions: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut allowed = BTreeMap::new();
    for line in exceptions.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line
            .rsplit_once(' ')
            .and_then(|(path, lines)| Some((path.trim(), lines.parse::<usize>().ok()?)))
        {
            Some((path, lines)) => {
                allowed.insert(path, lines);
            }
            None => findings.push(format!("long-files.txt: `{line}` is not a path and a number of lines")),
        }
    }
    for file in files {
        let exception = allowed.remove(file.path.as_str());
        findings.extend(judge_length(file, exception));
        if !file.says_why {
            findings.push(format!("{}: must open with `//!` and say why it exists", file.path));
        }
    }
    findings.extend(
        allowed.keys().map(|path| format!("long-files.txt: {path} does not exist; take it off the list")),
    );
    findings
}

fn judge_length(file: &SourceFile, exception: Option<usize>) -> Option<String> {
    let SourceFile { path, lines, .. } = file;
    match exception {
        None if *lines > MAXIMUM_LINES => {
            Some(format!("{path}: has {lines} lines; {MAXIMUM_LINES} are the limit"))
        }
        Some(_) if *lines <= MAXIMUM_LINES => Some(format!(
            "long-files.txt: {path} has {lines} lines and needs no exception; take it off the list"
        )),
        Some(most) if *lines > most => {
            Some(format!("{path}: has {lines} lines; it had {most}, and may only shrink"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> SourceFile {
        SourceFile::new(path.to_owned(), &"//! Why.\n".repeat(lines))
    }

    #[test]
    fn a_file_may_have_500_lines() {
        assert_eq!(judge(&[file("a.rs", 500), file("b.py", 500)], ""), Vec::<String>::new());
        assert_eq!(judge(&[file("a.py", 501)], ""), ["a.py: has 501 lines; 500 are the limit"]);
    }

    #[test]
    fn an_exception_may_only_shrink() {
        let list = "# why\n\na.rs 600\n";
        assert_eq!(judge(&[file("a.rs", 600)], list), Vec::<String>::new());
        assert_eq!(
            judge(&[file("a.rs", 601)], list),
            ["a.rs: has 601 lines; it had 600, and may only shrink"]
        );
        assert_eq!(
            judge(&[file("a.rs", 400)], list),
            ["long-files.txt: a.rs has 400 lines and needs no exception; take it off the list"]
        );
        assert_eq!(judge(&[], list), ["long-files.txt: a.rs does not exist; take it off the list"]);
        assert_eq!(
            judge(&[], "a.rs many"),
            ["long-files.txt: `a.rs many` is not a path and a number of lines"]
        );
    }

    #[test]
    fn a_rust_file_opens_by_saying_why_it_exists() {
        let silent = SourceFile::new("a.rs".to_owned(), "use std::io;\n//! Too late.\n");
        assert_eq!(judge(&[silent], ""), ["a.rs: must open with `//!` and say why it exists"]);
        let python = SourceFile::new("a.py".to_owned(), "import sys\n");
        assert_eq!(judge(&[python], ""), Vec::<String>::new());
    }
}
