//! One text of an answer, as it is written: what is found in it, what of it may go to the caller, and how it reads then.

use std::{ops::Range, sync::Arc};

use shipway_guardrails::{Change, Vault, Watched, Window};

use super::{Guardrail, Verdicts, escaped, unescaped};
use crate::model::GuardrailAction;

/// A text that is being written.
#[derive(Debug)]
pub(super) struct Run {
    window: Window,
    /// The text is JSON itself.
    is_json: bool,
    /// Up to where it may go to the caller.
    pub(super) upto: usize,
    /// What is to be different, by its place in the text: in order and apart up to `upto`, and behind it as it was found.
    edits: Vec<Edit>,
    pub(super) is_over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    range: Range<usize>,
    text: String,
    /// It was found, and is not put back.
    is_found: bool,
}

impl Run {
    pub(super) fn new(is_json: bool) -> Self {
        Self { window: Window::default(), is_json, upto: 0, edits: Vec::new(), is_over: false }
    }

    /// Takes the next piece, and says where it stands.
    pub(super) fn push(&mut self, piece: &str) -> Range<usize> {
        let start = self.window.len();
        self.window.push(piece);
        start..self.window.len()
    }

    /// Looks at what has come.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts, vault: &mut Vault, is_over: bool) {
        let guardrails: Vec<Arc<Guardrail>> = verdicts.guardrails().to_vec();
        let watched: Vec<Watched<'_>> = guardrails
            .iter()
            .map(|guardrail| Watched {
                finder: &guardrail.finder,
                replaces: guardrail.spec.action == GuardrailAction::Redact,
            })
            .collect();
        verdicts.begins();
        let settled = self.window.settle(&watched, vault, is_over, &mut |place| verdicts.looked(place));
        for (range, change) in settled.changes {
            let (text, is_found) = match change {
                Change::Restore(value) => (escaped(&value, self.is_json), false),
                Change::Found { detector, label, value } => {
                    verdicts.found(detector, &label);
                    if verdicts.action(detector) != GuardrailAction::Redact {
                        continue;
                    }
                    let removes = guardrails[detector].finder.removes();
                    let value = unescaped(&value, self.is_json);
                    (if removes { String::new() } else { vault.placeholder(&label, &value) }, true)
                }
            };
            self.edits.push(Edit { range, text, is_found });
        }
        self.upto = settled.upto;
        self.is_over = is_over;
        self.tidy();
    }

    /// Brings edits into order and apart: what was found goes before what is put back, and the first before what begins within it, whose
    /// rest must not stay either.
    fn tidy(&mut self) {
        self.edits.sort_by_key(|edit| (!edit.is_found, edit.range.start, std::cmp::Reverse(edit.range.end)));
        let mut apart: Vec<Edit> = Vec::with_capacity(self.edits.len());
        for edit in self.edits.drain(..) {
            let meets = apart
                .iter_mut()
                .find(|known| known.range.start < edit.range.end && edit.range.start < known.range.end);
            match meets {
                None => apart.push(edit),
                Some(known) if edit.is_found => known.range.end = known.range.end.max(edit.range.end),
                Some(_) => {}
            }
        }
        apart.sort_by_key(|edit| edit.range.start);
        self.edits = apart;
    }

    /// The piece that stands from `start` on, as it goes to the caller; none if it stays as it is. A replacement stands in the piece in
    /// which what it replaces begins.
    pub(super) fn changed(&self, start: usize, piece: &str) -> Option<String> {
        let end = start + piece.len();
        let mut edits =
            self.edits.iter().filter(|edit| edit.range.start < end && edit.range.end > start).peekable();
        edits.peek()?;
        let mut out = String::with_capacity(piece.len());
        let mut at = start;
        for edit in edits {
            if edit.range.start >= start {
                out.push_str(piece.get(at - start..edit.range.start - start).unwrap_or_default());
                out.push_str(&edit.text);
            }
            at = edit.range.end.min(end);
        }
        out.push_str(piece.get(at - start..).unwrap_or_default());
        Some(out)
    }

    /// Forgets what lies before `start`.
    pub(super) fn forget_before(&mut self, start: usize) {
        self.edits.retain(|edit| edit.range.end > start);
    }
}
