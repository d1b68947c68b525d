//! Who may open a session, which of several credentials somebody gets, and whether it is still theirs.
//!
//! Pure. Invariant: more requirements never admit more people; whom nobody verified is admitted by
//! none; and where a provider left groups out, what they would decide is not decided. It reads no
//! settings, and does not care how somebody signed in.

use crate::limits::GROUPS_NAMED_MAX;
use crate::record::Identity;

/// What somebody has to be to open a session. Empty: anybody may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    groups: Vec<Vec<String>>,
    issuers: Vec<String>,
    verified_email: bool,
}

/// Why somebody may not, or gets no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Nobody verified who it is.
    #[error(
        "{who} is the operating system's user, whom nobody has verified, and the settings require \
         {what}"
    )]
    Unverified {
        /// The user.
        who: String,
        /// What is required.
        what: String,
    },
    /// The sign-in is another provider's.
    #[error("the settings require a sign-in at {required}, and this one is at {found}")]
    Issuer {
        /// The issuer that is required.
        required: String,
        /// The issuer as it is.
        found: String,
    },
    /// The e-mail address is not verified.
    #[error("the settings require a verified e-mail address, and {found}")]
    Email {
        /// What the provider says instead.
        found: String,
        /// Whether it says that the address is not verified; else it says nothing.
        is_denied: bool,
    },
    /// In none of the groups.
    #[error(
        "{who} is in none of the groups that the settings require ({}); the sign-in shows {}",
        listed(any_of),
        shown(has)
    )]
    Groups {
        /// The person.
        who: String,
        /// One of these is required.
        any_of: Vec<String>,
        /// Their groups.
        has: Vec<String>,
    },
    /// In none of the groups, but there may be more groups.
    #[error(
        "whether {who} is in one of the groups that the settings require ({}) cannot be told: the \
         identity provider left groups out of the sign-in",
        listed(any_of)
    )]
    GroupsIncomplete {
        /// The person.
        who: String,
        /// One of these is required.
        any_of: Vec<String>,
    },
    /// No credential is for their groups.
    #[error(
        "no credential is for {who}: those there are need one of the groups {}; the sign-in shows {}",
        listed(any_of),
        shown(has)
    )]
    NoCredential {
        /// The person.
        who: String,
        /// Groups that have one.
        any_of: Vec<String>,
        /// Their groups.
        has: Vec<String>,
    },
    /// A credential comes before the one that fits, and may be theirs.
    #[error(
        "which credential is for {who} cannot be told: `{credential}` is for the groups {}, and the \
         identity provider left groups out of the sign-in",
        listed(any_of)
    )]
    CredentialUnclear {
        /// The person.
        who: String,
        /// The credential.
        credential: String,
        /// The groups it is for.
        any_of: Vec<String>,
    },
    /// The session's credential is for other groups than theirs are now.
    #[error(
        "{who} is in none of the groups that this session's credential `{credential}` is for ({}) any \
         more; the sign-in shows {}",
        listed(any_of),
        shown(has)
    )]
    CredentialLost {
        /// The person.
        who: String,
        /// The credential.
        credential: String,
        /// The groups it is for.
        any_of: Vec<String>,
        /// Their groups.
        has: Vec<String>,
    },
}

impl NotAdmitted {
    /// Whether something that was left out could change it.
    #[must_use]
    pub const fn is_unclear(&self) -> bool {
        matches!(
            self,
            Self::GroupsIncomplete { .. }
                | Self::CredentialUnclear { .. }
                | Self::Email {
                    is_denied: false,
                    ..
                }
        )
    }
}

/// Whether somebody is in one of several groups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    Yes,
    No,
    /// Not among those that are known, and not all are known.
    Unknown,
}

impl Requirements {
    /// Adds what one place asks for; `groups` are alternatives to each other.
    pub fn restrict(
        &mut self,
        groups: Option<Vec<String>>,
        issuer: Option<String>,
        verified_email: bool,
    ) {
        self.groups.extend(groups);
        self.issuers.extend(issuer);
        self.verified_email |= verified_email;
    }

