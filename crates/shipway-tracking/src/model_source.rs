//! Reads the `source` of a model version.
//!
//! Pure. A source names a logged model, another version, or a folder of the artifact service; it is never a path or an
//! address that this server would open.

use crate::{artifact_path::ArtifactPath, error::TrackingError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelSource {
    /// `models:/m-…`
    LoggedModel(String),
    /// `models:/name/version`
    Version { name: String, version: i64 },
    /// `models:/name@alias`
    Alias { name: String, alias: String },
    /// `mlflow-artifacts:/…`
    Artifacts(ArtifactPath),
    /// `runs:/run/path`
    Run { run_id: String, path: ArtifactPath },
}

impl ModelSource {
    pub(crate) fn parse(source: &str) -> Result<Self, TrackingError> {
        let refuse = |reason: &str| {
            let shown: String = source.chars().take(200).collect();
            TrackingError::invalid("source", format!("Invalid model version source: '{shown}': {reason}"))
        };
        let (scheme, rest) = source.split_once(':').ok_or_else(|| refuse("it has no scheme"))?;
        let rest = rest.strip_prefix('/').ok_or_else(|| refuse("a path must follow the scheme"))?;
        // `scheme:///path` has an empty host; `scheme://host/path` names another server, which is not ours to read.
        let path = match rest.strip_prefix('/') {
            Some(after) => after.strip_prefix('/').ok_or_else(|| refuse("it names a host"))?,
            None => rest,
        };
        if path.contains('?') {
            return Err(refuse("it holds a query"));
        }
        match scheme {
            "models" => Self::model(path).ok_or_else(|| refuse("expected models:/m-…, models:/name/version")),
            "runs" => {
                let (run_id, below) = path.split_once('/').unwrap_or((path, ""));
                if run_id.is_empty() {
                    return Err(refuse("expected runs:/run_id/path"));
                }
                Ok(Self::Run { run_id: run_id.to_owned(), path: ArtifactPath::parse(below)? })
            }
            "mlflow-artifacts" => Ok(Self::Artifacts(ArtifactPath::parse(path)?)),
            _ => Err(refuse("expected models:/, runs:/ or mlflow-artifacts:/")),
        }
    }

    fn model(path: &str) -> Option<Self> {
        if let Some((name, alias)) = path.split_once('@') {
            return (!name.is_empty() && !name.contains('/'))
                .then(|| Self::Alias { name: name.to_owned(), alias: alias.to_owned() });
        }
        match path.split_once('/') {
            Some((name, version)) if !name.is_empty() => {
                Some(Self::Version { name: name.to_owned(), version: version.parse().ok()? })
            }
            Some(_) => None,
            None => path.starts_with("m-").then(|| Self::LoggedModel(path.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_models_versions_runs_and_artifacts() {
        assert_eq!(ModelSource::parse("models:/m-1").unwrap(), ModelSource::LoggedModel("m-1".into()));
        assert_eq!(
            ModelSource::parse("models:/late/3").unwrap(),
            ModelSource::Version { name: "late".into(), version: 3 }
        );
        assert_eq!(
            ModelSource::parse("models:/late@champion").unwrap(),
            ModelSource::Alias { name: "late".into(), alias: "champion".into() }
        );
        let path = ArtifactPath::parse("1/abc/artifacts/model").unwrap();
        for text in ["mlflow-artifacts:/1/abc/artifacts/model", "mlflow-artifacts:///1/abc/artifacts/model"] {
            assert_eq!(ModelSource::parse(text).unwrap(), ModelSource::Artifacts(path.clone()));
        }
        assert!(matches!(ModelSource::parse("runs:/abc/model"), Ok(ModelSource::Run { .. })));
    }

    #[test]
    fn a_source_never_reaches_this_machine_or_another_one() {
        for bad in [
            "",
            "/etc/passwd",
            "file:///etc/passwd",
            "http://example.com/model",
            "s3://bucket/model",
            "mlflow-artifacts://elsewhere/1/abc",
            "mlflow-artifacts:/1/../../etc",
            "mlflow-artifacts:/1/%252e%252e/etc",
            "mlflow-artifacts:/1/abc?x=1",
            "mlflow-artifacts:/1/abc#x",
            "models:/late",
            "models:/late/latest",
            "models://host/m-1",
            "runs:/",
            "runs:/abc/../x",
            "dummy",
        ] {
            assert!(ModelSource::parse(bad).is_err(), "{bad}");
        }
    }
}
