//! The loopback listener an authorization server sends the browser back to (RFC 8252, section 7.3).
//!
//! Any program and any web page of this machine can knock here, so only a request that carries the
//! `state` of this sign-in is an answer, and it ends the waiting; everything else gets status 400
//! and changes nothing. Reads one request head a connection, bounded in size, time and number. It
//! does not look into the answer: `browser` does.

use std::io;
use std::net::Ipv4Addr;

use subtle::ConstantTimeEq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use crate::limits::{
    ACCEPT_RETRY, REDIRECT_CONNECTIONS_MAX, REDIRECT_HEAD_BYTES_MAX, REDIRECT_HEAD_TIMEOUT,
};
use crate::record::Secret;

/// The path of the redirect URI.
const PATH: &str = "/callback";

/// Waits for one browser.
pub(super) struct Listener {
    socket: TcpListener,
    port: u16,
}

/// The parameters of an authorization response (RFC 6749, section 4.1.2; RFC 9207), each sent once.
pub(super) struct Answer(Vec<(String, Secret<String>)>);

/// The browser window that is still waiting for a page.
pub(super) struct Window(TcpStream);

/// Why a request is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stray {
    /// It does not look like one: a browser's own request, a port scanner, an unfinished head.
    Other,
    /// It does, but is not of this sign-in.
    State,
}

impl Listener {
    /// Takes a free port. IPv4 and no name: `localhost` may resolve to something else.
    pub(super) async fn bind() -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = socket.local_addr()?.port();
        Ok(Self { socket, port })
    }

    /// The port the browser comes to.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Where the browser is sent back to.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the answer that carries `state`, for ever. `foreign` hears of answers that are
    /// not to this question.
    pub(super) async fn answer(self, state: &str, foreign: impl Fn()) -> (Answer, Window) {
        // Connections beside each other: browsers open some that never say a word.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept(), if connections.len() < REDIRECT_CONNECTIONS_MAX => {
                    match accepted {
                        Ok((stream, _)) => { connections.spawn(read_head(stream)); }
                        Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
                    }
                }
                Some(read) = connections.join_next() => {
                    let Ok(Some((stream, head))) = read else { continue };
                    match judge(&head, self.port, state) {
                        Ok(answer) => return (answer, Window(stream)),
                        Err(stray) => {
                            if stray == Stray::State {
                                foreign();
                            }
                            connections.spawn(turn_away(stream));
                        }
                    }
                }
            }
        }
    }
}

impl Answer {
    /// A parameter, if it was sent.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.expose())
    }
}

impl Window {
    /// Sends the browser to another page. `url` is one that the sign-in made.
    pub(super) async fn go_on(self, url: &str) {
        let location = format!("303 See Other\r\nLocation: {url}");
        let page = page(&location, "Going on", "The sign-in goes on.");
        drop(timeout(REDIRECT_HEAD_TIMEOUT, write(self.0, page)).await);
    }

    /// Shows how it ended. If the browser is gone by now, nobody has to be told.
    pub(super) async fn show(self, signed_in: bool) {
        let (title, text) = if signed_in {
            (
                "Signed in",
                "You may close this window and return to the terminal.",
            )
        } else {
            (
                "Not signed in",
                "The terminal says why. You may close this window.",
            )
        };
        let page = page("200 OK", title, text);
        drop(timeout(REDIRECT_HEAD_TIMEOUT, write(self.0, page)).await);
    }
}

/// Reads up to the empty line that ends the head; a body is not wanted.
async fn read_head(mut stream: TcpStream) -> Option<(TcpStream, Zeroizing<Vec<u8>>)> {
    let reading = async {
        // Allocated once: a growing buffer would leave copies of the code behind.
        let mut head = Zeroizing::new(vec![0; REDIRECT_HEAD_BYTES_MAX]);
        let mut filled = 0;
        loop {
            let read = stream.read(head.get_mut(filled..)?).await.ok()?;
            filled += read;
            let ended = head[..filled].windows(4).any(|end| end == b"\r\n\r\n");
            if ended || read == 0 || filled == head.len() {
                head.truncate(filled);
                // Without an end it is judged as what it is: no request.
                return Some(head);
            }
        }
    };
    let head = timeout(REDIRECT_HEAD_TIMEOUT, reading).await.ok()??;
    Some((stream, head))
}

