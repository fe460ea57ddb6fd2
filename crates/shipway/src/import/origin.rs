//! Where the files of a version are, in the words of the destination.
//!
//! Pure. At its source a version names a place of that server: a path of its artifact service, a bucket, a folder. Here the same files
//! belong to the run or the logged model that they were brought with.

use std::collections::HashMap;

use super::item::Version;

/// The places at the source of what was brought.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Run id to its artifact URI.
    pub(super) runs: HashMap<String, String>,
    /// Model id to its artifact URI.
    pub(super) models: HashMap<String, String>,
}

fn plain(uri: &str) -> String {
    // `file:///a`, `file:/a` and `/a` are one place; so are `mlflow-artifacts:///a` and `mlflow-artifacts:/a`.
    let uri = uri.trim_end_matches('/');
    match uri.split_once(':') {
        Some(("file", path)) => format!("/{}", path.trim_start_matches('/')),
        Some((scheme, path)) if path.starts_with("///") => {
            format!("{scheme}:/{}", path.trim_start_matches('/'))
        }
        _ => uri.to_owned(),
    }
}

/// What lies below `folder`: empty for the folder itself.
fn below<'a>(folder: &str, place: &'a str) -> Option<&'a str> {
    let rest = place.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

impl Places {
    /// The source of a version as the destination reads it; `None` when its files were not brought.
    pub(super) fn source_of(&self, version: &Version) -> Option<String> {
        let source = version.source.as_str();
        if let Some(named) = source.strip_prefix("models:/") {
            let is_model = named.starts_with("m-") && !named.contains(['/', '@']);
            return (!is_model || self.models.contains_key(named)).then(|| source.to_owned());
        }
        if let Some(named) = source.strip_prefix("runs:/") {
            let run_id = named.split('/').next().unwrap_or_default();
            return self.runs.contains_key(run_id).then(|| source.to_owned());
        }
        let place = plain(source);
        if let Some(folder) = self.models.get(&version.model_id)
            && below(&plain(folder), &place) == Some("")
        {
            return Some(format!("models:/{}", version.model_id));
        }
        let folder = plain(self.runs.get(&version.run_id)?);
        let path = below(&folder, &place)?;
        Some(format!("runs:/{}/{path}", version.run_id).trim_end_matches('/').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(source: &str, run_id: &str, model_id: &str) -> Version {
        Version {
            source: source.into(),
            run_id: run_id.into(),
            model_id: model_id.into(),
            ..Version::default()
        }
    }

    #[test]
    fn a_place_at_the_source_becomes_the_run_or_the_model_that_it_belongs_to() {
        let mut places = Places::default();
        places.runs.insert("r1".into(), "mlflow-artifacts:/3/r1/artifacts".into());
        places.runs.insert("r2".into(), "file:///home/ada/mlruns/3/r2/artifacts".into());
        places.models.insert("m-1".into(), "s3://bucket/3/models/m-1/artifacts".into());
        let of =
            |source: &str, run_id: &str, model_id: &str| places.source_of(&version(source, run_id, model_id));

        assert_eq!(of("models:/m-1", "r1", "m-1").unwrap(), "models:/m-1");
        assert_eq!(of("s3://bucket/3/models/m-1/artifacts/", "r1", "m-1").unwrap(), "models:/m-1");
        assert_eq!(of("mlflow-artifacts:/3/r1/artifacts/model", "r1", "").unwrap(), "runs:/r1/model");
        assert_eq!(of("mlflow-artifacts:///3/r1/artifacts/model", "r1", "").unwrap(), "runs:/r1/model");
        assert_eq!(of("/home/ada/mlruns/3/r2/artifacts/model", "r2", "").unwrap(), "runs:/r2/model");
        assert_eq!(of("mlflow-artifacts:/3/r1/artifacts", "r1", "").unwrap(), "runs:/r1");
        assert_eq!(of("models:/other/2", "", "").unwrap(), "models:/other/2");
        assert_eq!(of("runs:/r1/model", "r1", "").unwrap(), "runs:/r1/model");
    }

    #[test]
    fn what_was_not_brought_is_no_source() {
        let mut places = Places::default();
        places.runs.insert("r1".into(), "mlflow-artifacts:/3/r1/artifacts".into());
        for (source, run_id) in [
            ("models:/m-9", ""),
            ("runs:/r9/model", "r9"),
            ("s3://bucket/model", "r1"),
            ("mlflow-artifacts:/3/r1/artifacts2/model", "r1"),
            ("mlflow-artifacts:/3/r9/artifacts/model", "r9"),
            ("/etc/passwd", "r1"),
        ] {
            assert_eq!(places.source_of(&version(source, run_id, "")), None, "{source}");
        }
    }
}
