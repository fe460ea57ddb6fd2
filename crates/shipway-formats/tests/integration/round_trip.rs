//! What is written is read back, by us and by another implementation.

use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use proptest::prelude::*;
use serde_json::json;
use shipway_core::{DataType, Decimal, DecimalType, Name, Timestamp, Value};
use shipway_formats::{AvroEncoder, Decoded, FormatError, JsonEncoder};

use super::{columns, decode, decoder, written};

const DECLARED: &str = "a bool, b int, c float, d text, e timestamp, f decimal(38,9), g list(int), h list(timestamp), \
                        i map(float), j list(decimal(5,2)), k map(list(text)), l list(map(bool))";

fn scalar(data_type: DataType) -> BoxedStrategy<Value> {
    match data_type {
        DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Int => prop_oneof![any::<i64>(), -70_i64..70].prop_map(Value::Int).boxed(),
        DataType::Float => {
            prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::NEG_INFINITY)].prop_map(Value::float).boxed()
        }
        DataType::Text => "\\PC{0,6}".prop_map(Value::text).boxed(),
        // The years that RFC 3339 has.
        DataType::Timestamp => (-62_167_219_200_000_000_i64..253_402_300_800_000_000)
            .prop_map(|at| Value::Timestamp(Timestamp(at)))
            .boxed(),
        DataType::Decimal(to) => decimals(to),
        DataType::List(item) => {
            prop::collection::vec(value(item.data_type()), 0..4).prop_map(Value::list).boxed()
        }
        DataType::Map(item) => prop::collection::btree_map("[a-c]{0,2}", value(item.data_type()), 0..4)
            .prop_map(|map| Value::map(map.into_iter().map(|(key, value)| (Arc::from(key), value))))
            .boxed(),
    }
}

fn decimals(to: DecimalType) -> BoxedStrategy<Value> {
    let most = 10_i128.pow(u32::from(to.precision())) - 1;
    let digits = prop_oneof![-most..=most, -200_i128..200];
    digits.prop_map(move |digits| Value::Decimal(Decimal::new(digits, to.scale()).unwrap())).boxed()
}

fn value(data_type: DataType) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 5 => scalar(data_type)].boxed()
}

fn rows() -> impl Strategy<Value = Vec<Value>> {
    columns(DECLARED).into_iter().map(|(_, data_type)| value(data_type)).collect::<Vec<_>>()
}

fn values(decoded: Decoded) -> Vec<Value> {
    match decoded {
        Decoded::Rows(mut rows) => rows.remove(0).values,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn a_row_in_json_is_read_back(row in rows()) {
        let mut bytes = Vec::new();
        JsonEncoder::new(&columns(DECLARED)).encode(&row, &mut bytes).unwrap();
        let decoder = decoder(json!({ "format": "json", "unknown_fields": "refuse" }), DECLARED);
        prop_assert_eq!(values(decode(&decoder, &bytes)), row);
    }

    #[test]
    fn a_row_in_avro_is_read_back_and_another_reader_finds_it_whole(row in rows()) {
        let encoder = AvroEncoder::new("air.Flight", &columns(DECLARED)).unwrap();
        let mut bytes = Vec::new();
        encoder.encode(&row, &mut bytes).unwrap();
        let decoder = decoder(json!({ "format": "avro", "schema": encoder.schema(), "unknown_fields": "refuse" }), DECLARED);
        prop_assert_eq!(&values(decode(&decoder, &bytes)), &row);

        let schema = apache_avro::Schema::parse_str(encoder.schema()).unwrap();
        let mut rest = bytes.as_slice();
        let other = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest).unwrap();
        prop_assert!(rest.is_empty());
        // Maps of the other implementation have no order, so its bytes are read rather than compared.
        let again = written(&schema, other);
        prop_assert_eq!(&values(decode(&decoder, &again)), &row);
    }
}

#[test]
fn a_row_of_other_values_is_not_written() {
    let columns = columns("a int, b decimal(4,2)");
    let mut bytes = vec![9];
    let price = Decimal::new(1, 1).unwrap();
    for row in
        [vec![Value::Int(1)], vec![Value::Float(1.0), Value::Null], vec![Value::Null, Value::Decimal(price)]]
    {
        for refused in [
            JsonEncoder::new(&columns).encode(&row, &mut bytes),
            AvroEncoder::new("r", &columns).unwrap().encode(&row, &mut bytes),
        ] {
            assert!(matches!(refused, Err(FormatError::RowMismatch { .. })));
        }
    }
    assert_eq!(bytes, [9]);
    for name in ["", "1a", "a..b", "a-b", "a b"] {
        assert!(AvroEncoder::new(name, &[] as &[(Name, DataType)]).is_err(), "{name}");
    }
}
