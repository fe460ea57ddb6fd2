//! Tags and params that come in beside those that are there.

use shipway_store::{SqlValue, Transaction};

use crate::{
    error::TrackingError,
    model::{Pair, bounds},
    store::pairs::PairTable,
};

/// What kind of pairs these are: their word in a sentence, their check, and the length at which values are cut off, if they are.
pub(super) struct Family {
    pub(super) word: &'static str,
    pub(super) check: fn(&Pair) -> Result<(), TrackingError>,
    pub(super) cut_at: Option<usize>,
}

pub(super) const PARAM: Family =
    Family { word: "param", check: bounds::param, cut_at: Some(bounds::PARAM_VALUE_LENGTH) };
pub(super) const RUN_TAG: Family =
    Family { word: "tag", check: bounds::run_tag, cut_at: Some(bounds::RUN_TAG_VALUE_LENGTH) };
pub(super) const EXPERIMENT_TAG: Family = Family { word: "tag", check: bounds::experiment_tag, cut_at: None };
pub(super) const REGISTRY_TAG: Family = Family { word: "tag", check: bounds::registry_tag, cut_at: None };

/// The pairs that fit, cut off where this server cuts them off; `notes` tells of every other one.
pub(super) fn fitting(family: &Family, pairs: Vec<Pair>, notes: &mut Vec<String>) -> Vec<Pair> {
    let mut kept = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let cut = family.cut_at.filter(|bound| pair.value.chars().count() > *bound);
        let pair = match cut {
            None => pair,
            Some(bound) => {
                notes.push(format!("{} {}: cut off at {bound} characters", family.word, pair.key));
                Pair::new(pair.key, pair.value.chars().take(bound).collect::<String>())
            }
        };
        match (family.check)(&pair) {
            Ok(()) => kept.push(pair),
            Err(error) => notes.push(format!("{} left out: {error}", family.word)),
        }
    }
    kept
}

/// The pairs whose keys are not there yet; `notes` tells of those that are there with another value.
pub(super) fn missing(
    family: &Family,
    here: &[Pair],
    pairs: Vec<Pair>,
    notes: &mut Vec<String>,
) -> Vec<Pair> {
    let is_new = |pair: &Pair| match here.iter().find(|one| one.key == pair.key) {
        None => true,
        Some(one) => {
            if one.value != pair.value {
                notes.push(format!(
                    "{} {} is `{}` here and `{}` there; it stays",
                    family.word,
                    pair.key,
                    start_of(&one.value),
                    start_of(&pair.value)
                ));
            }
            false
        }
    };
    pairs.into_iter().filter(is_new).collect()
}

fn start_of(value: &str) -> String {
    let start: String = value.chars().take(60).collect();
    if start.len() < value.len() { format!("{start}…") } else { start }
}

/// Adds the pairs that are missing of an owner.
pub(super) async fn add_missing(
    transaction: &mut Transaction,
    (table, family): (PairTable, &Family),
    owner: impl Into<SqlValue>,
    pairs: Vec<Pair>,
    notes: &mut Vec<String>,
) -> Result<(), TrackingError> {
    let owner = owner.into();
    let here = table.of(transaction, owner.clone()).await?;
    let new = missing(family, &here, fitting(family, pairs, notes), notes);
    Ok(table.add(transaction, &owner, &new).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_differs_is_told() {
        let here = [Pair::new("a", "1"), Pair::new("b", "2")];
        let mut notes = Vec::new();
        let there = vec![Pair::new("a", "1"), Pair::new("b", "3"), Pair::new("c", "4")];
        assert_eq!(missing(&RUN_TAG, &here, there, &mut notes), [Pair::new("c", "4")]);
        assert_eq!(notes, ["tag b is `2` here and `3` there; it stays"]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_itself_and_told() {
        let mut notes = Vec::new();
        let pairs = vec![
            Pair::new("good", "1"),
            Pair::new("../bad", "1"),
            Pair::new("long", "v".repeat(bounds::PARAM_VALUE_LENGTH + 1)),
        ];
        let kept = fitting(&PARAM, pairs, &mut notes);
        assert_eq!(kept.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["good", "long"]);
        assert_eq!(kept[1].value.len(), bounds::PARAM_VALUE_LENGTH);
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("left out") && notes[1].contains("cut off"), "{notes:?}");
    }
}