/// Whether this request is the answer to the sign-in with `state`.
fn judge(head: &[u8], port: u16, state: &str) -> Result<Answer, Stray> {
    let text = std::str::from_utf8(head).map_err(|_| Stray::Other)?;
    let (head, _) = text.split_once("\r\n\r\n").ok_or(Stray::Other)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Stray::Other);
    };
    // A name that a web page has pointed at this machine (DNS rebinding) is not ours.
    let own = format!("127.0.0.1:{port}");
    let is_host = |line: &str| {
        line.split_once(':')
            .is_some_and(|(name, value)| name.eq_ignore_ascii_case("host") && value.trim() == own)
    };
    if !target.starts_with('/') || !lines.any(is_host) {
        return Err(Stray::Other);
    }
    let url = Url::parse(&format!("http://{own}{target}")).map_err(|_| Stray::Other)?;
    if url.path() != PATH {
        return Err(Stray::Other);
    }
    let pairs = url.query_pairs();
    let parameters: Vec<_> = pairs
        .map(|(name, value)| (name.into_owned(), Secret::new(value.into_owned())))
        .collect();
    // RFC 6749, section 3.1: none may be sent twice. Two readers might take one each.
    let is_twice = |(at, (name, _)): (usize, &(String, _))| {
        parameters
            .iter()
            .skip(at + 1)
            .any(|(other, _)| other == name)
    };
    if parameters.iter().enumerate().any(is_twice) {
        return Err(Stray::Other);
    }
    let answer = Answer(parameters);
    let sent = answer.parameter("state").unwrap_or_default();
    if bool::from(sent.as_bytes().ct_eq(state.as_bytes())) {
        Ok(answer)
    } else {
        Err(Stray::State)
    }
}

async fn turn_away(stream: TcpStream) -> Option<(TcpStream, Zeroizing<Vec<u8>>)> {
    let text = "ddgate is waiting for another answer. Go on at the page of your sign-in.";
    let page = page("400 Bad Request", "Not this one", text);
    drop(timeout(REDIRECT_HEAD_TIMEOUT, write(stream, page)).await);
    None
}

async fn write(mut stream: TcpStream, page: String) -> io::Result<()> {
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

/// A page without a script, a style or an address of anything else: whatever a browser might load
/// for it would be told where this page was, and that address holds the code.
fn page(status: &str, title: &str, text: &str) -> String {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><link rel=\"icon\" href=\"data:,\">\
         <title>ddgate: {title}</title><h1>{title}</h1><p>{text}</p></html>\n"
    );
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'; img-src data:; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{html}",
        html.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(request: &str) -> Result<Answer, Stray> {
        judge(request.as_bytes(), 7, "s")
    }

    #[test]
    fn only_an_answer_to_this_sign_in_is_one() {
        let host = "Host: 127.0.0.1:7\r\n\r\n";
        let good = judged(&format!(
            "GET /callback?code=a%20b&state=s HTTP/1.1\r\n{host}"
        ));
        assert_eq!(good.ok().unwrap().parameter("code"), Some("a b"));
        for (line, stray) in [
            ("GET /callback?code=a&state=t HTTP/1.1", Stray::State),
            ("GET /callback?code=a&state= HTTP/1.1", Stray::State),
            ("GET /callback?code=a HTTP/1.1", Stray::State),
            (
                "GET /callback?code=a&state=s&state=s HTTP/1.1",
                Stray::Other,
            ),
            ("GET /callback?code=a&code=b&state=s HTTP/1.1", Stray::Other),
            ("POST /callback?code=a&state=s HTTP/1.1", Stray::Other),
            ("GET /favicon.ico HTTP/1.1", Stray::Other),
            ("GET /other?code=a&state=s HTTP/1.1", Stray::Other),
            (
                "GET http://127.0.0.1:7/callback?state=s HTTP/1.1",
                Stray::Other,
            ),
            ("GET /callback?state=s HTTP/2.0", Stray::Other),
            ("GET /callback?state=s HTTP/1.1 x", Stray::Other),
            ("", Stray::Other),
        ] {
            let found = judged(&format!("{line}\r\n{host}")).err();
            assert_eq!(found, Some(stray), "{line}");
        }
        for host in [
            "",
            "Host: localhost:7\r\n",
            "Host: evil.example:7\r\n",
            "Host: 127.0.0.1:8\r\n",
        ] {
            let request = format!("GET /callback?state=s HTTP/1.1\r\n{host}\r\n");
            assert_eq!(judged(&request).err(), Some(Stray::Other), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_request_panics(bytes: Vec<u8>, line in "GET /[a-z?=&%s]{0,20} HTTP/1.1\r\n") {
            let _ = judge(&bytes, 7, "s").is_ok();
            let _ = judged(&format!("{line}Host: 127.0.0.1:7\r\n\r\n")).is_ok();
        }
    }
}
