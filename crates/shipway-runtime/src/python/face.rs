//! What a logged model takes and gives, by its signature: rows of columns that become numbers, or tensors. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::error::PythonError;
use crate::{
    input::{InputKind, ModelInput},
    tensor::{Datatype, TensorSignature, TensorSpec},
};

/// The output of a model whose signature names none.
const OUTPUT: &str = "predict";

/// The input of a model whose signature has one tensor without a name.
const INPUT: &str = "input";

/// The type of a column, by MLflow's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ColumnType {
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    String,
    Binary,
    Datetime,
}

impl ColumnType {
    /// What goes over the wire; times go as text.
    pub(super) const fn datatype(self) -> Datatype {
        match self {
            Self::Boolean => Datatype::Bool,
            Self::Integer => Datatype::Int32,
            Self::Long => Datatype::Int64,
            Self::Float => Datatype::Fp32,
            Self::Double => Datatype::Fp64,
            Self::String | Self::Binary | Self::Datetime => Datatype::Bytes,
        }
    }

    const fn kind(self) -> InputKind {
        match self {
            Self::String | Self::Binary | Self::Datetime => InputKind::Category,
            _ => InputKind::Number,
        }
    }
}

/// A column that the model takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) column_type: ColumnType,
}

/// How the model is given what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    /// As a data frame.
    Frame,
    /// As arrays by their names.
    Named,
    /// As an array.
    Single,
}

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Face {
    pub(super) form: Form,
    /// The columns of the data frame.
    pub(super) columns: Vec<Column>,
    /// Whether the columns have no names but places.
    pub(super) unnamed: bool,
    /// What the signature promises; empty where it says nothing of answers.
    pub(super) outputs: Vec<TensorSpec>,
    /// The tensors of a model that is not one of rows and numbers, or why it is none of tensors.
    pub(super) tensors: Option<TensorSignature>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    item_type: Json,
    #[serde(default)]
    name: Option<Json>,
    #[serde(rename = "tensor-spec", default)]
    tensor: Option<TensorItem>,
}

#[derive(Deserialize)]
struct TensorItem {
    dtype: String,
    shape: Vec<i64>,
}

impl Face {
    /// Reads the two halves of a signature, which are JSON.
    pub(super) fn of(inputs: Option<&str>, outputs: Option<&str>) -> Result<Self, PythonError> {
        let wrong = |reason: &str| PythonError::Signature(reason.to_owned());
        let inputs =
            items(inputs.ok_or_else(|| wrong("it is missing, so nobody knows what the model takes"))?)?;
        let outputs = match outputs {
            Some(outputs) => specs(&items(outputs)?, OUTPUT)?,
            None => Vec::new(),
        };
        if inputs.is_empty() {
            return Err(wrong("it has no inputs"));
        }
        let are_tensors = inputs.iter().filter(|item| item.tensor.is_some()).count();
        if are_tensors != 0 && are_tensors != inputs.len() {
            return Err(wrong("it has columns and tensors"));
        }
        let specs = specs(&inputs, INPUT)?;
        let names: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        if names.len() != specs.len() {
            return Err(wrong("two of its inputs have the same name"));
        }
        let unnamed = inputs.iter().all(|item| item.name.is_none());
        if are_tensors > 0 {
            let form = if unnamed { Form::Single } else { Form::Named };
            let tensors = Some(TensorSignature { inputs: specs, outputs: promised(&outputs) });
            return Ok(Self { form, columns: Vec::new(), unnamed: false, outputs, tensors });
        }
        let columns = inputs.iter().zip(&specs).map(|(item, spec)| {
            Ok(Column { name: spec.name.clone(), column_type: column_type(&item.item_type)? })
        });
        let columns = columns.collect::<Result<Vec<_>, PythonError>>()?;
        let tensors = (!outputs.iter().all(is_numbers_by_row))
            .then(|| TensorSignature { inputs: specs, outputs: outputs.clone() });
        Ok(Self { form: Form::Frame, columns, unnamed, outputs, tensors })
    }

    /// The columns, of a model of rows; none of one of tensors.
    pub(super) fn inputs(&self) -> Vec<ModelInput> {
        if self.tensors.is_some() {
            return Vec::new();
        }
        let input =
            |column: &Column| ModelInput { name: column.name.clone(), kind: column.column_type.kind() };
        self.columns.iter().map(input).collect()
    }

    /// Numbers for each row, as far as the signature says; 0 for a model of tensors.
    pub(super) fn width(&self) -> usize {
        if self.tensors.is_some() {
            return 0;
        }
        let width =
            |spec: &TensorSpec| spec.shape.get(1).map_or(1, |width| usize::try_from(*width).unwrap_or(1));
        self.outputs.iter().map(width).sum::<usize>().max(1)
    }

    /// Why it takes no rows.
    pub(super) fn no_rows(&self) -> Option<&'static str> {
        self.tensors.as_ref().map(|_| match self.form {
            Form::Frame => "its answers are not one number or more for each row",
            Form::Named | Form::Single => "its signature has tensors",
        })
    }
}

/// What a model of tensors gives; one output of any number of elements where its signature does not say.
fn promised(outputs: &[TensorSpec]) -> Vec<TensorSpec> {
    if outputs.is_empty() {
        return vec![TensorSpec { name: OUTPUT.to_owned(), datatype: Datatype::Fp64, shape: vec![-1] }];
    }
    outputs.to_vec()
}

