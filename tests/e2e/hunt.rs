//! Hunts for secrets: a session with every operation of the catalogue that carries any, then a
//! search through every byte it left and everything it shows. And the other way round: ordinary
//! answers come back from the record as they were.

use std::collections::HashMap;
use std::fmt::Write as _;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use ddgate::record::Secret;
use ddgate::redact::PseudonymKey;
use serde_json::{Map, Value, json};

use crate::stub::{self, Answer};
use crate::world::{Ddgate, World};

const KEY: &str = "the key of the hunt, long enough to be searched for";

/// Unique, and spelled differently in URLs, JSON and base64.
struct Mint(Vec<String>);

impl Mint {
    fn secret(&mut self) -> String {
        let number = self.0.len();
        self.0.push(format!("{}+/\"é=", random(number)));
        self.0[number].clone()
    }

    /// For a place in a path, where `/` would end it.
    fn plain(&mut self) -> String {
        self.0.push(random(self.0.len()));
        self.0.last().unwrap().clone()
    }
}

fn random(number: usize) -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("zq{digits}yx{number}w")
}

fn percent(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Puts a secret where a path of the catalogue points; every third object is a list of such.
fn plant(document: &mut Value, path: &str, mint: &mut Mint, turn: usize) {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let name = if name == "*" { "any" } else { name };
    let object = match document {
        Value::Array(items) => items.last_mut().unwrap(),
        other => other,
    };
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let Some(rest) = rest else {
        let value = match turn % 3 {
            0 => json!({"nested": [mint.secret()], "n": turn}),
            _ => json!(mint.secret()),
        };
        object.entry(name).or_insert(value);
        return;
    };
    let empty = || match (turn + rest.len()) % 3 {
        0 => json!([{"beside": 1}, {}]),
        _ => json!({"beside": "a-plain-word"}),
    };
    plant(object.entry(name).or_insert_with(empty), rest, mint, turn);
}

fn document(paths: &str, mint: &mut Mint, turn: usize) -> String {
    let mut document = Value::Object(Map::new());
    for path in paths.split(',').filter(|path| !path.starts_with("path:")) {
        if !path.is_empty() {
            plant(&mut document, path, mint, turn);
        }
    }
    document.to_string()
}

/// What the agent does, and what it is answered.
struct Hunt {
    script: String,
    answers: HashMap<String, Answer>,
    mint: Mint,
    calls: u64,
}

/// A call for every operation that has a secret anywhere.
fn hunt() -> Hunt {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/src/datadog/operations.tsv");
    let table = std::fs::read_to_string(table).unwrap();
    let mut hunt = Hunt {
        script: String::new(),
        answers: HashMap::new(),
        mint: Mint(Vec::new()),
        calls: 0,
    };
    for (turn, line) in table.lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [method, route, _, _, _, _, _, _, _, asked, answered] = columns[..] else {
            continue;
        };
        if method == "method" || (asked.is_empty() && answered.is_empty()) {
            continue;
        }
        let before = hunt.mint.0.len();
        let segments: Vec<String> = route
            .split('/')
            .map(|segment| match segment.strip_prefix('{') {
                None => segment.to_owned(),
                Some(name) => {
                    let path = format!("path:{}", name.trim_end_matches('}'));
                    let is_secret = [asked, answered]
                        .iter()
                        .any(|column| column.split(',').any(|entry| entry == path));
                    match is_secret {
                        true => hunt.mint.plain(),
                        false => format!("id-{turn}"),
                    }
                }
            })
            .collect();
        let path = segments.join("/");
        let query = match turn % 4 {
            0 => format!(
                "?token={}&x-amz-credential={}&a=b",
                percent(&hunt.mint.secret()),
                hunt.mint.plain()
            ),
            _ => String::new(),
        };
        let body = match asked
            .split(',')
            .any(|entry| !entry.is_empty() && !entry.starts_with("path:"))
        {
            true => format!(" {}", document(asked, &mut hunt.mint, turn)),
            false => String::new(),
        };
        let sent = hunt.mint.0[before..].to_vec();
        let verb = if !body.is_empty() && turn % 2 == 0 {
            "gzip "
        } else {
            ""
        };
        writeln!(hunt.script, "{verb}{method} {path}{query}{body}").unwrap();
        hunt.calls += 1;
        let mut said: Value =
            serde_json::from_str(&document(answered, &mut hunt.mint, turn)).unwrap();
        // Datadog may repeat what it was sent where no table says so.
        said["errors"] = json!(
            sent.iter()
                .map(|s| format!("no {s} here"))
                .collect::<Vec<_>>()
        );
        let answer = Answer {
            gzip: turn % 3 == 0,
            media: "application/json",
            body: said.to_string().into_bytes(),
        };
        hunt.answers.insert(format!("{method} {path}"), answer);
    }
    hunt.refused();
    hunt
}

