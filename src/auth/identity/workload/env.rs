//! The environment of a job, as far as it is read, taken once: a token may have to be fetched again
//! long after.
//!
//! Invariant: nothing of it is shown; some of it opens doors.

use std::collections::BTreeMap;

use crate::record::Secret;

/// Where GitLab is told to put the token.
pub(super) const TOKEN: &str = "DDGATE_ID_TOKEN";
/// Names the variable that holds it.
pub(super) const TOKEN_ENV: &str = "DDGATE_ID_TOKEN_ENV";
/// Names the file that holds it.
pub(super) const TOKEN_FILE: &str = "DDGATE_ID_TOKEN_FILE";

/// Everything that is read, beside the variable that [`TOKEN_ENV`] names and what is written into
/// the lines a person is told to add.
const READ: &[&str] = &[
    "CI",
    TOKEN,
    TOKEN_ENV,
    TOKEN_FILE,
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "BITBUCKET_BRANCH",
    "BITBUCKET_BUILD_NUMBER",
    "BITBUCKET_COMMIT",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT",
    "BITBUCKET_REPO_UUID",
    "BITBUCKET_STEP_OIDC_TOKEN",
    "BITBUCKET_WORKSPACE",
    "BUILDKITE",
    "BUILDKITE_BUILD_CREATOR",
    "BUILDKITE_ORGANIZATION_ID",
    "BUILDKITE_ORGANIZATION_SLUG",
    "BUILDKITE_PIPELINE_SLUG",
    "BUILD_DEFINITIONNAME",
    "BUILD_REQUESTEDFOR",
    "CIRCLECI",
    "CIRCLE_BUILD_NUM",
    "CIRCLE_JOB",
    "CIRCLE_OIDC_TOKEN_V2",
    "CIRCLE_ORGANIZATION_ID",
    "CIRCLE_PROJECT_ID",
    "CIRCLE_SHA1",
    "CIRCLE_USERNAME",
    "CIRCLE_WORKFLOW_ID",
    "CI_PROJECT_ID",
    "CI_SERVER_URL",
    "GCE_METADATA_HOST",
    "GITHUB_ACTIONS",
    "GITHUB_JOB",
    "GITHUB_REPOSITORY_ID",
    "GITHUB_SERVER_URL",
    "GITLAB_CI",
    "SYSTEM_ACCESSTOKEN",
    "SYSTEM_COLLECTIONID",
    "SYSTEM_DEFINITIONID",
    "SYSTEM_JOBDISPLAYNAME",
    "SYSTEM_OIDCREQUESTURI",
    "SYSTEM_TEAMPROJECTID",
    "TF_BUILD",
];

/// Variables and their values; an empty one is as good as none.
#[derive(Debug)]
pub(super) struct Env(BTreeMap<String, Secret<String>>);

impl Env {
    pub(super) fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let named = set(TOKEN_ENV);
        let names = READ.iter().copied().chain(named.as_deref());
        let values = names.filter_map(|name| Some((name.to_owned(), Secret::new(set(name)?))));
        Self(values.collect())
    }

    pub(super) fn secret(&self, name: &str) -> Option<&Secret<String>> {
        self.0.get(name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.secret(name).map(|value| value.expose().as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.value(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A value to show, where it is as plain as an identifier or an address; else what stands for it.
    pub(super) fn shown(&self, name: &str, instead: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/{}".contains(c);
        match self.value(name) {
            Some(value) if value.chars().all(plain) => value.to_owned(),
            _ => instead.to_owned(),
        }
    }
}
