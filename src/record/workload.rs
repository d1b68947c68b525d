//! A workload: what acts where no person does, a job of a CI system or a service account.
//!
//! Pure data, part of the content behind `who` in a session's first leaf. Invariant: what its
//! issuer did not sign stands in [`Workload::unverified`] by name.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who gives a workload its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadSystem {
    /// GitHub Actions.
    Github,
    /// GitLab CI/CD.
    Gitlab,
    /// CircleCI.
    Circleci,
    /// Buildkite.
    Buildkite,
    /// Azure DevOps (Azure Pipelines).
    AzureDevops,
    /// Bitbucket Pipelines.
    Bitbucket,
    /// A Kubernetes service account, by a projected token.
    Kubernetes,
    /// A Google Cloud service account, by the metadata server.
    Google,
    /// Anything else that leaves a token in a file or a variable.
    Other,
}

/// Whether it is a job or something that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// A job of a CI system.
    Ci,
    /// A service account.
    Service,
}

impl WorkloadKind {
    /// As labels and records spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ci => "ci",
            Self::Service => "service",
        }
    }
}

/// A workload, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Job or service account.
    pub kind: WorkloadKind,
    /// Who gave it its token.
    pub system: WorkloadSystem,
    /// The repository, or the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch or tag, as the system spells it.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The workflow, or the pipeline's definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The run, pipeline or build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The job within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What it deploys to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The account that set it off: never who acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Fields from the job's own environment, and accounts that may be anybody's: nobody vouched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<String>,
    /// When its token was last verified.
    pub verified_at: DateTime<Utc>,
    /// Whether it can have another token while it runs. If not, the identity that was verified at
    /// the start holds for the whole run.
    pub renewable: bool,
}

impl Workload {
    /// Every fact that is known, with its name, in the order they are read.
    pub fn facts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("repository", &self.repository),
            ("commit", &self.commit),
            ("ref", &self.reference),
            ("workflow", &self.workflow),
            ("run", &self.run),
            ("job", &self.job),
            ("environment", &self.environment),
            ("actor", &self.actor),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// Whether its issuer vouches for a fact.
    #[must_use]
    pub fn vouches_for(&self, fact: &str) -> bool {
        !self.unverified.iter().any(|name| name == fact)
    }

    /// How it is called: `ci: octo/repo @ main, run 1234`; `service: ci/runner`. Only what its
    /// issuer vouches for; `subject` where that does not tell one from another.
    #[must_use]
    pub fn label(&self, subject: &str) -> String {
        let known =
            |name: &str, value: &Option<String>| value.clone().filter(|_| self.vouches_for(name));
        let repository = known("repository", &self.repository);
        let mut label = format!(
            "{}: {}",
            self.kind.word(),
            repository.as_deref().unwrap_or(subject)
        );
        if let Some(reference) = known("ref", &self.reference) {
            let short = ["refs/heads/", "refs/tags/", "refs/"]
                .iter()
                .find_map(|start| reference.strip_prefix(start))
                .unwrap_or(&reference);
            label.push_str(&format!(" @ {short}"));
        }
        if let Some(run) = known("run", &self.run) {
            label.push_str(&format!(", run {run}"));
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Workload {
        Workload {
            kind: WorkloadKind::Ci,
            system: WorkloadSystem::Github,
            repository: Some("octo/repo".into()),
            commit: None,
            reference: Some("refs/heads/main".into()),
            workflow: None,
            run: Some("1234".into()),
            job: None,
            environment: None,
            actor: Some("octocat".into()),
            unverified: vec!["actor".into()],
            verified_at: DateTime::default(),
            renewable: true,
        }
    }

    #[test]
    fn a_job_is_called_by_what_its_issuer_vouches_for() {
        let mut job = job();
        assert_eq!(job.label("s"), "ci: octo/repo @ main, run 1234");
        job.reference = Some("refs/pull/7/merge".into());
        job.unverified.push("run".into());
        assert_eq!(job.label("s"), "ci: octo/repo @ pull/7/merge");
        job.unverified.push("repository".into());
        job.reference = None;
        job.kind = WorkloadKind::Service;
        assert_eq!(job.label("ci/runner"), "service: ci/runner");
    }

    #[test]
    fn its_record_is_small_and_reads_back() {
        let text = serde_json::to_string(&job()).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"ci","system":"github","repository":"octo/repo","ref":"refs/heads/main","run":"1234","actor":"octocat","unverified":["actor"],"verified_at":"1970-01-01T00:00:00Z","renewable":true}"#
        );
        assert_eq!(serde_json::from_str::<Workload>(&text).unwrap(), job());
    }
}
