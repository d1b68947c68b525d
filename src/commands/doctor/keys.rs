//! Whether Datadog takes the credential, on the site that was chosen. Two of its operations exist
//! for this question and change nothing: Validate for the API key, ValidateAPIKey for what opens
//! the rest.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::super::context::Context;
use super::{CREDENTIAL, DATADOG, failed};
use crate::auth::credential::Credential;
use crate::datadog::{Site, base_host};
use crate::error::CliError;
use crate::net::{HttpsClient, NetError};
use crate::record::Secret;
use crate::ui::doctor::Finding;

const API_KEY: &str = "/api/v1/validate";
const ALL_KEYS: &str = "/api/v2/validate_keys";
const API_HEADER: HeaderName = HeaderName::from_static("dd-api-key");
const APP_HEADER: HeaderName = HeaderName::from_static("dd-application-key");
/// Tokens that Datadog takes in the place of an application key, too.
const TOKENS: [&str; 2] = ["ddpat_", "ddsat_"];

/// Which keys there are, and where they are from.
pub(super) fn held(credential: &Credential) -> Finding {
    let kinds = [
        ("API key", credential.api_key.is_some()),
        ("application key", credential.app_key.is_some()),
        ("access token", credential.bearer.is_some()),
    ];
    let there: Vec<&str> = kinds
        .into_iter()
        .filter_map(|(word, there)| there.then_some(word))
        .collect();
    let name = credential
        .name
        .as_ref()
        .map_or_else(String::new, |name| format!("{name}: "));
    let found = format!("{name}{} from {}", there.join(" and "), credential.source);
    if credential.app_key.is_none() && credential.bearer.is_none() {
        let found =
            format!("{found}; without an application key or a token hardly anything can be read");
        return Finding::warn(CREDENTIAL, found, "ddgate keys set app-key");
    }
    Finding::ok(CREDENTIAL, found)
}

/// Asks Datadog.
pub(super) async fn datadog(
    context: &Context,
    credential: &Credential,
    http: &HttpsClient,
) -> Finding {
    let asked = Box::pin(ask(context, credential, http)).await;
    asked.unwrap_or_else(|error| failed(DATADOG, &error))
}

async fn ask(
    context: &Context,
    credential: &Credential,
    http: &HttpsClient,
) -> Result<Finding, CliError> {
    let place = Place::of(context)?;
    let mut taken = Vec::new();
    for (what, path, headers, set) in questions(credential) {
        let status = match place.status(http, path, headers).await {
            Ok(status) => status,
            Err(NetError::Scheme { .. }) => {
                return Ok(Finding::not_checked(
                    DATADOG,
                    format!(
                        "{} is neither https nor on this machine: not asked",
                        place.base
                    ),
                ));
            }
            Err(error) => return Err(error.into()),
        };
        match status.as_u16() {
            200..=299 => taken.push(what),
            401 | 403 => {
                return Ok(Finding::fail(
                    DATADOG,
                    format!("{} does not take the {what} ({status})", place.name),
                    format!(
                        "is it of this site (`datadog.site`), and not revoked? a token also needs a \
                         scope; replace it: {set}"
                    ),
                ));
            }
            // Not every Datadog, and nothing that stands in for one, knows the second question.
            404 | 405 => {}
            _ => {
                return Ok(Finding::warn(
                    DATADOG,
                    format!("{} answers {status}: it cannot say now", place.name),
                    "try again in a moment; https://status.datadoghq.com",
                ));
            }
        }
    }
    Ok(match taken.is_empty() {
        true => Finding::warn(
            DATADOG,
            format!("{} answers, but does not check keys", place.name),
            "if this is not Datadog, that may be as it should be",
        ),
        false => Finding::ok(
            DATADOG,
            format!("{} takes the {}", place.name, taken.join(" and the ")),
        ),
    })
}

/// Where Datadog is.
struct Place {
    /// Scheme and host.
    base: String,
    /// For people.
    name: String,
}

impl Place {
    fn of(context: &Context) -> Result<Self, CliError> {
        let datadog = &context.config.datadog;
        let site = Site::parse(&datadog.site.value)?;
        let host = base_host(&site, &Method::GET, API_KEY);
        Ok(match &datadog.upstream.value {
            Some(url) => {
                let base = url.as_str().trim_end_matches('/').to_owned();
                Self {
                    name: base.clone(),
                    base,
                }
            }
            None => Self {
                base: format!("https://{host}"),
                name: host,
            },
        })
    }

    async fn status(
        &self,
        http: &HttpsClient,
        path: &str,
        headers: HeaderMap,
    ) -> Result<StatusCode, NetError> {
        let mut request = http::Request::new(Vec::new());
        let address = format!("{}{path}", self.base);
        *request.uri_mut() = address.parse().map_err(|_| NetError::Host {
            host: self.base.clone(),
        })?;
        *request.headers_mut() = headers;
        Ok(http.send(request).await?.status())
    }
}

type Question = (&'static str, &'static str, HeaderMap, &'static str);

/// What to ask: what is asked about, where, with which headers, and how to replace it.
fn questions(credential: &Credential) -> Vec<Question> {
    let api = credential.api_key.as_ref();
    let app = credential.app_key.as_ref();
    let is_token = |key: &Secret<String>| TOKENS.iter().any(|it| key.expose().starts_with(it));
    let mut questions = Vec::new();
    if let Some(api) = api {
        let headers = headers([(API_HEADER, api.expose().clone())]);
        questions.push(("API key", API_KEY, headers, "ddgate keys set api-key"));
    }
    match (api, app) {
        (Some(api), Some(app)) => {
            let both = [
                (API_HEADER, api.expose().clone()),
                (APP_HEADER, app.expose().clone()),
            ];
            questions.push((
                "application key",
                ALL_KEYS,
                headers(both),
                "ddgate keys set app-key",
            ));
        }
        (None, Some(app)) if is_token(app) => {
            let headers = headers([(APP_HEADER, app.expose().clone())]);
            questions.push(("token", ALL_KEYS, headers, "ddgate keys set app-key"));
        }
        _ => {}
    }
    if let Some(token) = &credential.bearer {
        let headers = headers([(AUTHORIZATION, format!("Bearer {}", token.expose()))]);
        questions.push(("access token", ALL_KEYS, headers, "ddgate keys set bearer"));
    }
    questions
}

fn headers(pairs: impl IntoIterator<Item = (HeaderName, String)>) -> HeaderMap {
    let values = pairs.into_iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    values.collect()
}
