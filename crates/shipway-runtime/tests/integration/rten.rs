//! ONNX models that rten runs, against what ONNX Runtime answers; what it does not run; and files that are cut, changed and hostile.

use proptest::prelude::*;
use rten_onnx::onnx::{DataType, ModelProto, NodeProto};
use shipway_core::Failure as _;
use shipway_runtime::{
    Device, Model, ModelFormat, OnnxEngine, RuntimeError, RuntimeOptions,
    tensor::{Datatype, Elements, Tensor},
};

use crate::{
    onnx::{bytes, options},
    protos::{Graph, node, number, whole, words},
};

fn rten() -> RuntimeOptions {
    RuntimeOptions { onnx_engine: OnnxEngine::Rten, ..RuntimeOptions::default() }
}

fn load(model: &[u8]) -> Result<Model, RuntimeError> {
    Model::load(ModelFormat::Onnx, model, &rten())
}

fn lacks(model: &ModelProto) -> String {
    let refusal = load(&model.write_buf().unwrap()).unwrap_err();
    assert_eq!(refusal.code(), "runtime.onnx_fallback", "{refusal}");
    assert!(refusal.hint().unwrap().contains("shipway runtime install"));
    let words = refusal.to_string();
    words.split_once("does not have ").unwrap().1.to_owned()
}

fn damaged(model: &ModelProto) -> String {
    let refusal = load(&model.write_buf().unwrap()).unwrap_err();
    assert_eq!(refusal.code(), "runtime.model_damaged", "{refusal}");
    refusal.to_string()
}

fn floats(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let elements = (0..count).map(|place| ((place * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
    Tensor { name: name.to_owned(), shape: shape.to_vec(), elements: Elements::Fp32(elements) }
}

/// Both engines answer the same to `inputs`; what rten answers.
fn alike(model: &ModelProto, inputs: &[Tensor]) -> Vec<Tensor> {
    let model = model.write_buf().unwrap();
    let ours = load(&model).unwrap();
    let theirs = Model::load(ModelFormat::Onnx, &model, &options()).unwrap();
    assert_eq!(ours.signature(), theirs.signature());
    assert_eq!((ours.inputs(), ours.outputs()), (theirs.inputs(), theirs.outputs()));
    let (got, expected) =
        (ours.infer(inputs.to_vec(), &[]).unwrap(), theirs.infer(inputs.to_vec(), &[]).unwrap());
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!((&got.name, &got.shape), (&expected.name, &expected.shape));
        assert_eq!(got.elements.datatype(), expected.elements.datatype());
        for place in 0..expected.elements.len() {
            let (got, expected) =
                (got.elements.number(place).unwrap(), expected.elements.number(place).unwrap());
            assert!((got - expected).abs() < 1e-5, "{place}: {got} {expected}");
        }
    }
    got
}

/// A network of three layers that answers scores and their probabilities.
fn network() -> ModelProto {
    Graph::new()
        .input("x", DataType::FLOAT, &[-1, 20])
        .weights("w0", &[20, 64])
        .weights("b0", &[64])
        .weights("w1", &[64, 64])
        .weights("w2", &[64, 3])
        .weights("b2", &[3])
        .node(node("Gemm", &["x", "w0", "b0"], "h0"))
        .node(node("Relu", &["h0"], "r0"))
        .node(node("MatMul", &["r0", "w1"], "h1"))
        .node(node("Tanh", &["h1"], "r1"))
        .node(node("Gemm", &["r1", "w2", "b2"], "scores"))
        .node(number(node("Softmax", &["scores"], "probabilities"), "axis", -1))
        .output("scores", DataType::FLOAT, &[-1, 3])
        .output("probabilities", DataType::FLOAT, &[-1, 3])
        .model()
}

#[test]
fn a_network_answers_as_onnx_runtime_does_whatever_the_batch() {
    for rows in [1, 2, 32, 5_000] {
        let answers = alike(&network(), &[floats("x", &[rows, 20])]);
        assert_eq!(answers[1].shape, [rows, 3]);
    }
}

#[test]
fn rows_of_columns_are_predicted_as_onnx_runtime_does() {
    let model = network().write_buf().unwrap();
    let matrix: Vec<f64> = (0..200).map(|place| f64::from(place) / 100.0 - 1.0).collect();
    let expected =
        Model::load(ModelFormat::Onnx, &model, &options()).unwrap().predict_raw(&matrix, 10).unwrap();
    let got = load(&model).unwrap().predict_raw(&matrix, 10).unwrap();
    assert_eq!(got.len(), 30);
    assert!(got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-5));
    assert_eq!(load(&model).unwrap().predict_raw(&[], 0).unwrap(), Vec::<f64>::new());
}

#[test]
fn only_wanted_outputs_are_answered_in_the_order_asked_for_and_as_often() {
    let model = load(&network().write_buf().unwrap()).unwrap();
    let answers =
        model.infer(vec![floats("x", &[2, 20])], &["probabilities", "scores", "probabilities"]).unwrap();
    let names: Vec<&str> = answers.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["probabilities", "scores", "probabilities"]);
    assert_eq!(answers[0], answers[2]);
    assert!(model.infer(vec![floats("x", &[0, 20])], &[]).unwrap_err().to_string().contains("no elements"));
}