impl Hunt {
    /// Keys of somebody else, in every place: refused, and recorded as refused. And a key in a
    /// path nobody knows.
    fn refused(&mut self) {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = [self.mint.plain(), self.mint.plain(), self.mint.plain()];
        let [one, two, three] = &keys;
        let lines = format!(
            "GET /api/v1/monitor?api_key={one}&application_key={two}\n\
             key {three} GET /api/v1/monitor\n\
             GET /api/v9/unheard-of/{hex}?x=1\n"
        );
        self.script.push_str(&lines);
        self.mint.0.push(hex);
        self.calls += 3;
    }
}

/// The forms a secret could hide in, made without the code under test.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let all: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let ascii: String = secret
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect();
    let mut forms = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent(secret),
        percent(secret).replace('+', "%20"),
        all.to_lowercase(),
        all,
        ascii,
        // Its own random part, whatever became of the rest.
        secret.split('+').next().unwrap().to_owned(),
    ];
    for before in 0..3 {
        let shifted = format!("{}{secret}", &"xxx"[..before]);
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&shifted);
        let (from, to) = ((before * 8_usize).div_ceil(6), shifted.len() * 8 / 6);
        forms.push(encoded[from..to].to_owned());
        forms.push(encoded[from..to].replace('+', "-").replace('/', "_"));
    }
    forms
}

/// `ddgate run` with the agent against a stub.
fn agent(world: &World, upstream: &str, flags: &[&str], script: &str) -> Ddgate {
    let mut words = vec!["run", "--identity", "local", "--upstream", upstream];
    words.extend(flags);
    words.push("--");
    let words = words.into_iter().map(str::to_owned);
    world
        .ddgate(words.chain(crate::agent::command()))
        .keys(world)
        .env("DDGATE_REDACTION_KEY", KEY)
        .script(world, script)
}

/// Everything the session of a world shows, and every byte it left, each with its name.
fn haystacks(world: &World, calls: u64) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut show = |words: &[&str]| {
        let outcome = world.ddgate(words).go();
        all.push((format!("{words:?}"), outcome.stdout));
        all.push((format!("{words:?} (stderr)"), outcome.stderr));
    };
    show(&["replay", "latest", "--json"]);
    show(&["replay", "latest"]);
    for call in 1..=calls {
        show(&["show", "latest", &call.to_string(), "--json"]);
    }
    for (call, side) in [("1", "request"), ("1", "response"), ("2", "response")] {
        show(&["show", "latest", call, "--body", side]);
    }
    let files = world.all_files();
    assert!(
        files
            .iter()
            .any(|(path, _)| path.starts_with(world.sessions()))
    );
    all.extend(
        files
            .into_iter()
            .map(|(path, bytes)| (path.display().to_string(), bytes)),
    );
    all
}

#[track_caller]
fn nowhere(secrets: &[String], haystacks: &[(String, Vec<u8>)]) {
    let needles: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let search = AhoCorasick::new(&needles).unwrap();
    for (name, bytes) in haystacks {
        if let Some(found) = search.find(bytes) {
            let (from, to) = (
                found.start().saturating_sub(80),
                bytes.len().min(found.end() + 40),
            );
            panic!(
                "{} is in {name}: {}",
                needles[found.pattern().as_usize()],
                String::from_utf8_lossy(&bytes[from..to])
            );
        }
    }
}

#[test]
fn no_secret_of_any_operation_is_anywhere() {
    let world = World::new();
    let hunt = hunt();
    assert!(
        hunt.calls > 120 && hunt.mint.0.len() > 300,
        "{}",
        hunt.calls
    );
    let upstream = stub::serve(hunt.answers);
    let outcome = agent(&world, &upstream, &["-vv"], &hunt.script).succeeds();
    let answers = world.answers();
    assert_eq!(answers.len() as u64, hunt.calls);
    let statuses: Vec<&str> = answers.iter().map(|answer| &answer[..4]).collect();
    let (known, odd) = statuses.split_at(statuses.len() - 3);
    assert!(known.iter().all(|status| *status == "200 "), "{answers:?}");
    assert_eq!(odd, ["403 ", "403 ", "404 "]);
    // Its own file: the agent may know what it was told.
    std::fs::remove_file(world.root().join("answers")).unwrap();
    let mut haystacks = haystacks(&world, hunt.calls);
    haystacks.push(("stderr".to_owned(), outcome.stderr));
    nowhere(&hunt.mint.0, &haystacks);
    nowhere(&[KEY.to_owned()], &haystacks);
    // Removed, and not merely lost: each has left its pseudonym, alone or in what held it.
    let shown: Vec<&[u8]> = haystacks
        .iter()
        .filter(|(name, _)| name.starts_with("[\"show\""))
        .map(|(_, bytes)| &bytes[..])
        .collect();
    let shown = String::from_utf8_lossy(&shown.concat()).into_owned();
    let key = PseudonymKey::derived(&Secret::new(KEY.to_owned()));
    let left = |secret: &&String| shown.contains(&key.pseudonym(secret.as_bytes()));
    let alone = hunt.mint.0.iter().filter(left).count();
    assert!(
        alone * 2 > hunt.mint.0.len(),
        "{alone} of {}",
        hunt.mint.0.len()
    );
    assert!(!shown.contains("\"not_kept\""), "every body was read");
    assert!(
        shown.contains("a-plain-word"),
        "and what is beside them stays"
    );
}

