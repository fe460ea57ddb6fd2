//! A certificate authority of a test, and what it signs. Made by the `openssl` command.

use std::{path::PathBuf, process::Command};

use crate::TempData;

/// The server and the clients of a test are on loopback, by its address and not by a name.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
commonName = of tests
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signed]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

/// A certificate authority that nobody but its test trusts. Its files vanish with it.
#[derive(Debug)]
pub struct Authority {
    data: TempData,
}

/// A certificate and its key, each a file in PEM.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, without a password.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes an authority with a key of its own.
    ///
    /// Panics where the `openssl` command is not there.
    pub fn new() -> Self {
        let authority = Self { data: TempData::new() };
        fs_err::write(authority.data.join("openssl.cnf"), CONFIGURATION)
            .expect("the configuration can be written");
        authority.request("authority", "authority.pem", "-x509 -days 2 -extensions authority");
        authority
    }

    /// Its own certificate, for those who trust it: a file in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.data.join("authority.pem")
    }

    /// A certificate for somebody at 127.0.0.1, to serve and to ask with. `name` is a word.
    pub fn signs(&self, name: &str) -> Signed {
        let (request, certificate) = (format!("{name}.csr"), format!("{name}.pem"));
        self.request(name, &request, "");
        let with =
            "-CA authority.pem -CAkey authority.key -CAcreateserial -extfile openssl.cnf -extensions signed";
        self.openssl(&format!("x509 -req -days 2 {with} -in {request} -out {certificate}"));
        Signed { certificate: self.data.join(certificate), key: self.data.join(format!("{name}.key")) }
    }

    /// Makes a key and asks for a certificate with it, or makes one at once.
    fn request(&self, name: &str, into: &str, more: &str) {
        let key = format!("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key");
        self.openssl(&format!("req -new -config openssl.cnf -subj /CN={name} {key} -out {into} {more}"));
    }

    fn openssl(&self, arguments: &str) {
        let arguments = arguments.split_whitespace();
        let output = Command::new("openssl").args(arguments.clone()).current_dir(self.data.path()).output();
        let output = output.expect("openssl can be started");
        assert!(
            output.status.success(),
            "openssl {}: {}",
            arguments.collect::<Vec<_>>().join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn trusts(authority: &Authority, certificate: &Path) -> bool {
        let verify = Command::new("openssl")
            .args(["verify", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile"])
            .arg(authority.certificate())
            .arg(certificate)
            .output();
        verify.unwrap().status.success()
    }

    #[test]
    fn an_authority_is_trusted_for_what_it_signed_and_for_nothing_else() {
        let (ours, other) = (Authority::new(), Authority::new());
        let signed = ours.signs("broker");
        assert!(trusts(&ours, &signed.certificate));
        assert!(!trusts(&other, &signed.certificate));
        assert!(fs_err::read_to_string(&signed.key).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
