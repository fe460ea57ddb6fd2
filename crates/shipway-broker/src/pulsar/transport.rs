//! A stream of bytes to a broker: TCP, or TLS over it.

use std::{path::Path, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use crate::{BrokerError, Settings};

/// What bytes go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How connections are made.
#[derive(Clone)]
pub(super) struct Transport {
    tls: Option<TlsConnector>,
}

/// Why a stream could not be opened.
#[derive(Debug)]
pub(super) enum Unopened {
    /// Nobody answers there.
    Unreachable(String),
    /// We do not trust who answers, or they do not trust us.
    Untrusted(String),
}

impl Transport {
    /// Reads the certificates that the settings name.
    pub(super) fn new(settings: &Settings) -> Result<Self, BrokerError> {
        if !settings.encrypts() {
            return Ok(Self { tls: None });
        }
        let security = &settings.security;
        let mut roots = RootCertStore::empty();
        match &security.ca {
            Some(file) => {
                for certificate in certificates("security.ca", file)? {
                    roots.add(certificate).map_err(|error| wrong("security.ca", &error))?;
                }
            }
            None => {
                // Some systems have certificates among theirs that are none; the others are good all the same.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(BrokerError::Setting {
                name: "security.ca",
                what: "has no certificate to trust, and neither has this system".to_owned(),
            });
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| BrokerError::ClientBroken { reason: error.to_string() })?
            .with_root_certificates(roots);
        let configuration = match (&security.certificate, &security.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("security.certificate", certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("security.key", &error))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| wrong("security.certificate", &error))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(configuration))) })
    }

    /// Opens a stream to `host:port`.
    pub(super) async fn open(&self, address: &str) -> Result<Box<dyn Stream>, Unopened> {
        let unreachable = |error: std::io::Error| Unopened::Unreachable(format!("{address}: {error}"));
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let untrusted = |error: &dyn std::fmt::Display| Unopened::Untrusted(format!("{address}: {error}"));
        let name = ServerName::try_from(host.to_owned()).map_err(|error| untrusted(&error))?;
        Ok(Box::new(tls.connect(name, stream).await.map_err(|error| untrusted(&error))?))
    }
}

fn certificates(name: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| wrong(name, &error))?.collect();
    let read = read.map_err(|error| wrong(name, &error))?;
    if read.is_empty() {
        return Err(wrong(name, &"there is no certificate in the file"));
    }
    Ok(read)
}

fn wrong(name: &'static str, error: &dyn std::fmt::Display) -> BrokerError {
    BrokerError::Setting { name, what: format!("cannot be used: {error}") }
}