#[test]
fn secrets_by_their_looks_are_nowhere_in_any_kind_of_body() {
    let world = World::new();
    let hex = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    let digits = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3";
    let secrets = [
        format!("ghp_{}", &digits[..36]),
        format!("ddapp_{}", &digits[..34]),
        format!("eyJ{}.eyJ{digits}.{digits}", &digits[..20]),
        "AKIAABCDEFGH01234567".to_owned(),
        hex.to_owned(),
    ];
    let [github, app, jwt, aws, hex] = &secrets;
    let pem = format!("-----BEGIN PRIVATE KEY-----\\n{digits}{digits}\\n-----END PRIVATE KEY-----");
    let lines = format!("{{\"message\":\"{github}\"}}\\n{{\"message\":\"api_key={hex}\"}}");
    let part = format!("--b\\nContent-Disposition: form-data; name=\"f\"\\n\\n{jwt} {aws}\\n--b--");
    let escaped = |text: &str| text.replace('\n', "\\n");
    let (lines, part, block) = (escaped(&lines), escaped(&part), escaped(&pem));
    let script = format!(
        "typed application/x-ndjson POST /api/v2/logs {lines}\n\
         typed multipart/form-data;boundary=b POST /api/v2/logs {part}\n\
         typed text/plain POST /api/v2/logs app {app} and {block}\n\
         gzip POST /api/v2/logs [{{\"message\":\"{jwt}\",\"token\":\"{hex}\"}},{{\"m\":\"{app}\"}}]\n\
         typed application/x-www-form-urlencoded POST /api/v2/logs a={github}&password={hex}\n\
         GET /api/v1/search?q=token%3D{hex}&x={aws}"
    );
    let answer = |text: String| Answer {
        gzip: false,
        media: "text/plain",
        body: text.into_bytes(),
    };
    let answers = HashMap::from([
        (
            "POST /api/v2/logs".to_owned(),
            answer(format!("{jwt} {pem}")),
        ),
        (
            "GET /api/v1/search".to_owned(),
            answer(format!("secret: {hex}\n{github}")),
        ),
    ]);
    let upstream = stub::serve(answers);
    let outcome = agent(&world, &upstream, &["-vv"], &script).succeeds();
    let answers = world.answers();
    let good = answers.iter().filter(|answer| answer.starts_with("200 "));
    assert_eq!(good.count(), 6, "{answers:?}");
    std::fs::remove_file(world.root().join("answers")).unwrap();
    let mut haystacks = haystacks(&world, 6);
    haystacks.push(("stderr".to_owned(), outcome.stderr));
    let mut hunted = secrets.to_vec();
    hunted.push(format!("{digits}{digits}"));
    nowhere(&hunted, &haystacks);
}

