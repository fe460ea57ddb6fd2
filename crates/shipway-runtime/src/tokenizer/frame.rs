//! Which tokens stand around a text, such as `[CLS]` before it and `[SEP]` behind it.

use super::{damaged, schema, shown, unsupported};
use crate::error::RuntimeError;

/// Tokens around a text, each with its type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    before: Vec<(u32, u8)>,
    behind: Vec<(u32, u8)>,
    /// The type of the text's own tokens.
    type_id: u8,
}

impl Frame {
    pub(super) fn of(file: Option<schema::PostProcessor>) -> Result<Self, RuntimeError> {
        use schema::PostProcessor as File;
        Ok(match file {
            None | Some(File::ByteLevel {}) => Self::default(),
            Some(File::BertProcessing { sep, cls } | File::RobertaProcessing { sep, cls }) => {
                Self { before: vec![(cls.1, 0)], behind: vec![(sep.1, 0)], type_id: 0 }
            }
            Some(File::TemplateProcessing { single, special_tokens }) => {
                let mut frame = Self::default();
                let mut has_text = false;
                for part in single {
                    match part {
                        schema::TemplatePart::Sequence { id, type_id } => {
                            if has_text || id != "A" {
                                return Err(unsupported("a template that repeats its text"));
                            }
                            (has_text, frame.type_id) = (true, type_id);
                        }
                        schema::TemplatePart::SpecialToken { id, type_id } => {
                            let missing =
                                || damaged(format!("the template's token `{}` has no ids", shown(&id)));
                            let ids = &special_tokens.get(&id).ok_or_else(missing)?.ids;
                            let side = if has_text { &mut frame.behind } else { &mut frame.before };
                            side.extend(ids.iter().map(|id| (*id, type_id)));
                        }
                    }
                }
                if !has_text {
                    return Err(damaged("a template without its text"));
                }
                frame
            }
            Some(File::Sequence { processors }) => {
                let mut frame = Self::default();
                for inner in processors {
                    let Self { mut before, behind, type_id } = Self::of(Some(inner))?;
                    before.append(&mut frame.before);
                    frame.before = before;
                    frame.behind.extend(behind);
                    frame.type_id = frame.type_id.max(type_id);
                }
                frame
            }
        })
    }

    /// How many tokens stand around a text.
    pub(crate) const fn len(&self) -> usize {
        self.before.len() + self.behind.len()
    }

    pub(super) fn largest_id(&self) -> u32 {
        self.before.iter().chain(&self.behind).map(|(id, _)| *id).max().unwrap_or(0)
    }

    /// The text's tokens with those around them.
    pub(crate) fn around(&self, tokens: &[u32]) -> Vec<(u32, u8)> {
        let own = tokens.iter().map(|id| (*id, self.type_id));
        self.before.iter().copied().chain(own).chain(self.behind.iter().copied()).collect()
    }
}
