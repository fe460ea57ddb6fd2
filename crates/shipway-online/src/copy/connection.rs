//! One connection, shared by all who use the copy, and made anew after it was lost.

use std::time::{Duration, Instant};

use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, IntoConnectionInfo as _, RedisResult, TlsCertificates, Value,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};
use tokio::sync::Mutex;

use crate::copy::{error::CopyError, options::CopyOptions};

/// After a failed attempt nobody else tries for so long: they fail at once, with the same words.
const REST: Duration = Duration::from_millis(100);
/// A cluster's client tries again by itself when a slot has moved or a node was replaced.
const CLUSTER_RETRIES: u32 = 3;

/// How to connect, and the connection while there is one.
pub(crate) struct Connector {
    client: Client,
    patience: Duration,
    slot: Mutex<Slot>,
}

enum Client {
    One(redis::Client, AsyncConnectionConfig),
    Cluster(ClusterClient),
}

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

#[derive(Default)]
struct Slot {
    /// How many connections there were.
    number: u64,
    connection: Option<Connection>,
    failed: Option<(Instant, CopyError)>,
}

impl Connector {
    pub(crate) fn new(options: &CopyOptions) -> Result<Self, CopyError> {
        options.check()?;
        let is_encrypted = options.addresses.iter().any(|address| address.starts_with("rediss://"));
        if is_encrypted {
            choose_cryptography();
        }
        let certificates =
            TlsCertificates { client_tls: None, root_cert: options.ca.clone().filter(|_| is_encrypted) };
        let addresses = options
            .addresses
            .iter()
            .map(|address| info(address, options))
            .collect::<RedisResult<Vec<_>>>()?;
        let patience = options.patience;
        let client = if options.is_cluster {
            let mut builder = ClusterClientBuilder::new(addresses)
                .connection_timeout(patience)
                .response_timeout(patience)
                .retries(CLUSTER_RETRIES)
                .min_retry_wait(10)
                .max_retry_wait(200);
            if certificates.root_cert.is_some() {
                builder = builder.certs(certificates);
            }
            Client::Cluster(builder.build()?)
        } else {
            let address = addresses
                .into_iter()
                .next()
                .ok_or_else(|| CopyError::Setting { what: "there is no address".to_owned() })?;
            let client = if certificates.root_cert.is_some() {
                redis::Client::build_with_tls(address, certificates)?
            } else {
                redis::Client::open(address)?
            };
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(patience))
                .set_response_timeout(Some(patience));
            Client::One(client, config)
        };
        Ok(Self { client, patience, slot: Mutex::default() })
    }

    /// Has `command` carried out: by the node that has the hash slot `route`, where it says nothing by itself.
    pub(crate) async fn ask(&self, command: Cmd, route: Option<u16>) -> Result<Value, CopyError> {
        let (number, connection) = self.connection().await?;
        let answer = match tokio::time::timeout(self.patience, connection.ask(command, route)).await {
            Ok(answer) => answer.map_err(CopyError::from),
            Err(_) => Err(CopyError::Unreachable { what: format!("no answer within {:?}", self.patience) }),
        };
        if matches!(answer, Err(CopyError::Unreachable { .. })) {
            self.forget(number).await;
        }
        answer
    }

    async fn connection(&self) -> Result<(u64, Connection), CopyError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((slot.number, connection.clone()));
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < REST
        {
            return Err(error.clone());
        }
        let connected = match tokio::time::timeout(self.patience, self.connect()).await {
            Ok(connected) => connected.map_err(CopyError::from),
            Err(_) => Err(CopyError::Unreachable { what: format!("not within {:?}", self.patience) }),
        };
        match connected {
            Ok(connection) => {
                slot.number += 1;
                slot.connection = Some(connection.clone());
                slot.failed = None;
                Ok((slot.number, connection))
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        Ok(match &self.client {
            Client::One(client, config) => {
                Connection::One(client.get_multiplexed_async_connection_with_config(config).await?)
            }
            Client::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }

    /// Lets go of a connection that failed, unless there is a newer one.
    async fn forget(&self, number: u64) {
        let mut slot = self.slot.lock().await;
        if slot.number == number {
            slot.connection = None;
        }
    }
}

impl Connection {
    async fn ask(self, command: Cmd, route: Option<u16>) -> RedisResult<Value> {
        match (self, route) {
            (Self::One(mut connection), _) => command.query_async(&mut connection).await,
            (Self::Cluster(mut connection), None) => command.query_async(&mut connection).await,
            (Self::Cluster(mut connection), Some(slot)) => {
                let node = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                connection.route_command(command, RoutingInfo::SingleNode(node)).await
            }
        }
    }
}

fn info(address: &str, options: &CopyOptions) -> RedisResult<ConnectionInfo> {
    let info = address.into_connection_info()?;
    let mut redis = info.redis_settings().clone();
    if let Some(username) = &options.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &options.password {
        redis = redis.set_password(password.text());
    }
    Ok(info.set_redis_settings(redis))
}

/// Several implementations are linked in, and rustls chooses none by itself then.
fn choose_cryptography() {
    // One that was chosen before stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
