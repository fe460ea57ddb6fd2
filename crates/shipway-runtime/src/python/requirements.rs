//! Decides whether a model's requirements name packages and nothing else. Pure.
//!
//! The file comes with the model. pip takes options, addresses, folders and repositories in it; those would let a model say where
//! its code comes from, or run code while it is installed.

use super::error::PythonError;

/// The most bytes of a requirements file.
pub(super) const MOST_BYTES: usize = 256 * 1024;

/// The requirements, one a line, without comments.
pub(super) fn checked(text: &str) -> Result<Vec<&str>, PythonError> {
    if text.len() > MOST_BYTES {
        return Err(PythonError::Requirements { line: 1, reason: format!("more than {MOST_BYTES} bytes") });
    }
    let mut requirements = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = match line.trim_start().starts_with('#') {
            true => "",
            false => line.split_once(" #").map_or(line, |(before, _)| before).trim(),
        };
        if line.is_empty() {
            continue;
        }
        if !is_package(line) {
            let shown: String = line.chars().take(80).collect();
            let reason = format!("`{shown}` is no package with versions");
            return Err(PythonError::Requirements { line: place + 1, reason });
        }
        requirements.push(line);
    }
    Ok(requirements)
}

/// `name[extra,extra] >=1,<2 ; markers`
fn is_package(line: &str) -> bool {
    let (package, markers) = line.split_once(';').unwrap_or((line, ""));
    let is_name = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let end = package.find(|character| !is_name(character)).unwrap_or(package.len());
    let (name, mut rest) = package.split_at(end);
    if !name.starts_with(|character: char| character.is_ascii_alphanumeric()) {
        return false;
    }
    if let Some(extras) = rest.trim_start().strip_prefix('[') {
        let Some((inside, after)) = extras.split_once(']') else { return false };
        if !inside.chars().all(|character| is_name(character) || ", ".contains(character)) {
            return false;
        }
        rest = after;
    }
    let is_version =
        |character: char| character.is_ascii_alphanumeric() || "<>=!~,.*+-_ ()".contains(character);
    let rest = rest.trim();
    (rest.is_empty() || rest.starts_with(['<', '>', '=', '!', '~', '(']))
        && rest.chars().all(is_version)
        && markers
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "<>=!~_.'\" ()-,".contains(character))
}

#[cfg(test)]
mod tests {
    use shipway_core::Failure as _;

    use super::*;

    #[test]
    fn packages_with_versions_are_taken() {
        let text = "# made by mlflow\nmlflow==3.17.2\n\nscikit-learn>=1.2,<2  # trees\nuvicorn[standard]~=0.30\nnumpy\ntorch==2.9.0+cpu ; python_version >= '3.11'\n";
        let expected = [
            "mlflow==3.17.2",
            "scikit-learn>=1.2,<2",
            "uvicorn[standard]~=0.30",
            "numpy",
            "torch==2.9.0+cpu ; python_version >= '3.11'",
        ];
        assert_eq!(checked(text).unwrap(), expected);
    }

    #[test]
    fn what_says_where_code_comes_from_is_refused() {
        for line in [
            "--index-url https://elsewhere.example/simple",
            "-e .",
            "-r other.txt",
            "-c constraints.txt",
            "package @ https://elsewhere.example/package.whl",
            "git+https://elsewhere.example/repository",
            "./package.whl",
            "/tmp/package",
            "package.whl/../../x",
            "numpy==1.0 --hash=sha256:00/../",
            "numpy\\",
            "numpy==1.0 ; `reboot`",
            "numpy $HOME",
            "[extra]",
        ] {
            let refused = checked(&format!("numpy\n{line}\n")).unwrap_err();
            assert_eq!(refused.code(), "runtime.python_requirements", "{line}");
            assert!(refused.to_string().starts_with("requirements.txt, line 2: "), "{refused}");
        }
    }
}