#[test]
fn several_runs_go_on_at_once_with_threads_of_their_own() {
    let several = RuntimeOptions { sessions: 3, threads: 2, ..rten() };
    let model = Model::load(ModelFormat::Onnx, &network().write_buf().unwrap(), &several).unwrap();
    let ask = || model.infer(vec![floats("x", &[4, 20])], &[]).unwrap();
    let expected = ask();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(ask(), expected)));
        }
    });
}

#[test]
fn a_convolution_and_whole_numbers_are_computed_as_onnx_runtime_does() {
    let image = Graph::new()
        .input("x", DataType::FLOAT, &[-1, 3, 8, 8])
        .weights("kernel", &[4, 3, 3, 3])
        .node(node("Conv", &["x", "kernel"], "seen"))
        .node(node("Relu", &["seen"], "kept"))
        .node(node("GlobalAveragePool", &["kept"], "y"))
        .output("y", DataType::FLOAT, &[-1, 4, 1, 1])
        .model();
    alike(&image, &[floats("x", &[2, 3, 8, 8])]);
    let sums = load(&bytes("add_sub.onnx")).unwrap();
    let ones =
        Tensor { name: "INPUT1".to_owned(), shape: vec![1, 16], elements: Elements::Int32(vec![1; 16]) };
    let numbers =
        Tensor { name: "INPUT0".to_owned(), elements: Elements::Int32((0..16).collect()), ..ones.clone() };
    let answers = sums.infer(vec![ones, numbers], &["OUTPUT1"]).unwrap();
    assert_eq!(answers[0].elements, Elements::Int32((-1..15).collect()));
}

#[test]
fn what_has_no_case_in_the_standard_is_computed_as_onnx_runtime_does() {
    let layer = Graph::new()
        .input("x", DataType::FLOAT, &[-1, 5, 8])
        .weights("scale", &[8])
        .weights("bias", &[8])
        .node(number(node("LayerNormalization", &["x", "scale", "bias"], "n"), "axis", -1))
        .node(words(node("Einsum", &["n", "n"], "y"), "equation", "bik,bjk->bij"))
        .output("n", DataType::FLOAT, &[-1, 5, 8])
        .output("y", DataType::FLOAT, &[-1, 5, 5])
        .model();
    alike(&layer, &[floats("x", &[3, 5, 8])]);
}

#[test]
fn a_cast_to_truth_asks_whether_a_number_is_zero() {
    let numbers = |element| {
        Graph::new()
            .input("x", element, &[-1])
            .node(number(node("Cast", &["x"], "true"), "to", i64::from(DataType::BOOL.0)))
            .node(number(node("Cast", &["true"], "y"), "to", i64::from(DataType::FLOAT.0)))
            .output("true", DataType::BOOL, &[-1])
            .output("y", DataType::FLOAT, &[-1])
            .model()
    };
    let x = |elements: Elements| [Tensor { name: "x".to_owned(), shape: vec![elements.len()], elements }];
    let special = [0.5, 0.0, -0.0, -3.0, f32::NAN, f32::INFINITY];
    let answers = alike(&numbers(DataType::FLOAT), &x(Elements::Fp32(special.to_vec())));
    assert_eq!(answers[0].elements, Elements::Bool(vec![true, false, false, true, true, true]));
    let answers = alike(&numbers(DataType::INT64), &x(Elements::Int64(vec![5, 0, -1])));
    assert_eq!(answers[1].elements, Elements::Fp32(vec![1.0, 0.0, 1.0]));
}

