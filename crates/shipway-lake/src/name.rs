//! Which names a table may have: a name is also a folder, so nothing else may reach the file system.

use crate::LakeError;

const LONGEST: usize = 126;

/// Checks that `name` may name a table: a lower-case letter, then at most 125 of a-z, 0-9 and `_`.
pub fn check_table_name(name: &str) -> Result<(), LakeError> {
    if is_table_name(name) { Ok(()) } else { Err(LakeError::InvalidTableName { name: shortened(name) }) }
}

pub(crate) fn is_table_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= LONGEST
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn shortened(name: &str) -> String {
    name.chars().take(LONGEST + 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_not_a_table_name() {
        for wrong in
            ["", "..", "../x", "a/b", "/etc", "A", "1a", "_a", "a.b", "a b", "a\0", "é", &"a".repeat(127)]
        {
            assert!(check_table_name(wrong).is_err(), "{wrong}");
        }
        for right in ["a", "departures", "training__late_arrivals_2", &"a".repeat(126)] {
            assert!(check_table_name(right).is_ok(), "{right}");
        }
    }
}
