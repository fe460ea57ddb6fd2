//! Tensors of several requests as one along the first dimension, and each request's part of the answer.

use super::Tensor;

/// The tensors of all requests, each a list in the same order, as one list. `None` when they differ in names, in types, or
/// in a dimension behind the first.
pub fn concatenated(requests: Vec<Vec<Tensor>>) -> Option<Vec<Tensor>> {
    let mut requests = requests.into_iter();
    let mut all = requests.next()?;
    for request in requests {
        if request.len() != all.len() {
            return None;
        }
        for (into, tensor) in all.iter_mut().zip(request) {
            let (into_rows, into_rest) = into.shape.split_first_mut()?;
            let (rows, rest) = tensor.shape.split_first()?;
            if into.name != tensor.name || into_rest != rest {
                return None;
            }
            into.elements.append(tensor.elements)?;
            *into_rows = into_rows.checked_add(*rows)?;
        }
    }
    Some(all)
}

/// The parts of `tensors` that belong to requests of these numbers of rows, in order. `None` when a tensor does not have as
/// many rows as all of them together.
pub fn split(mut tensors: Vec<Tensor>, rows: &[usize]) -> Option<Vec<Vec<Tensor>>> {
    let all: usize = rows.iter().sum();
    if tensors.iter().any(|tensor| tensor.shape.first() != Some(&all)) {
        return None;
    }
    let mut parts = Vec::with_capacity(rows.len());
    // From the last to the first, so that what is split off is never moved again.
    for count in rows.iter().skip(1).rev() {
        let part = tensors.iter_mut().map(|tensor| take_last(tensor, *count)).collect::<Option<Vec<_>>>()?;
        parts.push(part);
    }
    if !rows.is_empty() {
        parts.push(tensors);
    }
    parts.reverse();
    Some(parts)
}

fn take_last(tensor: &mut Tensor, count: usize) -> Option<Tensor> {
    let per_row: usize = tensor.shape.get(1..)?.iter().product();
    let rows = tensor.shape.first_mut()?;
    *rows = rows.checked_sub(count)?;
    let elements = tensor.elements.split_off(rows.checked_mul(per_row)?);
    let mut shape = tensor.shape.clone();
    *shape.first_mut()? = count;
    Some(Tensor { name: tensor.name.clone(), shape, elements })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Elements;

    fn tensor(name: &str, rows: usize, from: i32) -> Tensor {
        let elements = Elements::Int32((from..).take(rows * 2).collect());
        Tensor { name: name.to_owned(), shape: vec![rows, 2], elements }
    }

    #[test]
    fn each_request_gets_its_rows_back() {
        let requests = vec![vec![tensor("a", 1, 0)], vec![tensor("a", 3, 10)], vec![tensor("a", 2, 50)]];
        let all = concatenated(requests.clone()).unwrap();
        assert_eq!(all[0].shape, [6, 2]);
        assert_eq!(split(all.clone(), &[1, 3, 2]).unwrap(), requests);
        assert_eq!(split(all, &[1, 3]), None);
    }

    #[test]
    fn what_differs_is_not_put_together() {
        let mut wide = tensor("a", 1, 0);
        wide.shape = vec![1, 1, 2];
        let text = Tensor { elements: Elements::Int64(vec![1, 2]), ..tensor("a", 1, 0) };
        for other in [vec![tensor("b", 1, 0)], vec![wide], vec![text], vec![]] {
            assert_eq!(concatenated(vec![vec![tensor("a", 1, 0)], other]), None);
        }
    }
}
