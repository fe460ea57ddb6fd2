//! Builds ONNX models.

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// A graph that grows.
#[derive(Default)]
pub(crate) struct Graph {
    graph: GraphProto,
    version: i64,
}

impl Graph {
    pub(crate) fn new() -> Self {
        Self { version: 17, ..Self::default() }
    }

    /// The version of the standard's operators.
    pub(crate) fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn input(mut self, name: &str, element: DataType, shape: &[i64]) -> Self {
        self.graph.input.push(value(name, element, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str, element: DataType, shape: &[i64]) -> Self {
        self.graph.output.push(value(name, element, shape));
        self
    }

    pub(crate) fn node(mut self, node: NodeProto) -> Self {
        self.graph.node.push(node);
        self
    }

    /// Weights from -0.5 to 0.5.
    pub(crate) fn weights(mut self, name: &str, shape: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let number = |place: usize| ((place * 7_919 + 13) % 1_000) as f32 / 1_000.0 - 0.5;
        let data = (0..count).flat_map(|place| number(place).to_le_bytes()).collect();
        self.graph.initializer.push(constant(name, DataType::FLOAT, shape, data));
        self
    }

    pub(crate) fn whole(mut self, name: &str, numbers: &[i64]) -> Self {
        self.graph.initializer.push(whole(name, numbers));
        self
    }

    pub(crate) fn model(self) -> ModelProto {
        let standard = OperatorSetIdProto { domain: Some(String::new()), version: Some(self.version) };
        let trees = OperatorSetIdProto { domain: Some("ai.onnx.ml".to_owned()), version: Some(3) };
        ModelProto {
            ir_version: Some(8),
            graph: Some(self.graph),
            opset_import: vec![standard, trees],
            ..ModelProto::default()
        }
    }
}

pub(crate) fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(operator.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// The node with one more attribute.
pub(crate) fn number(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    });
    node
}

/// The node with one more attribute that is text.
pub(crate) fn words(mut node: NodeProto, name: &str, value: &str) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.to_owned()),
        s: Some(value.to_owned()),
        r#type: Some(AttributeType::STRING),
        ..AttributeProto::default()
    });
    node
}

/// A constant of whole numbers.
pub(crate) fn whole(name: &str, numbers: &[i64]) -> TensorProto {
    let data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    constant(name, DataType::INT64, &[numbers.len()], data)
}

fn constant(name: &str, element: DataType, shape: &[usize], data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(element),
        dims: shape.iter().map(|size| i64::try_from(*size).unwrap()).collect(),
        raw_data: Some(RefCell::new(data)),
        ..TensorProto::default()
    }
}

fn value(name: &str, element: DataType, shape: &[i64]) -> ValueInfoProto {
    let dimension = |(place, size): (usize, &i64)| match size {
        -1 => Dimension { dim_value: None, dim_param: Some(format!("n{place}")) },
        size => Dimension { dim_value: Some(*size), dim_param: None },
    };
    let shape = TensorShapeProto { dim: shape.iter().enumerate().map(dimension).collect() };
    let tensor = TypeProtoTensor { elem_type: Some(element), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor), sequence: None }),
    }
}
