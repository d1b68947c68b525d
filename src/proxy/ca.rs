//! The session's certificate authority: made in memory, gone with the process, and good for
//! Datadog's names only (RFC 5280, 4.2.1.10), so that a child that trusts it trusts nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::datadog;

/// Longer than any session lives; short enough that a leaked bundle is soon worthless.
const VALID: Duration = Duration::from_secs(30 * 24 * 3600);
/// Clocks of children in containers may lag.
const BACKDATED: Duration = Duration::from_secs(3600);

/// The authority could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Making or signing a certificate failed.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// rustls does not take what was made.
    #[error("cannot use a certificate")]
    Tls(#[from] rustls::Error),
}

/// Signs certificates for Datadog's hosts.
pub struct SessionCa {
    issuer: Issuer<'static, KeyPair>,
    leaf_key: KeyPair,
    signing_key: Arc<dyn rustls::sign::SigningKey>,
    pem: String,
    extra_domains: Vec<String>,
    issued: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for SessionCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionCa")
    }
}

impl SessionCa {
    /// Makes a fresh authority for Datadog's domains and `extra_domains`.
    ///
    /// # Errors
    /// The system gives no randomness, or a name is not a DNS name.
    pub fn new(session: &str, extra_domains: Vec<String>) -> Result<Self, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = dated(CertificateParams::default());
        params
            .distinguished_name
            .push(DnType::CommonName, format!("ddgate session {session}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: datadog::site::name_constraints(&extra_domains)
                .into_iter()
                .map(GeneralSubtree::DnsName)
                .collect(),
            excluded_subtrees: Vec::new(),
        });
        let pem = params.self_signed(&key)?.pem();
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into());
        let signing_key = rustls::crypto::ring::sign::any_ecdsa_type(&der)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            leaf_key,
            signing_key,
            pem,
            extra_domains,
            issued: Mutex::new(HashMap::new()),
        })
    }

    /// The authority's certificate, for the child to trust.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS as the child meets it: certificates by SNI, HTTP/2 or 1.1 as ALPN asks.
    ///
    /// # Errors
    /// rustls refuses its own provider, which does not happen.
    pub fn server_config(self: Arc<Self>) -> Result<ServerConfig, CaError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn certificate(&self, host: &str) -> Result<Arc<CertifiedKey>, CaError> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = issued.get(host) {
            return Ok(Arc::clone(known));
        }
        let mut params = dated(CertificateParams::new(vec![host.to_owned()])?);
        params.distinguished_name.push(DnType::CommonName, "ddgate");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = Arc::clone(&self.signing_key);
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key));
        issued.insert(host.to_owned(), Arc::clone(&certified));
        Ok(certified)
    }
}

impl ResolvesServerCert for SessionCa {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?.to_ascii_lowercase();
        if !datadog::site::is_datadog_host(&host, &self.extra_domains) {
            return None;
        }
        self.certificate(&host).ok()
    }
}

fn dated(mut params: CertificateParams) -> CertificateParams {
    let now = std::time::SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + VALID).into();
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{CertificateError, RootCertStore};

    /// Whether a child that trusts the authority takes its certificate for `host`.
    fn verdict(ca: &SessionCa, host: &str) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let certificate = ca.certificate(host).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let end_entity = certificate.end_entity_cert().unwrap();
        verifier
            .verify_server_cert(end_entity, &[], &name, &[], UnixTime::now())
            .map(drop)
    }

    #[test]
    fn it_is_good_for_datadogs_names_and_for_no_other() {
        let ca = SessionCa::new("test", vec!["dd.example.test".into()]).unwrap();
        for host in [
            "api.datadoghq.com",
            "datadoghq.eu",
            "http-intake.logs.us5.datadoghq.com",
            "api.dd.example.test",
        ] {
            assert_eq!(verdict(&ca, host), Ok(()), "{host}");
        }
        // Even with its own key in hand.
        for host in [
            "example.com",
            "evil-datadoghq.com",
            "datadoghq.com.evil.test",
            "xdd.example.test",
        ] {
            let refused = verdict(&ca, host).unwrap_err();
            let rustls::Error::InvalidCertificate(CertificateError::Other(why)) = refused else {
                panic!("{host}: {refused:?}");
            };
            assert!(why.to_string().contains("NameConstraint"), "{why}");
        }
    }

    #[test]
    fn a_host_gets_one_certificate() {
        let ca = SessionCa::new("test", Vec::new()).unwrap();
        let one = ca.certificate("api.datadoghq.com").unwrap();
        let again = ca.certificate("api.datadoghq.com").unwrap();
        assert!(Arc::ptr_eq(&one, &again));
    }
}
