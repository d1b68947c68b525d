//! A session read back, and searched for what must not be in it.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ddgate::journal::SessionReader;
use ddgate::journal::catalog::SessionDir;
use ddgate::record::Tunnel;
use ddgate::record::event::{CallRequest, CallResponse, CallStream};
use ddgate::record::{Commitment, Event, Leaf};

/// One call with its leaves.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: CallRequest,
    pub(crate) request_leaf: u64,
    pub(crate) denied: bool,
    pub(crate) stream: Option<(u64, CallStream)>,
    pub(crate) response: Option<(u64, CallResponse)>,
}

impl Call {
    /// Its end; a call without one fails the test.
    pub(crate) fn end(&self) -> &CallResponse {
        &self.response.as_ref().expect("the call has an end").1
    }

    /// Why it ended as it did.
    pub(crate) fn error(&self) -> &str {
        self.end().error.as_deref().unwrap_or_default()
    }
}

/// A session as it is on disk.
pub(crate) struct Session {
    reader: SessionReader,
    /// Where it is kept, for as long as it is read.
    pub(crate) kept_in: Option<tempfile::TempDir>,
    pub(crate) leaves: Vec<Leaf>,
}

impl Session {
    pub(crate) fn open(dir: &SessionDir) -> Self {
        let reader = SessionReader::open(dir.clone()).unwrap();
        let leaves = reader.leaves(0).map(Result::unwrap).collect();
        Self {
            reader,
            kept_in: None,
            leaves,
        }
    }

    pub(crate) fn trouble(&self) -> Vec<String> {
        self.reader.trouble()
    }

    /// The calls, by the order of their requests. Fails when a call has two ends or an end
    /// without a beginning.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        for leaf in &self.leaves {
            match leaf.event.clone() {
                Event::CallRequest(request) => calls.push(begun(request, leaf.i, false)),
                Event::CallDenied(request) => calls.push(begun(request, leaf.i, true)),
                Event::CallStream(stream) => {
                    let call = of(&mut calls, stream.call.0);
                    assert!(call.stream.is_none(), "two streams of one call");
                    call.stream = Some((leaf.i, stream));
                }
                Event::CallResponse(response) => {
                    let call = of(&mut calls, response.call.0);
                    assert!(call.response.is_none(), "two ends of one call");
                    assert_eq!(call.request_leaf, response.re);
                    call.response = Some((leaf.i, response));
                }
                _ => {}
            }
        }
        calls
    }

    /// The only call.
    pub(crate) fn call(&self) -> Call {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.into_iter().next().unwrap()
    }

    pub(crate) fn tunnels(&self) -> Vec<Tunnel> {
        let tunnel = |leaf: &Leaf| match &leaf.event {
            Event::Tunnel(tunnel) => Some(tunnel.clone()),
            _ => None,
        };
        self.leaves.iter().filter_map(tunnel).collect()
    }

    /// A committed field. Fails when the content is not what the leaf committed to.
    pub(crate) fn content(&self, leaf: u64, name: &str, committed: &Commitment) -> Vec<u8> {
        let field = self.reader.field(leaf, name).unwrap().unwrap();
        assert_eq!(&field.commitment, committed, "{name} of leaf {leaf}");
        field.content
    }

    /// A field as it is kept; none when it is not.
    pub(crate) fn kept(&self, leaf: u64, name: &str) -> Option<Vec<u8>> {
        let field = self.reader.field(leaf, name).unwrap();
        field.map(|field| field.content)
    }

    /// The request body as recorded, from the request's leaf or the stream's.
    pub(crate) fn request_body(&self, call: &Call) -> Vec<u8> {
        match (&call.request.body, &call.stream) {
            (Some(body), None) => self.content(call.request_leaf, "body", body),
            (None, Some((leaf, stream))) => self.content(*leaf, "body", &stream.body),
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => panic!("a body in two places"),
        }
    }

    /// The answer's body as recorded.
    pub(crate) fn answer_body(&self, call: &Call) -> Vec<u8> {
        let (leaf, response) = call.response.as_ref().unwrap();
        match &response.body {
            Some(body) => self.content(*leaf, "body", body),
            None => Vec::new(),
        }
    }

    /// Path and query as recorded.
    pub(crate) fn target(&self, call: &Call) -> String {
        let target = self.content(call.request_leaf, "target", &call.request.target);
        String::from_utf8(target).unwrap()
    }

    /// Everything that is unpacked only by reading: all fields of all leaves.
    fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for leaf in &self.leaves {
            all.push((format!("leaf {}", leaf.i), leaf.to_bytes().unwrap()));
            for name in [
                "target", "headers", "body", "args", "result", "who", "cmd", "host",
            ] {
                if let Some(field) = self.reader.field(leaf.i, name).unwrap() {
                    all.push((format!("{name} of leaf {}", leaf.i), field.content));
                }
            }
        }
        all
    }

    /// Searches the files of the session, and what is unpacked from them, for `secrets`.
    pub(crate) fn assert_free_of(&self, dir: &Path, secrets: &[&str]) {
        let mut haystacks = self.contents();
        for path in files(dir) {
            let bytes = std::fs::read(&path).unwrap();
            haystacks.push((path.display().to_string(), bytes));
        }
        for secret in secrets {
            for form in forms(secret) {
                let finder = memmem(&form);
                for (name, bytes) in &haystacks {
                    assert!(!finder.is_match(bytes), "{form} is in {name}");
                }
            }
        }
    }
}

fn begun(request: CallRequest, leaf: u64, denied: bool) -> Call {
    Call {
        request,
        request_leaf: leaf,
        denied,
        stream: None,
        response: None,
    }
}

fn of(calls: &mut [Call], number: u64) -> &mut Call {
    calls
        .iter_mut()
        .find(|call| call.request.call.0 == number)
        .expect("the beginning comes first")
}

fn memmem(needle: &str) -> aho_corasick::AhoCorasick {
    aho_corasick::AhoCorasick::new([needle]).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

/// The forms a secret could hide in, made without the code under test: as it is, percent-encoded
/// (all of it, or what must be), and what base64 makes of it at each alignment.
fn forms(secret: &str) -> Vec<String> {
    let percent = |all: bool| -> String {
        secret
            .bytes()
            .map(|byte| match byte {
                _ if all => format!("%{byte:02X}"),
                b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect()
    };
    let mut forms = vec![secret.to_owned(), percent(true), percent(false)];
    for before in 0..3 {
        let shifted = format!("{}{secret}", &"xxx"[..before]);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&shifted);
            // The first and last characters depend on the neighbours.
            let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
            forms.push(encoded[from..to].to_owned());
        }
    }
    forms
}