#[test]
fn types_that_it_has_go_through_and_others_are_refused_by_name() {
    for elements in [
        Elements::Bool(vec![true, false, false, true]),
        Elements::Int8(vec![-128, 0, 1, 127]),
        Elements::Int32(vec![i32::MIN, 1, 2, i32::MAX]),
        Elements::Int64(vec![-2_147_483_648, 1, 2, 2_147_483_647]),
        Elements::Uint8(vec![0, 1, 2, 255]),
        Elements::Fp16([0.5, -2.0, 65_504.0, 0.0].map(half::f16::from_f32).to_vec()),
        Elements::Fp32(vec![0.1, f32::INFINITY, -0.0, 1e-40]),
    ] {
        let word = elements.datatype().word().to_lowercase();
        let model = load(&bytes(&format!("identity_{word}.onnx"))).unwrap();
        assert_eq!(model.onnx_engine(), Some(OnnxEngine::Rten));
        let named = |name: String| Tensor { name, shape: vec![2, 2], elements: elements.clone() };
        let answers = model.infer(vec![named(format!("{word}_in"))], &[]).unwrap();
        assert_eq!(answers, [named(format!("{word}_out"))]);
    }
    for datatype in ["int16", "uint16", "uint32", "uint64", "bf16", "fp64", "bytes"] {
        let refusal = load(&bytes(&format!("identity_{datatype}.onnx"))).unwrap_err().to_string();
        let word = datatype.to_uppercase();
        let expected =
            format!("does not have {word} of input `{datatype}_in`, {word} of output `{datatype}_out`");
        assert!(refusal.ends_with(&expected), "{refusal}");
    }
    let model = load(&bytes("identity_int64.onnx")).unwrap();
    let wide = Tensor {
        name: "int64_in".to_owned(),
        shape: vec![1, 2],
        elements: Elements::Int64(vec![1, 5_000_000_000]),
    };
    let refusal = model.infer(vec![wide], &[]).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "input `int64_in`: 5000000000 is beyond 32 bits, the whole numbers that rten computes with"
    );
}

#[test]
fn everything_that_a_model_lacks_is_named_at_once() {
    let refusal = load(&bytes("columns_binary.onnx")).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "onnx model: rten, which runs it where there is no ONNX Runtime, does not have the operators LinearClassifier of \
         ai.onnx.ml, OneHotEncoder of ai.onnx.ml, Scaler of ai.onnx.ml; BYTES of input `carrier`"
    );
    let trees = Graph::new()
        .input("x", DataType::FLOAT, &[-1, 2])
        .node(NodeProto {
            domain: Some("ai.onnx.ml".to_owned()),
            ..node("TreeEnsembleRegressor", &["x"], "y")
        })
        .output("y", DataType::FLOAT, &[-1, 1])
        .model();
    assert_eq!(lacks(&trees), "the operator TreeEnsembleRegressor of ai.onnx.ml");
}

