//! Going through all keys, and the checks of the server.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use redis::Value;

use crate::copy::{
    answer::{list, text},
    error::{CopyError, strange},
    layout::CopyKey,
    store::CopyStore,
};

/// About so many keys the server looks at in one step.
const LOOKED_AT: usize = 1_000;

/// A row or a document that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// Its bucket.
    pub bucket: u32,
    /// Its key.
    pub key: CopyKey,
}

/// A walk over all rows and documents of a copy. What is there from its beginning to its end is found at least once.
#[derive(Debug)]
pub struct Survey {
    /// The nodes that are left, each by a hash slot of it; a server alone by none.
    nodes: VecDeque<Option<u16>>,
    cursor: u64,
}

impl CopyStore {
    /// Begins a walk.
    pub async fn survey(&self) -> Result<Survey, CopyError> {
        Ok(Survey { nodes: self.nodes().await?.into(), cursor: 0 })
    }

    /// Some more keys of a walk, maybe none; `None` when it is over. One round trip.
    pub async fn go_on(&self, survey: &mut Survey) -> Result<Option<Vec<FoundKey>>, CopyError> {
        let Some(node) = survey.nodes.front().copied() else { return Ok(None) };
        let layout = &self.inner().layout;
        let mut command = redis::cmd("SCAN");
        command.arg(survey.cursor).arg("MATCH").arg(layout.pattern()).arg("COUNT").arg(LOOKED_AT);
        let mut answer = list(self.inner().connector.ask(command, node).await?)?.into_iter();
        let (Some(cursor), Some(names), None) = (answer.next(), answer.next(), answer.next()) else {
            return Err(strange(&"a SCAN of another form"));
        };
        let cursor = text(cursor)?.and_then(|cursor| std::str::from_utf8(&cursor).ok()?.parse().ok());
        survey.cursor = cursor.ok_or_else(|| strange(&"a cursor that is no number"))?;
        if survey.cursor == 0 {
            survey.nodes.pop_front();
        }
        let mut found = Vec::new();
        for name in list(names)? {
            let parsed = text(name)?.and_then(|name| layout.parse(&name));
            found.extend(parsed.map(|(bucket, key)| FoundKey { bucket, key }));
        }
        Ok(Some(found))
    }

    /// Refuses a server that throws keys away when its memory is full: a row that is gone looks like a key without events.
    pub async fn check_eviction(&self) -> Result<(), CopyError> {
        for node in self.nodes().await? {
            let mut command = redis::cmd("INFO");
            command.arg("memory");
            let info = text(self.inner().connector.ask(command, node).await?)?.unwrap_or_default();
            judge_eviction(&String::from_utf8_lossy(&info))?;
        }
        Ok(())
    }

    /// A hash slot of each node that has rows; none, once, for a server alone.
    async fn nodes(&self) -> Result<Vec<Option<u16>>, CopyError> {
        if !self.inner().is_cluster {
            return Ok(vec![None]);
        }
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let ranges = list(self.inner().connector.ask(command, Some(0)).await?)?;
        let mut nodes: BTreeMap<Bytes, u16> = BTreeMap::new();
        for range in ranges {
            let mut range = list(range)?.into_iter();
            let (Some(Value::Int(first)), Some(_), Some(master)) = (range.next(), range.next(), range.next())
            else {
                return Err(strange(&"CLUSTER SLOTS of another form"));
            };
            let first = u16::try_from(first).map_err(|_| strange(&first))?;
            let mut master = list(master)?.into_iter();
            let (host, port) = (master.next(), master.next());
            let mut name = host.map(text).transpose()?.flatten().unwrap_or_default().to_vec();
            name.extend(format!("{port:?}").into_bytes());
            nodes.entry(name.into()).or_insert(first);
        }
        Ok(nodes.into_values().map(Some).collect())
    }
}

/// What `INFO memory` says about eviction.
fn judge_eviction(info: &str) -> Result<(), CopyError> {
    let field = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.trim().split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    // A server that does not say so is one that speaks another dialect; it has no limit that could be met.
    let is_limited = field("maxmemory").is_some_and(|bytes| bytes != "0");
    match field("maxmemory_policy") {
        // Those of the volatile policies drop keys with a time to live only. Ours have none.
        Some(policy) if is_limited && policy.starts_with("allkeys") => {
            Err(CopyError::Evicts { policy: policy.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_may_drop_keys_without_a_time_to_live_is_refused() {
        let info = |limit: &str, policy: &str| {
            format!("# Memory\r\nused_memory:1\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n")
        };
        for (limit, policy) in [("0", "allkeys-lru"), ("9", "noeviction"), ("9", "volatile-lru")] {
            assert!(judge_eviction(&info(limit, policy)).is_ok(), "{limit} {policy}");
        }
        assert!(judge_eviction("").is_ok());
        let refused = judge_eviction(&info("9", "allkeys-lfu")).unwrap_err();
        assert!(refused.to_string().contains("allkeys-lfu"), "{refused}");
    }
}
