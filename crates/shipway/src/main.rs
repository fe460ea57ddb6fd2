//! The `shipway` binary: the command line, the configuration, and the wiring of the server.
//!
//! - `arguments`: what can be typed
//! - `commands`: one file per verb; each asks a server and prints the answer
//! - `client`: HTTP to a server, problems turned into errors that a person reads
//! - `import`: what another server recorded, brought to a running one
//! - `output`: tables, JSON, progress; `parquet_file`: Parquet, written on all cores
//! - `configuration`: defaults < shipway.toml < OTEL_* < SHIPWAY_* < flags
//! - `serve`: builds the crates into one server and takes it down without losing anything
//! - `reference`: the generated pages of docs/

mod arguments;
mod client;
mod commands;
mod configuration;
mod failure;
mod import;
mod metadata;
mod output;
mod parquet_file;
mod reference;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

/// A server lives for months, and allocates in bursts: this allocator gives memory back after them, and has no moments in which
/// it tidies up everything at once. Libraries in C use it too, those that are loaded later included: the system's own keeps what a model
/// has freed, for each thread that ever loaded one. Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(wrong) => return output::usage(&wrong),
    };
    let format = arguments.connection.output;
    match commands::run(arguments) {
        Ok(code) => code,
        Err(failure) => output::failure(&failure, format),
    }
}
