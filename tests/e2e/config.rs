//! Where each setting came from.

use crate::world::World;

#[test]
fn every_layer_is_named() {
    let world = World::new();
    world.settings("# mine\n[identity]\nissuer = \"https://id.example\"\n\n[datadog]\nsite = \"us5.datadoghq.com\"\n");
    world.file("work/ddgate.toml", "[datadog]\nsite = \"datadoghq.eu\"\n");
    let shown = world
        .ddgate(["--data-dir", "elsewhere", "config", "show"])
        .env("DDGATE_CLIENT_ID", "from-the-environment")
        .succeeds();
    insta::assert_snapshot!(shown.shown(), @"
    SETTING  VALUE  FROM
    data_dir  [ROOT]/work/elsewhere  flag --data-dir
    identity.mode  oidc  default
    identity.issuer  https://id.example  user file [ROOT]/config/ddgate.toml:3
    identity.client_id  from-the-environment  environment DDGATE_CLIENT_ID
    identity.client_secret  not set  default
    identity.scopes  openid profile email offline_access  default
    identity.groups_claims  groups  default
    identity.storage  auto  default
    identity.prompt  auto  default
    identity.on_lapse  refuse  default
    identity.max_session  not set  default
    identity.flow  device  default
    identity.dpop  auto  default
    identity.require_groups  not set  default
    identity.require_issuer  not set  default
    identity.require_verified_email  false  default
    workload  not set  default
    datadog.site  datadoghq.eu  project file [ROOT]/work/ddgate.toml:2
    datadog.upstream  not set  default
    datadog.credential_command  not set  default
    credential  not set  default
    journal.durability  power-loss  default
    journal.recipients  not set  default
    journal.age_identities  not set  default
    enforce.mode  auto  default
    enforce.allow_ports  not set  default
    egress.rule  any  default
    egress.allow_hosts  not set  default
    redaction.key  not set  default
    recording.level  full  default
    recording.read  not set  default
    recording.write  not set  default
    recording.destroy  not set  default
    recording.unknown  not set  default
    recording.body_bytes_max  104857600  default
    recording.operations  not set  default
    policy.read_only  false  default
    policy.allow  not set  default
    policy.deny  not set  default
    ");
    assert!(shown.stderr.is_empty());
}

#[test]
fn secrets_are_not_shown() {
    let world = World::new();
    world.settings("[identity]\nclient_secret = \"hunter2\"\n\n[datadog]\ncredential_command = [\"op\", \"read\", \"hunter3\"]\n");
    for words in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["status"],
        &["keys", "list"],
    ] {
        let outcome = world.ddgate(words).succeeds();
        let text = format!("{outcome:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn json_says_the_same() {
    let world = World::new();
    let rows = world
        .ddgate(["config", "show", "--json"])
        .env("DD_SITE", "datadoghq.eu")
        .succeeds()
        .json();
    let site = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"] == "datadog.site")
        .unwrap();
    assert_eq!(site["value"], "datadoghq.eu");
    assert!(
        site["source"].as_str().unwrap().contains("DD_SITE"),
        "{site}"
    );
}

#[test]
fn a_level_shows_in_what_is_replayed() {
    let world = World::new();
    world.settings(
        "[recording]\nread = \"metadata\"\n[recording.operations]\n\"CreateMonitor\" = \"headers\"\n",
    );
    // Less than the user wants is not for a project to say.
    world.file("work/ddgate.toml", "[recording]\nlevel = \"metadata\"\n");
    world
        .agent("GET /api/v1/monitor?a-query\nPOST /api/v1/monitor {\"name\": \"a-name\"}\nDELETE /api/v1/monitor/1")
        .succeeds();
    let text = world.ddgate(["replay", "latest"]).succeeds().shown();
    assert!(
        text.contains("recorded  1 at level headers, 1 at level metadata"),
        "{text}"
    );
    let session = world.replay_json("latest");
    let levels: Vec<_> = (0..3)
        .map(|n| session["calls"][n]["level"].clone())
        .collect();
    assert_eq!(levels, ["metadata", "headers", "full"]);
    assert_eq!(session["calls"][0]["target"], serde_json::Value::Null);
    let shown = world.ddgate(["show", "latest", "1"]).succeeds().shown();
    assert!(
        shown.contains("not kept: recorded at level metadata"),
        "{shown}"
    );
    let json = world
        .ddgate(["show", "latest", "2", "--json"])
        .succeeds()
        .json();
    assert_eq!(json["request"]["body"]["state"], "not_kept");
    assert_eq!(json["request"]["body"]["bytes"], 18);
    for (path, bytes) in world.all_files() {
        let text = String::from_utf8_lossy(&bytes);
        let is_ours = path.starts_with(world.sessions());
        assert!(!(is_ours && text.contains("a-query")), "{}", path.display());
    }
}
