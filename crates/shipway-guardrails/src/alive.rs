//! From where on the end of a text may become part of a finding, once more text comes.
//!
//! A place is alive if what follows it is the beginning of something that a pattern matches. All patterns together are one automaton, which
//! is asked from each place in turn; a place that is dead once stays dead. Assertions such as `\b` count as fulfilled, so a place may be
//! held that turns out to be none, and never the other way round.

use std::sync::Arc;

use regex_automata::{
    Anchored, MatchKind,
    hybrid::dfa::{Cache, Config, DFA},
    nfa::thompson,
    util::start,
};
use regex_syntax::hir::{Hir, HirKind};

/// What the automaton may take of memory while it works.
const MOST_CACHE_BYTES: usize = 8 << 20;
const MOST_NFA_BYTES: usize = 16 << 20;

/// All patterns of a detector in one automaton; none without patterns.
#[derive(Debug, Clone)]
pub(crate) struct Alive(Option<Arc<DFA>>);

impl Alive {
    pub(crate) fn new(patterns: &[&str]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let mut forms = Vec::new();
        for pattern in patterns {
            let form = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
            forms.push(without_assertions(&form));
        }
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().nfa_size_limit(Some(MOST_NFA_BYTES)))
            .build_many_from_hir(&forms)
            .map_err(|error| error.to_string())?;
        let config = Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(MOST_CACHE_BYTES)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).map_err(|error| error.to_string())?;
        Ok(Self(Some(Arc::new(dfa))))
    }

    /// What the automaton works with, for one text after the other.
    pub(crate) fn cache(&self) -> Option<Cache> {
        self.0.as_ref().map(|dfa| dfa.create_cache())
    }

    /// The first place in `text`, from `from` on, that is alive; the end of the text if none is.
    pub(crate) fn first(&self, cache: Option<&mut Cache>, text: &str, from: usize) -> usize {
        let (Some(dfa), Some(cache)) = (&self.0, cache) else { return text.len() };
        let mut places = text[from..].char_indices().map(|(place, _)| from + place);
        places.find(|place| lives(dfa, cache, &text.as_bytes()[*place..])).unwrap_or(text.len())
    }
}

fn lives(dfa: &DFA, cache: &mut Cache, text: &[u8]) -> bool {
    // Whatever keeps the automaton from an answer: held is the safe one.
    let Ok(mut state) = dfa.start_state(cache, &start::Config::new().anchored(Anchored::Yes)) else {
        return true;
    };
    for byte in text {
        let Ok(next) = dfa.next_state(cache, state, *byte) else { return true };
        state = next;
        if state.is_tagged() {
            if state.is_dead() {
                return false;
            }
            if state.is_quit() {
                return true;
            }
        }
    }
    // What has matched and cannot go on still lives: whether a check likes it may hang on the next character.
    true
}

/// The same pattern where every assertion holds.
fn without_assertions(form: &Hir) -> Hir {
    match form.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => form.clone(),
        HirKind::Repetition(repetition) => {
            Hir::repetition(repetition.with(without_assertions(&repetition.sub)))
        }
        HirKind::Capture(capture) => without_assertions(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(without_assertions).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(without_assertions).collect()),
    }
}
