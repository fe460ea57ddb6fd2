//! The stored form of partial states. A change here needs a new format version in whatever stores them.

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;
use shipway_core::{Timestamp, Value};

use crate::{
    Aggregation, Partial,
    bins::Bins,
    decimals::{DecimalPowers, POWERS as MOST_POWERS, WideSum},
    distinct_sketch::{DistinctSketch, MOST_COUPONS, REGISTERS},
    exact_sum::ExactSum,
    moments::{FloatMoments, IntMoments},
    partial::{Buckets, Distinct, Edge, Placed, Positions, Tally},
    powers::Powers,
};

const COUNT: u8 = 1;
const INT_SUM: u8 = 2;
const FLOAT_SUM: u8 = 3;
const INT_MOMENTS: u8 = 4;
const FLOAT_MOMENTS: u8 = 5;
const EXTREME: u8 = 6;
const EDGE: u8 = 7;
const DISTINCT: u8 = 8;
const TOO_MANY: u8 = 9;
const POWERS: u8 = 10;
const EXTREMES: u8 = 11;
const EDGES: u8 = 12;
const COUPONS: u8 = 13;
const REGISTER_VALUES: u8 = 14;
const BINS: u8 = 15;
const TALLY: u8 = 16;
const TALLY_TOO_MANY: u8 = 17;
const BUCKETS: u8 = 18;
const BUCKETS_TOO_MANY: u8 = 19;
const POSITIONS: u8 = 20;
const POSITIONS_TOO_MANY: u8 = 21;
const DECIMAL_SUM: u8 = 22;
const DECIMAL_POWERS: u8 = 23;

/// No sum has parts beyond this; a few of them would leave the range of floats.
const LARGEST_PART: f64 = f64::from_bits((1023 + 1000) << 52);

/// No sum of powers of decimals is longer: as many fourth powers as can be counted.
const LONGEST_POWER_BYTES: u64 = 73;

/// Buckets of positions of states: nothing is deeper.
const DEEPEST: u32 = 2;

impl Aggregation {
    /// Appends the stored form of `state`: a tag and little-endian fields. Equal states have equal forms.
    pub fn encode(&self, state: &Partial, into: &mut Vec<u8>) {
        write_state(state, into);
    }

    /// Reads one state off the front of `from`; `None` when the bytes are not a state of this aggregation.
    pub fn decode(&self, from: &mut &[u8]) -> Option<Partial> {
        let state = read_state(from, 0)?;
        // A state of another kind must not get into this aggregation's tiles.
        self.owns(&state).then_some(state)
    }
}

fn write_state(state: &Partial, into: &mut Vec<u8>) {
    match state {
        Partial::Count(count) => {
            into.push(COUNT);
            write_length(*count, into);
        }
        Partial::IntSum { count, sum } => {
            into.push(INT_SUM);
            write_length(*count, into);
            into.extend_from_slice(&sum.to_le_bytes());
        }
        Partial::FloatSum { count, sum } => {
            into.push(FLOAT_SUM);
            write_length(*count, into);
            write_sum(sum, into);
        }
        Partial::DecimalSum { count, sum } => {
            into.push(DECIMAL_SUM);
            write_length(*count, into);
            into.extend_from_slice(&sum.low.to_le_bytes());
            into.extend_from_slice(&sum.high.to_le_bytes());
        }
        Partial::IntMoments(moments) => {
            into.push(INT_MOMENTS);
            write_length(moments.count, into);
            into.extend_from_slice(&moments.sum.to_le_bytes());
            into.push(u8::from(moments.squares.is_some()));
            into.extend_from_slice(&moments.squares.unwrap_or_default().to_le_bytes());
        }
        Partial::FloatMoments(moments) => {
            into.push(FLOAT_MOMENTS);
            write_length(moments.count, into);
            write_sum(&moments.sum, into);
            write_sum(&moments.squares, into);
        }
        Partial::Extreme(extreme) => {
            into.push(EXTREME);
            extreme.as_ref().unwrap_or(&Value::Null).encode(into);
        }
        Partial::Edge(edge) => {
            into.push(EDGE);
            into.push(u8::from(edge.is_some()));
            edge.iter().for_each(|edge| write_edge(edge, into));
        }
        Partial::Distinct(Distinct::TooMany) => into.push(TOO_MANY),
        Partial::Distinct(Distinct::Exact(values)) => {
            into.push(DISTINCT);
            write_length(values.len() as u64, into);
            for value in values {
                value.encode(into);
            }
        }
        _ => write_wide_state(state, into),
    }
}