/// What Datadog answers on ordinary days: ids, digests, uuids, and words about keys.
fn ordinary() -> Vec<(&'static str, String)> {
    let (trace, span) = ("3f2a9c1e5b7d4e6f8091a2b3c4d5e6f7", "9b8c7d6e5f4a3b2c");
    let sha_256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let commit = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let uuid = "6f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";
    let monitors = json!([{
        "id": 190_114_303_u64, "name": "CPU is high on {{host.name}}", "type": "metric alert",
        "query": "avg(last_5m):avg:system.cpu.user{env:prod,image:checkout@sha256} by {host} > 90",
        "message": format!("Rotate the api key, see https://wiki.example.com/{commit} @slack-oncall"),
        "tags": [format!("git.commit.sha:{commit}"), "team:checkout", format!("digest:{sha_256}")],
        "options": {"thresholds": {"critical": 90.0}, "include_tags": true, "groupby_simple_monitor": false},
        "creator": {"email": "sam@example.com", "handle": uuid, "id": 7, "name": null},
        "created": "2026-11-23T21:28:34.000000+00:00", "restricted_roles": [uuid], "multi": true,
    }]);
    let dashboard = json!({
        "id": "abc-def-ghi", "title": "Keys and tokens", "url": "/dashboard/abc-def-ghi/keys-and-tokens",
        "author_handle": "sam@example.com", "layout_type": "ordered", "notify_list": [uuid],
        "widgets": [{"id": 4_811_022_u64, "definition": {"type": "query_value", "requests": [
            {"q": format!("sum:api.requests{{trace_id:{trace}}}.as_count()"), "aggregator": "sum"}]}}],
        "template_variables": [{"name": "token", "prefix": "token_type", "default": "*"}],
    });
    let logs = json!({"data": [{
        "id": "AwAAAZX_a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0", "type": "log",
        "attributes": {"message": format!("GET /v1/{uuid} trace {trace} span {span} sha {commit}"),
            "tags": [format!("image_id:sha256:{sha_256}"), "source:go"], "status": "info",
            "attributes": {"trace_id": trace, "span_id": span, "dd": {"trace_id": "1234567890123456789"},
                "file": {"md5": "d41d8cd98f00b204e9800998ecf8427e", "sha1": commit, "sha256": sha_256},
                "usr": {"id": uuid, "token_expired": true}, "http": {"status_code": 200}}}}],
        "meta": {"page": {"after": "eyJhZnRlciI6IkF3QUFBWlg1IiwidmFsdWVzIjpbIjE3MzIiXX0"},
            "request_id": "pddv1ChZ2X1hXeTJ0LVJ2LXNlY3JldHMtMTIzNDU2Nzg5MCIQc2VjcmV0"}});
    let metrics = json!({"status": "ok", "res_type": "time_series", "from_date": 1_732_390_114_000_u64,
        "series": [{"metric": "dd.token.bucket.key", "scope": format!("host:i-0a1b2c3d4e5f60718,image:{sha_256}"),
            "pointlist": [[1_732_390_114_000.0, 0.25], [1_732_390_134_000.0, 1e-7]], "tag_set": ["key:value"]}]});
    let users = json!({"data": [{"type": "users", "id": uuid, "attributes": {
        "handle": "sam@example.com", "icon": format!("https://secure.gravatar.com/avatar/{trace}?s=48&d=retro"),
        "email": "sam@example.com", "status": "Active", "mfa_enabled": true},
        "relationships": {"roles": {"data": [{"id": uuid, "type": "roles"}]},
            "org": {"data": {"id": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "type": "orgs"}}}}],
        "meta": {"page": {"total_count": 1}}});
    vec![
        ("GET /api/v1/monitor", monitors.to_string()),
        (
            "GET /api/v1/dashboard/abc-def-ghi",
            serde_json::to_string_pretty(&dashboard).unwrap(),
        ),
        ("POST /api/v2/logs/events/search", logs.to_string()),
        ("GET /api/v1/query", metrics.to_string()),
        ("GET /api/v2/users", users.to_string()),
    ]
}

#[test]
fn ordinary_answers_are_recorded_as_they_were() {
    let world = World::new();
    let documents = ordinary();
    let answers = documents.iter().enumerate().map(|(number, (asked, text))| {
        let answer = Answer {
            gzip: number % 2 == 0,
            media: "application/json",
            body: text.clone().into_bytes(),
        };
        ((*asked).to_owned(), answer)
    });
    let upstream = stub::serve(answers.collect());
    // Sent once as well: what an agent writes is no different.
    let script: Vec<String> = documents
        .iter()
        .map(|(asked, text)| match asked.starts_with("POST") {
            true => format!("{asked} {text}"),
            false => (*asked).to_owned(),
        })
        .collect();
    agent(&world, &upstream, &[], &script.join("\n")).succeeds();
    for (number, (asked, text)) in documents.iter().enumerate() {
        let number = (number + 1).to_string();
        let shown = world
            .ddgate(["show", "latest", &number, "--body", "response"])
            .succeeds();
        assert_eq!(String::from_utf8_lossy(&shown.stdout), *text, "{asked}");
        if asked.starts_with("POST") {
            let shown = world
                .ddgate(["show", "latest", &number, "--body", "request"])
                .succeeds();
            assert_eq!(String::from_utf8_lossy(&shown.stdout), *text, "{asked}");
        }
    }
    let session = world.replay_json("latest");
    assert_eq!(session["counts"]["calls"], 5);
    let calls = session["calls"].as_array().unwrap();
    assert!(calls.iter().all(|call| call["redactions"] == json!([])));
}