#[test]
fn what_it_would_compute_otherwise_is_refused() {
    let one = |graph: Graph| graph.output("y", DataType::FLOAT, &[-1, 4]).model();
    let x = || Graph::new().input("x", DataType::FLOAT, &[-1, 4]);
    let double = x().node(number(node("Cast", &["x"], "d"), "to", i64::from(DataType::DOUBLE.0)));
    let double = double.node(number(node("Cast", &["d"], "y"), "to", i64::from(DataType::FLOAT.0)));
    assert_eq!(lacks(&one(double)), "casts to FP64");
    let far = x().whole("far", &[5_000_000_000]);
    let far = far.node(number(node("Cast", &["far"], "f"), "to", i64::from(DataType::FLOAT.0)));
    assert_eq!(
        lacks(&one(far.node(node("Add", &["x", "f"], "y")))),
        "whole numbers beyond 32 bits in constant `far`"
    );
    // Until version 13 it went over the axis and all behind it.
    let softmax = |axis| {
        let graph = Graph::new()
            .input("x", DataType::FLOAT, &[-1, 2, 3])
            .node(number(node("Softmax", &["x"], "y"), "axis", axis))
            .output("y", DataType::FLOAT, &[-1, 2, 3]);
        graph.version(12).model()
    };
    assert_eq!(lacks(&softmax(1)), "Softmax of version 12 over several axes");
    alike(&softmax(2), &[floats("x", &[2, 2, 3])]);
    let old = x().node(node("Relu", &["x"], "y")).version(7);
    assert_eq!(lacks(&one(old)), "version 7 of the operators, 11 or newer is needed");
    let pool = number(node("MaxPool", &["x"], "y"), "ceil_mode", 0);
    let pool = Graph::new().input("x", DataType::FLOAT, &[-1, 4]).node(words(pool, "auto_pad", "SAME_LOWER"));
    assert_eq!(lacks(&one(pool)), "MaxPool padded SAME_LOWER");
    // What the engine says only when it runs.
    let bytes = Graph::new()
        .input("a", DataType::UINT8, &[-1, 4])
        .node(node("Add", &["a", "a"], "s"))
        .node(number(node("Cast", &["s"], "y"), "to", i64::from(DataType::FLOAT.0)));
    assert!(lacks(&one(bytes)).contains("unsupported input type"));
}

#[test]
fn a_size_that_a_caller_sends_is_refused_and_one_that_follows_from_shapes_is_not() {
    let graph = || Graph::new().input("x", DataType::FLOAT, &[-1, 4]);
    let sent = graph()
        .input("size", DataType::INT64, &[2])
        .node(node("Add", &["size", "size"], "twice"))
        .node(node("Expand", &["x", "twice"], "y"))
        .output("y", DataType::FLOAT, &[-1, -1])
        .model();
    assert_eq!(lacks(&sent), "Expand by what a caller sends");
    let shaped = graph()
        .node(node("Shape", &["x"], "size"))
        .weights("row", &[4])
        .node(node("Expand", &["row", "size"], "wide"))
        .node(node("Add", &["x", "wide"], "y"))
        .output("y", DataType::FLOAT, &[-1, 4])
        .model();
    alike(&shaped, &[floats("x", &[3, 4])]);
}

#[test]
fn graphs_that_are_none_are_refused() {
    let relu = |from: &str| {
        let graph = Graph::new().input("x", DataType::FLOAT, &[-1, 4]).node(node("Relu", &[from], "y"));
        graph.output("y", DataType::FLOAT, &[-1, 4]).model()
    };
    assert!(damaged(&relu("nowhere")).contains("`nowhere` comes from nothing before it is used"));
    assert!(damaged(&relu("y")).contains("`y` comes from nothing"), "a circle");
    let mut huge = network();
    huge.graph.as_mut().unwrap().initializer[0].dims = vec![1 << 40, 1 << 40];
    assert!(damaged(&huge).contains("is of no size"));
    huge.graph.as_mut().unwrap().initializer[0].dims = vec![-1, 4];
    assert!(damaged(&huge).contains("is of no size"));
    assert!(load(b"").is_err() && load(b"not a model").is_err());
    let chain = |length: usize| {
        let mut graph = Graph::new().input("0", DataType::FLOAT, &[-1, 1]);
        for place in 0..length {
            graph = graph.node(node("Relu", &[&place.to_string()], &(place + 1).to_string()));
        }
        graph.output(&length.to_string(), DataType::FLOAT, &[-1, 1]).model()
    };
    // On a thread with the stack of those that load models.
    alike(&chain(3_999), &[floats("0", &[2, 1])]);
    assert!(damaged(&chain(4_001)).contains("follow each other"));
}

#[test]
fn a_type_that_nests_without_end_does_not_exhaust_the_stack() {
    let mut kind = Vec::new();
    for _ in 0..100_000 {
        // A sequence (field 4) of elements (field 1): each is the length of what it holds.
        let inner = [[0x0a].as_slice(), &length(kind.len()), &kind].concat();
        kind = [[0x22].as_slice(), &length(inner.len()), &inner].concat();
        if kind.len() > 60_000 {
            break;
        }
    }
    let value = [[0x12].as_slice(), &length(kind.len()), &kind].concat();
    let graph = [[0x5a].as_slice(), &length(value.len()), &value].concat();
    let model = [[0x3a].as_slice(), &length(graph.len()), &graph].concat();
    assert_eq!(load(&model).unwrap_err().code(), "runtime.model_damaged");
}

