//! The bytes of a REST request and of its answer: JSON, and behind it the raw tensors, in their order.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, value::RawValue};
use shipway_runtime::tensor::{Datatype, Elements, Tensor};

use super::call::{Call, Content, Input, Inputs, Parameters, Reply, Wanted, wrong};
use crate::{error::ServingError, tensor_json::Flat};

/// The header that says how many bytes of the body are JSON; what is behind them are raw tensors.
pub(super) const JSON_LENGTH: &str = "inference-header-content-length";

#[derive(Deserialize)]
struct RequestBody<'body> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Json>>,
    #[serde(borrow)]
    inputs: Vec<InputBody<'body>>,
    #[serde(default)]
    outputs: Option<Vec<OutputBody>>,
}

#[derive(Deserialize)]
struct InputBody<'body> {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Option<Map<String, Json>>,
    #[serde(borrow, default)]
    data: Option<&'body RawValue>,
}

#[derive(Deserialize)]
struct OutputBody {
    name: String,
    #[serde(default)]
    parameters: Option<Map<String, Json>>,
}

/// Which outputs go as raw bytes.
pub(super) struct Binary {
    by_default: bool,
    /// Those that say it themselves.
    stated: Vec<(String, bool)>,
}

impl Binary {
    fn is_wanted(&self, name: &str) -> bool {
        let stated = self.stated.iter().find(|(output, _)| output == name);
        stated.map_or(self.by_default, |(_, binary)| *binary)
    }
}

/// Reads a request and how its outputs are to be sent.
pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<(Call, Binary), ServingError> {
    let length = match headers.get(JSON_LENGTH) {
        None => body.len(),
        Some(stated) => {
            let length = stated.to_str().ok().and_then(|text| text.trim().parse::<usize>().ok());
            length.filter(|length| *length <= body.len()).ok_or_else(|| {
                wrong(format!(
                    "header Inference-Header-Content-Length must be 0 to {}, the bytes of the body",
                    body.len()
                ))
            })?
        }
    };
    if length == 0 && !body.is_empty() {
        let call = Call {
            id: None,
            parameters: Parameters::default(),
            inputs: Inputs::Raw(body.clone()),
            outputs: Vec::new(),
        };
        return Ok((call, Binary { by_default: true, stated: Vec::new() }));
    }
    let (json, raw) = (body.slice(..length), body.slice(length..));
    let request: RequestBody<'_> =
        serde_json::from_slice(&json).map_err(|error| wrong(format!("request body: {error}")))?;
    let RequestBody { id, parameters, inputs, outputs } = request;
    let mut parameters = parameters.unwrap_or_default();
    let by_default = flag(&mut parameters, "binary_data_output")?.unwrap_or(false);
    let inputs = read_inputs(&json, raw, inputs)?;
    let mut binary = Binary { by_default, stated: Vec::new() };
    let mut wanted = Vec::new();
    for OutputBody { name, parameters } in outputs.unwrap_or_default() {
        let mut parameters = parameters.unwrap_or_default();
        if let Some(stated) = flag(&mut parameters, "binary_data")? {
            binary.stated.push((name.clone(), stated));
        }
        wanted.push(Wanted { classes: classes(&parameters, &name)?, name });
    }
    let call = Call {
        id: id.filter(|id| !id.is_empty()),
        parameters: Parameters::read(parameters)?,
        inputs: Inputs::Named(inputs),
        outputs: wanted,
    };
    Ok((call, binary))
}

/// The tensors; those that say how many raw bytes they have take them, in order, until none are left.
fn read_inputs(json: &Bytes, mut raw: Bytes, given: Vec<InputBody<'_>>) -> Result<Vec<Input>, ServingError> {
    let mut inputs = Vec::with_capacity(given.len());
    for input in given {
        let InputBody { name, shape, datatype, parameters, data } = input;
        let refused = |reason: String| wrong(format!("input {name}: {reason}"));
        let datatype: Datatype = datatype
            .parse()
            .map_err(|error: shipway_runtime::tensor::UnknownDatatype| refused(error.to_string()))?;
        let parameters = parameters.unwrap_or_default();
        refuse_shared_memory(&name, &parameters)?;
        let content = match (parameters.get("binary_data_size"), data) {
            (Some(size), None) => {
                let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.filter(|size| *size <= raw.len()).ok_or_else(|| {
                    refused(format!("binary_data_size must be 0 to {}, the bytes that are left", raw.len()))
                })?;
                let bytes = raw.split_to(size);
                let count = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
                let count =
                    count.ok_or_else(|| refused(format!("the shape {shape:?} has too many elements")))?;
                Content::Typed(
                    Elements::from_raw(datatype, count, &bytes)
                        .map_err(|error| refused(error.to_string()))?,
                )
            }
            (None, Some(data)) => Content::Json(json.slice_ref(data.get().as_bytes())),
            (None, None) => return Err(refused("it has neither data nor binary_data_size".to_owned())),
            (Some(_), Some(_)) => return Err(refused("it has both data and binary_data_size".to_owned())),
        };
        inputs.push(Input { name, shape, datatype, content });
    }
    if raw.is_empty() {
        Ok(inputs)
    } else {
        Err(wrong(format!("{} bytes behind the tensors belong to none of them", raw.len())))
    }
}

