//! `import mlflow`: reads what another MLflow server recorded and hands it to a running server, item by item.
//!
//! - `item`: what is brought, in the form in which the server takes it
//! - `source`: what a source must answer; `rest` and `folder` are the two that there are
//! - `destination`: the server that takes it
//! - `http`: requests that wait and try again
//! - `flow`: the order in which things are brought; `runs`, `models`, `registry` each family; `files` what belongs to them
//! - `origin`: where the files of a version are; pure
//! - `report`: what was brought, what was left out and what failed

mod destination;
mod files;
mod flow;
mod folder;
mod http;
mod item;
mod models;
mod origin;
mod registry;
mod report;
mod rest;
mod runs;
mod source;

pub(crate) use flow::{Import, Options};
pub(crate) use folder::FolderSource;
pub(crate) use rest::{Credentials, RestSource};
pub(crate) use source::Source;
