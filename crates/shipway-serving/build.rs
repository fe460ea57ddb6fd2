//! Makes Rust of the gRPC service, and a description of it for reflection. The compiler of protocol buffers is a library, so none
//! needs to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTO: &str = "inference/inference.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile([PROTO], ["proto"])?;
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(folder.join("inference.bin"), files.encode_to_vec())?;
    // Tensors stay slices of the request.
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(files)?;
    Ok(())
}
