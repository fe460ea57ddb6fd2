//! How clouds look at who asks: signatures of AWS, access tokens of Google.

mod google;
mod signature;

pub(crate) use google::Google;
pub(crate) use signature::{AwsKey, verify};
