//! The stored form of version 1, byte for byte. These lines never change: what is stored must read for ever.

use shipway_aggregate::{Aggregation, EventOrder, Operation, Over};
use shipway_core::{DataType, Decimal, DecimalType, ScalarType, Timestamp, Value};

#[test]
fn stored_states_of_version_1_read_for_ever() {
    let float = |number| Value::float(number);
    let distinct = Operation::DistinctCount { bound: 10 };
    let goldens: [(Operation, Option<DataType>, Vec<Value>, &str); 8] = [
        (Operation::Count, None, vec![Value::Null; 300], "01ac02"),
        (Operation::Sum, Some(DataType::Int), vec![Value::Int(-2)], "0201feffffffffffffffffffffffffffffff"),
        (Operation::Avg, Some(DataType::Float), vec![float(0.5), float(1.0)], "030202000000000000f83f"),
        (
            Operation::Avg,
            Some(DataType::Float),
            vec![float(f64::NAN)],
            "03010100010000000000000000000000000000000000000000000000",
        ),
        (
            Operation::Var,
            Some(DataType::Float),
            vec![float(2.0)],
            "050102000000000000004002000000000000 1040",
        ),
        (Operation::Max, Some(DataType::Float), vec![float(1.5)], "0603000000000000f83f"),
        (
            Operation::Last,
            Some(DataType::Text),
            vec![Value::text("ATL")],
            "0701070000000000000001610403000000 41544c",
        ),
        (distinct, Some(DataType::Int), vec![Value::Int(1)], "0801020100000000000000"),
    ];
    for (operation, input, values, golden) in goldens {
        let aggregation = Aggregation::new(operation, input).unwrap();
        let mut state = aggregation.empty();
        for value in &values {
            aggregation.update(&mut state, value, EventOrder { time: Timestamp(7), event_id: "a" }).unwrap();
        }
        let mut bytes = Vec::new();
        aggregation.encode(&state, &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden.replace(' ', ""), "{operation}");
        let read = aggregation.decode(&mut bytes.as_slice()).unwrap();
        assert_eq!(aggregation.finalise(&read), aggregation.finalise(&state));
    }
}

