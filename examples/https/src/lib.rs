//! What the https examples share: a certificate that is made at start, and the transport that
//! speaks TLS with it.

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

/// The cryptography, for the server and for clients in tests.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_graviola::default_provider())
}

/// One connection's TLS, for `Builder::transport`.
///
/// Nothing is done here yet: the library flushes what it was given once, under its deadline, and
/// that is the handshake.
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

/// Says goodbye, which `StreamOwned` does not do by itself: a client takes an end without it for an
/// attack that cut off the rest. Not where something stands before it that could not be sent: it
/// would wait for that a second time.
impl Drop for Tls {
    fn drop(&mut self) {
        let (tls, tcp) = (&mut self.0.conn, &mut self.0.sock);
        if !tls.is_handshaking() && !tls.wants_write() {
            tls.send_close_notify();
            let _ = tls.write_tls(tcp); // the client, or the whole server, may be gone
        }
    }
}

/// A certificate for this machine, and the settings that serve it. Both are new with every start,
/// and nobody has vouched for them: clients must be told to trust it, by `pem` or by comparing
/// `sha256`.
pub struct SelfSigned {
    pub config: Arc<ServerConfig>,
    pub pem: String,
    pub sha256: String,
}

impl SelfSigned {
    pub fn new() -> io::Result<SelfSigned> {
        made().map_err(io::Error::other)
    }
}

fn made() -> Result<SelfSigned, Box<dyn Error + Send + Sync>> {
    let key = Key::new()?;
    let mut params =
        CertificateParams::new([String::from("localhost"), String::from("127.0.0.1")])?;
    params.serial_number = Some(SerialNumber::from_slice(&serial_number()?));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    let hash = Sha256::hash(certificate.der());
    let sha256 = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let (pem, sha256) = (certificate.pem(), sha256.collect());
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

/// RFC 5280 §4.1.2.2: not negative, and of 20 bytes at most.
fn serial_number() -> Result<[u8; 16], Box<dyn Error + Send + Sync>> {
    let mut bytes = [0; 16];
    graviola::random::fill(&mut bytes)?;
    Ok(u128::to_be_bytes(u128::from_be_bytes(bytes) >> 1))
}

/// A key of the provider, in the form in which rcgen signs with it.
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