    /// Whether anybody may.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.issuers.is_empty() && !self.verified_email
    }

    /// Checks the issuer alone: before somebody goes to the trouble of signing in there.
    ///
    /// # Errors
    /// Another one is required.
    pub fn check_issuer(&self, issuer: &str) -> Result<(), NotAdmitted> {
        match self.issuers.iter().find(|required| *required != issuer) {
            None => Ok(()),
            Some(required) => Err(NotAdmitted::Issuer {
                required: required.clone(),
                found: issuer.to_owned(),
            }),
        }
    }

    /// Checks whoever has signed in.
    ///
    /// # Errors
    /// The first requirement they do not meet, with what they have instead; one that is known not to
    /// be met before one that cannot be told.
    pub fn check(&self, identity: &Identity) -> Result<(), NotAdmitted> {
        if self.is_empty() {
            return Ok(());
        }
        let who = || identity.label().to_owned();
        if !identity.via.is_verified() {
            return Err(NotAdmitted::Unverified {
                who: who(),
                what: self.words(),
            });
        }
        self.check_issuer(&identity.issuer)?;
        let email = self.verified_email.then(|| check_email(identity));
        let groups = self.groups.iter().map(|any_of| {
            let any_of = any_of.clone();
            match membership(identity, &any_of) {
                Membership::Yes => Ok(()),
                Membership::No => Err(NotAdmitted::Groups {
                    who: who(),
                    any_of,
                    has: identity.groups.clone(),
                }),
                Membership::Unknown => Err(NotAdmitted::GroupsIncomplete { who: who(), any_of }),
            }
        });
        known_first(email.into_iter().chain(groups))
    }

    /// What is required, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let groups = self.groups.iter();
        let mut words: Vec<String> = groups
            .map(|any_of| format!("one of the groups {}", listed(any_of)))
            .collect();
        words.extend(self.issuers.iter().map(|it| format!("a sign-in at {it}")));
        if self.verified_email {
            words.push("a verified e-mail address".to_owned());
        }
        words.join(" and ")
    }
}

/// The first refusal that is known; without one, the first that cannot be told. Something left open
/// must not hide something lost.
fn known_first(
    checks: impl IntoIterator<Item = Result<(), NotAdmitted>>,
) -> Result<(), NotAdmitted> {
    let mut told = Ok(());
    for check in checks {
        match check {
            Err(refused) if refused.is_unclear() => told = told.and(Err(refused)),
            other => other?,
        }
    }
    told
}

/// The credential somebody got when their session opened, and the groups it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    credential: String,
    any_of: Vec<String>,
}

impl Grant {
    /// A credential, and the groups it is for (none: everybody).
    #[must_use]
    pub const fn new(credential: String, any_of: Vec<String>) -> Self {
        Self { credential, any_of }
    }

    /// Checks whether it is still theirs. Groups that came meanwhile change nothing, even if they open
    /// an entry that comes before this one: what a session may do does not change under it.
    ///
    /// # Errors
    /// It is not, or that cannot be told.
    pub fn check(&self, identity: &Identity) -> Result<(), NotAdmitted> {
        let who = identity.label().to_owned();
        let (credential, any_of) = (self.credential.clone(), self.any_of.clone());
        match membership(identity, &any_of) {
            Membership::Yes => Ok(()),
            _ if any_of.is_empty() => Ok(()),
            Membership::No => Err(NotAdmitted::CredentialLost {
                who,
                credential,
                any_of,
                has: identity.groups.clone(),
            }),
            Membership::Unknown => Err(NotAdmitted::CredentialUnclear {
                who,
                credential,
                any_of,
            }),
        }
    }
}

/// Picks the first credential that is for somebody: `credentials` are names, the groups each is
/// for (none: everybody), and what is picked, least privilege first.
///
/// # Errors
/// None is; or one that comes before it may be, and that cannot be told.
pub fn choose<'a, T>(
    identity: &Identity,
    credentials: impl Iterator<Item = (&'a str, &'a [String], T)>,
) -> Result<T, NotAdmitted> {
    let mut needed = Vec::new();
    for (name, groups, credential) in credentials {
        if groups.is_empty() {
            return Ok(credential);
        }
        match membership(identity, groups) {
            Membership::Yes => return Ok(credential),
            Membership::No => needed.extend(groups.iter().cloned()),
            // The next one may open more than is theirs.
            Membership::Unknown => {
                return Err(NotAdmitted::CredentialUnclear {
                    who: identity.label().to_owned(),
                    credential: name.to_owned(),
                    any_of: groups.to_vec(),
                });
            }
        }
    }
    needed.dedup();
    Err(NotAdmitted::NoCredential {
        who: identity.label().to_owned(),
        any_of: needed,
        has: identity.groups.clone(),
    })
}

