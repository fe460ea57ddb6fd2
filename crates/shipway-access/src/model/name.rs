//! Names of users, roles and tokens.

use crate::error::AccessError;

const USER_CHARACTERS: usize = 128;
const ROLE_CHARACTERS: usize = 128;
const TOKEN_CHARACTERS: usize = 128;
/// What the audit log calls callers that are no users.
const RESERVED: [&str; 4] = ["local", "anonymous", "token", "operator"];

/// A name that a user may have: letters, digits and `. _ - @ +`, as in `jo.park@example.org`. A colon would end it in basic credentials.
pub(crate) fn user_name(name: &str) -> Result<(), AccessError> {
    bounded("username", name, USER_CHARACTERS)?;
    if let Some(wrong) = name.chars().find(|letter| !(letter.is_alphanumeric() || "._-@+".contains(*letter)))
    {
        return Err(AccessError::invalid("username", format!("{wrong:?} may not stand in it")));
    }
    if RESERVED.contains(&name) {
        return Err(AccessError::invalid(
            "username",
            format!("{name} is what the audit log calls other callers"),
        ));
    }
    Ok(())
}

/// A name that a role may have.
pub(crate) fn role_name(name: &str) -> Result<(), AccessError> {
    bounded("name", name, ROLE_CHARACTERS)
}

/// What a user calls a token.
pub(crate) fn token_name(name: &str) -> Result<(), AccessError> {
    bounded("name", name, TOKEN_CHARACTERS)
}

fn bounded(field: &'static str, name: &str, most: usize) -> Result<(), AccessError> {
    if name.trim().is_empty() {
        return Err(AccessError::invalid(field, "it is empty"));
    }
    if name.chars().count() > most {
        return Err(AccessError::invalid(field, format!("it has more than {most} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(AccessError::invalid(field, "control characters may not stand in it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_can_stand_in_basic_credentials_and_in_a_log() {
        for name in ["ana", "jo.park@example.org", "ci-bot_2", "Ørsted"] {
            assert!(user_name(name).is_ok(), "{name}");
        }
        for name in ["", " ", "a:b", "a b", "a\nb", "local", "token", &"a".repeat(129)] {
            assert!(user_name(name).is_err(), "{name}");
        }
        assert!(
            role_name("data scientists").is_ok() && role_name("a\nb").is_err() && token_name("").is_err()
        );
    }
}
