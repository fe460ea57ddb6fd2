//! Files of buckets of an S3-speaking store.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _, stream};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as Key,
};
use shipway_core::{Location, Place};

use super::{CopiedFile, Outside, OutsideError, OutsideFile, S3Credentials, S3Options, copy};
use crate::LakeError;

/// How much of a file is asked for at once, and in memory.
const PIECE_BYTES: u64 = 8 << 20;
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);
const RETRIES: usize = 3;
const RETRY_PATIENCE: Duration = Duration::from_secs(20);

/// One client for each bucket, kept for its connections.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<String, Arc<AmazonS3>>>);

impl Outside {
    /// The client of a bucket in which a folder is allowed.
    pub(super) fn client(&self, bucket: &str, folder: &str) -> Result<Arc<AmazonS3>, OutsideError> {
        self.options.check_bucket(bucket, folder)?;
        let mut clients = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(bucket) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(connect(&self.options.s3, bucket)?);
        clients.insert(bucket.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// A client with the operator's credentials, or one that signs nothing. The library's own search for credentials, which ends
/// at the metadata service of the machine, never begins: it starts only for a client that signs and has no key.
fn connect(options: &S3Options, bucket: &str) -> Result<AmazonS3, OutsideError> {
    let patience = ClientOptions::new().with_connect_timeout(CONNECT_PATIENCE).with_timeout(REQUEST_PATIENCE);
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES,
        retry_timeout: RETRY_PATIENCE,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(options.region.as_deref().unwrap_or("us-east-1"))
        .with_virtual_hosted_style_request(!options.path_style)
        .with_client_options(patience)
        .with_retry(retry);
    if let Some(endpoint) = &options.endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        builder = builder
            .with_endpoint(endpoint_of(endpoint, bucket, options.path_style))
            .with_allow_http(endpoint.starts_with("http://"));
    }
    builder = match &options.credentials {
        S3Credentials::Missing => {
            return Err(OutsideError::NoCredentials { bucket: bucket.to_owned() });
        }
        S3Credentials::Anonymous => builder.with_skip_signature(true),
        S3Credentials::Key { id, secret, session } => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            match session {
                Some(token) => builder.with_token(token),
                None => builder,
            }
        }
    };
    builder.build().map_err(|fault| OutsideError::failed(format!("s3://{bucket}"), fault))
}

/// The library takes an endpoint as it is; where the bucket belongs to the host, it is put there.
fn endpoint_of(endpoint: &str, bucket: &str, path_style: bool) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_owned(),
    }
}

/// The files of a bucket that a location stands for.
pub(super) async fn list(
    outside: &Outside,
    bucket: &str,
    location: &Location,
) -> Result<Vec<OutsideFile>, OutsideError> {
    let base = location.base();
    let client = outside.client(bucket, &base)?;
    let mut found = Vec::new();
    if !location.is_pattern() {
        let path = location.path();
        let key = key_of(bucket, &path)?;
        let metadata = client.head(&key).await.map_err(|fault| fault_at(bucket, &path, fault))?;
        return Ok(vec![listed(bucket, &metadata)]);
    }
    let prefix = if base.is_empty() { None } else { Some(key_of(bucket, &base)?) };
    let mut entries = client.list(prefix.as_ref());
    while let Some(entry) = entries.try_next().await.map_err(|fault| fault_at(bucket, &base, fault))? {
        if location.matches(entry.location.as_ref()) {
            found.push(listed(bucket, &entry));
            outside.options.check_count(location, found.len())?;
        }
    }
    Ok(found)
}

/// A key that holds what a path on disk may hold too.
pub(super) fn key_of(bucket: &str, path: &str) -> Result<Key, OutsideError> {
    Key::parse(path).map_err(|fault| OutsideError::failed(format!("s3://{bucket}/{path}"), fault))
}

fn listed(bucket: &str, entry: &ObjectMeta) -> OutsideFile {
    let tag = entry.e_tag.clone();
    let mark = tag.clone().unwrap_or_else(|| entry.last_modified.timestamp_micros().to_string());
    OutsideFile {
        place: Place::Bucket(bucket.to_owned()),
        path: entry.location.to_string(),
        bytes: entry.size,
        stamp: format!("{}-{mark}", entry.size),
        tag,
        is_link: false,
    }
}

/// Copies a file that was listed, piece by piece, each of the very object that was listed.
pub(super) async fn copy(
    outside: &Outside,
    bucket: &str,
    file: &OutsideFile,
    to: &Path,
) -> Result<CopiedFile, LakeError> {
    let limit = outside.options.most_bytes;
    if file.bytes > limit {
        return Err(OutsideError::FileTooLarge { path: file.name(), limit }.into());
    }
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let client = outside.client(bucket, folder)?;
    let key = key_of(bucket, &file.path)?;
    copy::copy(file, to, limit, pieces(client, key, bucket.to_owned(), file)).await
}

fn pieces(
    client: Arc<AmazonS3>,
    key: Key,
    bucket: String,
    file: &OutsideFile,
) -> impl Stream<Item = Result<Bytes, OutsideError>> + Send {
    let (bytes, tag, name) = (file.bytes, file.tag.clone(), file.name());
    stream::try_unfold(0_u64, move |from| {
        let (client, key, tag) = (Arc::clone(&client), key.clone(), tag.clone());
        let (bucket, name) = (bucket.clone(), name.clone());
        async move {
            if from >= bytes {
                return Ok(None);
            }
            let until = (from + PIECE_BYTES).min(bytes);
            let options =
                GetOptions { if_match: tag, range: Some((from..until).into()), ..GetOptions::default() };
            let answer = client.get_opts(&key, options).await;
            let answer = answer.map_err(|fault| fault_at(&bucket, key.as_ref(), fault))?;
            let piece = answer.bytes().await.map_err(|fault| fault_at(&bucket, key.as_ref(), fault))?;
            if piece.len() as u64 != until - from {
                return Err(OutsideError::Changing { path: name });
            }
            Ok(Some((piece, until)))
        }
    })
}

pub(super) fn fault_at(bucket: &str, path: &str, fault: object_store::Error) -> OutsideError {
    let path = format!("s3://{bucket}/{path}");
    match fault {
        object_store::Error::NotFound { .. } => OutsideError::NotThere { path },
        object_store::Error::Precondition { .. } => OutsideError::Changing { path },
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            OutsideError::Denied { path }
        }
        other => OutsideError::failed(path, other),
    }
}
