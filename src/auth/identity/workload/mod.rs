//! Workloads: jobs of CI systems and service accounts, known by a token that somebody gave them.
//!
//! | part | what |
//! |---|---|
//! | `env` | the variables that are read, taken once |
//! | `system` | what is known of each system; the systems themselves, a file each |
//! | `source` | where a token comes from, and how it is fetched |
//! | `verify` | whether it is believed |
//! | `facts` | what it says about the workload |
//!
//! Invariant: who may be believed comes from the settings alone: issuer, audience, and at least one
//! pinned claim. A token never chooses its issuer, and `sub` is compared but never taken apart.
//! Nobody is ever asked anything.

mod azure_devops;
mod bitbucket;
mod buildkite;
mod circleci;
mod env;
mod error;
mod facts;
mod github;
mod gitlab;
mod google;
mod kubernetes;
mod other;
mod source;
mod system;
mod verify;

use std::fmt;
use std::path::PathBuf;

use crate::net::HttpsClient;
use crate::record::{Identity, WorkloadSystem};

use env::Env;
pub use error::WorkloadError;
use source::Source;
use system::System;

/// A workload whose token is believed.
#[derive(Clone, Debug)]
pub struct WorkloadSettings {
    /// What it is called, in messages.
    pub name: String,
    /// Only on this system.
    pub system: Option<WorkloadSystem>,
    /// Who must have signed its token, letter for letter.
    pub issuer: String,
    /// Whom the token must be for.
    pub audience: String,
    /// Claims and the values they must have, at least one.
    pub pins: Vec<(String, String)>,
    /// Claims that hold groups: names, or JSON pointers when they begin with `/`.
    pub groups_claims: Vec<String>,
    /// The issuer's keys, where they are not published.
    pub jwks_file: Option<PathBuf>,
}

/// Who it would be if it were no workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Somebody who can be asked.
    Person,
    /// Somebody who has signed in before, it may be.
    StoredSignIn,
    /// Nobody: no provider for people is configured.
    Nobody,
}

/// Where this process has its identity from: the system it runs on, and where its token is.
pub struct WorkloadSource {
    system: &'static System,
    /// A token that was named, whatever the system.
    named: Option<Source>,
    env: Env,
    accepted: Vec<WorkloadSettings>,
    http: HttpsClient,
}

impl fmt::Debug for WorkloadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkloadSource({})", self.system.name)
    }
}

/// Whether this process is a job of a CI system that is known by its own variables.
#[must_use]
pub fn is_ci_job(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    system::of_job(&Env::read(lookup)).is_some()
}

impl WorkloadSource {
    /// Finds out where this process runs: a token that is named explicitly comes first, then the CI
    /// system, last the cloud's metadata server, and that only where a workload is configured for
    /// it and no person can be asked. None where it is no workload.
    #[must_use]
    pub fn find(
        lookup: &dyn Fn(&str) -> Option<String>,
        accepted: Vec<WorkloadSettings>,
        otherwise: Otherwise,
        http: HttpsClient,
    ) -> Option<Self> {
        let env = Env::read(lookup);
        let named = Source::named(&env);
        let google = Some(WorkloadSystem::Google);
        let asks_google = accepted.iter().any(|one| one.system == google);
        let system = match (&named, system::of_job(&env)) {
            (_, Some(system)) => system,
            (Some(_), None) => &other::SYSTEM,
            (None, None) if asks_google && otherwise != Otherwise::Person => &google::SYSTEM,
            // A job of a system nobody here knows: it is told how it could be known.
            (None, None) if env.has("CI") && otherwise == Otherwise::Nobody => &other::SYSTEM,
            (None, None) => return None,
        };
        Some(Self {
            system,
            named,
            env,
            accepted,
            http,
        })
    }

    /// The system, as people call it.
    #[must_use]
    pub const fn system(&self) -> &'static str {
        self.system.name
    }

    /// Fetches a token and verifies whose it is, as [`Self::known`].
    ///
    /// # Errors
    /// As there.
    pub async fn verify(&self, before: Option<&Identity>) -> Result<Identity, WorkloadError> {
        let (identity, _) = Box::pin(self.known(before)).await?;
        Ok(identity)
    }

    /// Fetches a token and verifies whose it is. The first of the accepted workloads that fits
    /// counts, and is given with it. `before` is who it was, where it is verified again: it must still be the same.
    ///
    /// # Errors
    /// No workload is configured for this system; there is no token, or none can be fetched; or it
    /// is not believed.
    pub async fn known(
        &self,
        before: Option<&Identity>,
    ) -> Result<(Identity, &WorkloadSettings), WorkloadError> {
        let mine: Vec<_> = self
            .accepted
            .iter()
            .filter(|one| self.may_be(one))
            .collect();
        if mine.is_empty() {
            return Err(WorkloadError::NotConfigured {
                system: self.system.name,
                file: self.system.file,
                others: self.accepted.len(),
                add: (self.system.lines)(&self.env, "ddgate", true),
            });
        }
        let mut failures = Vec::new();
        for settings in mine {
            match Box::pin(self.verify_as(settings, before)).await {
                Ok(identity) => return Ok((identity, settings)),
                Err(error) => failures.push((settings.name.clone(), error)),
            }
        }
        Err(WorkloadError::of(failures))
    }

    /// Whether a configured workload may be this one. A token that was named can be anybody's.
    fn may_be(&self, settings: &WorkloadSettings) -> bool {
        let is_any = self.system.word == WorkloadSystem::Other;
        is_any || settings.system.is_none_or(|it| it == self.system.word)
    }

    async fn verify_as(
        &self,
        settings: &WorkloadSettings,
        before: Option<&Identity>,
    ) -> Result<Identity, WorkloadError> {
        let fixed = self.system.fixed_audience;
        if let Some(why) = fixed(&settings.issuer, &settings.audience)
            && settings.pins.len() < 2
        {
            return Err(WorkloadError::TooFewPins {
                audience: settings.audience.clone(),
                why,
            });
        }
        let source = match &self.named {
            Some(source) => source.clone(),
            None => (self.system.source)(&self.env, settings).map_err(|missing| {
                WorkloadError::NoToken {
                    system: self.system.name,
                    file: self.system.file,
                    missing,
                    add: (self.system.lines)(&self.env, &settings.audience, false),
                }
            })?,
        };
        let token = Box::pin(source.fetch(&settings.audience, &self.http)).await?;
        let verified = Box::pin(verify::verify(settings, &token, &self.http, before)).await?;
        let system = system::of_token(self.system, settings, &verified.claims);
        Ok(facts::described(
            verified,
            system,
            &self.env,
            source.is_renewable(),
        ))
    }
}
