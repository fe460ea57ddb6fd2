//! Reads universal binary JSON (ubjson.org, draft 12), in which XGBoost writes its models, through serde.
//!
//! Any bytes end in a value or an error. A length is believed only as far as bytes follow, and nesting has an end.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};

/// The deepest nesting that is read.
const DEEPEST: usize = 64;

/// Why bytes are not read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UbjsonError(String);

impl de::Error for UbjsonError {
    fn custom<T: std::fmt::Display>(words: T) -> Self {
        Self(words.to_string())
    }
}

/// Reads one value, which must be all there is.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, UbjsonError> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(Value { marker: None, reader: &mut reader })?;
    if reader.at != bytes.len() {
        return Err(reader.wrong("the value ends before the bytes do"));
    }
    Ok(value)
}

struct Reader<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
    depth: usize,
}

impl<'bytes> Reader<'bytes> {
    fn wrong(&self, what: &str) -> UbjsonError {
        UbjsonError(format!("{what} at byte {}", self.at))
    }

    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn take(&mut self, count: usize) -> Result<&'bytes [u8], UbjsonError> {
        let end = self.at.checked_add(count);
        let taken = end
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| self.wrong("the bytes are cut"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UbjsonError> {
        self.take(N)?.try_into().map_err(|_| self.wrong("the bytes are cut"))
    }

    /// The next byte that means something.
    fn marker(&mut self) -> Result<u8, UbjsonError> {
        loop {
            let [marker] = self.array()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn integer(&mut self, marker: u8) -> Result<i64, UbjsonError> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.wrong("a length is no integer")),
        })
    }

    /// A length, of things of at least `least` bytes each.
    fn length(&mut self, least: usize) -> Result<usize, UbjsonError> {
        let marker = self.marker()?;
        let length =
            usize::try_from(self.integer(marker)?).map_err(|_| self.wrong("a length is negative"))?;
        if length.checked_mul(least.max(1)).is_none_or(|bytes| bytes > self.left()) {
            return Err(self.wrong("a length goes beyond the bytes"));
        }
        Ok(length)
    }

    fn text(&mut self) -> Result<&'bytes str, UbjsonError> {
        let length = self.length(1)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("text is not UTF-8"))
    }

    /// The header of an array or an object: the type of all its values, and how many there are.
    fn header(&mut self) -> Result<(Option<u8>, Option<usize>), UbjsonError> {
        let mut marker = None;
        if self.peek() == Some(b'$') {
            self.at += 1;
            let [kind] = self.array()?;
            marker = Some(kind);
        }
        if self.peek() == Some(b'#') {
            self.at += 1;
            let least = match marker {
                Some(b'I') => 2,
                Some(b'l' | b'd') => 4,
                Some(b'L' | b'D') => 8,
                _ => 1,
            };
            return Ok((marker, Some(self.length(least)?)));
        }
        if marker.is_some() { Err(self.wrong("a type without a count")) } else { Ok((None, None)) }
    }
}

/// One value; its marker may have been read already, for all values of its array.
struct Value<'reader, 'bytes> {
    marker: Option<u8>,
    reader: &'reader mut Reader<'bytes>,
}

