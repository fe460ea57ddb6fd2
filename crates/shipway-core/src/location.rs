//! Where data of somebody else lies: files of a folder or of a bucket, named by a path that may hold wildcards.
//!
//! Pure text: nothing here looks at a disk or at a network, and a location that is valid here may still be one that the
//! operator does not allow. What it promises is its form: absolute, without `.` and `..`, so that a prefix of it is a folder
//! above it, and so that no two locations name one place.

use std::fmt;

use serde::{Deserialize, Serialize};

const LONGEST_BYTES: usize = 1_024;
const ANY_DEPTH: &str = "**";
const MOST_ANY_DEPTH: usize = 2;

/// The store that a location lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The file system of the server.
    Disk,
    /// A bucket of an S3-speaking store.
    Bucket(String),
}

/// A path, or a pattern of paths, in a place.
///
/// `*` stands for any part of a name, `?` for one character of it, and `**` as a whole name for any number of folders. Wildcards
/// stand for no name that starts with `.` or `_`: those are the leftovers and the bookkeeping of whoever writes the files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    place: Place,
    /// Names between slashes; none is empty.
    segments: Vec<String>,
}

/// The text does not name a location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a location: {reason}")]
pub struct NotALocation {
    /// The text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Location {
    /// Reads `s3://bucket/path`, `file:///path` or `/path`. Percent signs and the like mean themselves.
    pub fn parse(text: &str) -> Result<Self, NotALocation> {
        let refuse = |reason| Err(NotALocation { text: text.chars().take(200).collect(), reason });
        if text.len() > LONGEST_BYTES {
            return refuse("it is longer than 1024 bytes");
        }
        let (place, path) = if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
            if !is_bucket(bucket) {
                return refuse("the bucket's name is 3 to 63 of a-z, 0-9, - and .");
            }
            (Place::Bucket(bucket.to_owned()), path)
        } else if let Some(rest) = text.strip_prefix("file://") {
            match rest.strip_prefix('/') {
                Some(path) => (Place::Disk, path),
                None => return refuse("a file is named by an absolute path, file:///folder/file"),
            }
        } else if let Some(path) = text.strip_prefix('/') {
            (Place::Disk, path)
        } else {
            return refuse("it starts with s3://, file:/// or /");
        };
        let segments: Vec<String> = path.trim_end_matches('/').split('/').map(str::to_owned).collect();
        for segment in &segments {
            if segment.is_empty() {
                return refuse("it has an empty name between two slashes");
            }
            if segment == "." || segment == ".." {
                return refuse("`.` and `..` are not allowed in it");
            }
            if segment.chars().any(|letter| letter.is_control() || letter == '\\') {
                return refuse("it holds a backslash or a control character");
            }
            if segment != ANY_DEPTH && segment.contains(ANY_DEPTH) {
                return refuse("`**` stands for whole folders only, as in /data/**/*.csv");
            }
        }
        // Each one multiplies the ways in which a path can match.
        if segments.iter().filter(|segment| *segment == ANY_DEPTH).count() > MOST_ANY_DEPTH {
            return refuse("it holds more than two `**`");
        }
        Ok(Self { place, segments })
    }

    /// The store that it lies in.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its path within its place, without a leading slash.
    pub fn path(&self) -> String {
        self.segments.join("/")
    }

    /// Whether it stands for any number of paths.
    pub fn is_pattern(&self) -> bool {
        self.segments.iter().any(|segment| has_wildcard(segment))
    }

    /// The folder, without a leading slash, that everything it stands for lies in; empty for the place as a whole.
    pub fn base(&self) -> String {
        let folders = &self.segments[..self.segments.len() - 1];
        let literal = folders.iter().take_while(|segment| !has_wildcard(segment));
        literal.map(String::as_str).collect::<Vec<_>>().join("/")
    }

    /// Whether it stands for the file `path` of its place.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        matches_all(&self.segments, &names)
    }

    /// Whether a file that it stands for may lie below the folder `path` of its place.
    pub fn may_lie_below(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        leads_to(&self.segments, &names)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Disk => write!(formatter, "/{}", self.path()),
            Place::Bucket(bucket) => write!(formatter, "s3://{bucket}/{}", self.path()),
        }
    }
}

impl TryFrom<String> for Location {
    type Error = NotALocation;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

fn is_bucket(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && edge(bytes.first().copied())
        && edge(bytes.last().copied())
        && !name.contains("..")
}

fn has_wildcard(segment: &str) -> bool {
    segment.contains(['*', '?'])
}

/// A name that wildcards pass over.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn matches_all(pattern: &[String], names: &[&str]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == ANY_DEPTH => {
            matches_all(rest, names)
                || names
                    .split_first()
                    .is_some_and(|(name, below)| !is_hidden(name) && matches_all(pattern, below))
        }
        (Some((first, rest)), Some((name, below))) => matches_name(first, name) && matches_all(rest, below),
        _ => false,
    }
}

