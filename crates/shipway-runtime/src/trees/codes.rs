//! Turns the numbers of a row into small codes, so that every decision of a forest is one comparison of two small integers.
//!
//! Of each feature only its rank among the thresholds of its splits matters: `value <= threshold` and `rank <= place of the
//! threshold` say the same, whatever the precision of the numbers. So nothing is lost, a node fits into four bytes, and
//! the searches are done once per feature and not once per decision. Where missing values go both ways, a feature has
//! one code for each way; a decision on a set of categories is a code of its own, 0 or 1.

use std::collections::{BTreeMap, HashMap};

use super::{
    forest::{Forest, Rules},
    sets::Sets,
    tree::{Missing, Test},
};

/// A small integer that holds codes and the numbers of their slots.
pub(super) trait Code: Copy + Ord + Default + std::fmt::Debug + Send + Sync + 'static {
    /// What a node's link to its children is held in.
    type Link: Copy + std::fmt::Debug + Send + Sync + Into<u32>;
    /// The number, cut to this size; callers have checked that it fits.
    fn cut(number: usize) -> Self;
    /// The link, cut to its size; callers have checked that it fits.
    fn link(number: usize) -> Self::Link;
    /// The number as a place in a slice.
    fn place(self) -> usize;
    /// The largest number.
    const LARGEST: usize;
    /// The largest link.
    const LARGEST_LINK: usize;
}

