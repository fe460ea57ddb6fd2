//! The primitives of Avro's binary form, read off the front of a message.
//!
//! Source: Apache Avro specification, "Binary encoding". Every read is bounded by what the message has left, and by how
//! many values it may hold: types of no bytes would otherwise make a short message endless.

/// What is left of a message.
pub(super) struct Cursor<'a> {
    left: &'a [u8],
    values_left: usize,
}

/// How many values there may be for each byte of a message, and beside them.
const VALUES_PER_BYTE: usize = 4;
const VALUES_BESIDE: usize = 100_000;

impl<'a> Cursor<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        let values_left = message.len().saturating_mul(VALUES_PER_BYTE).saturating_add(VALUES_BESIDE);
        Self { left: message, values_left }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) const fn bytes_left(&self) -> usize {
        self.left.len()
    }

    /// To be called for every value, of whatever type.
    #[inline]
    pub(super) fn count_value(&mut self) -> Result<(), String> {
        self.values_left = self.values_left.checked_sub(1).ok_or("it has too many values for its length")?;
        Ok(())
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, left) = self.left.split_at_checked(count).ok_or("it ends in the middle of a value")?;
        self.left = left;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, left) = self.left.split_first_chunk::<N>().ok_or("it ends in the middle of a value")?;
        self.left = left;
        Ok(*taken)
    }

    /// Seven bits a byte, the lowest first; then zigzag.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, String> {
        if let Some((first, left)) = self.left.split_first()
            && *first < 0x80
        {
            self.left = left;
            return Ok(unzigzag(u64::from(*first)));
        }
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array::<1>()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(unzigzag(number));
            }
        }
        Err("a whole number has more than 64 bits".to_owned())
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i64, String> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| format!("{number} stands where an int of 32 bits is"))?;
        Ok(number)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, String> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("{other} stands where a boolean is")),
        }
    }

    /// A length, and so many bytes.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| format!("{length} stands where a length is"))?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a string is not UTF-8".to_owned())
    }

    /// The number of items in the next block of an array or a map; 0 ends it.
    pub(super) fn block(&mut self) -> Result<u64, String> {
        Ok(self.sized_block()?.0)
    }

    /// As [`Self::block`], with the bytes that the block has where the writer says so.
    pub(super) fn sized_block(&mut self) -> Result<(u64, Option<usize>), String> {
        let count = self.long()?;
        if count >= 0 {
            return Ok((count.unsigned_abs(), None));
        }
        let bytes = self.long()?;
        let bytes = usize::try_from(bytes).map_err(|_| format!("{bytes} stands where a length is"))?;
        Ok((count.unsigned_abs(), Some(bytes)))
    }
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zigzag_and_of_64_bits_at_most() {
        let long = |bytes: &[u8]| Cursor::new(bytes).long();
        assert_eq!(long(&[0]), Ok(0));
        assert_eq!(long(&[1]), Ok(-1));
        assert_eq!(long(&[0x80, 0x01]), Ok(64));
        let mut widest = [0xff; 10];
        widest[9] = 1;
        assert_eq!(long(&widest), Ok(i64::MIN));
        widest[9] = 2;
        assert!(long(&widest).is_err());
        assert!(long(&[0xff; 11]).is_err() && long(&[0x80]).is_err() && long(&[]).is_err());
        assert!(Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x20]).int().is_err());
        assert!(Cursor::new(&[2]).boolean().is_err());
        assert!(Cursor::new(&[1]).bytes().is_err() && Cursor::new(&[4, b'a']).bytes().is_err());
    }
}
