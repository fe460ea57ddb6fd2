//! The best classes of an output, each as the string `score:index`.

use std::cmp::Ordering;

use bytes::Bytes;
use shipway_runtime::tensor::{Elements, Tensor};

use super::call::{Wanted, wrong};
use crate::error::ServingError;

/// The outputs, those asked for as classes turned into them. The last dimension is that of the classes; of equal scores, the
/// first class is the better one.
pub(super) fn apply(outputs: Vec<Tensor>, wanted: &[Wanted]) -> Result<Vec<Tensor>, ServingError> {
    let classes =
        |name: &str| wanted.iter().find(|wanted| wanted.name == name).and_then(|wanted| wanted.classes);
    outputs
        .into_iter()
        .map(|tensor| match classes(&tensor.name) {
            Some(count) if count > 0 => best(&tensor, count),
            _ => Ok(tensor),
        })
        .collect()
}

fn best(tensor: &Tensor, count: usize) -> Result<Tensor, ServingError> {
    let (classes, outer) = match tensor.shape.split_last() {
        Some((classes, outer)) if *classes > 0 => (*classes, outer),
        _ => return Err(wrong(format!("output {} has no classes", tensor.name))),
    };
    let scores: Vec<f64> = (0..tensor.elements.len())
        .map(|place| tensor.elements.number(place))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong(format!("output {} is of strings and has no classes", tensor.name)))?;
    let count = count.min(classes);
    let mut labels = Vec::with_capacity(scores.len() / classes * count);
    for row in scores.chunks(classes) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|left, right| compare(row, *left, *right));
        labels.extend(
            order.into_iter().take(count).map(|class| {
                Bytes::from(format!("{:.6}:{class}", row.get(class).copied().unwrap_or(f64::NAN)))
            }),
        );
    }
    let shape = outer.iter().copied().chain([count]).collect();
    Ok(Tensor { name: tensor.name.clone(), shape, elements: Elements::Bytes(labels) })
}

/// Better scores first; what is no number is the worst.
fn compare(row: &[f64], left: usize, right: usize) -> Ordering {
    let score = |class: usize| row.get(class).copied().filter(|score| !score.is_nan());
    score(right).partial_cmp(&score(left)).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_classes_come_with_their_scores() {
        let scores = Elements::Fp32(vec![0.25, f32::NAN, 0.5, 0.25, 3.0, 2.0, 1.0, -1.0]);
        let tensor = Tensor { name: "scores".to_owned(), shape: vec![2, 4], elements: scores };
        let wanted = [Wanted { name: "scores".to_owned(), classes: Some(2) }];
        let outputs = apply(vec![tensor.clone()], &wanted).unwrap();
        let expected = ["0.500000:2", "0.250000:0", "3.000000:0", "2.000000:1"].map(Bytes::from);
        assert_eq!(outputs[0].shape, [2, 2]);
        assert_eq!(outputs[0].elements, Elements::Bytes(expected.to_vec()));
        let all =
            apply(vec![tensor.clone()], &[Wanted { name: "scores".to_owned(), classes: Some(9) }]).unwrap();
        assert_eq!(all[0].shape, [2, 4]);
        let untouched = apply(vec![tensor], &[]).unwrap();
        assert_eq!(untouched[0].elements.datatype().word(), "FP32");
    }
}
