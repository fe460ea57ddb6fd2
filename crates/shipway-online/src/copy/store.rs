//! Reading and committing, bucket by bucket.

use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use crate::copy::{
    answer::{list, text},
    connection::Connector,
    error::{CopyError, strange},
    layout::{CLUSTER_BUCKETS, CopyKey, Layout},
    options::CopyOptions,
};

/// Changes rows and head together, if the head is the expected one (none, where nothing is expected). Answers 1, or with the
/// head that is there. The head comes last: whatever breaks off leaves the old one.
const COMMIT: &str = "\
local held = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if held then return held end
elseif held ~= ARGV[1] then
  return held
end
local puts = tonumber(ARGV[3])
for i = 1, puts do redis.call('SET', KEYS[1 + i], ARGV[3 + i]) end
for i = 2 + puts, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('SET', KEYS[1], ARGV[2])
return 1";

/// A copy in Redis or Valkey. Cheap to clone; connects when it is first used, and again whenever it must.
#[derive(Clone)]
pub struct CopyStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) connector: Connector,
    pub(crate) is_cluster: bool,
    address: String,
}

impl std::fmt::Debug for CopyStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { layout, address, .. } = &*self.inner;
        formatter
            .debug_struct("CopyStore")
            .field("address", address)
            .field("layout", layout)
            .finish_non_exhaustive()
    }
}

/// What a bucket is changed to.
#[derive(Debug, Clone, Default)]
pub struct CopyCommit {
    /// The new head: at least one byte, and different from every head before it wherever that matters.
    pub head: Bytes,
    /// Keys of this bucket and their new values, each key once.
    pub puts: Vec<(CopyKey, Bytes)>,
    /// Keys of this bucket that go.
    pub deletes: Vec<CopyKey>,
}

/// Whether a commit was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// All of it.
    Done,
    /// Nothing of it: this head is there, or none.
    Other(Option<Bytes>),
}

/// A bucket at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRead {
    /// Its head; none where there is no copy.
    pub head: Option<Bytes>,
    /// As the keys.
    pub values: Vec<Option<Bytes>>,
}

impl CopyStore {
    /// The copy that `options` describe. Does not connect yet.
    pub fn new(options: &CopyOptions) -> Result<Self, CopyError> {
        let connector = Connector::new(options)?;
        let buckets = if options.is_cluster { CLUSTER_BUCKETS } else { 1 };
        let layout = Layout { prefix: options.prefix.clone(), buckets };
        let (is_cluster, address) = (options.is_cluster, options.addresses.join(","));
        Ok(Self { inner: Arc::new(Inner { layout, connector, is_cluster, address }) })
    }

    /// How many buckets there are.
    pub fn buckets(&self) -> u32 {
        self.inner.layout.buckets
    }

    /// The bucket of all rows with this key.
    pub fn bucket_of(&self, key: &[u8]) -> u32 {
        self.inner.layout.bucket_of(key)
    }

    /// Where it is, for people.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// What every key begins with.
    pub fn prefix(&self) -> &str {
        &self.inner.layout.prefix
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The head of `bucket` and the values of `keys`, which must be in it, all of one moment. One round trip.
    pub async fn read(&self, bucket: u32, keys: &[CopyKey]) -> Result<BucketRead, CopyError> {
        let layout = &self.inner.layout;
        let mut command = redis::cmd("MGET");
        command.arg(layout.head(bucket));
        for key in keys {
            command.arg(layout.name(bucket, key));
        }
        let answer = list(self.inner.connector.ask(command, None).await?)?;
        let mut values = answer.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        if values.len() != keys.len() + 1 {
            return Err(strange(&format!("{} values for {} keys", values.len(), keys.len() + 1)));
        }
        let head = values.remove(0);
        Ok(BucketRead { head, values })
    }

    /// Makes `commit` in `bucket` if its head is `expected`; `None` expects that there is none. All of it happens, or
    /// nothing. One round trip.
    ///
    /// After [`CopyError::Unreachable`] it may have happened: the head tells.
    pub async fn commit(
        &self,
        bucket: u32,
        expected: Option<&[u8]>,
        commit: &CopyCommit,
    ) -> Result<Committed, CopyError> {
        let layout = &self.inner.layout;
        let CopyCommit { head, puts, deletes } = commit;
        let mut command = redis::cmd("EVAL");
        command.arg(COMMIT).arg(1 + puts.len() + deletes.len()).arg(layout.head(bucket));
        for key in puts.iter().map(|(key, _)| key).chain(deletes) {
            command.arg(layout.name(bucket, key));
        }
        command.arg(expected.unwrap_or_default()).arg(&head[..]).arg(puts.len());
        for (_, value) in puts {
            command.arg(&value[..]);
        }
        match self.inner.connector.ask(command, None).await? {
            Value::Int(1) => Ok(Committed::Done),
            other => match text(other)? {
                // A cluster's client may have sent it twice.
                Some(held) if held == *head && expected != Some(&head[..]) => Ok(Committed::Done),
                held => Ok(Committed::Other(held)),
            },
        }
    }
}
