//! The packed forms against the plain one: for any forest and any rows, the same leaves and the same bits.

use proptest::prelude::*;

use super::{
    forest::{CategoryRule, Forest, Rounding, Rules},
    sets::Sets,
    tree::{Described, Missing, Test, Tree},
    walk::pack,
};

const FEATURES: usize = 4;

/// How a forest is made: every number is looked at in turn, so that shrinking works.
#[derive(Debug, Clone)]
struct Recipe {
    rules: Rules,
    width: usize,
    outputs: usize,
    /// Per tree the splits, each with the feature, threshold or set, kind of missing, and the leaf it replaces.
    trees: Vec<Vec<(u32, i8, u8, prop::sample::Index)>>,
    thresholds: usize,
}

fn recipe(splits: usize, features: u32) -> impl Strategy<Value = Recipe> {
    let split = (0..features, -6_i8..7, 0_u8..7, any::<prop::sample::Index>());
    let trees = prop::collection::vec(prop::collection::vec(split, 0..splits), 1..40);
    (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
        1_usize..3,
        trees,
        prop::sample::select(vec![1, 37]),
    )
        .prop_map(|(equal_goes_left, single_sums, bits, vector, outputs, trees, thresholds)| Recipe {
            rules: Rules {
                equal_goes_left,
                rounding: Rounding::Single,
                single_sums,
                categories: if bits { CategoryRule::TwentyFourBits } else { CategoryRule::AboveMinusOne },
            },
            width: if vector { outputs } else { 1 },
            outputs,
            trees,
            thresholds,
        })
}

fn forest(recipe: &Recipe) -> Forest {
    let mut sets = Sets::default();
    let mut trees = Vec::new();
    for (place, splits) in recipe.trees.iter().enumerate() {
        // Nodes: `None` is a leaf; a split replaces one leaf with itself and two new ones.
        let mut nodes: Vec<Option<(u32, Test, usize, usize)>> = vec![None];
        for (number, (feature, threshold, kind, at)) in splits.iter().enumerate() {
            let leaves: Vec<usize> = (0..nodes.len()).filter(|node| nodes[*node].is_none()).collect();
            let at = leaves[at.index(leaves.len())];
            let missing =
                [Missing::Left, Missing::Right, Missing::AsZero, Missing::ZeroLeft, Missing::ZeroRight];
            let test = match missing.get(usize::from(*kind)) {
                Some(missing) => {
                    let spread = (number * place % recipe.thresholds) as f64 / 64.0;
                    Test::Number { threshold: f64::from(*threshold) / 2.0 + spread, missing: *missing }
                }
                None => {
                    let members = (0..8).filter(|bit| (threshold.unsigned_abs() + *kind) >> bit & 1 == 1);
                    let set = sets.push(members).unwrap();
                    let members_left = recipe.rules.equal_goes_left;
                    Test::Category { set, members_left, missing_left: *kind == 6 }
                }
            };
            // Categories have features of their own.
            let feature =
                if matches!(test, Test::Category { .. }) { FEATURES as u32 - 1 } else { feature % 3 };
            nodes[at] = Some((feature, test, nodes.len(), nodes.len() + 1));
            nodes.extend([None, None]);
        }
        let grown = Tree::grow(nodes.len(), 0, |node| {
            Ok::<_, ()>(match nodes[node] {
                Some((feature, test, left, right)) => {
                    Described::Split { feature, test, left, right, cover: 1.0 }
                }
                None => Described::Leaf { label: 0, cover: 1.0, place: node },
            })
        });
        let (mut tree, places) = grown.unwrap();
        tree.width = recipe.width;
        tree.output = if recipe.width == 1 { place % recipe.outputs } else { 0 };
        tree.values = places
            .iter()
            .flat_map(|node| (0..recipe.width).map(move |k| 0.1 * (node * 7 + place + k) as f64))
            .collect();
        trees.push(tree);
    }
    Forest { trees, sets, rules: recipe.rules, features: FEATURES, outputs: recipe.outputs }
}

/// The sums by the plain form: tree by tree, in the precision of the rules.
fn plain(forest: &Forest, rows: &[f64], start: f64) -> Vec<u64> {
    let mut all = Vec::new();
    for row in rows.chunks_exact(FEATURES) {
        let mut sums = vec![start; forest.outputs];
        for tree in &forest.trees {
            for (offset, value) in tree.values_of(forest.leaf(tree, row)).iter().enumerate() {
                let sum = &mut sums[tree.output + offset];
                *sum = if forest.rules.single_sums {
                    f64::from(*sum as f32 + *value as f32)
                } else {
                    *sum + value
                };
            }
        }
        all.extend(sums.iter().map(|sum| sum.to_bits()));
    }
    all
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-16_i32..16).prop_map(|half| f64::from(half) / 4.0),
        2 => (-300_i32..300).prop_map(|part| f64::from(part) / 64.0),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, -0.5, 2.9, 1e10, -1e10, 255.0]),
    ]
}

/// Trees whose levels ask one thing each.
fn oblivious(trees: &[Vec<(u32, i8, bool)>]) -> Forest {
    let rules = Rules {
        equal_goes_left: true,
        rounding: Rounding::Single,
        single_sums: false,
        categories: CategoryRule::TwentyFourBits,
    };
    let grow = |(place, levels): (usize, &Vec<(u32, i8, bool)>)| {
        let leaves = 1 << levels.len();
        let grown = Tree::grow(leaves * 2, 1, |node| {
            Ok::<_, ()>(if node < leaves {
                let (feature, threshold, is_left) = levels[node.ilog2() as usize];
                let missing = if is_left { Missing::Left } else { Missing::Right };
                let test = Test::Number { threshold: f64::from(threshold) / 2.0, missing };
                Described::Split { feature, test, left: node * 2, right: node * 2 + 1, cover: 1.0 }
            } else {
                Described::Leaf { label: 0, cover: 1.0, place: node }
            })
        });
        let (mut tree, places) = grown.unwrap();
        tree.values = places.iter().map(|node| 0.1 * (node * 7 + place) as f64).collect();
        tree
    };
    let trees = trees.iter().enumerate().map(grow).collect();
    Forest { trees, sets: Sets::default(), rules, features: FEATURES, outputs: 1 }
}

fn agree(forest: &Forest, cells: &[f64]) {
    let walk = pack(forest);
    let start = vec![0.25; forest.outputs];
    for rows in [1, 7, 9, 23, 24, 64, 65, 130] {
        let rows: Vec<f64> = cells.iter().copied().cycle().take(rows * FEATURES).collect();
        let mut sums = Vec::new();
        walk.sums(&rows, &start, &mut sums);
        let bits: Vec<u64> = sums.iter().map(|sum| sum.to_bits()).collect();
        assert_eq!(bits, plain(forest, &rows, 0.25));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn small_trees_give_the_bits_of_the_plain_form(recipe in recipe(30, 3), cells in prop::collection::vec(number(), 4..200)) {
        agree(&forest(&recipe), &cells);
    }

    #[test]
    fn large_trees_give_the_bits_of_the_plain_form(recipe in recipe(400, 3), cells in prop::collection::vec(number(), 4..200)) {
        agree(&forest(&recipe), &cells);
    }

    #[test]
    fn oblivious_trees_give_the_bits_of_the_plain_form(
        trees in prop::collection::vec(prop::collection::vec((0..3_u32, -6_i8..7, any::<bool>()), 0..9), 1..30),
        cells in prop::collection::vec(number(), 4..200),
    ) {
        agree(&oblivious(&trees), &cells);
    }
}
