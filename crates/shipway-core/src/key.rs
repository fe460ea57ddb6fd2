//! Entity keys: type-tagged and length-prefixed, so that ('1','23') is never ('12','3') and 1 is never '1'.

use crate::value::Value;

/// The encoded key of one entity. Ordered and compared as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey(Vec<u8>);

impl EntityKey {
    /// Encodes the parts in the order of the entity's declaration; `None` when any part is null, because a null key
    /// matches nothing, not even another null.
    pub fn encode<'a>(parts: impl IntoIterator<Item = &'a Value>) -> Option<Self> {
        let mut bytes = Vec::new();
        for part in parts {
            if part.is_null() {
                return None;
            }
            part.encode(&mut bytes);
        }
        Some(Self(bytes))
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The parts again; `None` when the bytes were not made by [`EntityKey::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Vec<Value>> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            parts.push(Value::decode(&mut bytes)?);
        }
        Some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decimal, DecimalType, Timestamp};

    #[test]
    fn composite_keys_that_concatenate_equal_stay_apart() {
        let key = |parts: &[Value]| EntityKey::encode(parts);
        assert_ne!(key(&[Value::text("1"), Value::text("23")]), key(&[Value::text("12"), Value::text("3")]));
        assert_ne!(key(&[Value::Int(1)]), key(&[Value::text("1")]));
        assert_eq!(key(&[Value::Null, Value::text("a")]), None);
        assert_eq!(key(&[Value::float(-0.0)]), key(&[Value::float(0.0)]));
        assert_eq!(key(&[Value::float(f64::NAN)]), key(&[Value::float(-f64::NAN)]));
    }

    #[test]
    fn one_value_of_each_type_is_a_key_of_its_own_and_comes_back() {
        let decimal =
            |text: &str| Value::Decimal(Decimal::parse(text, DecimalType::new(9, 2).unwrap()).unwrap());
        assert_eq!(EntityKey::encode(&[decimal("1")]), EntityKey::encode(&[decimal("1.00")]));
        assert_eq!(EntityKey::encode(&[decimal("-0")]), EntityKey::encode(&[decimal("0.0")]));
        let ones = [
            Value::Bool(true),
            Value::Int(1),
            Value::float(1.0),
            Value::text("1"),
            Value::Timestamp(Timestamp(1)),
            decimal("1"),
            Value::Decimal(Decimal::new(1, 0).unwrap()),
        ];
        for (at, one) in ones.iter().enumerate() {
            for other in &ones[at + 1..] {
                assert_ne!(EntityKey::encode([one]), EntityKey::encode([other]), "{one:?} and {other:?}");
                let (left, right) = (EntityKey::encode([one, other]), EntityKey::encode([other, one]));
                assert_ne!(left, right);
                assert_eq!(
                    EntityKey::decode(left.unwrap().as_bytes()),
                    Some(vec![one.clone(), other.clone()])
                );
            }
            assert_eq!(EntityKey::encode([one, &Value::Null]), None, "a null part makes no key");
        }
    }
}
