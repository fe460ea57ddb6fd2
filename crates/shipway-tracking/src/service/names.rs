//! Ids, and names for runs and models whose owner gave none.

use uuid::Uuid;

const QUALITIES: [&str; 24] = [
    "able", "bold", "brisk", "calm", "clear", "deft", "eager", "fair", "fleet", "grand", "hale", "keen",
    "light", "lively", "merry", "noble", "plucky", "proud", "quick", "ready", "steady", "stout", "swift",
    "trim",
];

const THINGS: [&str; 24] = [
    "anchor", "barque", "beacon", "bow", "brig", "capstan", "clipper", "compass", "cutter", "ferry",
    "frigate", "galleon", "harbour", "hull", "keel", "ketch", "lantern", "mast", "pilot", "rudder", "sail",
    "schooner", "sextant", "tide",
];

/// 32 hexadecimal digits that nobody else has; later ones sort after earlier ones.
pub(super) fn new_id() -> String {
    Uuid::now_v7().simple().to_string()
}

/// A name to tell things apart by, such as `steady-clipper-417`. Names may repeat; ids do not.
pub(super) fn new_name() -> String {
    let random = Uuid::new_v4().as_u128();
    let pick = |words: &[&'static str], number: u128| {
        let index = usize::try_from(number % words.len() as u128).unwrap_or_default();
        words.get(index).copied().unwrap_or_default()
    };
    let number = (random >> 32) % 900 + 100;
    format!("{}-{}-{number}", pick(&QUALITIES, random), pick(&THINGS, random >> 16))
}
