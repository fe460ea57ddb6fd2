//! Brings the files of a run or a logged model: those that are not there yet, one after the other, as streams.

use super::{
    destination::Arrival,
    flow::Import,
    http::Trouble,
    source::{FileEntry, Owner},
};

impl Import<'_> {
    /// False when a file failed, which is noted.
    pub(super) async fn bring_files(
        &self,
        label: &str,
        owner: Owner<'_>,
        arrival: &Arrival,
    ) -> Result<bool, Trouble> {
        let files = self.source.files(owner).await?;
        if files.is_empty() {
            return Ok(true);
        }
        let root = arrival.artifact_root.as_str();
        let here = self.destination.files(root).await?;
        let mut all_came = true;
        for FileEntry { path, bytes } in files {
            let what = || format!("{label}, file {path}");
            let outcome = match (here.get(&path), bytes) {
                // A file is there whole or not at all.
                (Some(size), Some(bytes)) if *size == bytes => Ok("present".to_owned()),
                (Some(_), Some(_)) => Ok("differs".to_owned()),
                _ => self.destination.file(root, &path, || self.source.open(owner, &path)).await,
            };
            match outcome {
                Ok(outcome) => {
                    let mut report = self.report();
                    report.files.add(&outcome);
                    match outcome.as_str() {
                        "created" => report.file_bytes += bytes.unwrap_or_default(),
                        "differs" => {
                            report.notes(&what(), vec!["another content is here and stays".to_owned()])
                        }
                        _ => {}
                    }
                }
                Err(Trouble::Item { message, .. }) => {
                    self.report().fails(what(), message);
                    all_came = false;
                }
                Err(end) => return Err(end),
            }
        }
        Ok(all_came)
    }
}
