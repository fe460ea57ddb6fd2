//! The lines of a LightGBM model file, as fields by name, without judging what they say.

use std::str::FromStr;

use super::damaged;
use crate::error::RuntimeError;

/// A model file, taken apart.
#[derive(Debug)]
pub(super) struct Document<'text> {
    pub(super) header: Block<'text>,
    pub(super) trees: Vec<Block<'text>>,
    /// `[categorical_feature: …]` of the training parameters.
    pub(super) categorical_parameter: Option<&'text str>,
    /// The JSON behind `pandas_categorical:`.
    pub(super) pandas_categorical: Option<&'text str>,
}

/// Lines of the form `key=value` that belong together.
#[derive(Debug)]
pub(super) struct Block<'text> {
    name: String,
    fields: Vec<(&'text str, &'text str)>,
}

impl<'text> Document<'text> {
    pub(super) fn parse(text: &'text str) -> Result<Self, RuntimeError> {
        let mut lines = text.lines().map(str::trim_end);
        if lines.next() != Some("tree") {
            return Err(damaged("the first line is not `tree`"));
        }
        let mut header = Block { name: "header".to_owned(), fields: Vec::new() };
        let mut trees: Vec<Block<'text>> = Vec::new();
        let mut complete = false;
        for line in lines.by_ref() {
            if line == "end of trees" {
                complete = true;
                break;
            }
            if let Some(number) = line.strip_prefix("Tree=") {
                trees.push(Block { name: format!("tree {number}"), fields: Vec::new() });
            } else if !line.is_empty() {
                let block = trees.last_mut().unwrap_or(&mut header);
                block.fields.push(line.split_once('=').unwrap_or((line, "")));
            }
        }
        if !complete {
            return Err(damaged("the file is cut: it has no line `end of trees`"));
        }
        let (mut categorical_parameter, mut pandas_categorical) = (None, None);
        for line in lines {
            if let Some(list) =
                line.strip_prefix("[categorical_feature: ").and_then(|rest| rest.strip_suffix(']'))
            {
                categorical_parameter = Some(list);
            } else if let Some(json) = line.strip_prefix("pandas_categorical:") {
                pandas_categorical = Some(json);
            }
        }
        Ok(Self { header, trees, categorical_parameter, pandas_categorical })
    }
}

impl<'text> Block<'text> {
    /// What the block is, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn get(&self, key: &str) -> Option<&'text str> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub(super) fn require(&self, key: &str) -> Result<&'text str, RuntimeError> {
        self.get(key).ok_or_else(|| damaged(format!("{} has no {key}", self.name)))
    }

    pub(super) fn number<T: FromStr>(&self, key: &str) -> Result<T, RuntimeError> {
        let text = self.require(key)?.trim();
        text.parse().map_err(|_| self.not_a_number(key, text))
    }

    /// The numbers of a field, which must be `count`.
    pub(super) fn numbers<T: FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>, RuntimeError> {
        let numbers = self
            .require(key)?
            .split_ascii_whitespace()
            .map(|text| text.parse().map_err(|_| self.not_a_number(key, text)))
            .collect::<Result<Vec<T>, _>>()?;
        if numbers.len() != count {
            return Err(damaged(format!(
                "{}: {key} has {} numbers, expected {count}",
                self.name,
                numbers.len()
            )));
        }
        Ok(numbers)
    }

    fn not_a_number(&self, key: &str, text: &str) -> RuntimeError {
        let shortened: String = text.chars().take(40).collect();
        damaged(format!("{}: {key} has `{shortened}`, which is not a number that fits", self.name))
    }
}
