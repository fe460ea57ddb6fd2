//! Counts what a model reads: the bytes of texts, and images, sounds and documents apart, whose bytes say nothing
//! about tokens.

use crate::head::Head;
use crate::json::{Kind, NotJson, Reader};

/// How deep content is looked into for media: a message, its parts, the parts of a tool's result, the source of a part.
const DEEPEST_CONTENT: u8 = 8;

impl Head {
    /// Reads messages, items or contents: everything counts as text but the media within.
    pub(super) fn read_content(&mut self, value: &mut Reader<'_>) -> Result<(), NotJson> {
        let start = value.position();
        let mut found = Found::default();
        walk(value, &mut found, DEEPEST_CONTENT)?;
        let bytes = (value.position() - start) as u64;
        self.media = self.media.saturating_add(found.media);
        self.input_bytes = self.input_bytes.saturating_add(bytes.saturating_sub(found.bytes));
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    media: u64,
    bytes: u64,
}

fn walk(value: &mut Reader<'_>, found: &mut Found, depth: u8) -> Result<(), NotJson> {
    match value.kind()? {
        Kind::Array if depth > 0 => value.array(|item| walk(item, found, depth - 1)).map(drop),
        Kind::Object if depth > 0 => {
            let (mut medium, mut inner) = (false, Found::default());
            let range = value.object(|name, member| {
                match name {
                    "type" => medium |= member.text_or_skip()?.is_some_and(|name| is_medium(&name)),
                    "inlineData" | "inline_data" | "fileData" | "file_data"
                        if member.kind()? == Kind::Object =>
                    {
                        member.pass()?;
                        medium = true;
                    }
                    _ => return walk(member, &mut inner, depth - 1),
                }
                Ok(())
            })?;
            if medium {
                inner = Found { media: 1, bytes: range.len() as u64 };
            }
            found.media = found.media.saturating_add(inner.media);
            found.bytes = found.bytes.saturating_add(inner.bytes);
            Ok(())
        }
        _ => value.pass(),
    }
}

/// The types of parts, items and blocks that are media, in all dialects.
fn is_medium(name: &str) -> bool {
    matches!(
        name,
        "image_url"
            | "input_audio"
            | "file"
            | "input_image"
            | "input_file"
            | "image"
            | "document"
            | "computer_screenshot"
    )
}
