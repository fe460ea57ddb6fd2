//! The stored form of version 1, byte for byte. These lines never change: what is stored must read for ever.

use shipway_aggregate::{Aggregation, EventOrder, Operation};
use shipway_core::{DataType, Timestamp, Value};

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
