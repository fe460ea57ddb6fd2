//! Reads the paths that clients give to artifacts.
//!
//! Pure. A path never becomes a path on this machine (files lie in the blob store under their digests), but clients write
//! what they download to paths of the same name, so a path that climbs out of its folder is refused in any disguise.

use percent_encoding::percent_decode_str;

use crate::error::TrackingError;

/// The most bytes of one artifact path.
const LENGTH: usize = 1_000;

/// A relative path of clean segments, joined by `/`; may be empty where that means the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ArtifactPath(String);

impl ArtifactPath {
    /// Checks a path as it came, already decoded once by the web server.
    ///
    /// The check runs again on every further decoding until nothing is left to decode, so that `%252e%252e` hides nothing.
    /// What is kept is the path as it came: a file may well have a `%` in its name.
    pub(crate) fn parse(text: &str) -> Result<Self, TrackingError> {
        let refuse = |reason: &str| {
            let shown: String = text.chars().take(100).collect();
            Err(TrackingError::invalid("path", format!("Invalid path `{shown}`: {reason}")))
        };
        if text.len() > LENGTH {
            return refuse("it is longer than 1000 bytes");
        }
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let mut form = trimmed.to_owned();
        loop {
            if let Some(reason) = fault(&form) {
                return refuse(reason);
            }
            let Ok(decoded) = percent_decode_str(&form).decode_utf8() else {
                return refuse("it does not decode to UTF-8");
            };
            if decoded == form {
                return Ok(Self(trimmed.to_owned()));
            }
            form = decoded.into_owned();
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Splits the path after each segment `artifacts`, where a root may end: `1/abc/artifacts/model/a` gives
    /// (`1/abc/artifacts`, `model/a`).
    pub(crate) fn possible_roots(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        let mut end = 0;
        for segment in self.0.split('/') {
            end += segment.len();
            if segment == "artifacts" {
                found.push((&self.0[..end], self.0.get(end + 1..).unwrap_or_default()));
            }
            end += 1;
        }
        found
    }
}

fn fault(form: &str) -> Option<&'static str> {
    if form.is_empty() {
        return None;
    }
    if form.contains(['\\', '#']) || form.chars().any(char::is_control) {
        return Some("it holds a character that no artifact path may hold");
    }
    let mut letters = form.chars();
    if letters.next().is_some_and(|letter| letter.is_ascii_alphabetic()) && letters.next() == Some(':') {
        return Some("it names a drive");
    }
    if form.split('/').any(|segment| segment.is_empty() || segment == "." || segment == "..") {
        return Some("it must be relative and clean");
    }
    None
}

/// What lies directly below `folder`, given the sorted paths and sizes of a root: files with their size, folders without.
pub(crate) fn list<'a>(
    folder: &str,
    paths: impl IntoIterator<Item = (&'a str, i64)>,
) -> Vec<(String, Option<i64>)> {
    let mut found: Vec<(String, Option<i64>)> = Vec::new();
    for (path, bytes) in paths {
        let below = if folder.is_empty() {
            path
        } else {
            match path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                Some(below) => below,
                None => continue,
            }
        };
        let entry = match below.split_once('/') {
            Some((name, _)) => (name.to_owned(), None),
            None => (below.to_owned(), Some(bytes)),
        };
        if found.last().is_none_or(|last| *last != entry) {
            found.push(entry);
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_accepted_path_climbs_however_often_it_is_decoded(text in "[a.%25efEF/\\\\#:c]{0,24}") {
            if let Ok(path) = ArtifactPath::parse(&text) {
                let mut form = path.as_str().to_owned();
                for _ in 0..10 {
                    let climbs = form.split('/').any(|segment| segment == ".." || segment == ".");
                    prop_assert!(!climbs && !form.starts_with('/') && !form.contains(['\\', '#']), "{}", text);
                    form = percent_decode_str(&form).decode_utf8().unwrap().into_owned();
                }
            }
        }
    }

    #[test]
    fn clean_paths_pass_as_they_are() {
        for good in
            ["model/MLmodel", "a b.txt", "100%.png", "na\u{ef}ve/\u{65e5}.txt", "..a/b..", "a%20b", ""]
        {
            assert_eq!(ArtifactPath::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(ArtifactPath::parse("model/").unwrap().as_str(), "model");
    }

    #[test]
    fn traversal_is_refused_in_every_disguise() {
        for bad in [
            "..",
            "../etc/passwd",
            "a/../../b",
            "/etc/passwd",
            "a//b",
            "./a",
            "%2e%2e/a",
            "%252e%252e%252fa",
            "%25252e%25252e/a",
            "a%2f..%2fb",
            "%2fetc",
            "a\\..\\b",
            "a%5c..",
            "C:/windows",
            "c%3a/windows",
            "a#b",
            "a%23b",
            "a\0b",
            "a%00b",
            "%ff",
            &"a/".repeat(501),
        ] {
            assert!(ArtifactPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_root_ends_at_a_segment_called_artifacts() {
        let path = ArtifactPath::parse("1/models/m-1/artifacts/artifacts/x").unwrap();
        assert_eq!(
            path.possible_roots(),
            [("1/models/m-1/artifacts", "artifacts/x"), ("1/models/m-1/artifacts/artifacts", "x")]
        );
        assert_eq!(
            ArtifactPath::parse("1/abc/artifacts").unwrap().possible_roots(),
            [("1/abc/artifacts", "")]
        );
    }

    #[test]
    fn a_listing_shows_one_level() {
        let paths = [("MLmodel", 3), ("code/a.py", 1), ("code/b.py", 2), ("codex", 5)];
        assert_eq!(
            list("", paths),
            [("MLmodel".to_owned(), Some(3)), ("code".to_owned(), None), ("codex".to_owned(), Some(5))]
        );
        assert_eq!(list("code", paths), [("a.py".to_owned(), Some(1)), ("b.py".to_owned(), Some(2))]);
        assert_eq!(list("MLmodel", paths), []);
    }
}
