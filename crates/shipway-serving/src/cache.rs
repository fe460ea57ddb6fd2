//! Answers of a model that were given before to the same inputs, where its deployment says that the model always answers the same.
//!
//! A key is a digest of everything that the model is given, so an answer is never that of other inputs. A cache belongs to one loaded version, and goes
//! with it. It is bounded by the bytes of its answers; those that were not used lately go first.

use quick_cache::{Weighter, sync::Cache};
use shipway_core::{Digest, Value};
use shipway_runtime::tensor::{Elements, Tensor};

/// About what an entry takes besides its answer.
const ENTRY_BYTES: u64 = 96;

/// What a model answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Rows(Vec<Vec<f64>>),
    Tensors(Vec<Tensor>),
}

/// The answers of one version.
pub(crate) struct AnswerCache {
    answers: Cache<Digest, Answer, Bytes>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Digest, Answer> for Bytes {
    fn weight(&self, _: &Digest, answer: &Answer) -> u64 {
        let bytes: usize = match answer {
            Answer::Rows(rows) => rows.iter().map(|row| 24 + 8 * row.len()).sum(),
            Answer::Tensors(tensors) => {
                tensors.iter().map(|tensor| tensor.name.len() + size(&tensor.elements)).sum()
            }
        };
        ENTRY_BYTES + bytes as u64
    }
}

fn size(elements: &Elements) -> usize {
    match elements {
        Elements::Bytes(texts) => texts.iter().map(|text| 32 + text.len()).sum(),
        numbers => numbers.len() * numbers.datatype().size().unwrap_or(8),
    }
}

impl AnswerCache {
    /// For answers of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        // What an answer is taken to be, for the size of tables that grow anyway.
        let answers = usize::try_from(bytes / 256).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        Self { answers: Cache::with_weighter(answers, bytes, Bytes) }
    }

    pub(crate) fn get(&self, key: &Digest) -> Option<Answer> {
        self.answers.get(key)
    }

    pub(crate) fn put(&self, key: Digest, answer: Answer) {
        self.answers.insert(key, answer);
    }
}

/// The key of rows, whose values are in the order of a binding: that of a version of a feature service, or the model's own.
pub(crate) fn key_of_rows(service: Option<Digest>, rows: &[Vec<Value>]) -> Digest {
    let mut content = Content(Vec::with_capacity(64 + rows.len() * 64));
    match service {
        Some(hash) => content.part(hash.to_string().as_bytes()),
        None => content.part(b"columns"),
    }
    for row in rows {
        content.count(row.len());
        for value in row {
            content.value(value);
        }
    }
    Digest::of(&content.0)
}

/// The key of tensors, in the order of the model's signature, and the outputs that are wanted of them.
pub(crate) fn key_of_tensors(inputs: &[Tensor], wanted: &[String]) -> Digest {
    let mut content = Content(Vec::new());
    content.part(b"tensors");
    for name in wanted {
        content.part(name.as_bytes());
    }
    for Tensor { name, shape, elements } in inputs {
        content.part(name.as_bytes());
        content.part(elements.datatype().word().as_bytes());
        content.count(shape.len());
        for size in shape {
            content.count(*size);
        }
        content.part(&elements.to_raw());
    }
    Digest::of(&content.0)
}

/// Bytes that are the same only for the same content: each part says its length.
struct Content(Vec<u8>);

impl Content {
    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    fn part(&mut self, part: &[u8]) {
        self.count(part.len());
        self.0.extend_from_slice(part);
    }

    fn value(&mut self, value: &Value) {
        let (kind, bits) = match value {
            Value::Null => (0, 0),
            Value::Bool(flag) => (1, u64::from(*flag)),
            Value::Int(number) => (2, number.cast_unsigned()),
            Value::Float(number) => (3, number.to_bits()),
            Value::Timestamp(moment) => (4, moment.micros().cast_unsigned()),
            Value::Text(text) => {
                self.0.push(5);
                return self.part(text.as_bytes());
            }
            Value::Decimal(_) | Value::List(_) | Value::Map(_) => {
                self.0.push(6);
                return self.part(value.to_json().to_string().as_bytes());
            }
        };
        self.0.push(kind);
        self.0.extend_from_slice(&bits.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], elements: Elements) -> Tensor {
        Tensor { name: name.to_owned(), shape: shape.to_vec(), elements }
    }

    #[test]
    fn other_rows_have_other_keys() {
        let text = |text: &str| Value::text(text);
        let rows = [
            vec![vec![Value::Null]],
            vec![vec![Value::Int(0)]],
            vec![vec![Value::Float(0.0)]],
            vec![vec![Value::Float(-0.0)]],
            vec![vec![Value::Bool(false)]],
            vec![vec![text("")]],
            vec![vec![text("a"), text("bc")]],
            vec![vec![text("ab"), text("c")]],
            vec![vec![text("ab")], vec![text("c")]],
            vec![],
        ];
        let mut keys: Vec<Digest> = rows.iter().map(|rows| key_of_rows(None, rows)).collect();
        keys.push(key_of_rows(Some(Digest::of("v1")), &rows[0]));
        let count = keys.len();
        keys.sort_by_key(ToString::to_string);
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(key_of_rows(None, &rows[7]), key_of_rows(None, &rows[7].clone()));
    }

    #[test]
    fn other_tensors_have_other_keys() {
        let one = || tensor("x", &[1, 2], Elements::Int32(vec![1, 2]));
        let key = |tensor: Tensor, wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            key_of_tensors(&[tensor], &wanted)
        };
        let first = key(one(), &["y"]);
        assert_eq!(first, key(one(), &["y"]));
        for other in [
            key(one(), &["z"]),
            key(one(), &[]),
            key(tensor("y", &[1, 2], Elements::Int32(vec![1, 2])), &["y"]),
            key(tensor("x", &[2, 1], Elements::Int32(vec![1, 2])), &["y"]),
            key(tensor("x", &[1, 2], Elements::Uint32(vec![1, 2])), &["y"]),
            key(tensor("x", &[1, 2], Elements::Int32(vec![1, 3])), &["y"]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_cache_keeps_no_more_than_its_bytes() {
        let cache = AnswerCache::new(10_000);
        let key = |number: usize| key_of_rows(None, &[vec![Value::Int(i64::try_from(number).unwrap())]]);
        for number in 0..1_000 {
            cache.put(key(number), Answer::Rows(vec![vec![1.0]]));
        }
        let kept = (0..1_000).filter(|number| cache.get(&key(*number)).is_some()).count();
        assert!((1..80).contains(&kept), "{kept}");
        let Some(Answer::Rows(rows)) = (0..1_000).find_map(|number| cache.get(&key(number))) else {
            panic!("nothing is kept");
        };
        assert_eq!(rows, [[1.0]]);
    }
}
