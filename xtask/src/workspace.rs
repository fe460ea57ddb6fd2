//! The crates and files of the repository, as they are.

use std::{
    io,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::{
    files::SourceFile,
    layers::{Arrow, ArrowKind, Crate},
};

/// Folders that hold what was made or fetched, not what was written.
const NOT_OURS: &[&str] = &["target", "node_modules", "__pycache__", "out"];

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// The crates of the workspace with the dependencies that their manifests name.
pub(crate) fn crates() -> Result<Vec<Crate>, cargo_metadata::Error> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?;
    let members = metadata.workspace_packages().into_iter().map(|package| Crate {
        name: package.name.to_string(),
        arrows: package
            .dependencies
            .iter()
            .map(|dependency| Arrow {
                to: dependency.name.clone(),
                kind: match dependency.kind {
                    DependencyKind::Development => ArrowKind::ForTests,
                    _ => ArrowKind::ForUse,
                },
            })
            .collect(),
    });
    Ok(members.collect())
}

/// The Rust and Python files, with paths relative to the repository, in order.
pub(crate) fn source_files() -> io::Result<Vec<SourceFile>> {
    let root = root();
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") || name.ends_with(".py") {
                let text = fs_err::read_to_string(&path)?;
                let relative = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
                files.push(SourceFile::new(relative, &text));
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}