/// The states that hold many values.
fn write_wide_state(state: &Partial, into: &mut Vec<u8>) {
    match state {
        Partial::Powers(powers) => {
            into.push(POWERS);
            write_length(powers.count, into);
            powers.sums.iter().for_each(|sum| write_sum(sum, into));
        }
        Partial::DecimalPowers(powers) => {
            into.push(DECIMAL_POWERS);
            write_length(powers.count, into);
            into.push(powers.sums.len() as u8);
            for sum in &powers.sums {
                let bytes = sum.to_signed_bytes_le();
                write_length(bytes.len() as u64, into);
                into.extend(bytes);
            }
        }
        Partial::Extremes(values) => {
            into.push(EXTREMES);
            write_length(values.len() as u64, into);
            values.iter().for_each(|value| value.encode(into));
        }
        Partial::Edges(edges) => {
            into.push(EDGES);
            write_length(edges.len() as u64, into);
            for placed in edges {
                write_edge(&placed.edge, into);
                write_length(u64::from(placed.position), into);
            }
        }
        Partial::Sketch(DistinctSketch::Coupons(coupons)) => {
            into.push(COUPONS);
            write_length(coupons.len() as u64, into);
            coupons.iter().for_each(|coupon| into.extend_from_slice(&coupon.to_le_bytes()));
        }
        Partial::Sketch(DistinctSketch::Registers(registers)) => {
            into.push(REGISTER_VALUES);
            into.extend(registers.iter());
        }
        Partial::Bins(Bins(bins)) => {
            into.push(BINS);
            write_length(bins.len() as u64, into);
            for (bin, count) in bins {
                into.extend_from_slice(&bin.to_le_bytes());
                write_length(*count, into);
            }
        }
        Partial::Tally(Tally::TooMany) => into.push(TALLY_TOO_MANY),
        Partial::Tally(Tally::Exact(counts)) => {
            into.push(TALLY);
            write_length(counts.len() as u64, into);
            for (value, count) in counts {
                value.encode(into);
                write_length(*count, into);
            }
        }
        Partial::Buckets(Buckets::Exact(buckets)) => {
            into.push(BUCKETS);
            write_length(buckets.len() as u64, into);
            for (bucket, inside) in buckets {
                bucket.encode(into);
                write_state(inside, into);
            }
        }
        Partial::Positions(Positions::Exact(positions)) => {
            into.push(POSITIONS);
            write_length(positions.len() as u64, into);
            positions.iter().for_each(|inside| write_state(inside, into));
        }
        Partial::Positions(Positions::TooMany) => into.push(POSITIONS_TOO_MANY),
        // Every other state is written by `write_state`.
        _ => into.push(BUCKETS_TOO_MANY),
    }
}

fn read_state(from: &mut &[u8], depth: u32) -> Option<Partial> {
    Some(match read_byte(from)? {
        COUNT => Partial::Count(read_length(from)?),
        INT_SUM => Partial::IntSum { count: read_length(from)?, sum: i128::from_le_bytes(read_array(from)?) },
        FLOAT_SUM => Partial::FloatSum { count: read_length(from)?, sum: read_sum(from)? },
        DECIMAL_SUM => Partial::DecimalSum {
            count: read_length(from)?,
            sum: WideSum {
                low: u128::from_le_bytes(read_array(from)?),
                high: i64::from_le_bytes(read_array(from)?),
            },
        },
        INT_MOMENTS => {
            let count = read_length(from)?;
            let sum = i128::from_le_bytes(read_array(from)?);
            let fits = read_byte(from)? != 0;
            let squares = i128::from_le_bytes(read_array(from)?);
            Partial::IntMoments(IntMoments { count, sum, squares: fits.then_some(squares) })
        }
        FLOAT_MOMENTS => Partial::FloatMoments(FloatMoments {
            count: read_length(from)?,
            sum: read_sum(from)?,
            squares: read_sum(from)?,
        }),
        EXTREME => {
            let value = Value::decode(from)?;
            Partial::Extreme((!value.is_null()).then_some(value))
        }
        EDGE if read_byte(from)? == 0 => Partial::Edge(None),
        EDGE => Partial::Edge(Some(read_edge(from)?)),
        DISTINCT => {
            let mut values = BTreeSet::new();
            for _ in 0..read_length(from)? {
                values.insert(Value::decode(from)?);
            }
            Partial::Distinct(Distinct::Exact(values))
        }
        TOO_MANY => Partial::Distinct(Distinct::TooMany),
        tag => return read_wide_state(tag, from, depth),
    })
}

