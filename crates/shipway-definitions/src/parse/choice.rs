//! Reads references to views and their features: `view`, or `view:feature`.

use shipway_core::Name;

use crate::{
    parse::reader::{Located, Reader},
    yaml::Node,
};

/// A view, or one feature of it.
#[derive(Debug, Clone)]
pub(crate) struct ViewChoice {
    pub(crate) view: Name,
    pub(crate) feature: Option<Name>,
}

/// The items of the list `field`.
pub(super) fn read_choices(field: &str, node: &Node, reader: &mut Reader<'_>) -> Vec<Located<ViewChoice>> {
    reader.list(field, node).iter().filter_map(|node| read_choice(node, reader)).collect()
}

fn read_choice(node: &Node, reader: &mut Reader<'_>) -> Option<Located<ViewChoice>> {
    let text = reader.text("a view", node)?;
    let (view, feature) = match text.value.split_once(':') {
        Some((view, feature)) => (view, Some(feature)),
        None => (text.value.as_str(), None),
    };
    let view = reader.name_of("view", text.line, view)?.value;
    let feature = match feature {
        Some(feature) => Some(reader.name_of("feature", text.line, feature)?.value),
        None => None,
    };
    Some(Located { line: text.line, value: ViewChoice { view, feature } })
}
