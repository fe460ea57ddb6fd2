//! The judgement about `docs/errors/`: every error code has its page, and every page a code.
//!
//! Codes are found in the text of the sources: string literals of the form `area.what_happened` in a `fn code`, or in a
//! `Problem::new(…)`. A code that is put together or kept in a constant is not seen, so codes are written out.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a file, by its path in the repository, is one that errors are made in: a source of a crate, and not a test.
pub(crate) fn may_make_errors(path: &str) -> bool {
    path.starts_with("crates/")
        && path.contains("/src/")
        && path.ends_with(".rs")
        && !path.ends_with("/tests.rs")
        && !path.contains("/tests/")
}

/// The codes in the text of one file, its unit tests left out.
pub(crate) fn codes(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut found = Vec::new();
    for (at, start) in text.match_indices("fn code(") {
        let signature = &text[at + start.len()..];
        // A `;` first: a method without a body, in a trait.
        if let Some(body) = signature.find(['{', ';']).filter(|body| signature[*body..].starts_with('{')) {
            found.extend(codes_until_closed(&signature[body..]));
        }
    }
    for (at, start) in text.match_indices("Problem::new(") {
        let own = codes_until_closed(&text[at + start.len() - 1..]);
        if own.is_empty() {
            // The code is in a variable: it was chosen further up in the same function.
            let function = &text[text[..at].rfind("fn ").unwrap_or(at)..at];
            found.extend(
                function.find('{').map(|body| codes_until_closed(&function[body..])).unwrap_or_default(),
            );
        } else {
            found.extend(own);
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

/// Everything that is wrong, given each code with a file that has it, the text of each page by its name, and the index.
pub(crate) fn judge(
    codes: &BTreeMap<String, String>,
    pages: &BTreeMap<String, String>,
    index: &str,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (code, file) in codes.iter().filter(|(code, _)| !pages.contains_key(*code)) {
        findings.push(format!("{file}: code {code} has no page; write docs/errors/{code}.md"));
    }
    for (page, text) in pages {
        if !codes.contains_key(page) {
            findings.push(format!("docs/errors/{page}.md: there is no such code; remove the page"));
        }
        if text.lines().next() != Some(format!("# {page}").as_str()) {
            findings.push(format!("docs/errors/{page}.md: must open with `# {page}`"));
        }
        if !index.contains(&format!("({page}.md)")) {
            findings.push(format!("docs/errors/README.md: does not link {page}.md"));
        }
    }
    findings
}

/// `area.what_happened`.
fn is_code(literal: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    literal.split_once('.').is_some_and(|(area, what)| is_word(area) && is_word(what))
}

/// The codes between the bracket that `text` starts with and the one that closes it. Line comments are skipped.
fn codes_until_closed(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut rest) = (Vec::new(), 0_usize, text);
    while let Some(at) = rest.find(['"', '/', '(', '[', '{', ')', ']', '}']) {
        let after = &rest[at + 1..];
        rest = match rest.as_bytes()[at] {
            b'"' => {
                let Some(end) = end_of_literal(after) else { break };
                found.push(&after[..end]);
                &after[end + 1..]
            }
            b'/' if after.starts_with('/') => after.split_once('\n').map_or("", |(_, next)| next),
            b'/' => after,
            b'(' | b'[' | b'{' => {
                depth += 1;
                after
            }
            _ if depth <= 1 => break,
            _ => {
                depth -= 1;
                after
            }
        };
    }
    found.retain(|literal| is_code(literal));
    found
}

fn end_of_literal(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        codes(text).into_iter().collect()
    }

    #[test]
    fn codes_are_read_from_the_bodies_of_code_functions() {
        let text = r#"
            trait Failure { fn code(&self) -> &'static str; fn other() { "not.seen" } }
            fn code(&self) -> &'static str {
                match self {
                    // "not.seen" is a comment
                    Self::Full { .. } => "disk.full",
                    Self::Inner(inner) => inner.code(),
                    Self::Odd => { if self.is("say \"} \" or Not.A.Code") { "disk.odd" } else { "disk.even" } }
                }
            }
            fn hint(&self) { "not.seen" }
        "#;
        assert_eq!(found(text), ["disk.even", "disk.full", "disk.odd"]);
    }

    #[test]
    fn codes_are_read_from_problems_also_through_a_variable() {
        let text = r#"
            fn earlier() { "not.seen" }
            fn direct() -> Problem { Problem::new(Kind::Invalid, "web.direct", format!("a ({x})")).with_hint("not.seen") }
            fn chosen() -> Problem {
                let (code, detail) = match verdict() { Wrong => ("web.wrong", "b"), Missing => ("web.missing", "c") };
                Problem::new(Kind::Invalid, code, detail)
            }
        "#;
        assert_eq!(found(text), ["web.direct", "web.missing", "web.wrong"]);
    }

    #[test]
    fn tests_make_no_codes() {
        let text = "#[cfg(test)]\nmod tests {\n    fn code(&self) { \"not.seen\" }\n}\n";
        assert_eq!(found(text), Vec::<String>::new());
        assert!(may_make_errors("crates/shipway-web/src/guard.rs"));
        for path in
            ["crates/a/tests/integration/main.rs", "crates/a/src/deep/tests.rs", "xtask/src/main.rs", "a.py"]
        {
            assert!(!may_make_errors(path), "{path}");
        }
    }

    #[test]
    fn every_code_has_a_page_in_the_index_and_every_page_a_code() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(left, right)| ((*left).to_owned(), (*right).to_owned())).collect()
        };
        let right = map(&[("a.b", "# a.b\n\nText.")]);
        assert_eq!(judge(&map(&[("a.b", "x.rs")]), &right, "[a.b](a.b.md)"), Vec::<String>::new());
        assert_eq!(
            judge(&map(&[("a.c", "x.rs")]), &map(&[("a.b", "Text.")]), ""),
            [
                "x.rs: code a.c has no page; write docs/errors/a.c.md",
                "docs/errors/a.b.md: there is no such code; remove the page",
                "docs/errors/a.b.md: must open with `# a.b`",
                "docs/errors/README.md: does not link a.b.md",
            ]
        );
    }
}
