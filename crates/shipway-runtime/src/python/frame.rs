//! What goes to a model's process and what comes from it, as bytes. Pure but for the reading itself.
//!
//! A frame is four bytes with the length of its header, eight with that of its body, both little-endian, the header as JSON, and
//! the body: the elements of tensors, one after the other. A process that runs foreign code may send anything, so nothing is set
//! aside for what has not come, and every length has a bound.

use std::io::{self, Read};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::tensor::{Elements, Tensor};

/// The most bytes of the header of an answer.
const MOST_HEADER: u32 = 1 << 20;

/// The most bytes of the tensors of an answer.
const MOST_BODY: u64 = 512 << 20;

/// The most tensors of an answer.
const MOST_TENSORS: usize = 10_000;

/// A tensor, and which of its elements are missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) tensor: Tensor,
    /// Places of elements that are missing, where the type has no value for that.
    pub(super) nulls: Vec<usize>,
}

#[derive(Serialize)]
struct Described<'tensor> {
    name: &'tensor str,
    datatype: &'static str,
    shape: &'tensor [usize],
    bytes: usize,
    nulls: &'tensor [usize],
}

#[derive(Serialize)]
struct Call<'tensor> {
    call: u64,
    inputs: Vec<Described<'tensor>>,
}

/// The header of what comes from the process.
#[derive(Debug, Deserialize)]
struct Header {
    call: u64,
    #[serde(default)]
    outputs: Vec<Answered>,
    #[serde(default)]
    error: Option<Raised>,
    #[serde(default)]
    differences: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Answered {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    bytes: u64,
}

/// An exception in the process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Raised {
    /// What it was about: `sandbox`, `environment`, `load`, `refused`, `failed`.
    pub(super) kind: String,
    /// The last line of its traceback.
    pub(super) message: String,
}

/// What comes from the process.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// The call that it answers; 0 for the start.
    pub(super) call: u64,
    pub(super) outcome: Result<Vec<Tensor>, Raised>,
    /// At the start, what the environment has in other versions than the model was made with.
    pub(super) differences: Vec<String>,
}

/// A frame of a header without a body.
pub(super) fn header(header: &impl Serialize) -> io::Result<Vec<u8>> {
    framed(header, &[])
}

/// The frame that asks.
pub(super) fn question(call: u64, inputs: &[Sent]) -> io::Result<Vec<u8>> {
    let parts: Vec<Vec<u8>> = inputs.iter().map(|sent| sent.tensor.elements.to_raw()).collect();
    let described = inputs.iter().zip(&parts).map(|(Sent { tensor, nulls }, part)| Described {
        name: &tensor.name,
        datatype: tensor.elements.datatype().word(),
        shape: &tensor.shape,
        bytes: part.len(),
        nulls,
    });
    framed(&Call { call, inputs: described.collect() }, &parts)
}

fn framed(header: &impl Serialize, parts: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).map_err(|_| wrong("a header of more than 4 GiB"))?;
    let body: usize = parts.iter().map(Vec::len).sum();
    let mut frame = Vec::with_capacity(12 + header.len() + body);
    frame.extend(length.to_le_bytes());
    frame.extend((body as u64).to_le_bytes());
    frame.extend(header);
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    Ok(frame)
}

/// Reads one frame. What is no frame is [`io::ErrorKind::InvalidData`]; a process that went away, [`io::ErrorKind::UnexpectedEof`].
pub(super) fn read(from: &mut impl Read) -> io::Result<Answer> {
    let mut lengths = [0_u8; 12];
    from.read_exact(&mut lengths)?;
    let (header, body) = lengths.split_at(4);
    let header = u32::from_le_bytes(header.try_into().unwrap_or_default());
    let body = u64::from_le_bytes(body.try_into().unwrap_or_default());
    if header > MOST_HEADER || body > MOST_BODY {
        return Err(wrong(format!("a frame of {header} and {body} bytes")));
    }
    let header: Header = serde_json::from_slice(&exactly(from, u64::from(header))?)
        .map_err(|error| wrong(format!("a header that is not readable: {error}")))?;
    let body = Bytes::from(exactly(from, body)?);
    let outcome = match header.error {
        Some(raised) => Err(Raised {
            kind: raised.kind,
            message: raised.message.chars().filter(|character| !character.is_control()).take(500).collect(),
        }),
        None => Ok(tensors(header.outputs, body)?),
    };
    let shorter =
        |line: &String| line.chars().filter(|character| !character.is_control()).take(200).collect();
    let differences = header.differences.iter().take(50).map(shorter).collect();
    Ok(Answer { call: header.call, outcome, differences })
}

/// So many bytes, with memory for no more than has come.
fn exactly(from: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(size).read_to_end(&mut content)?;
    if (content.len() as u64) < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(content)
}