fn refuse_shared_memory(name: &str, parameters: &Map<String, Json>) -> Result<(), ServingError> {
    match parameters.keys().find(|key| key.starts_with("shared_memory")) {
        Some(_) => Err(wrong(format!("tensor {name}: shared memory is not supported; send the bytes"))),
        None => Ok(()),
    }
}

/// How many classes of an output are wanted.
pub(super) fn classes(parameters: &Map<String, Json>, name: &str) -> Result<Option<usize>, ServingError> {
    refuse_shared_memory(name, parameters)?;
    let Some(count) = parameters.get("classification") else { return Ok(None) };
    let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
    let refused = || wrong(format!("output {name}: classification must be a number of classes"));
    count.ok_or_else(refused).map(Some)
}

fn flag(parameters: &mut Map<String, Json>, name: &str) -> Result<Option<bool>, ServingError> {
    match parameters.remove(name) {
        None => Ok(None),
        Some(Json::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(wrong(format!("parameter {name} must be true or false"))),
    }
}

#[derive(Serialize)]
struct ReplyBody<'reply> {
    model_name: &'reply str,
    model_version: &'reply str,
    id: &'reply str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: &'reply Map<String, Json>,
    outputs: Vec<OutputTensor<'reply>>,
}

#[derive(Serialize)]
struct OutputTensor<'reply> {
    name: &'reply str,
    datatype: &'static str,
    shape: &'reply [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<RawSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Flat<'reply>>,
}

#[derive(Serialize)]
struct RawSize {
    binary_data_size: usize,
}

