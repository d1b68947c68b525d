//! Proof of possession at the token endpoint (RFC 9449), with the code's hash where the ID token is
//! to be tied to the key (OpenID Connect Key Binding 1.0, draft 03), and where a token that is tied to
//! the key is shown (section 7: the userinfo endpoint).
//!
//! Every request has a proof of its own. A provider that wants its own nonce in it gets that once a
//! request (section 8). A sign-in that a provider refuses only for the proof goes on without one: many
//! advertise DPoP for clients that may not use it. Tokens that are tied to the key already are never
//! tried without. It signs nothing but proofs for requests that are being sent.

use std::sync::{Arc, Mutex, PoisonError};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use chrono::{TimeDelta, Utc};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use openidconnect::{HttpRequest, HttpResponse};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::key::{KeyKind, Possession, SignInKey};
use crate::limits::DPOP_NONCE_CHARS_MAX;
use crate::net::{HttpsClient, NetError};

const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The scope that asks for an ID token with the key in it.
pub(in crate::auth::identity) const BOUND_KEY: &str = "bound_key";

/// What a provider's metadata says of proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::auth::identity) struct Offer {
    /// The `alg` to sign proofs with (RFC 9449, section 5.1); none, and no proof is sent.
    alg: Option<&'static str>,
    /// Whether it puts keys into ID tokens.
    pub(in crate::auth::identity) binds_id_tokens: bool,
}

impl Offer {
    /// Reads `dpop_signing_alg_values_supported` and `scopes_supported`. What is no list of words is
    /// as good as nothing: nobody is kept out for it.
    pub(in crate::auth::identity) fn read(algorithms: &Value, scopes: &Value) -> Self {
        let holds = |list: &Value, word: &str| {
            let list = list.as_array().into_iter().flatten();
            list.filter_map(Value::as_str).any(|one| one == word)
        };
        // RFC 9864: `Ed25519` is what replaces `EdDSA`.
        let ours = ["Ed25519", "EdDSA", "ES256"];
        let alg = ours.into_iter().find(|alg| holds(algorithms, alg));
        Self {
            alg,
            binds_id_tokens: alg.is_some() && holds(scopes, BOUND_KEY),
        }
    }

    /// The key for a new sign-in.
    fn kind(self) -> KeyKind {
        match self.alg {
            Some("ES256") => KeyKind::P256,
            _ => KeyKind::Ed25519,
        }
    }

    /// How a key of that kind signs proofs there.
    fn alg_of(self, kind: KeyKind) -> &'static str {
        match (kind, self.alg) {
            (KeyKind::P256, _) => "ES256",
            (KeyKind::Ed25519, Some("Ed25519")) => "Ed25519",
            (KeyKind::Ed25519, _) => "EdDSA",
        }
    }

    /// Makes the key of a new sign-in; none if the system has no randomness.
    pub(in crate::auth::identity) fn key(self) -> Option<Arc<SignInKey>> {
        SignInKey::generate(self.kind()).map(Arc::new)
    }

    /// For the token requests of a new sign-in. `binds`: the ID token was asked to hold the key.
    pub(in crate::auth::identity) fn prover(
        self,
        key: Option<&Arc<SignInKey>>,
        binds: bool,
    ) -> Option<Prover> {
        self.alg?;
        Some(Prover {
            hashes_code: binds,
            may_go_without: true,
            ..self.prover_of(key?)
        })
    }

    /// For refresh requests of a sign-in whose tokens are tied to the key, whatever the metadata says
    /// by now.
    pub(in crate::auth::identity) fn renewing_prover(
        self,
        possession: Option<&Possession>,
    ) -> Option<Prover> {
        let possession = possession.filter(|possession| possession.is_demonstrated)?;
        Some(self.prover_of(&possession.key))
    }

    fn prover_of(self, key: &Arc<SignInKey>) -> Prover {
        Prover {
            alg: self.alg_of(key.public().kind()),
            key: Arc::clone(key),
            hashes_code: false,
            may_go_without: false,
            state: Mutex::default(),
        }
    }
}

