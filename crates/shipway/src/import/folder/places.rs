//! Where the files of a run or a model are: beside it, or where its URI says, if that is a folder that may be read.

use std::path::{Component, Path, PathBuf};

use super::FolderSource;

/// A relative path without steps upwards.
fn is_below(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

/// The path in a URI of files on this machine.
fn local(uri: &str) -> Option<PathBuf> {
    match uri.split_once(':') {
        Some(("file", path)) => Some(PathBuf::from(format!("/{}", path.trim_start_matches('/')))),
        Some(_) => None,
        None => Some(PathBuf::from(uri)),
    }
}

impl FolderSource {
    /// The folder of the artifacts of what lies in `owner`; why there is none, in words.
    ///
    /// A URI is what a file says. It is followed only into the folder itself and into the folder of artifacts that the person named, so
    /// that a folder from elsewhere cannot have other files of this machine sent on.
    pub(super) fn place(&self, owner: &Path, uri: &str) -> Result<PathBuf, String> {
        let beside = owner.join("artifacts");
        if let Some(rest) = uri.strip_prefix("mlflow-artifacts:") {
            let below = Path::new(rest.trim_start_matches('/'));
            return match &self.artifacts {
                Some(folder) if is_below(below) => Ok(folder.join(below)),
                Some(_) => Err("their place is no path below the folder of artifacts".to_owned()),
                None => {
                    Err("they lie where a server kept them: name that folder with --artifacts".to_owned())
                }
            };
        }
        let Some(path) = local(uri) else {
            return Err(format!("they lie at {uri}, which is not read"));
        };
        // The folder may have been moved since: what lies beside is meant wherever the end of the path is the same.
        let tail = |path: &Path| path.iter().rev().take(3).map(ToOwned::to_owned).collect::<Vec<_>>();
        if uri.is_empty() || beside.is_dir() || tail(&path) == tail(&beside) {
            return Ok(beside);
        }
        let allowed = |folder: &PathBuf| path.canonicalize().is_ok_and(|path| path.starts_with(folder));
        if allowed(&self.root) || self.artifacts.as_ref().is_some_and(allowed) {
            return Ok(path);
        }
        Err(format!("they lie at {uri}: name a folder above it with --artifacts"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_followed_into_named_folders_only() {
        let folder = tempfile::tempdir().unwrap();
        let (root, other) = (folder.path().join("mlruns"), folder.path().join("store"));
        fs_err::create_dir_all(root.join("0")).unwrap();
        fs_err::write(root.join("0/meta.yaml"), "name: Default\nexperiment_id: '0'\n").unwrap();
        fs_err::create_dir_all(other.join("0/r/artifacts")).unwrap();
        let (without, with) =
            (FolderSource::new(&root, None).unwrap(), FolderSource::new(&root, Some(&other)).unwrap());
        let owner = without.root.join("0/r");

        let moved = "file:///home/ada/mlruns/0/r/artifacts";
        assert_eq!(without.place(&owner, moved).unwrap(), owner.join("artifacts"));
        let proxied = "mlflow-artifacts:/0/r/artifacts";
        assert!(without.place(&owner, proxied).unwrap_err().contains("--artifacts"));
        assert_eq!(
            with.place(&owner, proxied).unwrap(),
            with.artifacts.clone().unwrap().join("0/r/artifacts")
        );
        for bad in ["mlflow-artifacts:/0/../../etc", "s3://bucket/0", "/etc", "file:///etc"] {
            assert!(with.place(&owner, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_database_is_not_read_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("mlflow.db"), "").unwrap();
        let refused = FolderSource::new(folder.path(), None).err().unwrap();
        assert!(refused.hint.unwrap().contains("mlflow server"), "{}", refused.message);
    }
}
