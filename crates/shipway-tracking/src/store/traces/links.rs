//! Tables `trace_runs`, `trace_prompts`: what a trace is linked to.

use shipway_store::{Transaction, parameters};

use super::Stored;

/// Links traces to a run; a link that exists stays.
pub(crate) async fn add_runs(transaction: &mut Transaction, run_id: &str, traces: &[String]) -> Stored<()> {
    let values = traces.iter().map(|trace_id| parameters![trace_id.as_str(), run_id]).collect();
    let sql =
        "INSERT INTO trace_runs (trace_id, run_id) VALUES ($1, $2) ON CONFLICT (trace_id, run_id) DO NOTHING";
    transaction.execute_many(sql, values).await?;
    Ok(())
}

/// Links a trace to prompt versions; a link that exists stays.
pub(crate) async fn add_prompts(
    transaction: &mut Transaction,
    trace_id: &str,
    prompts: &[(String, i64)],
) -> Stored<()> {
    let values =
        prompts.iter().map(|(name, version)| parameters![trace_id, name.as_str(), *version]).collect();
    let sql = "INSERT INTO trace_prompts (trace_id, name, version) VALUES ($1, $2, $3) \
               ON CONFLICT (trace_id, name, version) DO NOTHING";
    transaction.execute_many(sql, values).await?;
    Ok(())
}
