//! The judgement about the map in prose: every crate is on it.

/// The crates that `text` does not name.
pub(crate) fn judge<'a>(text: &str, crates: impl Iterator<Item = &'a str>) -> Vec<String> {
    // Whole names only: `shipway-store` must not count as `shipway`.
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    let named: Vec<&str> = text.split(|character| !is_part(character)).collect();
    crates
        .filter(|name| !named.contains(name))
        .map(|name| format!("{name} is not in ARCHITECTURE.md; add a line that says what it decides"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_named_in_full() {
        let text = "| `shipway-store` | metadata |\n- **xtask**: checks";
        assert_eq!(judge(text, ["shipway-store", "xtask"].into_iter()), Vec::<String>::new());
        assert_eq!(judge(text, ["shipway"].into_iter()).len(), 1);
    }
}
