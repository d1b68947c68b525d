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
    datadog.site  datadoghq.eu  project file [ROOT]/work/ddgate.toml:2
    datadog.upstream  not set  default
    datadog.credential_command  not set  default
    journal.durability  power-loss  default
    journal.recipients  not set  default
    journal.age_identities  not set  default
    redaction.key  not set  default
    recording.level  full  default
    recording.read  not set  default
    recording.write  not set  default
    recording.destroy  not set  default
    recording.unknown  not set  default
    recording.body_bytes_max  104857600  default
    recording.operations  not set  default
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
