//! Which passwords are too weak to protect anything. Pure.
//!
//! Length counts most; beyond it only what is tried first is refused: the user's own name, one letter again and again, and the few
//! words that people choose when a password must be long. No rules about signs: they make passwords that are forgotten, not strong ones.

const LEAST_CHARACTERS: usize = 12;
/// Hashing takes longer for a longer one.
const MOST_CHARACTERS: usize = 256;
const LEAST_DIFFERENT: usize = 5;
/// What is left of the most common passwords without digits and signs, and how it goes on when it is repeated.
const COMMON: [&str; 14] = [
    "admin",
    "administrator",
    "changeme",
    "default",
    "iloveyou",
    "letmein",
    "mlflow",
    "monkey",
    "pass",
    "password",
    "qwerty",
    "qwertyuiop",
    "shipway",
    "welcome",
];

/// Why a password is refused. It is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It is too short.
    #[error("the password has fewer than {LEAST_CHARACTERS} characters")]
    Short,
    /// It is too long.
    #[error("the password has more than {MOST_CHARACTERS} characters")]
    Long,
    /// It has too few different characters, or goes up or down the digits.
    #[error("the password is a pattern that is easily guessed")]
    Pattern,
    /// It has the user's name in it.
    #[error("the password contains the user name")]
    ContainsName,
    /// Many people have it.
    #[error("the password is one of those that are tried first")]
    Common,
}

impl WeakPassword {
    pub(crate) const fn hint(self) -> &'static str {
        "take a few words that do not belong together, or what a password manager makes"
    }
}

/// Refuses a password of this user that is too weak.
pub(crate) fn judge(user: &str, password: &str) -> Result<(), WeakPassword> {
    let characters = password.chars().count();
    if characters < LEAST_CHARACTERS {
        return Err(WeakPassword::Short);
    }
    if characters > MOST_CHARACTERS {
        return Err(WeakPassword::Long);
    }
    let lower = password.to_lowercase();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < LEAST_DIFFERENT || is_sequence(&lower) {
        return Err(WeakPassword::Pattern);
    }
    let name = user.to_lowercase();
    if name.chars().count() >= 4 && lower.contains(&name) {
        return Err(WeakPassword::ContainsName);
    }
    let letters: String = lower.chars().filter(|character| character.is_alphabetic()).collect();
    if COMMON.iter().any(|word| is_repetition(&letters, word)) {
        return Err(WeakPassword::Common);
    }
    Ok(())
}

/// Whether each character follows the one before it, as in `123456789012` or `abcdefghijkl`; after 9 comes 0.
fn is_sequence(text: &str) -> bool {
    let steps: Vec<i64> = text
        .chars()
        .zip(text.chars().skip(1))
        .map(|(left, right)| match (left.to_digit(10), right.to_digit(10)) {
            (Some(left), Some(right)) => i64::from((right + 10 - left) % 10),
            _ => i64::from(u32::from(right)) - i64::from(u32::from(left)),
        })
        .collect();
    steps.iter().all(|step| *step == 1) || steps.iter().all(|step| matches!(step, -1 | 9))
}

fn is_repetition(letters: &str, word: &str) -> bool {
    !letters.is_empty()
        && letters.len().is_multiple_of(word.len())
        && letters == word.repeat(letters.len() / word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        for (password, why) in [
            ("short", WeakPassword::Short),
            ("elevenchars", WeakPassword::Short),
            ("aaaaaaaaaaaaaaaa", WeakPassword::Pattern),
            ("abababababababab", WeakPassword::Pattern),
            ("1234567890123", WeakPassword::Pattern),
            ("abcdefghijklm", WeakPassword::Pattern),
            ("9876543210987", WeakPassword::Pattern),
            ("my-Caroline-2024", WeakPassword::ContainsName),
            ("password1234", WeakPassword::Common),
            ("PassWord!2024", WeakPassword::Common),
            ("passwordpassword1", WeakPassword::Common),
            ("qwertyuiop123", WeakPassword::Common),
        ] {
            assert_eq!(judge("caroline", password), Err(why), "{password}");
        }
        assert_eq!(judge("caroline", &"long and slow ".repeat(20)), Err(WeakPassword::Long));
    }

    #[test]
    fn a_long_one_is_taken_whatever_signs_it_has() {
        for password in
            ["correct horse battery", "tr0ub4dor&3-xyz", "пароль длинный очень", "passwordless horses"]
        {
            assert_eq!(judge("caroline", password), Ok(()), "{password}");
        }
        // A short name is in many words.
        assert_eq!(judge("or", "correct horse battery"), Ok(()));
    }
}
