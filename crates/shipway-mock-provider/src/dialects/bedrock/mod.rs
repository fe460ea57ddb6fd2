//! Amazon Bedrock: `Converse` and `ConverseStream`.

mod checks;
mod converse;
mod read;

use serde_json::{Value, json};

pub(crate) use self::{
    converse::{events, whole},
    read::read,
};
use crate::{ask::Refused, script::ErrorKind};

/// An error's body; its name is in a header.
pub(crate) fn error(refused: &Refused) -> Value {
    json!({"message": refused.message})
}

/// The name of an error, as an answer has it.
pub(crate) const fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Context | ErrorKind::ContentPolicy => {
            "ValidationException"
        }
        ErrorKind::Auth => "UnrecognizedClientException",
        ErrorKind::Permission => "AccessDeniedException",
        ErrorKind::NotFound => "ResourceNotFoundException",
        ErrorKind::RateLimit => "ThrottlingException",
        ErrorKind::Quota => "ServiceQuotaExceededException",
        ErrorKind::Server | ErrorKind::BadGateway => "InternalServerException",
        ErrorKind::Unavailable | ErrorKind::Overloaded => "ServiceUnavailableException",
        ErrorKind::Timeout => "ModelTimeoutException",
    }
}

/// The same as a stream has it; not every error has a name there.
pub(crate) const fn name_in_stream(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RateLimit | ErrorKind::Quota => "throttlingException",
        ErrorKind::Unavailable | ErrorKind::Overloaded => "serviceUnavailableException",
        ErrorKind::Server | ErrorKind::BadGateway => "internalServerException",
        ErrorKind::Timeout => "modelStreamErrorException",
        _ => "validationException",
    }
}

/// What Bedrock says about an error of this kind.
pub(crate) fn message(kind: ErrorKind, model: &str) -> String {
    match kind {
        ErrorKind::Invalid => "The provided request is not valid".to_owned(),
        ErrorKind::Auth => "The security token included in the request is invalid.".to_owned(),
        ErrorKind::Permission => "You don't have access to the model with the specified model ID.".to_owned(),
        ErrorKind::NotFound => {
            format!("Could not resolve the foundation model from the model identifier: {model}")
        }
        ErrorKind::TooLarge => "Request size exceeds the limit".to_owned(),
        ErrorKind::RateLimit => "Too many requests, please wait before trying again.".to_owned(),
        ErrorKind::Quota => "Your request exceeds the service quota for your account.".to_owned(),
        ErrorKind::Context => "Input is too long for requested model.".to_owned(),
        ErrorKind::ContentPolicy => "Output blocked by content filtering policy".to_owned(),
        ErrorKind::Server | ErrorKind::BadGateway => {
            "The system encountered an unexpected error during processing. Try your request again.".to_owned()
        }
        ErrorKind::Unavailable | ErrorKind::Overloaded => {
            "Bedrock is unable to process your request.".to_owned()
        }
        ErrorKind::Timeout => {
            "Model has timed out in processing the request. Try your request again.".to_owned()
        }
    }
}
