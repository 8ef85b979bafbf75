//! The code that the https examples share: a certificate that is created at start, and the
//! transport that speaks TLS with it.

#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use graviola::hashing::{Hash, Sha256};
use graviola::signing::ecdsa::{SigningKey, P256};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, PublicKeyData, SerialNumber};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Returns the cryptography provider for the server, and for the clients in the tests.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_graviola::default_provider())
}

/// The TLS session of one connection, for `Builder::transport`.
///
/// Creating it does no I/O. The library flushes a new transport once, within the deadline, and that
/// flush performs the handshake.
pub struct Tls(StreamOwned<ServerConnection, TcpStream>);

impl Tls {
    pub fn new(config: &Arc<ServerConfig>, tcp: TcpStream) -> Result<Tls, rustls::Error> {
        let connection = ServerConnection::new(config.clone())?;
        Ok(Tls(StreamOwned::new(connection, tcp)))
    }
}

impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Tls {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Sends `close_notify`, which `StreamOwned` does not send by itself. Without it, a client has to
/// assume that an attacker truncated the response.
impl Drop for Tls {
    fn drop(&mut self) {
        let tls = &mut self.0.conn;
        // If earlier data could not be sent, sending it again would block a second time.
        if !tls.is_handshaking() && !tls.wants_write() {
            tls.send_close_notify();
            // The client may already be gone, or the connection may have been cut.
            let _ = tls.write_tls(&mut self.0.sock);
        }
    }
}

/// A certificate for this machine, and the TLS settings that use it. Both are created at every
/// start. No authority has signed the certificate, so clients have to trust `pem` explicitly or
/// compare `sha256`.
pub struct SelfSigned {
    pub config: Arc<ServerConfig>,
    pub pem: String,
    pub sha256: String,
}

impl SelfSigned {
    pub fn new() -> io::Result<SelfSigned> {
        create().map_err(io::Error::other)
    }
}

fn create() -> Result<SelfSigned, Box<dyn Error + Send + Sync>> {
    let key = Key::new()?;
    let mut params =
        CertificateParams::new([String::from("localhost"), String::from("127.0.0.1")])?;
    params.serial_number = Some(SerialNumber::from_slice(&serial_number()?));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    let hash = Sha256::hash(certificate.der());
    let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let sha256 = digits.collect();
    let pem = certificate.pem();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key.pkcs8()?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    Ok(SelfSigned {
        config,
        pem,
        sha256,
    })
}

/// Returns a random serial number. RFC 5280 §4.1.2.2: it is not negative and at most 20 bytes long.
fn serial_number() -> Result<[u8; 16], Box<dyn Error + Send + Sync>> {
    let mut bytes = [0; 16];
    graviola::random::fill(&mut bytes)?;
    Ok(u128::to_be_bytes(u128::from_be_bytes(bytes) >> 1))
}

/// A key of the provider, with which rcgen can sign.
struct Key {
    key: SigningKey<P256>,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Result<Key, Box<dyn Error + Send + Sync>> {
        let key: SigningKey<P256> = SigningKey::generate()?;
        let public = key.private_key.public_key_uncompressed().to_vec();
        Ok(Key { key, public })
    }

    fn pkcs8(&self) -> Result<PrivateKeyDer<'static>, Box<dyn Error + Send + Sync>> {
        let mut room = [0; 256];
        let der = self.key.to_pkcs8_der(&mut room)?;
        Ok(PrivatePkcs8KeyDer::from(der.to_vec()).into())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut room = [0; 128];
        let signed = self.key.sign_asn1::<Sha256>(&[message], &mut room);
        Ok(signed.map_err(|_| rcgen::Error::RemoteKeyError)?.to_vec())
    }
}
