//! The few binary forms that the log records and the packed states share.

/// Appends an unsigned number in groups of seven bits, the lowest first.
pub(crate) fn write_number(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Reads what [`write_number`] wrote off the front of `from`.
pub(crate) fn read_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = read_byte(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Appends eight little-endian bytes.
pub(crate) fn write_moment(micros: i64, into: &mut Vec<u8>) {
    into.extend_from_slice(&micros.to_le_bytes());
}

/// Reads eight little-endian bytes.
pub(crate) fn read_moment(from: &mut &[u8]) -> Option<i64> {
    let (head, rest) = from.split_first_chunk::<8>()?;
    *from = rest;
    Some(i64::from_le_bytes(*head))
}

/// Appends a length and UTF-8 bytes.
pub(crate) fn write_text(text: &str, into: &mut Vec<u8>) {
    write_number(text.len() as u64, into);
    into.extend_from_slice(text.as_bytes());
}

/// Reads what [`write_text`] wrote.
pub(crate) fn read_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(read_number(from)?).ok()?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}

/// Reads one byte.
pub(crate) fn read_byte(from: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = from.split_first()?;
    *from = rest;
    Some(*byte)
}