/// Makes proofs of one key, for one token endpoint.
pub(in crate::auth::identity) struct Prover {
    key: Arc<SignInKey>,
    alg: &'static str,
    /// Whether the hash of the code goes into proofs.
    hashes_code: bool,
    may_go_without: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the provider wants to see in the next proof.
    nonce: Option<String>,
    /// The provider did not want the proof: from now on there is none.
    goes_without: bool,
}

/// What is to be kept after the last request.
pub(in crate::auth::identity) fn possession(
    key: Option<Arc<SignInKey>>,
    prover: Option<&Prover>,
) -> Option<Possession> {
    Some(Possession {
        key: key?,
        is_demonstrated: prover.is_some_and(Prover::is_used),
    })
}

/// Why a proof was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Another is wanted, with this provider's nonce.
    Nonce,
    /// The proof, or that there is one.
    Proof,
}

impl Prover {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_used(&self) -> bool {
        !self.state().goes_without
    }

    /// The proof for this request. `ahead` is how far the provider's clock is ahead of ours: it
    /// judges the time by its own.
    fn proof(&self, request: &HttpRequest, ahead: TimeDelta) -> Option<HeaderValue> {
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id).ok()?;
        let uri = request.uri().to_string();
        let mut claims = json!({
            "htm": request.method().as_str(),
            // RFC 9449, section 4.2: without query and fragment.
            "htu": uri.split(['?', '#']).next()?,
            "iat": (Utc::now() + ahead).timestamp(),
            "jti": BASE64_URL_SAFE_NO_PAD.encode(id),
        });
        if let Some(nonce) = &self.state().nonce {
            claims["nonce"] = Value::from(nonce.as_str());
        }
        if self.hashes_code
            && let Some(hash) = code_hash(request.body())
        {
            claims["c_s256"] = Value::from(hash);
        }
        if let Some(hash) = token_hash(request.headers()) {
            claims["ath"] = Value::from(hash);
        }
        let header = json!({
            "alg": self.alg, "jwk": self.key.public().jwk(), "typ": "dpop+jwt",
        });
        let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = self.key.sign(input.as_bytes())?;
        let proof = format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        HeaderValue::from_str(&proof).ok()
    }

    /// Remembers the nonce of an answer (section 8.2) and tells why the proof was refused, if it was.
    fn learn(&self, response: &HttpResponse) -> Option<Refusal> {
        let nonce = response.headers().get(NONCE).and_then(usable_nonce);
        let is_new = nonce.is_some();
        if is_new {
            self.state().nonce = nonce;
        }
        match error_code(response)?.as_str() {
            "use_dpop_nonce" if is_new => Some(Refusal::Nonce),
            "use_dpop_nonce" | "invalid_dpop_proof" => Some(Refusal::Proof),
            // What those say that know proofs, and not for this client or this grant.
            "invalid_request" if self.may_go_without => Some(Refusal::Proof),
            _ => None,
        }
    }
}

/// The client for token requests, and for others that show a token.
pub(in crate::auth::identity) struct TokenClient<'a> {
    pub(in crate::auth::identity) http: &'a HttpsClient,
    pub(in crate::auth::identity) prover: Option<&'a Prover>,
}

impl TokenClient<'_> {
    /// Sends a token request, with a proof if there is somebody to make one. At most three times: as
    /// it is, with the provider's nonce, without a proof. Each of these was refused before the next.
    pub(in crate::auth::identity) async fn send(
        &self,
        request: HttpRequest,
    ) -> Result<HttpResponse, NetError> {
        let Some(prover) = self.prover.filter(|prover| prover.is_used()) else {
            return self.http.send(request).await;
        };
        let mut response = self.proven(prover, &request).await?;
        let mut refusal = prover.learn(&response);
        if refusal == Some(Refusal::Nonce) {
            response = self.proven(prover, &request).await?;
            refusal = prover.learn(&response);
        }
        if refusal.is_none() || !prover.may_go_without {
            return Ok(response);
        }
        let bare = self.http.send(request).await?;
        // The first refusal says more than that the code is spent by now, or is of no use without.
        let refused = ["invalid_grant", "invalid_request", "invalid_dpop_proof"];
        if error_code(&bare).is_some_and(|code| refused.contains(&code.as_str())) {
            return Ok(response);
        }
        prover.state().goes_without = true;
        Ok(bare)
    }

    async fn proven(
        &self,
        prover: &Prover,
        request: &HttpRequest,
    ) -> Result<HttpResponse, NetError> {
        let mut request = request.clone();
        let ahead = self.http.clock_ahead().unwrap_or_default();
        // Without randomness there is no TLS either.
        if let Some(proof) = prover.proof(&request, ahead) {
            request.headers_mut().insert(PROOF, proof);
        }
        self.http.send(request).await
    }
}

