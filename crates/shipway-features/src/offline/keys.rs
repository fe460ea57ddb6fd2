//! Entity keys as bytes, their hash, and the one number by which the sweep is sorted.

use arrow::{
    array::{ArrayRef, Decimal128Array},
    datatypes::DataType as ArrowType,
    error::ArrowError,
};
use shipway_core::DataType;

use super::column::Column;

/// The key columns of a batch.
#[derive(Debug)]
pub(crate) struct KeyColumns(Vec<Column>);

impl KeyColumns {
    pub(crate) fn read<'a>(
        parts: impl IntoIterator<Item = (&'a ArrayRef, DataType)>,
    ) -> Result<Self, ArrowError> {
        let columns = parts.into_iter().map(|(array, data_type)| Column::read(array, data_type));
        columns.collect::<Result<_, _>>().map(Self)
    }

    /// Writes the key of `row` into `key`, the bytes of [`shipway_core::EntityKey`]; `false` when a part is null.
    pub(crate) fn encode(&self, row: usize, key: &mut Vec<u8>) -> bool {
        key.clear();
        self.0.iter().all(|column| column.encode(row, key))
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xff51_afd7_ed55_8ccd;

/// A fixed hash of a key: rotate, xor and multiply over words of eight bytes, then a finishing mix. It only spreads keys
/// over groups and partitions; keys that share a hash are told apart by their bytes.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let mut state = SEED ^ key.len() as u64;
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix((state.rotate_left(23) ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER))
}

/// Spreads a number over all 64 bits.
pub(crate) fn mix(mut state: u64) -> u64 {
    state ^= state >> 33;
    state = state.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 29)
}

/// One number that sorts by hash, then by time. A single fixed-width column sorts and merges several times faster than two.
pub(crate) fn order_of(hash: u64, time_us: i64) -> i128 {
    let high = i128::from((hash ^ (1 << 63)).cast_signed()) << 64;
    high | i128::from(time_us.cast_unsigned() ^ (1 << 63))
}

/// The time in an order.
pub(crate) fn time_of(order: i128) -> i64 {
    ((order as u64) ^ (1 << 63)).cast_signed()
}

/// The hash in an order.
pub(crate) fn hash_of(order: i128) -> u64 {
    ((order >> 64) as i64).cast_unsigned() ^ (1 << 63)
}

/// The Arrow type of orders. A decimal only in name: it is the one Arrow type of 128 bits that sorts as an integer.
pub(crate) const ORDER_TYPE: ArrowType = ArrowType::Decimal128(38, 10);

/// The column of orders.
pub(crate) fn order_column(orders: Vec<i128>) -> Decimal128Array {
    Decimal128Array::from(orders)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use shipway_core::{EntityKey, Value};

    use super::*;

    #[test]
    fn orders_sort_by_hash_then_time_and_give_both_back() {
        let mut orders = Vec::new();
        for key_hash in [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX] {
            for time in [i64::MIN, -1, 0, 1, i64::MAX] {
                let order = order_of(key_hash, time);
                assert_eq!((hash_of(order), time_of(order)), (key_hash, time));
                orders.push(order);
            }
        }
        assert!(orders.is_sorted());
    }

    #[test]
    fn keys_are_entity_keys_and_a_null_part_makes_none() {
        let origin: ArrayRef = Arc::new(StringArray::from(vec![Some("JFK"), Some("1"), None]));
        let destination: ArrayRef = Arc::new(StringArray::from(vec![Some("LAX"), Some("23"), Some("LAX")]));
        let parts = [(&origin, DataType::Text), (&destination, DataType::Text)];
        let columns = KeyColumns::read(parts).unwrap();
        let mut key = Vec::new();
        assert!(columns.encode(0, &mut key));
        let expected = EntityKey::encode(&[Value::text("JFK"), Value::text("LAX")]).unwrap();
        assert_eq!(key, expected.as_bytes());
        assert!(!columns.encode(2, &mut key));
    }
}