macro_rules! code {
    ($code:ty, $link:ty) => {
        impl Code for $code {
            type Link = $link;
            const LARGEST: usize = <$code>::MAX as usize;
            const LARGEST_LINK: usize = <$link>::MAX as usize;
            #[expect(clippy::cast_possible_truncation, reason = "checked when the forest is packed")]
            fn cut(number: usize) -> Self {
                number as Self
            }
            #[expect(clippy::cast_possible_truncation, reason = "checked when the forest is packed")]
            fn link(number: usize) -> Self::Link {
                number as Self::Link
            }
            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
code!(u8, u16);
code!(u16, u32);
code!(u32, u32);

/// Bytes of the tables of categories: this many for each member of a set, and as many again at least.
const TABLE_BYTES_PER_MEMBER: usize = 64;
const LEAST_TABLE_BYTES: usize = 1 << 16;

/// How rows become codes.
#[derive(Debug)]
pub(super) struct Coder {
    numbers: Vec<NumberColumn>,
    categories: Vec<CategoryColumn>,
    rules: Rules,
    slots: usize,
    most_cuts: usize,
}

#[derive(Debug)]
struct NumberColumn {
    feature: usize,
    /// The thresholds of all splits on the feature, ascending, each once.
    cuts: Vec<f64>,
    slots: Vec<(usize, Missing)>,
}

#[derive(Debug)]
struct CategoryColumn {
    feature: usize,
    first_slot: usize,
    sides: Vec<Side>,
    /// For each category the codes of all slots, then those of a category that no set has; empty where that would be large.
    table: Vec<u8>,
}

/// One decision on categories.
#[derive(Debug, Clone, Copy)]
struct Side {
    set: u32,
    members_left: bool,
    missing_left: bool,
}

/// Where the decisions of a forest stand among its codes.
#[derive(Debug, Default)]
pub(super) struct Places {
    numbers: HashMap<(u32, Missing), usize>,
    sets: HashMap<(u32, u32, bool), usize>,
}

impl Coder {
    /// Collects what the splits of a forest ask.
    pub(super) fn new(forest: &Forest) -> (Self, Places) {
        let mut cuts: BTreeMap<u32, (Vec<f64>, Vec<Missing>)> = BTreeMap::new();
        let mut sides: BTreeMap<u32, Vec<Side>> = BTreeMap::new();
        for split in forest.trees.iter().flat_map(|tree| &tree.splits) {
            match split.test {
                Test::Number { threshold, missing } => {
                    let (cuts, ways) = cuts.entry(split.feature).or_default();
                    cuts.push(threshold + 0.0);
                    if !ways.contains(&missing) {
                        ways.push(missing);
                    }
                }
                Test::Category { set, members_left, missing_left } => {
                    sides.entry(split.feature).or_default().push(Side { set, members_left, missing_left });
                }
            }
        }
        let mut places = Places::default();
        let (mut slots, mut most_cuts) = (0, 0);
        let mut numbers = Vec::with_capacity(cuts.len());
        for (feature, (mut cuts, ways)) in cuts {
            cuts.sort_unstable_by(f64::total_cmp);
            cuts.dedup();
            most_cuts = most_cuts.max(cuts.len());
            let ways: Vec<(usize, Missing)> = ways.into_iter().map(|way| (next(&mut slots), way)).collect();
            places.numbers.extend(ways.iter().map(|(slot, way)| ((feature, *way), *slot)));
            numbers.push(NumberColumn { feature: feature as usize, cuts, slots: ways });
        }
        let mut categories = Vec::with_capacity(sides.len());
        for (feature, all) in sides {
            let first_slot = slots;
            let mut known: HashMap<(&[u32], bool, bool), usize> = HashMap::new();
            let mut sides = Vec::new();
            for side in all {
                let key = (forest.sets.members(side.set), side.members_left, side.missing_left);
                let slot = *known.entry(key).or_insert_with(|| {
                    sides.push(side);
                    next(&mut slots)
                });
                places.sets.insert((feature, side.set, side.missing_left), slot);
            }
            categories.push(CategoryColumn::new(feature as usize, first_slot, sides, &forest.sets));
        }
        (Self { numbers, categories, rules: forest.rules, slots, most_cuts }, places)
    }

    /// How many codes a row has.
    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    /// The largest code.
    pub(super) fn largest(&self) -> usize {
        self.most_cuts.max(usize::from(!self.categories.is_empty()))
    }

    /// The slot of a decision, and the largest code that goes left.
    pub(super) fn decision(&self, places: &Places, feature: u32, test: Test) -> Option<(usize, usize)> {
        match test {
            Test::Number { threshold, missing } => {
                let slot = places.numbers.get(&(feature, missing))?;
                let column =
                    self.numbers.binary_search_by_key(&(feature as usize), |column| column.feature).ok()?;
                let cuts = &self.numbers.get(column)?.cuts;
                Some((*slot, cuts.binary_search_by(|cut| cut.total_cmp(&(threshold + 0.0))).ok()?))
            }
            Test::Category { set, missing_left, .. } => {
                Some((*places.sets.get(&(feature, set, missing_left))?, 0))
            }
        }
    }

    /// The codes of a row, handed to `put` with their slots.
    pub(super) fn encode<C: Code>(&self, sets: &Sets, row: &[f64], mut put: impl FnMut(usize, C)) {
        for column in &self.numbers {
            let value = row.get(column.feature).copied().unwrap_or(f64::NAN);
            let rank = column.rank(self.rules, value);
            for (slot, missing) in &column.slots {
                let code = match missing.side(value) {
                    Some(true) => 0,
                    Some(false) => column.cuts.len(),
                    None if value.is_nan() => column.rank(self.rules, 0.0),
                    None => rank,
                };
                put(*slot, C::cut(code));
            }
        }
        for column in &self.categories {
            let value = row.get(column.feature).copied().unwrap_or(f64::NAN);
            column.encode(sets, self.rules, value, &mut put);
        }
    }
}

fn next(slots: &mut usize) -> usize {
    let slot = *slots;
    *slots += 1;
    slot
}

impl NumberColumn {
    /// How many thresholds a value lies beyond.
    fn rank(&self, rules: Rules, value: f64) -> usize {
        if rules.equal_goes_left {
            self.cuts.partition_point(|cut| *cut < value)
        } else {
            self.cuts.partition_point(|cut| *cut <= value)
        }
    }
}

impl CategoryColumn {
    fn new(feature: usize, first_slot: usize, sides: Vec<Side>, sets: &Sets) -> Self {
        let members: usize = sides.iter().map(|side| sets.members(side.set).len()).sum();
        let largest =
            sides.iter().filter_map(|side| sets.members(side.set).last()).max().copied().unwrap_or(0);
        let allowed = members.saturating_mul(TABLE_BYTES_PER_MEMBER).max(LEAST_TABLE_BYTES);
        let rows = largest as usize + 2;
        let mut table = Vec::new();
        if rows.checked_mul(sides.len()).is_some_and(|bytes| bytes <= allowed) {
            table.reserve_exact(rows * sides.len());
            for _ in 0..rows {
                table.extend(sides.iter().map(|side| u8::from(side.members_left)));
            }
            for (place, side) in sides.iter().enumerate() {
                for member in sets.members(side.set) {
                    if let Some(code) = table.get_mut(*member as usize * sides.len() + place) {
                        *code = u8::from(!side.members_left);
                    }
                }
            }
        }
        Self { feature, first_slot, sides, table }
    }

    fn encode<C: Code>(&self, sets: &Sets, rules: Rules, value: f64, put: &mut impl FnMut(usize, C)) {
        let slots = self.first_slot..;
        if value.is_nan() {
            for (slot, side) in slots.zip(&self.sides) {
                put(slot, C::cut(usize::from(!side.missing_left)));
            }
            return;
        }
        let category = rules.category(value);
        if self.table.is_empty() {
            for (slot, side) in slots.zip(&self.sides) {
                let is_member = category.is_some_and(|category| sets.holds(side.set, category));
                put(slot, C::cut(usize::from(is_member != side.members_left)));
            }
            return;
        }
        let rows = self.table.chunks_exact(self.sides.len());
        let last = rows.len() - 1;
        let mut rows = rows;
        let row = category.map_or(last, |category| last.min(category as usize));
        for (slot, code) in slots.zip(rows.nth(row).unwrap_or_default()) {
            put(slot, C::cut(usize::from(*code)));
        }
    }
}