/// Whether something below the folder of these names can match.
fn leads_to(pattern: &[String], names: &[&str]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        // A pattern that ends here names the folder itself, and nothing in it.
        (None, _) => false,
        (Some(_), None) => true,
        (Some((first, rest)), Some((name, below))) if first == ANY_DEPTH => {
            leads_to(rest, names) || (!is_hidden(name) && leads_to(pattern, below))
        }
        (Some((first, rest)), Some((name, below))) => matches_name(first, name) && leads_to(rest, below),
    }
}

/// One name against one segment. Linear: after a `*` only the last one can move.
fn matches_name(pattern: &str, name: &str) -> bool {
    if has_wildcard(pattern) && pattern.starts_with(['*', '?']) && is_hidden(name) {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((of_star, taken)) => {
                    star = Some((of_star, taken + 1));
                    at = of_star + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    fn refusal(text: &str) -> &'static str {
        Location::parse(text).unwrap_err().reason
    }

    #[test]
    fn a_location_is_absolute_and_names_its_place_in_one_way() {
        assert_eq!(location("file:///data/x.csv"), location("/data/x.csv"));
        assert_eq!(location("s3://flights/2013/*.parquet").place(), &Place::Bucket("flights".to_owned()));
        assert_eq!(location("s3://flights/a/").to_string(), "s3://flights/a");
        for text in ["data/x.csv", "./x", "https://h/x", "http://169.254.169.254/x", "gs://b/x", ""] {
            assert_eq!(refusal(text), "it starts with s3://, file:/// or /", "{text}");
        }
        assert_eq!(refusal("file://host/x"), "a file is named by an absolute path, file:///folder/file");
    }

    #[test]
    fn no_name_leads_up_or_hides_a_separator() {
        for text in ["/data/../etc/passwd", "s3://flights/../x", "/data/./x", "/.."] {
            assert_eq!(refusal(text), "`.` and `..` are not allowed in it", "{text}");
        }
        assert_eq!(refusal("/data//x"), "it has an empty name between two slashes");
        assert_eq!(refusal("s3://flights"), "it has an empty name between two slashes");
        assert_eq!(refusal("/data/a\\b"), "it holds a backslash or a control character");
        assert_eq!(refusal("/data/a\u{0}b"), "it holds a backslash or a control character");
        for bucket in ["ab", "UPPER", "-x-", "a/b", "a..b", "user@host", "h:80"] {
            assert!(Location::parse(&format!("s3://{bucket}/x")).is_err(), "{bucket}");
        }
        assert!(Location::parse(&format!("/{}", "x".repeat(2_000))).is_err());
    }

    #[test]
    fn wildcards_stay_within_their_name_and_two_stars_cross_folders() {
        let table = [
            ("/d/*.csv", "d/a.csv", true),
            ("/d/*.csv", "d/sub/a.csv", false),
            ("/d/*.csv", "d/a.csv.gz", false),
            ("/d/*/*.csv", "d/sub/a.csv", true),
            ("/d/**/*.csv", "d/a.csv", true),
            ("/d/**/*.csv", "d/x/y/z/a.csv", true),
            ("/d/**/z/*.csv", "d/x/y/z/a.csv", true),
            ("/d/**/z/*.csv", "d/x/y/a.csv", false),
            ("/d/2013-??/x*y*z", "d/2013-01/x-y-y-z", true),
            ("/d/2013-??/x*y*z", "d/2013-1/xyz", false),
            ("/d/a.csv", "d/a.csv", true),
            ("/d/a.csv", "d/aXcsv", false),
            ("/d/**", "d/x/y", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(location(pattern).matches(path), expected, "{pattern} {path}");
        }
        assert!(Location::parse("/d/a**/x").is_err());
        assert_eq!(refusal("/d/**/**/**/x"), "it holds more than two `**`");
    }

    #[test]
    fn wildcards_pass_over_bookkeeping_and_leftovers() {
        for path in ["d/_delta_log/a.csv", "d/x/_SUCCESS", "d/.hidden/a.csv", "d/x/.a.csv"] {
            assert!(!location("/d/**/*").matches(path), "{path}");
        }
        assert!(location("/d/_kept/*.csv").matches("d/_kept/a.csv"), "a name that is written out is meant");
    }

    #[test]
    fn a_walk_visits_only_folders_that_can_hold_a_match() {
        let pattern = location("/data/*/2013/**/*.csv");
        assert_eq!(pattern.base(), "data");
        for folder in ["", "data", "data/x", "data/x/2013", "data/x/2013/a/b"] {
            assert!(pattern.may_lie_below(folder), "{folder}");
        }
        for folder in ["etc", "data/x/2014", "data/.git", "data/x/2013/_tmp"] {
            assert!(!pattern.may_lie_below(folder), "{folder}");
        }
        assert!(!location("/data/a.csv").may_lie_below("data/a.csv"));
        assert_eq!(location("/a.csv").base(), "");
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length_times_that_of_the_name() {
        let pattern = location(&format!("/{}b", "*a".repeat(200)));
        assert!(!pattern.matches(&"a".repeat(900)));
    }
}