fn length(mut bytes: usize) -> Vec<u8> {
    let mut varint = Vec::new();
    while bytes >= 0x80 {
        varint.push(u8::try_from(bytes & 0x7f).unwrap() | 0x80);
        bytes >>= 7;
    }
    varint.push(u8::try_from(bytes).unwrap());
    varint
}

#[test]
fn without_a_library_it_runs_unless_another_engine_or_a_gpu_is_asked_for() {
    let model = network().write_buf().unwrap();
    let load = |options: RuntimeOptions| Model::load(ModelFormat::Onnx, &model, &options);
    let none = RuntimeOptions::default;
    assert_eq!(load(none()).unwrap().onnx_engine(), Some(OnnxEngine::Rten));
    assert_eq!(load(options()).unwrap().onnx_engine(), Some(OnnxEngine::OnnxRuntime));
    let only = RuntimeOptions { onnx_engine: OnnxEngine::Rten, ..options() };
    assert_eq!(load(only).unwrap().onnx_engine(), Some(OnnxEngine::Rten));
    let gpu = RuntimeOptions { device: Device::Cuda(0), onnx_engine: OnnxEngine::Rten, ..none() };
    assert!(load(gpu).unwrap_err().to_string().ends_with("does not have GPUs"));
    for (word, engine) in
        [("auto", OnnxEngine::Auto), ("onnxruntime", OnnxEngine::OnnxRuntime), ("rten", OnnxEngine::Rten)]
    {
        assert_eq!((word.parse(), engine.word()), (Ok(engine), word));
    }
    assert_eq!(
        "tract".parse::<OnnxEngine>(),
        Err("expected auto, onnxruntime or rten, got `tract`".to_owned())
    );
}

#[test]
fn an_embedder_answers_without_a_library_as_with_one() {
    let ask = |options: &RuntimeOptions| {
        let model = crate::text::load_with("model.onnx", &serde_json::json!({}), options).unwrap();
        let text = crate::text::texts(&["a late flight", "snow", ""]);
        (model.onnx_engine(), model.infer(vec![text], &["embedding"]).unwrap())
    };
    let (engine, got) = ask(&rten());
    assert_eq!(engine, Some(OnnxEngine::Rten));
    let (_, expected) = ask(&options());
    assert_eq!(got[0].elements.datatype(), Datatype::Fp32);
    for place in 0..expected[0].elements.len() {
        let difference = got[0].elements.number(place).unwrap() - expected[0].elements.number(place).unwrap();
        assert!(difference.abs() < 1e-5);
    }
}

#[test]
fn an_old_whole_number_stands_for_no_end() {
    let model = Graph::new()
        .input("x", DataType::FLOAT, &[-1, 4])
        .whole("from", &[1])
        .whole("to", &[i64::MAX])
        .whole("axis", &[1])
        .node(node("Slice", &["x", "from", "to", "axis"], "y"))
        .output("y", DataType::FLOAT, &[-1, 3])
        .model();
    alike(&model, &[floats("x", &[2, 4])]);
    assert_eq!(whole("axis", &[1]).dims, [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is left of a file, it loads or is refused, and what loads answers or refuses.
    #[test]
    fn damaged_files_are_refused_or_answer(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = match which {
            0 => network().write_buf().unwrap(),
            1 => bytes("sum_of_rows.onnx"),
            _ => bytes("text/model.onnx"),
        };
        for (place, byte) in changes {
            // The graph lies before the weights, mostly.
            let end = file.len().min(2_000);
            file[place.index(end)] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(model) = load(&file) {
            let signature = model.signature().unwrap().clone();
            let inputs = signature.inputs.iter().map(|spec| {
                let shape: Vec<usize> = spec.shape.iter().map(|size| usize::try_from(*size).unwrap_or(2).min(64)).collect();
                floats(&spec.name, &shape)
            });
            let _ = model.infer(inputs.collect(), &[]);
        }
    }
}
