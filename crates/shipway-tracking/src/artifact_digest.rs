//! The digest of a set of files: what an evaluation belongs to, and what a promotion approves.

use shipway_core::Digest;

/// SHA-256 over the files in the order of their paths, each as path, NUL, digest, line feed; `None` for no files.
///
/// A path holds neither NUL nor line feed, so two different sets never read alike.
pub(crate) fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, Digest)>) -> Option<Digest> {
    let mut files: Vec<(&str, Digest)> = files.into_iter().collect();
    if files.is_empty() {
        return None;
    }
    files.sort();
    let mut text = String::new();
    for (path, digest) in files {
        text.push_str(path);
        text.push('\0');
        text.push_str(&digest.to_string());
        text.push('\n');
    }
    Some(Digest::of(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_sees_names_and_contents_and_not_the_order() {
        let (first, second) = (Digest::of("1"), Digest::of("2"));
        let whole = of_files([("a", first), ("b", second)]);
        assert_eq!(whole, of_files([("b", second), ("a", first)]));
        assert_ne!(whole, of_files([("a", second), ("b", first)]));
        assert_ne!(whole, of_files([("a", first), ("c", second)]));
        assert_ne!(whole, of_files([("a", first)]));
        assert_eq!(of_files([]), None);
    }
}