fn hex(aggregation: Aggregation, values: &[(Value, Value)]) -> String {
    let mut state = aggregation.empty();
    for (value, bucket) in values {
        let at = EventOrder { time: Timestamp(7), event_id: "a" };
        aggregation.update_in(&mut state, value, bucket, at).unwrap();
    }
    let mut bytes = Vec::new();
    aggregation.encode(&state, &mut bytes);
    let read = aggregation.decode(&mut bytes.as_slice()).unwrap();
    assert_eq!(aggregation.finalise(&read), aggregation.finalise(&state));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn states_of_many_values_read_for_ever() {
    let (int, text, float) = (DataType::Int, DataType::Text, DataType::Float);
    let goldens: [(Operation, DataType, Vec<Value>, &str); 9] = [
        (
            Operation::Skew,
            float,
            vec![Value::float(2.0)],
            "0a 01 02 0000000000000040 02 0000000000001040 02 0000000000002040 02 0000000000003040",
        ),
        (
            Operation::TopK { k: 2 },
            int,
            vec![Value::Int(1), Value::Int(3), Value::Int(2)],
            "0b 02 02 0300000000000000 02 0200000000000000",
        ),
        (
            Operation::LastK { k: 2 },
            text,
            vec![Value::text("x")],
            "0c 01 0700000000000000 01 61 04 01000000 78 00",
        ),
        (Operation::ApproxDistinct, int, vec![], "0d 00"),
        (Operation::ApproxDistinct, int, vec![Value::Int(1)], include_str!("../golden/coupon.hex")),
        (
            Operation::ApproxQuantile { millionths: 1 },
            float,
            vec![Value::float(1.0), Value::float(-1.0), Value::float(1.001)],
            "0f 02 7f00feff 01 80ff0100 02",
        ),
        (
            Operation::Histogram { k: 2 },
            text,
            vec![Value::text("x"), Value::text("x")],
            "10 01 04 01000000 78 02",
        ),
        (
            Operation::Histogram { k: 2 },
            DataType::Timestamp,
            (0..3).map(|at| Value::Timestamp(Timestamp(at))).collect(),
            "11",
        ),
        (Operation::Sum, int, vec![], "02 00 00000000000000000000000000000000"),
    ];
    for (operation, input, values, golden) in goldens {
        let aggregation = Aggregation::new(operation, Some(input)).unwrap();
        let values: Vec<(Value, Value)> = values.into_iter().map(|value| (value, Value::Null)).collect();
        assert_eq!(hex(aggregation, &values), golden.replace([' ', '\n'], ""), "{operation}");
    }
}

#[test]
fn states_of_decimals_read_for_ever() {
    let cents = DataType::Decimal(DecimalType::new(18, 2).unwrap());
    let value = |unscaled| Value::Decimal(Decimal::new(unscaled, 2).unwrap());
    let zeros = |count: usize| "00".repeat(count);
    let goldens: [(Operation, Vec<Value>, String); 6] = [
        (Operation::Sum, vec![value(258)], format!("16 01 0201 {} {}", zeros(14), zeros(8))),
        (Operation::Avg, vec![value(-1)], format!("16 01 {} {}", "ff".repeat(16), "ff".repeat(8))),
        (Operation::Var, vec![value(-3)], "17 01 02 01fd 0109".to_owned()),
        (
            Operation::Kurtosis,
            vec![value(200)],
            "17 01 04 02 c800 03 409c00 03 00127a 04 00105e5f".to_owned(),
        ),
        (Operation::Max, vec![value(1)], format!("06 08 02 01 {}", zeros(15))),
        (Operation::DistinctCount { bound: 5 }, vec![value(1)], format!("08 01 08 02 01 {}", zeros(15))),
    ];
    for (operation, values, golden) in goldens {
        let aggregation = Aggregation::new(operation, Some(cents)).unwrap();
        let values: Vec<(Value, Value)> = values.into_iter().map(|value| (value, Value::Null)).collect();
        assert_eq!(hex(aggregation, &values), golden.replace(' ', ""), "{operation}");
    }
    let by = Aggregation::shaped(Operation::Count, None, None, Some(cents)).unwrap();
    let golden = format!("12 01 08 02 01 {} 01 01", zeros(15)).replace(' ', "");
    assert_eq!(hex(by, &[(Value::Null, value(1))]), golden);
}

#[test]
fn states_of_buckets_and_positions_read_for_ever() {
    let list = |numbers: &[i64]| Value::list(numbers.iter().map(|number| Value::Int(*number)));
    let by = Aggregation::shaped(Operation::Count, None, None, Some(DataType::Text)).unwrap();
    let events =
        [(Value::Null, Value::text("b")), (Value::Null, Value::text("a")), (Value::Null, Value::Null)];
    assert_eq!(hex(by, &events), "12020401000000610101040100000062 0101".replace(' ', ""));
    let lists = Some(DataType::list(ScalarType::Int));
    let over =
        Aggregation::shaped(Operation::Max, lists, Some(Over::Positions), Some(DataType::Bool)).unwrap();
    let events = [(list(&[1, 2]), Value::Bool(true)), (list(&[3]), Value::Bool(true))];
    assert_eq!(
        hex(over, &events),
        "12 01 01 01 14 02 06 02 0300000000000000 06 02 0200000000000000".replace(' ', "")
    );
}

/// The stored registers of the numbers up to 1000, as a checksum: 4096 bytes.
#[test]
fn registers_read_for_ever() {
    let aggregation = Aggregation::new(Operation::ApproxDistinct, Some(DataType::Int)).unwrap();
    let values: Vec<(Value, Value)> = (0..1_000).map(|number| (Value::Int(number), Value::Null)).collect();
    let hex = hex(aggregation, &values);
    assert_eq!((&hex[..2], hex.len()), ("0e", 2 * 4097));
    let digest = shipway_core::Digest::of(hex).to_string();
    assert_eq!(digest, include_str!("../golden/registers.digest").trim());
}