fn membership(identity: &Identity, any_of: &[String]) -> Membership {
    // Group names are compared letter by letter: two that differ in case are two groups.
    match any_of.iter().any(|group| identity.groups.contains(group)) {
        true => Membership::Yes,
        false if identity.groups_incomplete => Membership::Unknown,
        false => Membership::No,
    }
}

fn check_email(identity: &Identity) -> Result<(), NotAdmitted> {
    let found = match (&identity.email, identity.email_verified) {
        (Some(_), Some(true)) => return Ok(()),
        (Some(email), Some(false)) => {
            format!("{} says that {email} is not verified", identity.issuer)
        }
        (Some(email), None) => {
            format!("{} does not say that {email} is verified", identity.issuer)
        }
        (None, _) => format!("{} sent no e-mail address", identity.issuer),
    };
    Err(NotAdmitted::Email {
        found,
        is_denied: identity.email.is_some() && identity.email_verified == Some(false),
    })
}

fn listed(groups: &[String]) -> String {
    let named = &groups[..groups.len().min(GROUPS_NAMED_MAX)];
    let more = match groups.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

fn shown(groups: &[String]) -> String {
    match groups.is_empty() {
        true => "no groups".to_owned(),
        false => format!("the groups {}", listed(groups)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Via;
    use proptest::prelude::*;

    fn alice(groups: &[&str]) -> Identity {
        Identity {
            issuer: "https://idp.test".to_owned(),
            subject: "u-1".to_owned(),
            name: None,
            email: Some("alice@x.test".to_owned()),
            email_verified: Some(true),
            groups: owned(groups),
            groups_incomplete: false,
            via: Via::Device,
            expires: None,
            workload: None,
        }
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn groups(lists: &[&[&str]]) -> Requirements {
        let mut all = Requirements::default();
        for list in lists {
            all.restrict(Some(owned(list)), None, false);
        }
        all
    }

    fn refusal(required: &Requirements, who: &Identity) -> String {
        required.check(who).unwrap_err().to_string()
    }

    /// Userinfo that says nothing of the e-mail address must not hide that a group is gone.
    #[test]
    fn what_is_lost_counts_before_what_is_left_open() {
        let mut required = groups(&[&["sre"]]);
        required.restrict(None, None, true);
        let mut who = alice(&["eng"]);
        who.email_verified = None;
        let refused = required.check(&who).unwrap_err();
        assert!(matches!(refused, NotAdmitted::Groups { .. }), "{refused}");
        who.groups = owned(&["sre"]);
        assert!(required.check(&who).unwrap_err().is_unclear());
    }

    #[test]
    fn one_of_each_list_of_groups() {
        let who = alice(&["eng", "oncall"]);
        groups(&[&["sre", "eng"]]).check(&who).unwrap();
        groups(&[&["eng"], &["oncall"]]).check(&who).unwrap();
        assert_eq!(
            refusal(&groups(&[&["eng"], &["sre", "dba"]]), &who),
            "alice@x.test is in none of the groups that the settings require (sre, dba); the sign-in \
             shows the groups eng, oncall"
        );
        assert!(
            refusal(&groups(&[&["ENG"]]), &who).contains("none of"),
            "names are exact"
        );
        let many: Vec<String> = (0..30).map(|n| format!("g{n}")).collect();
        let who = Identity {
            groups: many,
            ..alice(&[])
        };
        assert!(refusal(&groups(&[&["sre"]]), &who).ends_with("g18, g19 and 10 more"));
        assert!(refusal(&groups(&[&["sre"]]), &alice(&[])).ends_with("shows no groups"));
    }

    #[test]
    fn groups_that_were_left_out_admit_nobody() {
        let who = Identity {
            groups_incomplete: true,
            ..alice(&["eng"])
        };
        groups(&[&["eng"]]).check(&who).unwrap();
        let error = groups(&[&["sre"]]).check(&who).unwrap_err();
        assert!(
            matches!(error, NotAdmitted::GroupsIncomplete { .. }),
            "{error}"
        );
    }

    #[test]
    fn issuer_and_address() {
        let mut required = Requirements::default();
        assert!(required.is_empty());
        required.restrict(None, Some("https://idp.test".to_owned()), true);
        let who = alice(&[]);
        required.check(&who).unwrap();
        let elsewhere = Identity {
            issuer: "https://idp.test/".to_owned(),
            ..who.clone()
        };
        assert_eq!(
            refusal(&required, &elsewhere),
            "the settings require a sign-in at https://idp.test, and this one is at https://idp.test/"
        );
        for (email, verified, found) in [
            (Some("a@x"), Some(false), "says that a@x is not verified"),
            (Some("a@x"), None, "does not say that a@x is verified"),
            (None, Some(true), "sent no e-mail address"),
        ] {
            let who = Identity {
                email: email.map(str::to_owned),
                email_verified: verified,
                ..who.clone()
            };
            let refused = required.check(&who).unwrap_err();
            assert!(refused.to_string().ends_with(found), "{found}");
            assert_eq!(refused.is_unclear(), verified != Some(false), "{found}");
        }
        // Two places that want different issuers admit nobody.
        required.restrict(None, Some("https://other.test".to_owned()), false);
        assert!(required.check(&who).is_err());
    }

    #[test]
    fn whom_nobody_verified_is_admitted_by_no_requirement() {
        let local = Identity {
            via: Via::Local,
            groups: owned(&["sre"]),
            ..alice(&[])
        };
        Requirements::default().check(&local).unwrap();
        let mut all = groups(&[&["sre"]]);
        all.restrict(None, Some("https://idp.test".to_owned()), true);
        assert_eq!(
            refusal(&all, &local),
            "alice@x.test is the operating system's user, whom nobody has verified, and the settings \
             require one of the groups sre and a sign-in at https://idp.test and a verified e-mail \
             address"
        );
    }

    #[test]
    fn the_first_credential_that_fits() {
        let list = [
            ("read", owned(&["eng"])),
            ("write", owned(&["sre", "dba"])),
            ("rest", Vec::new()),
        ];
        let pick = |who: &Identity, upto: usize| {
            let entries = list[..upto].iter();
            choose(who, entries.map(|(name, groups)| (*name, &**groups, *name)))
        };
        assert_eq!(pick(&alice(&["eng", "sre"]), 3), Ok("read"));
        assert_eq!(pick(&alice(&["dba"]), 3), Ok("write"));
        assert_eq!(pick(&alice(&[]), 3), Ok("rest"));
        assert_eq!(
            pick(&alice(&["hr"]), 2).unwrap_err().to_string(),
            "no credential is for alice@x.test: those there are need one of the groups eng, sre, \
             dba; the sign-in shows the groups hr"
        );
        let cut = Identity {
            groups_incomplete: true,
            ..alice(&["sre"])
        };
        let error = pick(&cut, 3).unwrap_err();
        assert!(
            matches!(&error, NotAdmitted::CredentialUnclear { credential, .. } if credential == "read"),
            "{error}"
        );
    }

    #[test]
    fn a_credential_stays_theirs_while_a_group_of_it_does() {
        let grant = Grant::new("write".to_owned(), owned(&["sre", "dba"]));
        grant.check(&alice(&["dba", "eng", "new"])).unwrap();
        let lost = grant.check(&alice(&["eng"])).unwrap_err();
        assert_eq!(
            lost.to_string(),
            "alice@x.test is in none of the groups that this session's credential `write` is for \
             (sre, dba) any more; the sign-in shows the groups eng"
        );
        let cut = Identity {
            groups_incomplete: true,
            ..alice(&[])
        };
        assert!(grant.check(&cut).unwrap_err().is_unclear() && !lost.is_unclear());
        let everybodys = Grant::new("rest".to_owned(), Vec::new());
        everybodys.check(&cut).unwrap();
    }

    proptest! {
        #[test]
        fn more_requirements_never_admit_more(
            has in proptest::collection::vec("[a-c]", 0..3),
            lists in proptest::collection::vec(proptest::collection::vec("[a-c]", 1..3), 1..4),
            incomplete: bool,
        ) {
            let who = Identity { groups: has, groups_incomplete: incomplete, ..alice(&[]) };
            let mut required = Requirements::default();
            let mut admitted = true;
            for list in lists {
                required.restrict(Some(list), None, false);
                let now = required.check(&who).is_ok();
                prop_assert!(admitted || !now);
                admitted = now;
            }
        }
    }
}
