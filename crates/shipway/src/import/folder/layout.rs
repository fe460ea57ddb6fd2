//! Folders, files and keys below a folder. No link is followed: what a link points to may be anything of this machine.

use std::{io, path::Path};

/// Whether a name is one of a single file or folder.
pub(super) fn is_clean(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

/// The names of the folders directly in a folder, in order; none where there is no such folder.
pub(super) fn folders(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The paths of all files below a folder, joined by `/`: keys of metrics, params and tags are kept so.
pub(super) fn keys(folder: &Path) -> Vec<String> {
    match files(folder) {
        Ok((files, _)) => files.into_iter().map(|(path, _)| path).collect(),
        Err(_) => Vec::new(),
    }
}

/// Paths with sizes.
type Sized = Vec<(String, u64)>;

/// All plain files below a folder, by path, and what else lies there. A folder that is not there has none.
pub(super) fn files(folder: &Path) -> io::Result<(Sized, Vec<String>)> {
    let (mut found, mut passed_over) = (Vec::new(), Vec::new());
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        let entries = match fs_err::read_dir(folder.join(&below)) {
            Ok(entries) => entries,
            Err(error) if below.is_empty() && error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let Ok(name) = entry.file_name().into_string() else {
                passed_over.push(format!("{below}/{}", entry.file_name().to_string_lossy()));
                continue;
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            match (kind.is_dir(), kind.is_file()) {
                (true, _) => waiting.push(path),
                (_, true) => found.push((path, entry.metadata()?.len())),
                _ => passed_over.push(path),
            }
        }
    }
    found.sort();
    Ok((found, passed_over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_below_and_links_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs_err::create_dir_all(root.join("a/b")).unwrap();
        fs_err::write(root.join("a/b/c"), "12").unwrap();
        fs_err::write(root.join("d"), "").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("a/etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("passwd")).unwrap();
        let (found, mut passed_over) = files(root).unwrap();
        passed_over.sort();
        assert_eq!(found, [("a/b/c".to_owned(), 2), ("d".to_owned(), 0)]);
        assert_eq!(passed_over, ["a/etc", "passwd"]);
        assert_eq!((folders(root), keys(&root.join("nothing"))), (vec!["a".to_owned()], Vec::new()));
    }

    #[test]
    fn a_name_is_not_a_path() {
        assert!(is_clean("version-1") && is_clean("..."));
        assert!(["", ".", "..", "a/b", "a\\b"].iter().all(|name| !is_clean(name)));
    }
}
