//! Reads what is asked for out of JSON and walks over the rest, without a tree and without copying.
//!
//! A prompt may be hundreds of kilobytes, of which a gateway needs a handful of members. The reader knows JSON's
//! grammar down to the last comma, so that what it finds is what a full parser would find; two things it leaves to
//! whoever reads the text next: whether an escape in a string that is walked over is a known one, and control
//! characters in it. Nesting is limited, and no walk is recursive, so hostile bytes cost time in proportion to their
//! length and nothing else.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// How deep arrays and objects may nest; as deep as `serde_json` goes, which reads what is translated.
pub const DEEPEST: u32 = 127;

/// Why bytes are not JSON that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// The bytes end within a value.
    #[error("the JSON ends early")]
    Ends,
    /// Something else than JSON's grammar wants stands at this byte.
    #[error("not JSON at byte {at}")]
    Unexpected {
        /// The position of the byte, from 0.
        at: usize,
    },
    /// Arrays and objects nest too deep.
    #[error("the JSON nests deeper than {DEEPEST} levels")]
    TooDeep,
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    True,
    False,
    Null,
}

/// A place in bytes of JSON. Each method that reads consumes exactly one value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    /// Where the name of the member begins that was read last.
    name_at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0, name_at: 0 }
    }

    /// Calls `member` with each member's name; it must consume the value. Returns the range of the whole object.
    /// Names come unescaped, so that an escaped one hides nothing.
    pub(crate) fn object<E: From<NotJson>>(
        &mut self,
        mut member: impl FnMut(&str, &mut Self) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let start = self.opens(b'{')?;
        if !self.closes(b'}')? {
            loop {
                self.white();
                let name_at = self.at;
                let name = self.text()?;
                self.wants(b':')?;
                self.name_at = name_at;
                member(&name, self)?;
                if self.goes_on(b'}')? {
                    continue;
                }
                break;
            }
        }
        self.depth -= 1;
        Ok(start..self.at)
    }

    /// Calls `item` for each item; it must consume it. Returns the range of the whole array.
    pub(crate) fn array<E: From<NotJson>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let start = self.opens(b'[')?;
        if !self.closes(b']')? {
            loop {
                item(self)?;
                if self.goes_on(b']')? {
                    continue;
                }
                break;
            }
        }
        self.depth -= 1;
        Ok(start..self.at)
    }

    /// How many bytes have been consumed.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Where the name of the member begins, quotes included, whose value is to be read.
    pub(crate) const fn name_position(&self) -> usize {
        self.name_at
    }

    /// The kind of the next value, which is not consumed.
    pub(crate) fn kind(&mut self) -> Result<Kind, NotJson> {
        match self.peek()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::Text),
            b't' => Ok(Kind::True),
            b'f' => Ok(Kind::False),
            b'n' => Ok(Kind::Null),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            _ => Err(NotJson::Unexpected { at: self.at }),
        }
    }

    /// A text, unescaped.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, NotJson> {
        let range = self.text_range()?;
        let whole = &self.bytes[range.clone()];
        let inner = &self.bytes[range.start + 1..range.end - 1];
        if memchr::memchr(b'\\', inner).is_some() {
            let text: String =
                serde_json::from_slice(whole).map_err(|_| NotJson::Unexpected { at: range.start })?;
            return Ok(Cow::Owned(text));
        }
        let text = std::str::from_utf8(inner).map_err(|_| NotJson::Unexpected { at: range.start })?;
        Ok(Cow::Borrowed(text))
    }

    /// Walks over one value. Returns its range.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>, NotJson> {
        let (start, base) = (self.peek().map(|_| self.at)?, self.depth);
        // One bit for each level that is open, since the walk may not recurse: an object is 1.
        let mut open: u128 = 0;
        loop {
            let in_value = match self.peek()? {
                b'{' => {
                    self.opens(b'{')?;
                    open = open << 1 | 1;
                    !self.closes(b'}')?
                }
                b'[' => {
                    self.opens(b'[')?;
                    open <<= 1;
                    !self.closes(b']')?
                }
                _ => {
                    self.scalar()?;
                    // As if a level had just been closed, which was none.
                    self.depth += 1;
                    open <<= 1;
                    false
                }
            };
            if !in_value {
                loop {
                    self.depth -= 1;
                    open >>= 1;
                    if self.depth == base {
                        return Ok(start..self.at);
                    }
                    if self.goes_on(if open & 1 == 1 { b'}' } else { b']' })? {
                        break;
                    }
                }
            }
            if open & 1 == 1 {
                self.text_range()?;
                self.wants(b':')?;
            }
        }
    }

    /// Walks over one value.
    pub(crate) fn pass(&mut self) -> Result<(), NotJson> {
        self.skip()?;
        Ok(())
    }

    /// Whether nothing but white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), NotJson> {
        self.white();
        if self.at == self.bytes.len() { Ok(()) } else { Err(NotJson::Unexpected { at: self.at }) }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    fn scalar(&mut self) -> Result<(), NotJson> {
        match self.kind()? {
            Kind::Text => self.text_range().map(drop),
            Kind::True => self.word(b"true"),
            Kind::False => self.word(b"false"),
            Kind::Null => self.word(b"null"),
            Kind::Number => self.number(),
            Kind::Object | Kind::Array => Err(NotJson::Unexpected { at: self.at }),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NotJson> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(NotJson::Unexpected { at: self.at })
        }
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(if rest.is_empty() { NotJson::Ends } else { NotJson::Unexpected { at: self.at } });
        }
        self.at += digits;
        Ok(())
    }

    fn takes(&mut self, byte: u8) -> bool {
        let there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    /// The range of a text with its quotes.
    fn text_range(&mut self) -> Result<Range<usize>, NotJson> {
        let start = self.wants(b'"')?;
        loop {
            let found = memchr2(b'"', b'\\', &self.bytes[self.at..]).ok_or(NotJson::Ends)?;
            self.at += found + 1;
            if self.bytes[self.at - 1] == b'"' {
                return Ok(start..self.at);
            }
            if self.at >= self.bytes.len() {
                return Err(NotJson::Ends);
            }
            self.at += 1;
        }
    }

    fn opens(&mut self, bracket: u8) -> Result<usize, NotJson> {
        let start = self.wants(bracket)?;
        self.depth += 1;
        if self.depth > DEEPEST { Err(NotJson::TooDeep) } else { Ok(start) }
    }

    fn closes(&mut self, bracket: u8) -> Result<bool, NotJson> {
        Ok(self.peek()? == bracket && {
            self.at += 1;
            true
        })
    }

    /// Whether a comma follows, and with it another value; or else the closing bracket, which is consumed.
    fn goes_on(&mut self, bracket: u8) -> Result<bool, NotJson> {
        let next = self.peek()?;
        if next != b',' && next != bracket {
            return Err(NotJson::Unexpected { at: self.at });
        }
        self.at += 1;
        Ok(next == b',')
    }

    /// Consumes `byte`, and returns where it stood.
    fn wants(&mut self, byte: u8) -> Result<usize, NotJson> {
        if self.peek()? == byte {
            self.at += 1;
            Ok(self.at - 1)
        } else {
            Err(NotJson::Unexpected { at: self.at })
        }
    }

    fn peek(&mut self) -> Result<u8, NotJson> {
        self.white();
        self.bytes.get(self.at).copied().ok_or(NotJson::Ends)
    }

    fn white(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}

/// What the next value is, if it is of the kind that is asked for; else it is walked over.
impl<'a> Reader<'a> {
    pub(crate) fn text_or_skip(&mut self) -> Result<Option<Cow<'a, str>>, NotJson> {
        if self.kind()? == Kind::Text {
            return self.text().map(Some);
        }
        self.pass()?;
        Ok(None)
    }

    pub(crate) fn flag_or_skip(&mut self) -> Result<Option<bool>, NotJson> {
        let kind = self.kind()?;
        self.pass()?;
        Ok(match kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        })
    }

    /// A number that is not negative; a fraction is cut off, since some write `16.0` for `16`.
    pub(crate) fn count_or_skip(&mut self) -> Result<Option<u64>, NotJson> {
        let kind = self.kind()?;
        let range = self.skip()?;
        if kind != Kind::Number {
            return Ok(None);
        }
        let Ok(text) = std::str::from_utf8(self.slice(range)) else { return Ok(None) };
        Ok(text.parse().ok().or_else(|| count_of_float(text)))
    }

    /// Whether the value is there and not null; for an array or an object, whether it has anything in it.
    pub(crate) fn filled_or_skip(&mut self) -> Result<bool, NotJson> {
        let kind = self.kind()?;
        let range = self.skip()?;
        Ok(match kind {
            Kind::Null | Kind::False => false,
            Kind::Array | Kind::Object => {
                let slice = self.slice(range);
                slice[1..slice.len() - 1].iter().any(|byte| !byte.is_ascii_whitespace())
            }
            Kind::Text | Kind::Number | Kind::True => true,
        })
    }

    /// Walks an array if it is one.
    pub(crate) fn array_or_skip<E: From<NotJson>>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Option<Range<usize>>, E> {
        if self.kind()? == Kind::Array {
            return self.array(item).map(Some);
        }
        self.pass()?;
        Ok(None)
    }

    /// Walks an object if it is one.
    pub(crate) fn object_or_skip<E: From<NotJson>>(
        &mut self,
        member: impl FnMut(&str, &mut Self) -> Result<(), E>,
    ) -> Result<Option<Range<usize>>, E> {
        if self.kind()? == Kind::Object {
            return self.object(member).map(Some);
        }
        self.pass()?;
        Ok(None)
    }
}

/// Without a cast that could wrap: beyond 2^53 no count is meant.
fn count_of_float(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    (0.0..9_007_199_254_740_992.0).contains(&number).then(|| format!("{:.0}", number.trunc()).parse().ok())?
}