fn tensors(outputs: Vec<Answered>, mut body: Bytes) -> io::Result<Vec<Tensor>> {
    if outputs.len() > MOST_TENSORS {
        return Err(wrong(format!("{} tensors", outputs.len())));
    }
    let mut tensors = Vec::with_capacity(outputs.len());
    for Answered { name, datatype, shape, bytes } in outputs {
        let refused =
            |reason: String| wrong(format!("output {}: {reason}", name.chars().take(80).collect::<String>()));
        let size = usize::try_from(bytes).ok().filter(|size| *size <= body.len());
        let size = size.ok_or_else(|| refused(format!("{bytes} bytes, of which {} came", body.len())))?;
        let count = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let count = count.ok_or_else(|| refused("a shape beyond all numbers".to_owned()))?;
        let datatype =
            datatype.parse().map_err(|error: crate::tensor::UnknownDatatype| refused(error.to_string()))?;
        let elements = Elements::from_raw(datatype, count, &body.split_to(size));
        let elements = elements.map_err(|error| refused(error.to_string()))?;
        tensors.push(Tensor { name, shape, elements });
    }
    match body.is_empty() {
        true => Ok(tensors),
        false => Err(wrong(format!("{} bytes that belong to no tensor", body.len()))),
    }
}

fn wrong(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn frame(header: &Json, body: &[u8]) -> Vec<u8> {
        framed(header, &[body.to_vec()]).unwrap()
    }

    fn one(shape: &[usize], datatype: &str, bytes: usize) -> Json {
        json!({"call": 7, "outputs": [{"name": "predict", "datatype": datatype, "shape": shape, "bytes": bytes}]})
    }

    fn refusal(bytes: &[u8]) -> (io::ErrorKind, String) {
        let error = read(&mut &*bytes).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn an_answer_is_the_tensors_that_were_sent() {
        let sent = frame(&one(&[2], "FP64", 16), &[1.5_f64.to_le_bytes(), 2.5_f64.to_le_bytes()].concat());
        let answer = read(&mut sent.as_slice()).unwrap();
        let elements = Elements::Fp64(vec![1.5, 2.5]);
        let tensor = Tensor { name: "predict".to_owned(), shape: vec![2], elements };
        assert_eq!((answer.call, answer.outcome), (7, Ok(vec![tensor])));
    }

    #[test]
    fn an_exception_is_one_line_without_control_characters() {
        let sent = frame(&json!({"call": 1, "error": {"kind": "failed", "message": "a\u{1b}[2Jb\nc"}}), &[]);
        let raised = Raised { kind: "failed".to_owned(), message: "a[2Jbc".to_owned() };
        assert_eq!(read(&mut sent.as_slice()).unwrap().outcome, Err(raised));
    }

    #[test]
    fn a_frame_that_was_cut_anywhere_is_no_answer() {
        let whole = frame(&one(&[1], "FP64", 8), &1.0_f64.to_le_bytes());
        for length in 0..whole.len() {
            assert_eq!(refusal(&whole[..length]).0, io::ErrorKind::UnexpectedEof, "{length} bytes");
        }
    }

    #[test]
    fn lengths_beyond_the_bounds_are_refused_before_anything_is_read() {
        for (header, body) in [(MOST_HEADER + 1, 0), (u32::MAX, 0), (2, MOST_BODY + 1), (2, u64::MAX)] {
            let bytes = [header.to_le_bytes().as_slice(), &body.to_le_bytes(), b"{}"].concat();
            let (kind, reason) = refusal(&bytes);
            assert_eq!(
                (kind, reason),
                (io::ErrorKind::InvalidData, format!("a frame of {header} and {body} bytes"))
            );
        }
    }

    #[test]
    fn what_a_hostile_process_may_say_is_refused() {
        let eight = [0_u8; 8];
        for (header, words) in [
            (json!([]), "a header that is not readable"),
            (json!({"outputs": []}), "missing field `call`"),
            (json!({"call": -1}), "a header that is not readable"),
            (one(&[1], "FP64", 9), "9 bytes, of which 8 came"),
            (one(&[1], "FP128", 8), "`FP128` is no datatype"),
            (one(&[2], "FP64", 8), "expected 16 bytes"),
            (one(&[usize::MAX, 2], "FP64", 8), "a shape beyond all numbers"),
            (one(&[usize::MAX], "BYTES", 8), "element 2 has no length"),
            (one(&[1], "INT32", 4), "4 bytes that belong to no tensor"),
            (json!({"call": 1}), "8 bytes that belong to no tensor"),
        ] {
            let (kind, reason) = refusal(&frame(&header, &eight));
            assert_eq!(kind, io::ErrorKind::InvalidData, "{header}");
            assert!(reason.contains(words), "{header}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut bytes.as_slice());
        }

        #[test]
        fn any_header_and_any_body_are_an_answer_or_refused(
            shape in prop::collection::vec(any::<usize>(), 0..4),
            size in any::<usize>(),
            body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            for datatype in ["BYTES", "FP64", "BOOL"] {
                let small: Vec<usize> = shape.iter().map(|size| size % 3).collect();
                for (shape, bytes) in [(&shape, size), (&small, body.len())] {
                    if let Ok(Answer { outcome: Ok(tensors), .. }) = read(&mut frame(&one(shape, datatype, bytes), &body).as_slice()) {
                        prop_assert_eq!(tensors[0].elements.len(), tensors[0].shape.iter().product::<usize>());
                    }
                }
            }
        }
    }
}
