//! What the command is held to, and whom it may reach: `[enforce]` and `[egress]`, from all layers.
//!
//! What flags allow comes on top of what the settings allow: whoever names one more host still
//! needs the others. Projects may say nothing here (see `resolve`).

use super::env;
use super::error::{ConfigError, Whence};
use super::file::Value;
use super::layers::Layers;
use super::overrides::Overrides;
use super::settings::{EgressSettings, EnforceSettings, Origin, Setting};
use super::value::Choice;
use crate::record::{EgressRule, Enforce, HostRule};

const ALLOW_HOST: &str = "--allow-host";
const ALLOW_PORT: &str = "--allow-port";

pub(super) fn enforce(
    layers: &Layers<'_>,
    overrides: &Overrides,
) -> Result<EnforceSettings, ConfigError> {
    let flag = overrides.enforce.clone().map(|value| ("--enforce", value));
    let ports = layers.pick("enforce.allow_ports", None, &[], |value| match value {
        Value::Numbers(ports) => ports.iter().map(|port| self::port(*port)).collect(),
        _ => Ok(Vec::new()),
    })?;
    let flags = overrides.allow_ports.iter().map(|port| {
        port_of_flag(*port).map_err(|problem| ConfigError::Value {
            whence: Whence::Flag(ALLOW_PORT),
            problem,
        })
    });
    Ok(EnforceSettings {
        mode: layers
            .pick("enforce.mode", flag, &[env::DDGATE_ENFORCE], |value| {
                Enforce::parse(value.text())
            })?
            .unwrap_or(Setting::default(Enforce::default())),
        allow_ports: with_flags(ports, flags.collect::<Result<_, _>>()?, ALLOW_PORT),
    })
}

pub(super) fn egress(
    layers: &Layers<'_>,
    overrides: &Overrides,
) -> Result<EgressSettings, ConfigError> {
    let flag = overrides.egress.clone().map(|value| ("--egress", value));
    let hosts = layers.pick("egress.allow_hosts", None, &[], |value| {
        value.list().iter().map(|it| HostRule::parse(it)).collect()
    })?;
    let flags = overrides.allow_hosts.iter().map(|host| {
        HostRule::parse(host).map_err(|problem| ConfigError::Value {
            whence: Whence::Flag(ALLOW_HOST),
            problem,
        })
    });
    Ok(EgressSettings {
        rule: layers
            .pick("egress.rule", flag, &[env::DDGATE_EGRESS], |value| {
                EgressRule::parse(value.text())
            })?
            .unwrap_or(Setting::default(EgressRule::default())),
        allow_hosts: with_flags(hosts, flags.collect::<Result<_, _>>()?, ALLOW_HOST),
    })
}

fn with_flags<T>(
    settings: Option<Setting<Vec<T>>>,
    flags: Vec<T>,
    name: &'static str,
) -> Setting<Vec<T>> {
    let mut all = settings.unwrap_or(Setting::default(Vec::new()));
    if !flags.is_empty() {
        all.origin = Origin::Flag(name);
        all.value.extend(flags);
    }
    all
}

fn port(number: u64) -> Result<u16, String> {
    let port = u16::try_from(number).map_err(|_| format!("{number} is not a port"))?;
    port_of_flag(port)
}

fn port_of_flag(port: u16) -> Result<u16, String> {
    match port {
        0 => Err("0 is not a port".to_owned()),
        port => Ok(port),
    }
}
