//! Which files of a table are worth joining. Pure.
//!
//! Small files are joined in steps: eight of one size make one of the next. So each row is rewritten a few times in its life
//! at most, however slowly rows arrive, and a table has a few dozen small files at most. A file that was written in the
//! order of its arrival is sorted once, when it is rewritten for the first time.

/// Files from this size on are left as they are, once they are sorted.
pub(crate) const LARGE_BYTES: u64 = super::TARGET_FILE_BYTES / 2;
/// How many files of one size are joined.
const FILES_PER_STEP: usize = 8;
/// The smallest size that counts as one; all files below are of one size.
const SMALLEST_STEP_BYTES: u64 = 64 << 10;
/// What one rewrite reads at most, so that it ends soon and little is lost when it is stopped.
const REWRITE_BYTES: u64 = 512 << 20;
const REWRITE_FILES: usize = 1024;

/// A file as the plan sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Where it stands in the list it came from.
    pub(crate) place: usize,
    pub(crate) bytes: u64,
    /// Its place in time: files that are neighbours in time are joined.
    pub(crate) order: i64,
    pub(crate) is_sorted: bool,
}

/// Whether everything small is joined, or only what pays by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Join files when enough of one size are there.
    WhatPays,
    /// Join everything small, and sort everything unsorted.
    Everything,
}

/// Groups of files, each to be rewritten as one, oldest first.
pub(crate) fn rewrites(mut files: Vec<Candidate>, is_clustered: bool, effort: Effort) -> Vec<Vec<Candidate>> {
    files.sort_by_key(|file| (file.order, file.place));
    let needs_sorting = |file: &Candidate| is_clustered && !file.is_sorted;
    let (large, small): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.bytes >= LARGE_BYTES);
    let mut groups = bins(large.into_iter().filter(needs_sorting));
    match effort {
        Effort::Everything => {
            let joined = bins(small.into_iter());
            groups.extend(joined.into_iter().filter(|bin| bin.len() > 1 || bin.iter().any(needs_sorting)));
        }
        Effort::WhatPays => {
            for step in 0..=step_of(LARGE_BYTES) {
                let of_step: Vec<_> =
                    small.iter().copied().filter(|file| step_of(file.bytes) == step).collect();
                if of_step.len() >= FILES_PER_STEP {
                    groups.extend(bins(of_step.into_iter()).into_iter().filter(|bin| bin.len() > 1));
                }
            }
        }
    }
    groups
}

/// Neighbours together, up to what one rewrite takes.
fn bins(files: impl Iterator<Item = Candidate>) -> Vec<Vec<Candidate>> {
    let mut bins: Vec<Vec<Candidate>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        let is_full = bytes + file.bytes > REWRITE_BYTES;
        match bins.last_mut() {
            Some(bin) if !is_full && bin.len() < REWRITE_FILES => {
                bytes += file.bytes;
                bin.push(file);
            }
            _ => {
                bytes = file.bytes;
                bins.push(vec![file]);
            }
        }
    }
    bins
}

/// The size class: each is eight times the one before.
fn step_of(bytes: u64) -> u32 {
    (bytes / SMALLEST_STEP_BYTES).checked_ilog(FILES_PER_STEP as u64).map_or(0, |step| step + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[u64]) -> Vec<Candidate> {
        let file = |(place, bytes): (usize, &u64)| Candidate {
            place,
            bytes: *bytes,
            order: place as i64,
            is_sorted: true,
        };
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn few_small_files_are_left_alone_until_it_pays() {
        assert!(rewrites(files(&[1000; 7]), true, Effort::WhatPays).is_empty());
        assert_eq!(rewrites(files(&[1000; 8]), true, Effort::WhatPays).len(), 1);
        assert_eq!(rewrites(files(&[1000; 2]), true, Effort::Everything).len(), 1);
        assert!(rewrites(files(&[1000]), true, Effort::Everything).is_empty());
    }

    #[test]
    fn each_byte_is_rewritten_a_few_times_at_most() {
        // Appends of 10 kB, joined as they come.
        let mut sizes: Vec<u64> = Vec::new();
        let mut rewritten = 0;
        for _ in 0..100_000 {
            sizes.extend([10_000]);
            if let Some(group) = rewrites(files(&sizes), true, Effort::WhatPays).into_iter().next() {
                let joined: u64 = group.iter().map(|file| file.bytes).sum();
                rewritten += joined;
                let gone: std::collections::BTreeSet<usize> = group.iter().map(|file| file.place).collect();
                let kept = sizes.iter().enumerate().filter(|(place, _)| !gone.contains(place));
                sizes = kept.map(|(_, bytes)| *bytes).collect();
                sizes.push(joined);
            }
        }
        let total: u64 = sizes.iter().sum();
        assert_eq!(total, 1_000_000_000);
        assert!(rewritten < 6 * total, "{rewritten} bytes rewritten for {total}");
        assert!(sizes.len() < 60, "{} files", sizes.len());
    }

    #[test]
    fn neighbours_in_time_are_joined_and_no_rewrite_is_without_bound() {
        let mut unordered = files(&[REWRITE_BYTES / 3; 6]);
        for file in &mut unordered {
            file.is_sorted = false;
            file.order = -file.order;
        }
        let groups = rewrites(unordered, true, Effort::WhatPays);
        let places: Vec<Vec<usize>> =
            groups.iter().map(|group| group.iter().map(|file| file.place).collect()).collect();
        assert_eq!(places, [vec![5, 4, 3], vec![2, 1, 0]]);
    }

    #[test]
    fn a_large_file_is_rewritten_only_to_be_sorted() {
        let mut large = files(&[LARGE_BYTES, LARGE_BYTES]);
        large[0].is_sorted = false;
        let groups = rewrites(large.clone(), true, Effort::WhatPays);
        assert_eq!(groups, [vec![large[0]]]);
        assert!(rewrites(large, false, Effort::Everything).is_empty());
    }
}