impl<'de> de::Deserializer<'de> for Value<'_, 'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjsonError> {
        let reader = self.reader;
        let marker = match self.marker {
            Some(marker) => marker,
            None => reader.marker()?,
        };
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => visitor.visit_i64(reader.integer(marker)?),
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.array()?)),
            b'C' => {
                let [letter] = reader.array()?;
                visitor.visit_char(char::from(letter))
            }
            b'S' | b'H' => visitor.visit_borrowed_str(reader.text()?),
            b'[' | b'{' => {
                if reader.depth == DEEPEST {
                    return Err(reader.wrong("nested too deeply"));
                }
                reader.depth += 1;
                let (kind, left) = reader.header()?;
                let mut items = Items { kind, left, is_open: left.is_none(), reader: &mut *reader };
                let value = if marker == b'[' {
                    let value = visitor.visit_seq(&mut items)?;
                    items.close(b']')?;
                    value
                } else {
                    let value = visitor.visit_map(&mut items)?;
                    items.close(b'}')?;
                    value
                };
                reader.depth -= 1;
                Ok(value)
            }
            _ => Err(reader.wrong("an unknown marker")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjsonError> {
        if self.marker == Some(b'Z') || self.marker.is_none() && self.reader.peek() == Some(b'Z') {
            return self.deserialize_any(visitor);
        }
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The values of an array or an object.
struct Items<'reader, 'bytes> {
    kind: Option<u8>,
    /// How many are to come, if the header says so.
    left: Option<usize>,
    /// Whether an end marker is still to come.
    is_open: bool,
    reader: &'reader mut Reader<'bytes>,
}

impl Items<'_, '_> {
    /// Whether one more comes.
    fn more(&mut self, end: u8) -> Result<bool, UbjsonError> {
        if let Some(left) = &mut self.left {
            if *left == 0 {
                return Ok(false);
            }
            *left -= 1;
            // What takes no bytes could be said to come without end.
            return match self.kind {
                Some(b'Z' | b'T' | b'F' | b'N') => Err(self.reader.wrong("an array of nothing")),
                _ => Ok(true),
            };
        }
        while self.reader.peek() == Some(b'N') {
            self.reader.at += 1;
        }
        if self.is_open && self.reader.peek() == Some(end) {
            self.reader.at += 1;
            self.is_open = false;
        }
        Ok(self.is_open)
    }

    /// Makes sure that the visitor has taken all.
    fn close(&mut self, end: u8) -> Result<(), UbjsonError> {
        if self.is_open && self.more(end)? || self.left.is_some_and(|left| left > 0) {
            return Err(self.reader.wrong("more values than are expected"));
        }
        Ok(())
    }
}

impl<'bytes> SeqAccess<'bytes> for &mut Items<'_, 'bytes> {
    type Error = UbjsonError;

    fn next_element_seed<T: DeserializeSeed<'bytes>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, UbjsonError> {
        if !self.more(b']')? {
            return Ok(None);
        }
        seed.deserialize(Value { marker: self.kind, reader: &mut *self.reader }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'bytes> MapAccess<'bytes> for &mut Items<'_, 'bytes> {
    type Error = UbjsonError;

    fn next_key_seed<K: DeserializeSeed<'bytes>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, UbjsonError> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        let key: &'bytes str = self.reader.text()?;
        let key: de::value::BorrowedStrDeserializer<'bytes, UbjsonError> =
            de::value::BorrowedStrDeserializer::new(key);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'bytes>>(&mut self, seed: S) -> Result<S::Value, UbjsonError> {
        seed.deserialize(Value { marker: self.kind, reader: &mut *self.reader })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn read(bytes: &[u8]) -> Result<Json, UbjsonError> {
        from_slice(bytes)
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let mut bytes = b"{i\x01a[$U#i\x03\x01\x02\xffi\x01b[TFZNi\x05]i\x01cSi\x02hii\x01dd".to_vec();
        bytes.extend(1.5_f32.to_be_bytes());
        bytes.extend(b"i\x01e[#i\x01{}i\x01fL");
        bytes.extend((-7_i64).to_be_bytes());
        bytes.push(b'}');
        let expected =
            json!({"a": [1, 2, 255], "b": [true, false, null, 5], "c": "hi", "d": 1.5, "e": [{}], "f": -7});
        assert_eq!(read(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_claims_more_than_there_is_is_refused() {
        for bytes in [
            b"[$d#l\x7f\xff\xff\xff".as_slice(),
            b"[$Z#l\x7f\xff\xff\xff",
            b"[#l\x7f\xff\xff\xff",
            b"[$U#i\xff",
            b"[$U]",
            b"Sl\x7f\xff\xff\xffab",
            b"{i\x01a",
            b"[i\x01",
            b"i\x01i\x01",
            b"?",
            b"",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        assert!(read(&[b'['; 100_000]).is_err());
    }
}
