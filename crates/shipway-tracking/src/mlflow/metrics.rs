//! Endpoints of the histories of metrics.

use serde_json::Value;
use shipway_core::Permission::Read;
use shipway_web::Routes;

use super::{Answer, Body, both, here::Here, message::Message, view};
use crate::{error::TrackingError, service::Tracking};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, get, "2.0/mlflow/metrics/get-history", Read, get_history);
    let routes =
        both!(routes, get, "2.0/mlflow/metrics/get-history-bulk-interval", Read, get_history_bulk_interval);
    // Only the browser asks for this one.
    routes.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", Read, get_history_bulk)
}

async fn get_history(Here(tracking): Here, message: Message) -> Answer {
    let key = message.required_text("metric_key")?;
    let max_results = message.integer("max_results")?;
    let token = message.text_or_empty("page_token")?;
    let found = tracking.metric_history(&message.run_id()?, &key, max_results, &token).await?;
    Ok(Body(view::page("metrics", &found, view::metric)))
}

pub(super) async fn get_history_bulk_interval(Here(tracking): Here, message: Message) -> Answer {
    let run_ids = message.texts("run_ids")?;
    let key = message.required_text("metric_key")?;
    let between = match (message.integer("start_step")?, message.integer("end_step")?) {
        (Some(start), Some(end)) => Some((start, end)),
        (None, None) => None,
        _ => {
            let reason = "If either start step or end step are specified, both must be specified.";
            return Err(TrackingError::invalid("start_step", reason).into());
        }
    };
    let max_results = message.integer("max_results")?;
    let points = tracking.sampled_histories(&run_ids, &key, between, max_results).await?;
    let list: Vec<Value> = points.iter().map(view::metric).collect();
    Ok(Body(view::Fields::default().list("metrics", list).value()))
}

/// This one always has a list, and its runs are named in the singular.
async fn get_history_bulk(Here(tracking): Here, message: Message) -> Answer {
    let run_ids = message.texts("run_id")?;
    let key = message.required_text("metric_key")?;
    let points = tracking.joined_histories(&run_ids, &key, message.integer("max_results")?).await?;
    let list: Vec<Value> = points.iter().map(view::metric).collect();
    Ok(Body(view::Fields::default().set("metrics", list).value()))
}
