//! Makes Rust of the gRPC service. The compiler of protocol buffers is a library, so none needs to be installed.

use std::error::Error;

const PROTO: &str = "shipway/features/v1/features.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure().build_transport(false).compile_fds(files)?;
    Ok(())
}
