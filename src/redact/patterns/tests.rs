//! What the patterns find, what they must leave alone, and that no cut of a stream changes it.

use proptest::prelude::*;

use super::super::pseudonym::without_pseudonyms;
use super::*;
use crate::record::Secret;

const HEX_32: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const WORD_40: &str = "f00dFEEDfacecafe0123456789abcdef01234567";

fn key() -> PseudonymKey {
    PseudonymKey::derived(&Secret::new("k".to_owned()))
}

fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, u64) {
    let mut stream = PatternStream::new(key());
    let mut shown = Vec::new();
    for piece in pieces {
        shown.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)));
        assert!(stream.held.len() <= 2 * SHAPE_BYTES_MAX);
    }
    shown.extend_from_slice(&stream.finish());
    let count = stream.redactions().map(|redaction| redaction.count).sum();
    (shown, count)
}

fn shown(text: &str) -> String {
    let (whole, _) = in_pieces([text.as_bytes()]);
    if text.len() < 2000 {
        assert_eq!(in_pieces(text.as_bytes().chunks(1)).0, whole, "{text}");
    }
    without_pseudonyms(&String::from_utf8(whole).unwrap())
}

/// Letters and digits, nothing like a real token.
fn word(length: usize) -> String {
    "Ab1Cd2Ef3Gh4Ij5Kl6Mn7"
        .chars()
        .cycle()
        .take(length)
        .collect()
}

fn jwt() -> String {
    format!("eyJ{}.eyJ{}.{}", word(17), word(40), word(43))
}

fn pem(line_end: &str) -> String {
    let line = word(64);
    format!(
        "-----BEGIN RSA PRIVATE KEY-----{line_end}{line}{line_end}{line}=={line_end}-----END RSA PRIVATE KEY-----"
    )
}

fn samples() -> Vec<(&'static str, String)> {
    let capitals = word(58).to_uppercase();
    vec![
        ("datadog-app-key", format!("ddapp_{}", word(34))),
        ("datadog-token", format!("ddpat_{}", word(40))),
        ("datadog-token", format!("ddsat_{}_{}", word(20), word(20))),
        ("aws-access-key-id", format!("AKIA{}", &capitals[..16])),
        ("aws-access-key-id", format!("ASIA{}", &capitals[..16])),
        ("github-token", format!("ghp_{}", word(36))),
        ("github-token", format!("gho_{}", word(36))),
        ("github-token", format!("ghu_{}", word(36))),
        ("github-token", format!("ghs_{}", word(36))),
        ("github-token", format!("ghr_{}", word(76))),
        (
            "github-token",
            format!("github_pat_{}_{}", word(22), word(59)),
        ),
        (
            "slack-token",
            "xoxb-12345678901-12345678901-abcdef".to_owned(),
        ),
        ("slack-token", "xoxp-1234567890".to_owned()),
        ("jwt", jwt()),
        ("private-key", pem("\n")),
        ("private-key", pem("\\n")),
        ("private-key", pem("\\r\\n")),
        ("age-secret-key", format!("AGE-SECRET-KEY-1{capitals}")),
    ]
}

#[test]
fn what_has_a_beginning_of_its_own_is_found() {
    for (rule, secret) in samples() {
        for (before, after) in [
            ("", ""),
            ("\"", "\""),
            ("line\\n", "\\nline"),
            ("a%3D", "%26b"),
            ("\\u003d", "\\u0026"),
            ("Bearer ", "\n"),
            ("(", ")."),
        ] {
            let text = format!("{before}{secret}{after}");
            assert_eq!(shown(&text), format!("{before}[REDACTED:{rule}]{after}"));
        }
        // One that is cut short is none.
        if rule != "private-key" {
            let half = &secret[..secret.len().min(14)];
            assert_eq!(shown(half), half);
        }
    }
}

#[test]
fn keys_are_found_beside_a_name() {
    for word in [HEX_32, WORD_40] {
        for (before, after) in [
            ("api_key=", "&x=1"),
            ("{\"api_key\": \"", "\"}"),
            ("{\\\"apiKey\\\":\\\"", "\\\"}"),
            ("DD_APP_KEY='", "'"),
            ("dd-application-key: ", "\r\n"),
            ("[\"DD-API-KEY\",\"", "\"]"),
            ("--app-key ", " --x"),
            ("x?application_key%3D", "%26"),
            ("a\\u0026token\\u003d", "\\u0026"),
            ("Authorization: Bearer ", "\n"),
            ("{\"name\":\"client_secret\",\"value\":\"", "\"}"),
            ("{\"accessToken\":\"", "\"}"),
            ("api_keys: [\"", "\"]"),
            ("password = ", ""),
            ("line\\nsecret: ", "\\n"),
            // Far from the beginning the search goes by the name.
            (
                &format!("{}, \"tokens\": \"Bearer ", "x ".repeat(200)),
                "\"",
            ),
            (&format!("{}(api-key='", "x ".repeat(200)), "')"),
        ] {
            let text = format!("{before}{word}{after}");
            assert_eq!(shown(&text), format!("{before}[REDACTED:named-key]{after}"));
        }
    }
}