/// Key Binding, sections 2.3 and 3.3: SHA-256 of the code that is exchanged, in base64url.
fn code_hash(form: &[u8]) -> Option<String> {
    let (_, code) = form_urlencoded::parse(form)
        .find(|(name, _)| matches!(name.as_ref(), "code" | "device_code"))?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(code.as_bytes())))
}

/// RFC 9449, section 4.2: SHA-256 of the access token that is shown, in base64url.
fn token_hash(headers: &HeaderMap) -> Option<String> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let token = shown.strip_prefix("DPoP ")?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token)))
}

/// RFC 9449, section 8.1: `NQCHAR`.
fn usable_nonce(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let is_plain = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
    let fits = (1..=DPOP_NONCE_CHARS_MAX).contains(&text.len());
    (fits && text.chars().all(is_plain)).then(|| text.to_owned())
}

/// The code of an OAuth error: in the body (RFC 6749, section 5.2), or in the challenge of whoever
/// takes access tokens (RFC 9449, section 9), which need not have a body.
fn error_code(response: &HttpResponse) -> Option<String> {
    let status = response.status();
    if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return None;
    }
    let body: Map<String, Value> = serde_json::from_slice(response.body()).unwrap_or_default();
    let said = body.get("error").and_then(Value::as_str);
    said.map(str::to_owned)
        .or_else(|| challenged(response.headers()))
}

