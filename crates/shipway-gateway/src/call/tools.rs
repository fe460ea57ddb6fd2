//! Which tools a call may offer, by its key.

use shipway_dialects::{Dialect, request_texts, unseen_tools};

use super::Api;
use crate::{error::GatewayError, service::Principal};

/// Refuses tools that the key is not for, and what may offer tools that nobody sees here.
pub(super) fn may_offer(principal: &Principal, api: Api, body: &[u8]) -> Result<(), GatewayError> {
    // Images, sound and moderations know no tools, and come as forms too.
    if !principal.is_bound_to_tools() || api.dialect == Dialect::OpenAiMedia {
        return Ok(());
    }
    let (texts, unseen) = (request_texts(api.dialect, body), unseen_tools(api.dialect, body));
    let (Ok(texts), Ok(unseen)) = (texts, unseen) else {
        return principal.may_offer_unseen("a body that cannot be read wholly");
    };
    match unseen {
        Some(member) => principal.may_offer_unseen(&format!("the member {member}")),
        None => principal.may_offer(&texts.tools),
    }
}
