//! One HTTP/1.1 connection and the requests that go over it.
//!
//! Nothing runs in the background: a connection moves only while a request waits for it, and
//! ends when its [`Link`] is dropped.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HOST, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::NetError;
use crate::limits::{HTTP1_BUFFER_BYTES, PROVIDER_BYTES_MAX};

type Response = http::Response<Vec<u8>>;
type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection and the way to use it. `connection` is gone once it has ended.
pub(super) struct Link {
    pub(super) origin: String,
    pub(super) idle_since: Instant,
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Option<Connection>,
}

/// Where a request goes.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) secure: bool,
    /// Scheme, host and port: what connections are told apart by.
    pub(super) origin: String,
}

/// A request that failed, and the request itself if it provably never left.
pub(super) type Failed = (NetError, Option<http::Request<Full<Bytes>>>);

impl Target {
    pub(super) fn of(uri: &http::Uri, is_allowed: fn(&Url) -> bool) -> Result<Self, NetError> {
        let refused = || NetError::Scheme {
            url: format!(
                "{}://{}",
                uri.scheme_str().unwrap_or_default(),
                uri.host().unwrap_or_default()
            ),
        };
        let url = Url::parse(&uri.to_string()).map_err(|_| refused())?;
        if !is_allowed(&url) {
            return Err(refused());
        }
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(443);
        Ok(Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
            secure: url.scheme() == "https",
            origin: format!("{}://{host}:{port}", url.scheme()),
        })
    }

    fn failed(&self, source: hyper::Error) -> NetError {
        NetError::Http {
            host: self.host.clone(),
            source,
        }
    }

    fn too_large(&self) -> NetError {
        NetError::TooLarge {
            host: self.host.clone(),
            limit: PROVIDER_BYTES_MAX,
        }
    }
}

/// Turns the absolute form into what a connection wants: origin form plus `Host`.
pub(super) fn prepared(
    request: http::Request<Vec<u8>>,
    target: &Target,
) -> http::Request<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = HeaderValue::from_str(authority.unwrap_or(&target.host));
    parts
        .headers
        .extend(host.into_iter().map(|value| (HOST, value)));
    parts.headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("ddgate/", env!("CARGO_PKG_VERSION"))),
    );
    let path = parts.uri.path_and_query().cloned();
    parts.uri = path.map_or_else(|| http::Uri::from_static("/"), http::Uri::from);
    http::Request::from_parts(parts, Full::new(Bytes::from(body)))
}

impl Link {
    pub(super) async fn begin<S>(stream: S, target: &Target) -> Result<Self, NetError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HTTP1_BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| target.failed(error))?;
        Ok(Self {
            origin: target.origin.clone(),
            sender,
            connection: Some(Box::pin(connection)),
            idle_since: Instant::now(),
        })
    }

    /// Lets an idle connection notice that the server has closed it.
    async fn look(&mut self) {
        poll_fn(|context| {
            if let Some(connection) = &mut self.connection
                && connection.as_mut().poll(context).is_ready()
            {
                self.connection = None;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Whether it can carry another request, as far as the socket shows.
    pub(super) async fn is_alive(&mut self) -> bool {
        self.look().await;
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Sends the request and reads the answer.
    pub(super) async fn call(
        &mut self,
        request: http::Request<Full<Bytes>>,
        target: &Target,
    ) -> Result<Response, Failed> {
        let sender = &mut self.sender;
        let work = async move {
            let answer = sender.try_send_request(request).await;
            let response = answer.map_err(|mut error| {
                let unsent = error.take_message();
                (target.failed(error.into_error()), unsent)
            })?;
            let (parts, body) = response.into_parts();
            checked(&parts, target).map_err(|error| (error, None))?;
            if body.size_hint().lower() > PROVIDER_BYTES_MAX as u64 {
                return Err((target.too_large(), None));
            }
            let body = Limited::new(body, PROVIDER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| (broken(error, target), None))?;
            Ok(http::Response::from_parts(parts, body.to_bytes().to_vec()))
        };
        let result = drive(&mut self.connection, work).await;
        if result.is_err() {
            self.connection = None;
        }
        result
    }
}

/// Runs `work` while the connection moves beside it.
async fn drive<T>(connection: &mut Option<Connection>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if let Some(running) = connection
            && running.as_mut().poll(context).is_ready()
        {
            // Dropping it wakes whatever in `work` still waits for it.
            *connection = None;
        }
        Poll::Pending
    })
    .await
}

fn checked(parts: &http::response::Parts, target: &Target) -> Result<(), NetError> {
    let host = || target.host.clone();
    if parts.status.is_redirection() {
        return Err(NetError::Redirect {
            host: host(),
            status: parts.status.as_u16(),
        });
    }
    if parts
        .headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(NetError::Encoding { host: host() });
    }
    Ok(())
}

fn broken(error: Box<dyn std::error::Error + Send + Sync>, target: &Target) -> NetError {
    let error = match error.downcast::<hyper::Error>() {
        Ok(error) => return target.failed(*error),
        Err(error) => error,
    };
    debug_assert!(error.is::<LengthLimitError>());
    target.too_large()
}
