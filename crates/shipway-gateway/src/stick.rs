//! Keeps calls of a session together. Pure.
//!
//! By rendezvous hashing (Thaler and Ravishankar, 1998): each deployment draws a number for the session, and the highest is first. When
//! one is gone, only its own sessions move; when it is back, they come back. Nothing is remembered.

use aws_lc_rs::digest::{SHA256, digest};

/// The number that a deployment draws for a session of a model. It is the same on every server, for ever.
pub(crate) fn draw(model: &str, session: &str, deployment: &str) -> u64 {
    let text = format!("{model}\0{deployment}\0{session}");
    let hash = digest(&SHA256, text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::draw;

    /// Sessions must not move when the server is upgraded.
    #[test]
    fn a_draw_is_the_same_for_ever() {
        assert_eq!(draw("chat", "s1", "one"), draw("chat", "s1", "one"));
        assert_ne!(draw("chat", "s1", "one"), draw("chat", "s1", "two"));
        assert_ne!(draw("chat", "s1", "one"), draw("other", "s1", "one"));
    }
}
