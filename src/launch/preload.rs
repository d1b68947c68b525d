//! The files that Python, Node and Ruby load before the program: they lead connections to Datadog's
//! hosts to the gate in clients that obey no proxy variable.
//!
//! Invariant: the certificate is still checked by the client, and a program that does not connect
//! to Datadog does not notice. The files stand in `preload/`, each in its own language; only port
//! and domains are filled in here.

use std::fmt::Write as _;

const PYTHON: &str = include_str!("preload/sitecustomize.py");
const NODE: &str = include_str!("preload/ddgate-preload.cjs");
const RUBY: &str = include_str!("preload/ddgate_preload.rb");

/// The text of each file.
#[derive(Debug)]
pub(super) struct Preloads {
    pub(super) python: String,
    pub(super) node: String,
    pub(super) ruby: String,
}

/// Fills in where the gate listens, and for which domains (and the hosts below them).
pub(super) fn preloads(gate_port: u16, domains: &[String]) -> Preloads {
    let mut list = String::from("[");
    for domain in domains {
        // A list of texts is written the same way in all three. A domain has nothing to escape; a
        // text that has is none, and would be code.
        let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if domain.bytes().all(is_domain) {
            let _ = write!(list, "\"{}\", ", domain.to_ascii_lowercase());
        }
    }
    list.push(']');
    let fill = |text: &str| {
        text.replace("DDGATE_PORT", &gate_port.to_string())
            .replace("DDGATE_DOMAINS", &list)
    };
    Preloads {
        python: fill(PYTHON),
        node: fill(NODE),
        ruby: fill(RUBY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_domains_stand_in_all_three() {
        let domains = ["DD.corp.example".to_owned(), "a\"; evil()".to_owned()];
        let made = preloads(4321, &domains);
        for text in [made.python, made.node, made.ruby] {
            assert!(text.contains("4321") && text.contains("[\"dd.corp.example\", ]"));
            assert!(!text.contains("DDGATE_") && !text.contains("evil"));
        }
    }
}
