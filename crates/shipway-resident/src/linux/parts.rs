//! The parts of an address space, as `/proc/self/smaps` lists them.

use std::{ops::Range, path::Path};

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Its addresses.
    pub(super) at: Range<usize>,
    pub(super) resident_bytes: u64,
    /// Pages that are this process's own, in memory or swapped out; none where the kernel did not say.
    own_bytes: Option<u64>,
    /// `r-xp`
    permissions: &'a str,
    /// The file that it was read from.
    file: &'a str,
}

impl Part<'_> {
    /// Whether it is private, cannot be written, and holds nothing but what lies in this file.
    pub(super) fn is_only_of(&self, program: &Path) -> bool {
        let is_read_only = self.permissions.ends_with('p') && !self.permissions.contains('w');
        is_read_only && self.own_bytes == Some(0) && Path::new(self.file) == program
    }
}

/// The parts in the order of their addresses. What is written in another way than expected is no part.
pub(super) fn read(said: &str) -> impl Iterator<Item = Part<'_>> {
    let mut lines = said.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let Some(mut part) = head(lines.next()?) else { continue };
            let (mut anonymous, mut swapped) = (None, None);
            while let Some((name, bytes)) = lines.peek().and_then(|line| counted(line)) {
                match name {
                    "Rss" => part.resident_bytes = bytes.unwrap_or_default(),
                    "Anonymous" => anonymous = bytes,
                    "Swap" => swapped = bytes,
                    _ => {}
                }
                lines.next();
            }
            part.own_bytes = anonymous.zip(swapped).map(|(anonymous, swapped)| anonymous + swapped);
            return Some(part);
        }
    })
}

/// `55d0c0000000-55d0c35bf000 r--p 00000000 08:01 1234      /usr/bin/shipway`
fn head(line: &str) -> Option<Part<'_>> {
    let mut fields = line.splitn(6, ' ');
    let (from, to) = fields.next()?.split_once('-')?;
    let at = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
    let permissions = fields.next().filter(|permissions| permissions.len() == 4)?;
    let file = fields.nth(3).unwrap_or_default().trim_start();
    Some(Part { at, resident_bytes: 0, own_bytes: None, permissions, file })
}

/// `Rss:                 160 kB`, or a line that counts something else than bytes; none: it begins a part.
pub(super) fn counted(line: &str) -> Option<(&str, Option<u64>)> {
    let (name, value) = line.split_once(':').filter(|(name, _)| !name.contains(' '))?;
    let kibibytes = value.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    Some((name, kibibytes.map(|kibibytes| kibibytes * 1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
55d0c0000000-55d0c0003000 r--p 00000000 08:01 1234                       /opt/the program
Size:                 12 kB
Rss:                   8 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
55d0c0003000-55d0c0004000 r-xp 00003000 08:01 1234                       /opt/the program
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  4 kB
55d0c0004000-55d0c0005000 r--p 00004000 08:01 1234                       /opt/the program
Rss:                   4 kB
Anonymous:             4 kB
Swap:                  0 kB
55d0c0005000-55d0c0006000 rw-p 00005000 08:01 1234                       /opt/the program
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  0 kB
55d0c0006000-55d0c0007000 r--p 00005000 08:01 1234                       /opt/the program
Rss:                   4 kB
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 
Rss:                   4 kB
Anonymous:             4 kB
Swap:                  0 kB
";

    #[test]
    fn what_holds_anything_of_its_own_is_not_given_back() {
        let parts: Vec<_> = read(SAID).collect();
        assert_eq!(parts.len(), 6);
        let first = &parts[0];
        assert_eq!((first.at.clone(), first.resident_bytes), (0x55d0_c000_0000..0x55d0_c000_3000, 8192));
        let program = Path::new("/opt/the program");
        // The others: swapped out, changed, writable, not counted, of no file.
        assert_eq!(
            parts.iter().map(|part| part.is_only_of(program)).collect::<Vec<_>>(),
            [true, false, false, false, false, false]
        );
        assert!(!first.is_only_of(Path::new("/opt/the")));
    }

    #[test]
    fn what_is_not_understood_is_no_part() {
        assert_eq!(read("").count(), 0);
        assert_eq!(read("words\n1-zz r-xp\n\nRss: 1 kB\n").count(), 0);
    }
}
