//! TLS as a client: the platform's trusted roots, ring, TLS 1.2 and 1.3.
//!
//! The crypto provider is always named, never taken from a process-wide default. ALPN is left to
//! the caller. Certificates are always verified: there is no switch to turn that off.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use super::NetError;

/// Makes client settings that trust what the platform trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR`
/// are honoured). The roots are read once a process.
///
/// # Errors
/// No root could be loaded.
pub fn client_config() -> Result<ClientConfig, NetError> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    match ROOTS.get_or_init(platform_roots) {
        Ok(roots) => client_config_trusting(Arc::clone(roots)),
        Err(why) => Err(NetError::Roots { why: why.clone() }),
    }
}

/// How many roots the platform's store, or the file of `SSL_CERT_FILE`, gives.
///
/// # Errors
/// None at all.
pub fn root_count() -> Result<usize, NetError> {
    let roots = platform_roots().map_err(|why| NetError::Roots { why })?;
    Ok(roots.len())
}

/// Makes client settings that trust exactly these roots.
///
/// # Errors
/// rustls refuses the provider's versions, which ring does not provoke.
pub fn client_config_trusting(roots: Arc<RootCertStore>) -> Result<ClientConfig, NetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(NetError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn platform_roots() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(Arc::new(roots));
    }
    // One bad file among many is common and harmless; none at all is not.
    Err(match found.errors.first() {
        Some(error) => error.to_string(),
        None if ignored > 0 => format!("none of {ignored} certificates can be read"),
        None => "the platform has none; install its CA certificates or set SSL_CERT_FILE".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_alpn_and_both_versions() {
        let config = client_config_trusting(Arc::new(RootCertStore::empty())).unwrap();
        assert!(config.alpn_protocols.is_empty());
    }
}