#[test]
fn keys_are_left_alone_elsewhere() {
    let sha_256 = format!("{HEX_32}{HEX_32}");
    let long = "x".repeat(30);
    for text in [
        format!("trace_id: {HEX_32}"),
        format!("\"hash\":\"{HEX_32}\",\"api_key_id\":\"{HEX_32}\""),
        format!("api_key: {sha_256}"),
        format!("api_key: {}", &HEX_32[1..]),
        format!("api_key: {}g", &HEX_32[1..]),
        format!("token: {}", &WORD_40[1..]),
        format!("next_page_token={WORD_40}"),
        format!("the api_key {long}: {HEX_32}"),
        format!("commit {}", WORD_40.to_lowercase()),
        format!("api_key\n{HEX_32}"),
        "api_key=3f2a9c1e-0000-4000-8000-000000000000".to_owned(),
        "eyJhbGciOiJub25lIn0 and eyJhbGciOiJub25lIn0.".to_owned(),
        "AKIAIOSFODNN7EXAMPLEX ASIAPACIFIC AKIA".to_owned(),
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----".to_owned(),
        "begins with `-----BEGIN PRIVATE KEY-----`, says the manual".to_owned(),
        "ghp_ ghp_short xoxb- ddapp_x AGE-SECRET-KEY-1".to_owned(),
    ] {
        assert_eq!(shown(&text), text);
    }
}

#[test]
fn pseudonyms_are_of_the_bare_value() {
    let (text, _) = in_pieces([&b"api_key%3D"[..], HEX_32.as_bytes()]);
    let expected = key().marker(NAMED, HEX_32.as_bytes());
    assert_eq!(text, format!("api_key%3D{expected}").into_bytes());
    // A block has one pseudonym however its lines end.
    let file = key().marker("private-key", pem("\n").as_bytes());
    assert_eq!(in_pieces([pem("\\n").as_bytes()]).0, file.as_bytes());
}

#[test]
fn an_event_is_not_delayed_and_not_copied() {
    let mut stream = PatternStream::new(key());
    for event in [
        "data: {\"api_key\":\n\n",
        "data: eyJhbGciOiJub25lIn0.\n\n",
        "data: {\"token\": \"0a1b2c3d\", \"id\": 7}\n\n",
        "data: ghp_0a1b2c3d\n\n",
    ] {
        let event = Bytes::from_static(event.as_bytes());
        let passed = stream.push(event.clone());
        assert_eq!((passed.as_ptr(), &passed), (event.as_ptr(), &event));
    }
    assert!(stream.finish().is_empty());
}

#[test]
fn what_is_too_long_to_hold_is_dropped_whole() {
    let long = format!("eyJ{}.{}.{}", word(40), word(20_000), word(20_000));
    assert_eq!(shown(&format!("<{long}>")), "<[REDACTED:jwt]>");
    let block = word(40_000);
    let text = format!("-----BEGIN PRIVATE KEY-----\n{block}\n-----END PRIVATE KEY-----");
    // Its last line says nothing, and stays.
    assert_eq!(
        shown(&text),
        "[REDACTED:private-key]-----END PRIVATE KEY-----"
    );
    let text = format!("ddpat_{} end", word(40_000));
    assert_eq!(shown(&text), "[REDACTED:datadog-token] end");
    for size in [1, 7, 1000, 16_384, 65_536] {
        let text = format!("<{long}>");
        let (pieces, count) = in_pieces(text.as_bytes().chunks(size));
        assert_eq!((pieces.len(), count), ("<[REDACTED:jwt:]>".len() + 16, 1));
    }
}

#[test]
fn the_worst_input_takes_linear_time() {
    for unit in [
        "eyJ",
        "eyJaaaaaaaaaa.",
        "-----BEGIN PRIVATE KEY-----",
        "xoxb-",
        "AKIA",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        let began = std::time::Instant::now();
        let _ = in_pieces([text.as_bytes()]);
        assert!(began.elapsed().as_secs() < 20, "{unit}");
    }
}

#[test]
fn debug_says_nothing() {
    let mut stream = PatternStream::new(key());
    let _ = stream.push(Bytes::from_static(b"token=0a1b2c3d"));
    assert_eq!(format!("{stream:?}"), "PatternStream([secret])");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn chunking_changes_nothing_and_no_match_survives(
        parts in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n]{0,12}|[a-z ]{60,140}"), 1..6),
        cuts in prop::collection::vec(1..60_usize, 1..8),
    ) {
        let mut secrets: Vec<_> = samples().into_iter().map(|(_, secret)| secret).collect();
        secrets.push(HEX_32.to_owned());
        secrets.push(format!("api_key={HEX_32}"));
        secrets.push(format!("\"token\":\"{WORD_40}\""));
        secrets.push("-----BEGIN PRIVATE KEY-----".to_owned());
        secrets.push("eyJ".to_owned());
        secrets.push("\"name\": \"api_key\", \"value\": \"Bearer ".to_owned());
        secrets.push("\\\"password\\\": \\\"%3D".to_owned());
        let text: String = parts
            .iter()
            .map(|(which, between)| format!("{between}{};", which.get(&secrets)))
            .collect();
        let mut pieces = Vec::new();
        let mut rest = text.as_bytes();
        for &cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let whole = in_pieces([text.as_bytes()]);
        prop_assert_eq!(&in_pieces(pieces), &whole);
        // What is shown holds nothing more to find: no word was cut to fit by its neighbours.
        let again = in_pieces([&whole.0[..]]);
        prop_assert_eq!(again.1, 0, "{}", String::from_utf8_lossy(&whole.0));
    }
}
