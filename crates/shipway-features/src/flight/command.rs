//! The bodies of the native API as commands, for clients that speak Flight without SQL.
//!
//! `{"query": …}` is the body of `POST /api/v1/sql`, `{"service": …, "spine": …, "time": …}` that of
//! `POST /api/v1/training-sets`. The command is its own ticket.

use arrow_flight::{FlightDescriptor, flight_descriptor::DescriptorType};
use serde::Deserialize;

use crate::{
    Features, FeaturesError, Planned, error::invalid, flight::statement::Statement,
    routes::training_sets::Build,
};

/// The longest command, in bytes.
const COMMAND_BYTES: usize = 512 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    query: String,
}

/// Whether these bytes are a command of ours; a message of Flight SQL never begins so.
pub(crate) fn is_command(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
}

/// The command that a descriptor stands for, if it is one of plain Flight: a command of ours, or the path of a table.
pub(crate) fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Option<Vec<u8>>, FeaturesError> {
    if descriptor.r#type == DescriptorType::Path as i32 {
        return Ok(Some(of_table(table_of(descriptor)?)));
    }
    Ok(is_command(&descriptor.cmd).then(|| descriptor.cmd.to_vec()))
}

/// The name of the table that the path of a descriptor leads to.
pub(crate) fn table_of(descriptor: &FlightDescriptor) -> Result<&str, FeaturesError> {
    match descriptor.path.as_slice() {
        [table] => Ok(table),
        _ => Err(invalid("a path of one part is expected: the name of a table")),
    }
}

/// The command that reads a whole table.
pub(crate) fn of_table(table: &str) -> Vec<u8> {
    let quoted = table.replace('"', "\"\"");
    serde_json::json!({ "query": format!("SELECT * FROM \"{quoted}\"") }).to_string().into_bytes()
}

/// Plans what a command asks for.
pub(crate) async fn plan(features: &Features, command: &[u8]) -> Result<Planned, FeaturesError> {
    if command.len() > COMMAND_BYTES {
        let (got, limit) = (command.len() as u64, COMMAND_BYTES as u64);
        return Err(FeaturesError::TooLarge { what: "command in bytes", got, limit });
    }
    let members: serde_json::Map<String, serde_json::Value> = parsed(command)?;
    if members.contains_key("query") {
        let Query { query } = parsed(command)?;
        return Statement::of(query)?.plan(features).await;
    }
    let build: Build = parsed(command)?;
    match build.into_wanted() {
        (wanted, None) => features.query_training_set(wanted).await,
        (_, Some(_)) => Err(invalid("output.table: a training set is written to a table over HTTP only")),
    }
}

fn parsed<'a, T: Deserialize<'a>>(command: &'a [u8]) -> Result<T, FeaturesError> {
    serde_json::from_slice(command).map_err(|error| invalid(format!("the command cannot be read: {error}")))
}
