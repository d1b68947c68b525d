//! Names a person, and says in plain words whether anybody vouched for the name.

use crate::record::{Identity, Via, Workload};

use super::escape::escape;
use super::style::{Look, Missing, Tone};

/// The short form, for lists: `alice@example.com`, `alice (unverified)`.
pub(super) fn short(who: Option<&Identity>, missing: Missing) -> String {
    match who {
        None => missing.word().to_owned(),
        Some(who) if who.via.is_verified() => escape(who.label()).into_owned(),
        Some(who) => format!("{} (unverified)", escape(who.label())),
    }
}

/// The long form: who, vouched for by whom, in which groups.
pub(super) fn long(who: Option<&Identity>, look: &Look) -> String {
    let Some(who) = who else {
        return look.paint(Tone::Dim, look.missing.word());
    };
    let label = look.paint(Tone::Strong, &escape(who.label()));
    if who.via == Via::Local {
        let host = who.issuer.strip_prefix("local:").unwrap_or(&who.issuer);
        let plain = format!(
            "unverified OS user on {}: nobody vouched for this name",
            escape(host)
        );
        return format!("{label}, {}", look.paint(Tone::Warn, &plain));
    }
    if let Some(workload) = &who.workload {
        return format!("{label}, {}", vouched_for(who, workload, look));
    }
    let verified = look.paint(Tone::Good, "verified");
    let mut text = format!("{label}, {verified} by {}", escape(&who.issuer));
    if who.via == Via::Userinfo {
        text.push_str(" (its userinfo, not a signed token)");
    }
    if who.email.is_some() && who.email_verified != Some(true) {
        text.push_str(" (the e-mail address itself is not)");
    }
    if let Some(groups) = groups(who) {
        text.push_str("; groups: ");
        text.push_str(&groups);
    }
    text
}

/// Who vouches for a workload, in which groups; and who set it off, who is not the one who acts.
fn vouched_for(who: &Identity, workload: &Workload, look: &Look) -> String {
    let verified = look.paint(Tone::Good, "verified");
    let mut text = format!("{verified} by {}", escape(&who.issuer));
    if let Some(groups) = groups(who) {
        text.push_str(&format!("; groups: {groups}"));
    }
    if let Some(actor) = &workload.actor {
        text.push_str(&format!("; set off by {}", escape(actor)));
        if !workload.vouches_for("actor") {
            text.push_str(" (unverified)");
        }
    }
    text
}

/// What a workload is doing, beyond its name: `workflow W; job J (unverified); commit C`.
pub(super) fn job(who: Option<&Identity>) -> Option<String> {
    let workload = who?.workload.as_ref()?;
    let in_the_name = ["repository", "ref", "run", "actor"];
    let facts = workload.facts().filter(|(fact, _)| {
        !in_the_name.contains(fact) || *fact != "actor" && !workload.vouches_for(fact)
    });
    let texts = facts.map(|(fact, value)| match workload.vouches_for(fact) {
        true => format!("{fact} {}", escape(value)),
        false => format!("{fact} {} (unverified)", escape(value)),
    });
    let text = texts.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}

/// The groups, escaped; none when there are none.
pub(super) fn groups(who: &Identity) -> Option<String> {
    group_list(&who.groups, who.groups_incomplete)
}

/// The same of a list alone.
pub(super) fn group_list(groups: &[String], is_incomplete: bool) -> Option<String> {
    if groups.is_empty() && !is_incomplete {
        return None;
    }
    let names: Vec<_> = groups.iter().map(|group| escape(group)).collect();
    let mut text = names.join(", ");
    if is_incomplete {
        text.push_str(if text.is_empty() {
            "not known"
        } else {
            ", and more"
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::style::test_look;
    use super::*;
    use crate::replay::sample::{alice, os_user};

    #[test]
    fn a_name_nobody_vouched_for_is_never_shown_bare() {
        fn short(who: Option<&Identity>) -> String {
            super::short(who, Missing::Sealed)
        }
        assert_eq!(short(Some(&alice())), "alice@example.com");
        assert_eq!(short(Some(&os_user())), "alice (unverified)");
        assert_eq!(short(None), "(sealed)");
        assert_eq!(
            long(Some(&os_user()), &test_look()),
            "alice, unverified OS user on laptop: nobody vouched for this name"
        );
    }

    #[test]
    fn the_long_form_says_by_whom() {
        let mut who = alice();
        assert_eq!(
            long(Some(&who), &test_look()),
            "alice@example.com, verified by https://idp.example; groups: eng, oncall"
        );
        who.email_verified = None;
        who.groups = vec!["a\x1b[2J".into()];
        who.groups_incomplete = true;
        assert_eq!(
            long(Some(&who), &test_look()),
            "alice@example.com, verified by https://idp.example (the e-mail address itself is \
             not); groups: a\\u{1b}[2J, and more"
        );
    }
}
