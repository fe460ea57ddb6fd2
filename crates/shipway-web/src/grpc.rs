//! gRPC on the port of everything else: what a problem is on that wire.
//!
//! A gRPC method is a POST to `/package.Service/Method`, so it is a route like any other, with a permission and a limit
//! (`Routes::grpc`). Only its refusals look different: HTTP 200, the failure in `grpc-status` and `grpc-message`, and the
//! stable code and the hint as the metadata `shipway-code` and `shipway-hint`.

use axum::response::Response;
use shipway_core::Kind;
use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use crate::Problem;

/// The metadata that carries the stable code of a failure.
pub const GRPC_CODE: &str = "shipway-code";
/// The metadata that carries what the reader can do about a failure.
pub const GRPC_HINT: &str = "shipway-hint";

/// The gRPC status of a kind of failure: the only place that decides it.
///
/// What is too large is out of range and not an exhausted resource: clients send the latter again, and that would not help.
pub const fn grpc_code_of(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::TooLarge => Code::OutOfRange,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Internal => Code::Internal,
    }
}

/// A handler turns a domain error into a problem first (`Status::from(Problem::from(error))`), which logs it once.
impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let code = match problem.code() {
            // A method that this server does not have; clients tell it from a thing that does not exist.
            "web.unknown_path" | "web.wrong_method" => Code::Unimplemented,
            _ => grpc_code_of(problem.kind()),
        };
        let mut metadata = MetadataMap::new();
        metadata.insert(GRPC_CODE, AsciiMetadataValue::from_static(problem.code()));
        if let Some(hint) = problem.hint().and_then(in_ascii) {
            metadata.insert(GRPC_HINT, hint);
        }
        Self::with_metadata(code, problem.detail(), metadata)
    }
}

/// The response of a gRPC route to what is refused before its handler.
pub(crate) fn render_grpc(problem: Problem) -> Response {
    Status::from(problem).into_http()
}

/// Metadata is ASCII; a hint may quote what a person wrote.
fn in_ascii(hint: &str) -> Option<AsciiMetadataValue> {
    let visible = |character: char| if (' '..='~').contains(&character) { character } else { '?' };
    hint.chars().map(visible).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_sentence_its_code_and_its_hint() {
        let problem = Problem::new(Kind::NotFound, "features.unknown_service", "service x does not exist")
            .with_hint("did you mean „y“");
        let status = Status::from(problem);
        assert_eq!((status.code(), status.message()), (Code::NotFound, "service x does not exist"));
        assert_eq!(status.metadata().get(GRPC_CODE).unwrap(), "features.unknown_service");
        assert_eq!(status.metadata().get(GRPC_HINT).unwrap(), "did you mean ?y?");
    }

    #[test]
    fn each_kind_has_its_own_code() {
        let kinds = [
            Kind::Invalid,
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Conflict,
            Kind::TooLarge,
            Kind::Exhausted,
            Kind::Unavailable,
            Kind::Internal,
        ];
        let codes: std::collections::BTreeSet<i32> = kinds.map(|kind| grpc_code_of(kind) as i32).into();
        assert_eq!(codes.into_iter().collect::<Vec<_>>(), [3, 5, 7, 8, 9, 11, 13, 14, 16]);
    }
}