fn is_numbers_by_row(spec: &TensorSpec) -> bool {
    spec.datatype != Datatype::Bytes && matches!(spec.shape.as_slice(), [-1] | [-1, _])
}

fn items(json: &str) -> Result<Vec<Item>, PythonError> {
    serde_json::from_str(json).map_err(|error| PythonError::Signature(format!("not readable: {error}")))
}

/// The tensors that items are: a column is one of any number of rows. What has no name has its place, or `only` where it is alone.
fn specs(items: &[Item], only: &str) -> Result<Vec<TensorSpec>, PythonError> {
    let spec = |(place, item): (usize, &Item)| {
        let name = match &item.name {
            Some(Json::String(name)) => name.clone(),
            Some(Json::Number(number)) => number.to_string(),
            _ if items.len() == 1 => only.to_owned(),
            _ => place.to_string(),
        };
        match &item.tensor {
            None => {
                let datatype = column_type(&item.item_type)?.datatype();
                Ok(TensorSpec { name, datatype, shape: vec![-1] })
            }
            Some(TensorItem { dtype, shape }) => {
                let datatype = element_type(dtype)?;
                Ok(TensorSpec { name, datatype, shape: shape.clone() })
            }
        }
    };
    items.iter().enumerate().map(spec).collect()
}

fn column_type(word: &Json) -> Result<ColumnType, PythonError> {
    serde_json::from_value(word.clone())
        .map_err(|_| PythonError::Signature(format!("columns of type {word} are not supported")))
}

/// The type of the elements of an array of NumPy.
fn element_type(dtype: &str) -> Result<Datatype, PythonError> {
    Ok(match dtype {
        "bool" => Datatype::Bool,
        "int8" => Datatype::Int8,
        "int16" => Datatype::Int16,
        "int32" => Datatype::Int32,
        "int64" => Datatype::Int64,
        "uint8" => Datatype::Uint8,
        "uint16" => Datatype::Uint16,
        "uint32" => Datatype::Uint32,
        "uint64" => Datatype::Uint64,
        "float16" => Datatype::Fp16,
        "float32" => Datatype::Fp32,
        "float64" => Datatype::Fp64,
        "str" | "object" | "bytes" => Datatype::Bytes,
        other => return Err(PythonError::Signature(format!("tensors of {other} are not supported"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str = r#"[{"type": "double", "name": "a", "required": true}, {"type": "string", "name": "b", "required": true}]"#;

    fn tensor(dtype: &str, shape: &[i64]) -> String {
        format!(r#"[{{"type": "tensor", "tensor-spec": {{"dtype": "{dtype}", "shape": {shape:?}}}}}]"#)
    }

    #[test]
    fn columns_with_numbers_for_answers_are_rows() {
        for (outputs, width) in [
            (None, 1),
            (Some(tensor("int64", &[-1])), 1),
            (Some(tensor("float64", &[-1, 3])), 3),
            (Some(r#"[{"type": "double", "name": "x"}, {"type": "boolean", "name": "y"}]"#.to_owned()), 2),
        ] {
            let face = Face::of(Some(COLUMNS), outputs.as_deref()).unwrap();
            assert_eq!((face.form, face.width(), face.tensors.clone()), (Form::Frame, width, None));
            let kinds: Vec<InputKind> = face.inputs().iter().map(|input| input.kind).collect();
            assert_eq!(kinds, [InputKind::Number, InputKind::Category]);
        }
    }

    #[test]
    fn columns_with_other_answers_are_tensors_by_their_names() {
        for outputs in
            [tensor("str", &[-1]), tensor("float32", &[-1, 2, 2]), r#"[{"type": "string"}]"#.to_owned()]
        {
            let face = Face::of(Some(COLUMNS), Some(&outputs)).unwrap();
            let signature = face.tensors.clone().unwrap();
            assert_eq!(
                signature.inputs[1],
                TensorSpec { name: "b".to_owned(), datatype: Datatype::Bytes, shape: vec![-1] }
            );
            assert_eq!(signature.outputs[0].name, "predict");
            assert!(face.inputs().is_empty() && face.width() == 0 && face.no_rows().is_some());
        }
    }

    #[test]
    fn tensors_are_given_alone_or_by_name() {
        let alone = Face::of(Some(&tensor("float32", &[-1, 4])), None).unwrap();
        assert_eq!(alone.form, Form::Single);
        assert_eq!(alone.tensors.unwrap().inputs[0].name, "input");
        let named = r#"[{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]"#;
        assert_eq!(Face::of(Some(named), None).unwrap().form, Form::Named);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (inputs, words) in [
            (None, "it is missing"),
            (Some("[]"), "it has no inputs"),
            (Some("{"), "not readable"),
            (
                Some(r#"[{"type": "array", "items": {"type": "double"}, "name": "a"}]"#),
                r#"columns of type "array" are not supported"#,
            ),
            (Some(r#"[{"type": "double", "name": "a"}, {"type": "long", "name": "a"}]"#), "the same name"),
            (Some(&tensor("complex64", &[-1])), "tensors of complex64"),
        ] {
            let refused = Face::of(inputs, None).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
