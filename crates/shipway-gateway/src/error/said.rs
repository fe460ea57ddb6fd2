//! Remedies where something that a call says cannot be done.

use super::GatewayError;

impl GatewayError {
    /// The remedy where something that a call says cannot be done.
    pub(super) const fn hint_for_what_is_said(&self) -> &'static str {
        match self {
            Self::NoSuchApi { .. } => {
                "ask by the API that its providers speak: images, sound and moderations are not translated, and not every provider embeds or counts"
            }
            Self::NotFetched(_) => {
                "send its data, or an address of the public internet at which anybody can fetch it; whoever runs the server may allow further hosts (llm.media)"
            }
            Self::UnknownPrevious { .. } => {
                "go on from a response that was made through this server by a key of the same group; one that was made with `store: false` is not kept"
            }
            Self::PreviousElsewhere { .. } => {
                "go on with a model that has a deployment there, or send what was said before as the input"
            }
            Self::NoneWished { .. } => {
                "name deployments of the model or their providers in `order`, `only` and `ignore`, and allow a `max_price` that one of them has"
            }
            _ => "leave it out, or ask for a model whose provider speaks the API of the call",
        }
    }
}
