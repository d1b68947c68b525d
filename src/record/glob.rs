//! Patterns with `*`, as settings and policies write them for operation ids and tags.
//!
//! Pure, and bounded: time grows with the product of the two lengths, whatever the pattern.

/// Whether a pattern matches a whole name: letters compared without case, and `*` for any number
/// of characters. There is no way to mean a literal `*`: no id and no tag has one.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // The last `*`, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if byte.eq_ignore_ascii_case(&name[n]) => (p, n) = (p + 1, n + 1),
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, n) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("Logs*", "Logs Archives", true),
            ("logs*", "Logs", true),
            ("*logs*", "ListLogsGet", true),
            ("List*s", "ListMonitors", true),
            ("List*s", "ListMonitor", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("Monitor", "Monitors", false),
            ("", "", true),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    /// What a pattern means, said another way: each `*` tries every length.
    fn meaning(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|taken| meaning(rest, &name[taken..])),
            Some((byte, rest)) => name.split_first().is_some_and(|(first, left)| {
                first.eq_ignore_ascii_case(byte) && meaning(rest, left)
            }),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_it_means(pattern in "[abAB*]{0,8}", name in "[abAB]{0,10}") {
            prop_assert_eq!(
                matches(&pattern, &name),
                meaning(pattern.as_bytes(), name.as_bytes())
            );
        }

        #[test]
        fn a_pattern_made_from_a_name_matches_it(
            pieces in proptest::collection::vec("[A-Za-z ]{0,5}", 1..6),
            between in "[A-Za-z ]{0,5}",
        ) {
            prop_assert!(matches(&pieces.join("*"), &pieces.join(&between)));
        }
    }
}
