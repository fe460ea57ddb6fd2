//! Reads in which order deployments are tried.

use shipway_core::{Name, nearest};

use super::whole;
use crate::{
    LlmRoute,
    parse::reader::{Fields, Reader},
    yaml::{Content, Node},
};

const FIELDS: &[&str] = &["fallback", "weighted"];
const SHARE_FIELDS: &[&str] = &["to", "weight"];
const MOST_WEIGHT: i128 = 1_000_000;

/// The route, which must name every one of `deployments`: one that is never tried is a mistake.
pub(super) fn read(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<LlmRoute> {
    let route = read_any(node, deployments, reader)?;
    let named = route.deployments();
    for missing in deployments.iter().filter(|deployment| !named.contains(deployment)) {
        let hint = Some("name it in the route, or remove it from deployments".to_owned());
        reader.refuse(node.line, format!("route never tries deployment {missing}"), hint);
    }
    Some(route)
}

fn read_any(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<LlmRoute> {
    if let Content::Text(text) = &node.content {
        return match deployments.iter().find(|deployment| deployment.as_str() == text) {
            Some(deployment) => Some(LlmRoute::Deployment(deployment.clone())),
            None => {
                let near = nearest(text, deployments.iter().map(Name::as_str));
                let hint = near.map(|near| format!("did you mean {near}?"));
                reader.refuse(node.line, format!("route names {text}, which is no deployment"), hint);
                None
            }
        };
    }
    let fields = Fields::of(node, FIELDS, " in route", reader)?;
    match (fields.optional("fallback"), fields.optional("weighted")) {
        (Some(node), None) => {
            let items = reader.list("fallback", node).iter();
            let routes: Vec<_> = items.map(|item| read_any(item, deployments, reader)).collect();
            let routes: Vec<LlmRoute> = routes.into_iter().collect::<Option<_>>()?;
            (!routes.is_empty()).then_some(LlmRoute::Fallback(routes))
        }
        (None, Some(node)) => {
            let items = reader.list("weighted", node).iter();
            let routes: Vec<_> = items.map(|item| read_share(item, deployments, reader)).collect();
            let routes: Vec<(LlmRoute, u32)> = routes.into_iter().collect::<Option<_>>()?;
            (!routes.is_empty()).then_some(LlmRoute::Weighted(routes))
        }
        _ => {
            let hint =
                "write the name of a deployment, `fallback: […]`, or `weighted: [{ to: …, weight: … }]`";
            reader.refuse(fields.line, "route is not one strategy".to_owned(), Some(hint.to_owned()));
            None
        }
    }
}

fn read_share(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<(LlmRoute, u32)> {
    let fields = Fields::of(node, SHARE_FIELDS, " in weighted", reader)?;
    let to = fields.required("to", reader).and_then(|node| read_any(node, deployments, reader));
    let weight = match fields.optional("weight") {
        Some(node) => u32::try_from(whole("weight", node, 1..=MOST_WEIGHT, reader)?).ok()?,
        None => 1,
    };
    Some((to?, weight))
}
