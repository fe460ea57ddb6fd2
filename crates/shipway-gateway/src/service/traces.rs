//! Calls that were made, and their words.

use super::Gateway;
use crate::{
    error::GatewayError,
    traces::{CallContent, CallRow, Found, Question},
};

impl Gateway {
    /// The calls that a question is about; none where no table was plugged in.
    pub(crate) async fn find_calls(&self, question: &Question) -> Result<Found, GatewayError> {
        match self.contents().store() {
            Some(store) => store.find(question).await.map_err(GatewayError::Traces),
            None => Ok(Found::default()),
        }
    }

    /// A call by its id.
    pub(crate) async fn call(&self, id: &str) -> Result<Option<CallRow>, GatewayError> {
        match self.contents().store() {
            Some(store) => store.call(id).await.map_err(GatewayError::Traces),
            None => Ok(None),
        }
    }

    /// The words of a call, if they are kept.
    pub(crate) async fn content(&self, id: &str) -> Result<Option<CallContent>, GatewayError> {
        match self.contents().store() {
            Some(store) => store.content(id).await.map_err(GatewayError::Traces),
            None => Ok(None),
        }
    }
}