fn read_wide_state(tag: u8, from: &mut &[u8], depth: u32) -> Option<Partial> {
    Some(match tag {
        POWERS => Partial::Powers(Box::new(Powers {
            count: read_length(from)?,
            sums: [read_sum(from)?, read_sum(from)?, read_sum(from)?, read_sum(from)?],
        })),
        DECIMAL_POWERS => {
            let count = read_length(from)?;
            let powers = usize::from(read_byte(from)?);
            let sums = (0..powers.min(MOST_POWERS + 1)).map(|_| read_whole(from)).collect::<Option<_>>()?;
            Partial::DecimalPowers(Box::new(DecimalPowers { count, sums }))
        }
        EXTREMES => {
            let count = read_length(from)?;
            Partial::Extremes((0..count).map(|_| Value::decode(from)).collect::<Option<_>>()?)
        }
        EDGES => {
            let count = read_length(from)?;
            let mut placed =
                || Some(Placed { edge: read_edge(from)?, position: u32::try_from(read_length(from)?).ok()? });
            Partial::Edges((0..count).map(|_| placed()).collect::<Option<_>>()?)
        }
        COUPONS => {
            let count = read_length(from)?;
            let coupon = |_| Some(u32::from_le_bytes(read_array(from)?)).filter(|coupon| *coupon >> 26 != 0);
            let coupons: BTreeSet<u32> = (0..count).map(coupon).collect::<Option<_>>()?;
            (coupons.len() <= MOST_COUPONS).then_some(Partial::Sketch(DistinctSketch::Coupons(coupons)))?
        }
        REGISTER_VALUES => {
            let registers: Box<[u8; REGISTERS]> = Box::new(read_array(from)?);
            let fits = registers.iter().all(|value| *value < 64);
            fits.then_some(Partial::Sketch(DistinctSketch::Registers(registers)))?
        }
        BINS => {
            let mut bins = BTreeMap::new();
            for _ in 0..read_length(from)? {
                let bin = i32::from_le_bytes(read_array(from)?);
                bins.insert(bin, read_length(from)?);
            }
            Partial::Bins(Bins(bins))
        }
        TALLY => {
            let mut counts = BTreeMap::new();
            for _ in 0..read_length(from)? {
                let value = Value::decode(from)?;
                counts.insert(value, read_length(from)?);
            }
            Partial::Tally(Tally::Exact(counts))
        }
        TALLY_TOO_MANY => Partial::Tally(Tally::TooMany),
        BUCKETS if depth < DEEPEST => {
            let mut buckets = BTreeMap::new();
            for _ in 0..read_length(from)? {
                let bucket = Value::decode(from)?;
                buckets.insert(bucket, read_state(from, depth + 1)?);
            }
            Partial::Buckets(Buckets::Exact(buckets))
        }
        BUCKETS_TOO_MANY => Partial::Buckets(Buckets::TooMany),
        POSITIONS if depth < DEEPEST => {
            let count = read_length(from)?;
            let positions = (0..count).map(|_| read_state(from, depth + 1)).collect::<Option<_>>()?;
            Partial::Positions(Positions::Exact(positions))
        }
        POSITIONS_TOO_MANY => Partial::Positions(Positions::TooMany),
        _ => return None,
    })
}

/// A whole number of any size, in the fewest bytes that hold it.
fn read_whole(from: &mut &[u8]) -> Option<BigInt> {
    let length = read_length(from).filter(|length| *length <= LONGEST_POWER_BYTES)?;
    let (bytes, rest) = from.split_at_checked(usize::try_from(length).ok()?)?;
    *from = rest;
    Some(BigInt::from_signed_bytes_le(bytes)).filter(|whole| whole.to_signed_bytes_le() == bytes)
}

fn write_edge(edge: &Edge, into: &mut Vec<u8>) {
    into.extend_from_slice(&edge.time.0.to_le_bytes());
    write_length(edge.event_id.len() as u64, into);
    into.extend(edge.event_id.as_bytes());
    edge.value.encode(into);
}

fn read_edge(from: &mut &[u8]) -> Option<Edge> {
    let time = Timestamp(i64::from_le_bytes(read_array(from)?));
    let length = usize::try_from(read_length(from)?).ok()?;
    let (event_id, rest) = from.split_at_checked(length)?;
    *from = rest;
    let event_id = std::str::from_utf8(event_id).ok()?.into();
    Some(Edge { time, event_id, value: Value::decode(from)? })
}

fn write_sum(sum: &ExactSum, into: &mut Vec<u8>) {
    let (ordinary, huge, counts) = sum.parts();
    let is_rare = !huge.is_empty() || counts != [0; 3];
    write_length((ordinary.len() as u64) << 1 | u64::from(is_rare), into);
    ordinary.iter().for_each(|part| into.extend_from_slice(&part.to_le_bytes()));
    if is_rare {
        write_length(huge.len() as u64, into);
        huge.iter().for_each(|part| into.extend_from_slice(&part.to_le_bytes()));
        counts.iter().for_each(|count| into.extend_from_slice(&count.to_le_bytes()));
    }
}

fn read_sum(from: &mut &[u8]) -> Option<ExactSum> {
    let header = read_length(from)?;
    let ordinary = read_floats(header >> 1, from)?;
    if header & 1 == 0 {
        return Some(ExactSum::from_parts(&ordinary, &[], [0; 3]));
    }
    let huge_length = read_length(from)?;
    let huge = read_floats(huge_length, from)?;
    let mut counts = [0; 3];
    for count in &mut counts {
        *count = i64::from_le_bytes(read_array(from)?);
    }
    Some(ExactSum::from_parts(&ordinary, &huge, counts))
}

fn read_floats(length: u64, from: &mut &[u8]) -> Option<Vec<f64>> {
    let mut floats = Vec::new();
    for _ in 0..length {
        let float = f64::from_le_bytes(read_array(from)?);
        if float.is_nan() || float.abs() > LARGEST_PART {
            return None;
        }
        floats.push(float);
    }
    Some(floats)
}

/// An unsigned number in groups of seven bits, the lowest first: small numbers take one byte.
fn write_length(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number as u8) | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn read_length(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = read_byte(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn read_byte(from: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = from.split_first()?;
    *from = rest;
    Some(*byte)
}

fn read_array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}
