//! A call that waits for a lease: once, for a moment, together with all others that wait.

use std::time::{Duration, Instant};

use shipway_core::Clock as _;
use tokio::sync::oneshot;

use super::{Sharing, Waiting};
use crate::{
    error::GatewayError,
    meter::{Amount, Reservation, Short},
    model::{Chain, Scope},
};

/// How long a call waits at most: a little longer than the store may take for a message.
const LONGEST: Duration = Duration::from_millis(2_500);
/// How long it is waited for what others give back before the store is asked again.
const BETWEEN: Duration = Duration::from_millis(60);

impl Sharing {
    /// Reserves for a call; where too little is leased, the store is asked.
    pub(crate) async fn reserve(
        &self,
        chain: &Chain,
        asked: Option<Amount>,
    ) -> Result<Reservation, GatewayError> {
        let began = Instant::now();
        loop {
            let (scope, short) = match self.take(chain, asked) {
                Ok(reservation) => return Ok(reservation),
                Err(refused) => refused,
            };
            let Short { bound, is_current, may_have_more, is_elsewhere } = short;
            if self.inner.meter.is_away() {
                return Err(away(scope));
            }
            if is_current && !may_have_more && !is_elsewhere || began.elapsed() >= LONGEST {
                return Err(GatewayError::Limit { scope, bound });
            }
            if is_current && !may_have_more {
                tokio::time::sleep(BETWEEN).await;
            }
            metrics::counter!("shipway_llm_lease_waits_total").increment(1);
            if !self.more(chain, asked, LONGEST.saturating_sub(began.elapsed())).await {
                // A key that is let through in an outage is now: it is one for this call, whatever is known of it yet.
                let taken = self.inner.meter.take_in_an_outage(chain, asked, self.inner.clock.now());
                return taken.map_err(|(scope, _)| away(scope));
            }
        }
    }

    fn take(&self, chain: &Chain, asked: Option<Amount>) -> Result<Reservation, (Scope, Short)> {
        self.inner.meter.take(chain, asked, self.inner.clock.now())
    }

    /// Asks for more. Whether the store answered.
    async fn more(&self, chain: &Chain, asked: Option<Amount>, patience: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.calls.send(Waiting::Call { chain: chain.clone(), asked, answer }).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(patience, answered).await, Ok(Ok(true)))
    }
}

fn away(scope: Scope) -> GatewayError {
    metrics::counter!("shipway_llm_outage_refusals_total").increment(1);
    GatewayError::LimitsAway { scope }
}