/// Writes an answer; also how many bytes of it are JSON, when raw tensors stand behind them.
pub(super) fn write(reply: &Reply, binary: &Binary) -> Result<(Vec<u8>, Option<HeaderValue>), ServingError> {
    let mut raw: Vec<Vec<u8>> = Vec::new();
    let output = |tensor: &'_ Tensor| {
        let bytes = binary.is_wanted(&tensor.name).then(|| tensor.elements.to_raw());
        let size = bytes.as_ref().map(Vec::len);
        raw.extend(bytes);
        size
    };
    let sizes: Vec<Option<usize>> = reply.outputs.iter().map(output).collect();
    let outputs = reply
        .outputs
        .iter()
        .zip(&sizes)
        .map(|(tensor, size)| OutputTensor {
            name: &tensor.name,
            datatype: tensor.elements.datatype().word(),
            shape: &tensor.shape,
            parameters: size.map(|binary_data_size| RawSize { binary_data_size }),
            data: size.is_none().then_some(Flat(&tensor.elements)),
        })
        .collect();
    let body = ReplyBody {
        model_name: &reply.model,
        model_version: &reply.version,
        id: &reply.id,
        parameters: &reply.parameters,
        outputs,
    };
    let mut bytes = serde_json::to_vec(&body).map_err(|error| wrong(error.to_string()))?;
    if raw.is_empty() {
        return Ok((bytes, None));
    }
    let length = HeaderValue::from(bytes.len());
    bytes.reserve(raw.iter().map(Vec::len).sum());
    raw.iter().for_each(|tensor| bytes.extend_from_slice(tensor));
    Ok((bytes, Some(length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn headers(length: usize) -> HeaderMap {
        let name = http::HeaderName::from_static(JSON_LENGTH);
        HeaderMap::from_iter([(name, HeaderValue::from(length))])
    }

    fn request(json: &Json, raw: &[u8]) -> Result<(Call, Binary), ServingError> {
        let mut body = json.to_string().into_bytes();
        let headers = headers(body.len());
        body.extend_from_slice(raw);
        read(&headers, &Bytes::from(body))
    }

    fn refusal(json: &Json, raw: &[u8]) -> String {
        request(json, raw).err().unwrap().to_string()
    }

    #[test]
    fn raw_tensors_follow_the_json_in_their_order() {
        let json = json!({
            "inputs": [
                {"name": "a", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}},
                {"name": "b", "shape": [1], "datatype": "FP32", "data": [1.5]},
                {"name": "c", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
            ],
            "outputs": [{"name": "x", "parameters": {"binary_data": false, "classification": 3}}],
            "parameters": {"binary_data_output": true},
        });
        let (call, binary) = request(&json, &[1, 0, 2, 0, 2, 0, 0, 0, b'h', b'i']).unwrap();
        let Inputs::Named(inputs) = call.inputs else { panic!("named tensors were sent") };
        assert!(matches!(&inputs[0].content, Content::Typed(Elements::Int16(numbers)) if *numbers == [1, 2]));
        assert!(matches!(&inputs[1].content, Content::Json(json) if json.as_ref() == b"[1.5]"));
        assert!(
            matches!(&inputs[2].content, Content::Typed(Elements::Bytes(texts)) if texts[0].as_ref() == b"hi")
        );
        assert_eq!(call.outputs[0].classes, Some(3));
        assert!(!binary.is_wanted("x") && binary.is_wanted("y"));
    }

    #[test]
    fn bytes_that_do_not_add_up_are_refused() {
        let one = |parameters: Json| json!({"inputs": [{"name": "a", "shape": [2], "datatype": "INT16", "parameters": parameters}]});
        assert_eq!(
            refusal(&one(json!({"binary_data_size": 5})), &[1, 0, 2, 0]),
            "input a: binary_data_size must be 0 to 4, the bytes that are left"
        );
        assert_eq!(
            refusal(&one(json!({"binary_data_size": 3})), &[1, 0, 2]),
            "input a: expected 4 bytes for 2 elements of INT16, got 3"
        );
        assert_eq!(
            refusal(&one(json!({"binary_data_size": 4})), &[1, 0, 2, 0, 9]),
            "1 bytes behind the tensors belong to none of them"
        );
        assert_eq!(refusal(&one(json!({})), &[]), "input a: it has neither data nor binary_data_size");
        assert_eq!(
            refusal(&one(json!({"shared_memory_region": "x"})), &[]),
            "tensor a: shared memory is not supported; send the bytes"
        );
        let unknown = json!({"inputs": [{"name": "a", "shape": [1], "datatype": "COMPLEX", "data": [1]}]});
        assert!(
            refusal(&unknown, &[]).starts_with("input a: `COMPLEX` is no datatype; there are BOOL, INT8")
        );
        let minus = json!({"inputs": [{"name": "a", "shape": [-1], "datatype": "INT8", "data": [1]}]});
        assert!(refusal(&minus, &[]).contains("invalid value: integer `-1`"));
        let sequence = json!({"inputs": [], "parameters": {"sequence_id": 7}});
        assert!(refusal(&sequence, &[]).contains("sequence_id"));
        let body = Bytes::from_static(b"{}");
        assert!(read(&headers(3), &body).is_err());
        assert!(read(&HeaderMap::new(), &body).is_err());
        let deep = Bytes::from("[".repeat(100_000));
        assert!(read(&HeaderMap::new(), &deep).is_err());
    }

    #[test]
    fn a_body_of_bytes_alone_is_the_only_input() {
        let (call, binary) = read(&headers(0), &Bytes::from_static(b"abcd")).unwrap();
        assert!(matches!(call.inputs, Inputs::Raw(bytes) if bytes.as_ref() == b"abcd"));
        assert!(binary.is_wanted("anything"));
    }

    #[test]
    fn an_answer_has_json_or_raw_tensors() {
        let tensor = |name: &str, elements| Tensor { name: name.to_owned(), shape: vec![2], elements };
        let reply = Reply {
            model: "m".to_owned(),
            version: "3".to_owned(),
            id: "1".to_owned(),
            parameters: Map::new(),
            outputs: vec![
                tensor("x", Elements::Int32(vec![1, 2])),
                tensor("y", Elements::Fp32(vec![0.5, f32::NAN])),
            ],
        };
        let binary = Binary { by_default: false, stated: vec![("x".to_owned(), true)] };
        let (bytes, length) = write(&reply, &binary).unwrap();
        let length: usize = length.unwrap().to_str().unwrap().parse().unwrap();
        let json: Json = serde_json::from_slice(&bytes[..length]).unwrap();
        assert_eq!(
            json,
            json!({"model_name": "m", "model_version": "3", "id": "1", "outputs": [
                {"name": "x", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": 8}},
                {"name": "y", "datatype": "FP32", "shape": [2], "data": [0.5, "NaN"]},
            ]})
        );
        assert_eq!(bytes[length..], [1, 0, 0, 0, 2, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(
            body in prop::collection::vec(any::<u8>(), 0..200),
            length in prop::option::of(0_usize..220),
        ) {
            let headers = length.map_or_else(HeaderMap::new, headers);
            let _ = read(&headers, &Bytes::from(body));
        }

        #[test]
        fn any_cut_of_a_request_is_read_or_refused(cut in 0_usize..260, length in 0_usize..260) {
            let json = json!({"id": "1", "inputs": [
                {"name": "a", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}},
                {"name": "b", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
            ]});
            let mut body = json.to_string().into_bytes();
            body.extend_from_slice(&[1, 0, 2, 0, 2, 0, 0, 0, b'h', b'i']);
            body.truncate(cut);
            let _ = read(&headers(length), &Bytes::from(body));
        }
    }
}