fn challenged(headers: &HeaderMap) -> Option<String> {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut challenges = challenges.filter_map(|value| value.to_str().ok()?.strip_prefix("DPoP "));
    let error = challenges.find_map(|parameters| Some(parameters.split_once("error=\"")?.1))?;
    Some(error.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::key::PublicKey;
    use super::*;

    fn offer(algorithms: &[&str], scopes: &[&str]) -> Offer {
        Offer::read(&json!(algorithms), &json!(scopes))
    }

    fn request(body: &str) -> HttpRequest {
        let mut request = HttpRequest::new(body.as_bytes().to_vec());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = "https://idp.test/token?tenant=1".parse().unwrap();
        request
    }

    fn parts(proof: &HeaderValue) -> (Value, Value, String, Vec<u8>) {
        let (input, signature) = proof.to_str().unwrap().rsplit_once('.').unwrap();
        let (header, claims) = input.split_once('.').unwrap();
        let read = |text: &str| {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        (read(header), read(claims), input.to_owned(), signature)
    }

    #[test]
    fn the_key_is_one_the_provider_takes() {
        for (offered, alg, kind) in [
            (
                &["ES256", "Ed25519", "EdDSA"][..],
                Some("Ed25519"),
                KeyKind::Ed25519,
            ),
            (&["RS256", "EdDSA"], Some("EdDSA"), KeyKind::Ed25519),
            (&["RS256", "ES384", "ES256"], Some("ES256"), KeyKind::P256),
            (&["RS256", "PS256"], None, KeyKind::Ed25519),
            (&[], None, KeyKind::Ed25519),
        ] {
            let offer = offer(offered, &["openid", "bound_key"]);
            assert_eq!((offer.alg, offer.kind()), (alg, kind), "{offered:?}");
            assert_eq!(offer.binds_id_tokens, alg.is_some(), "{offered:?}");
            let key = offer.key();
            let prover = offer.prover(key.as_ref(), false);
            assert_eq!(prover.is_some(), alg.is_some(), "{offered:?}");
        }
        for odd in [Value::Null, json!("ES256"), json!({"ES256": 1}), json!([1])] {
            assert_eq!(Offer::read(&odd, &odd), Offer::default(), "{odd}");
        }
        assert!(!offer(&["ES256"], &["openid"]).binds_id_tokens);
    }

    #[test]
    fn a_proof_says_what_rfc_9449_wants() {
        for (algorithms, code) in [(&["EdDSA"], "device_code"), (&["ES256"], "code")] {
            let offer = offer(algorithms, &["bound_key"]);
            let key = offer.key();
            let prover = offer.prover(key.as_ref(), true).unwrap();
            let form = request(&format!("grant_type=x&{code}=the+code"));
            let ahead = TimeDelta::hours(3);
            let first = prover.proof(&form, ahead).unwrap();
            let (header, claims, input, signature) = parts(&first);
            assert_eq!(header["typ"], "dpop+jwt");
            assert_eq!(header["alg"], algorithms[0]);
            assert_eq!(header["jwk"].get("d"), None);
            let public = PublicKey::from_jwk(&header["jwk"]).unwrap();
            assert_eq!(public, key.unwrap().public());
            assert!(public.has_signed(input.as_bytes(), &signature));
            assert_eq!(claims["htm"], "POST");
            assert_eq!(claims["htu"], "https://idp.test/token");
            let then = (Utc::now() + ahead).timestamp();
            assert!((then - claims["iat"].as_i64().unwrap()).abs() < 60);
            assert_eq!(claims.get("nonce"), None);
            let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest("the code"));
            assert_eq!(claims["c_s256"], hash.as_str());
            // None is like another, and the provider's nonce stands in the next.
            prover.state().nonce = Some("n-1".to_owned());
            let (_, next, ..) = parts(&prover.proof(&form, ahead).unwrap());
            assert_ne!(next["jti"], claims["jti"]);
            assert_eq!(next["nonce"], "n-1");
        }
        // Refreshing, there is no code.
        let key = offer(&["ES256"], &[]).key().unwrap();
        let mut possession = Possession {
            key,
            is_demonstrated: true,
        };
        let prover = Offer::default().renewing_prover(Some(&possession)).unwrap();
        let proof = prover.proof(&request("refresh_token=r&code=x"), TimeDelta::zero());
        let (header, claims, ..) = parts(&proof.unwrap());
        assert_eq!(
            (header["alg"].as_str(), claims.get("c_s256")),
            (Some("ES256"), None)
        );
        // A sign-in of an older ddgate has never shown its key.
        possession.is_demonstrated = false;
        assert!(
            offer(&["ES256"], &[])
                .renewing_prover(Some(&possession))
                .is_none()
        );
    }

    /// Answers as many requests as there are answers; gives their proofs.
    fn server(answers: Vec<String>) -> (u16, std::thread::JoinHandle<Vec<Option<String>>>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = move || {
            let proof_of = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut head, mut buffer) = (String::new(), [0; 4096]);
                while !head.contains("\r\n\r\n") {
                    let read = stream.read(&mut buffer).unwrap();
                    head.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                }
                let length = answer.rsplit_once("\r\n\r\n").unwrap().1.len();
                let more = format!("Connection: close\r\nContent-Length: {length}\r\n");
                let (status, rest) = answer.split_once("\r\n").unwrap();
                write!(stream, "HTTP/1.1 {status}\r\n{more}{rest}").unwrap();
                let proof = head.lines().find_map(|line| line.strip_prefix("dpop: "));
                proof.map(str::to_owned)
            };
            answers.into_iter().map(proof_of).collect()
        };
        (port, std::thread::spawn(serve))
    }

    #[tokio::test]
    async fn proofs_are_in_the_providers_time_and_with_its_nonce() {
        let date = Utc::now() - TimeDelta::hours(2);
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT");
        let answers = vec![
            format!(
                "400 No\r\nDate: {date}\r\nDPoP-Nonce: n-1\r\n\r\n{{\"error\":\"use_dpop_nonce\"}}"
            ),
            format!("200 OK\r\nDate: {date}\r\nDPoP-Nonce: n-2\r\n\r\n{{}}"),
            format!("400 No\r\nDate: {date}\r\n\r\n{{\"error\":\"invalid_dpop_proof\"}}"),
            format!("400 No\r\nDate: {date}\r\n\r\n{{\"error\":\"authorization_pending\"}}"),
            format!("200 OK\r\nDate: {date}\r\n\r\n{{}}"),
        ];
        let (port, served) = server(answers);
        let http = HttpsClient::new(crate::net::Dialer::direct());
        let offer = offer(&["ES256"], &[]);
        let prover = offer.prover(offer.key().as_ref(), false).unwrap();
        let client = TokenClient {
            http: &http,
            prover: Some(&prover),
        };
        let mut form = request("x=y");
        *form.uri_mut() = format!("http://127.0.0.1:{port}/token").parse().unwrap();
        let mut codes = Vec::new();
        for _ in 0..3 {
            let response = client.send(form.clone()).await.unwrap();
            codes.push(error_code(&response).unwrap_or_default());
        }
        // The second was asked again without a proof, the third never had one.
        assert_eq!(codes, ["", "authorization_pending", ""]);
        let proofs = served.join().unwrap();
        let claims = |at: usize| {
            let proof = HeaderValue::from_str(proofs[at].as_ref().unwrap()).unwrap();
            parts(&proof).1
        };
        assert_eq!(claims(0).get("nonce"), None);
        assert_eq!(claims(1)["nonce"], "n-1");
        assert_eq!(claims(2)["nonce"], "n-2");
        let behind = Utc::now().timestamp() - claims(1)["iat"].as_i64().unwrap();
        assert!((7_100..7_300).contains(&behind), "{behind}");
        assert_eq!(proofs[3..], [None, None]);
    }

    #[test]
    fn what_answers_say_of_a_proof() {
        let offer = offer(&["ES256"], &[]);
        let key = offer.key();
        let first = offer.prover(key.as_ref(), false).unwrap();
        let renewing = offer.prover_of(key.as_ref().unwrap());
        let answer = |status: u16, body: &str, nonce: Option<&str>| {
            let mut response = HttpResponse::new(body.as_bytes().to_vec());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(nonce) = nonce {
                response.headers_mut().insert(NONCE, nonce.parse().unwrap());
            }
            response
        };
        let nonce = r#"{"error":"use_dpop_nonce"}"#;
        let long = "n".repeat(DPOP_NONCE_CHARS_MAX + 1);
        for (status, body, header, at_first, renewing_too) in [
            (400, nonce, Some("n"), Some(Refusal::Nonce), true),
            (401, nonce, Some("n"), Some(Refusal::Nonce), true),
            (400, nonce, None, Some(Refusal::Proof), true),
            (400, nonce, Some("a b"), Some(Refusal::Proof), true),
            (400, nonce, Some(long.as_str()), Some(Refusal::Proof), true),
            (
                400,
                r#"{"error":"invalid_dpop_proof"}"#,
                Some("n"),
                Some(Refusal::Proof),
                true,
            ),
            (
                400,
                r#"{"error":"invalid_request"}"#,
                None,
                Some(Refusal::Proof),
                false,
            ),
            (
                400,
                r#"{"error":"authorization_pending"}"#,
                Some("n"),
                None,
                true,
            ),
            (400, r#"{"error":"invalid_grant"}"#, None, None, true),
            (200, nonce, Some("n"), None, true),
            (400, "[]", None, None, true),
        ] {
            let response = answer(status, body, header);
            assert_eq!(
                first.learn(&response),
                at_first,
                "{status} {body} {header:?}"
            );
            let expected = at_first.filter(|_| renewing_too);
            assert_eq!(renewing.learn(&response), expected, "{status} {body}");
        }
        assert_eq!(first.state().nonce.as_deref(), Some("n"));

        // The userinfo endpoint may say it in its challenge alone.
        let mut response = answer(401, "", Some("n-2"));
        let challenge = r#"DPoP error_description="again", error="use_dpop_nonce", algs="ES256""#;
        let headers = response.headers_mut();
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        assert_eq!(renewing.learn(&response), Some(Refusal::Nonce));
        assert_eq!(renewing.state().nonce.as_deref(), Some("n-2"));
    }
}
