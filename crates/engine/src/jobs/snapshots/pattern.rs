//! What `find` looks for.

/// A part of a path, or a pattern of the whole path; case does not count.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Part(String),
    Whole(Vec<char>),
}

impl Pattern {
    /// Reads a pattern: with `*` or `?` it is one of the whole path, else a part of it.
    pub(super) fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        if text.contains(['*', '?']) {
            Self::Whole(text.chars().collect())
        } else {
            Self::Part(text)
        }
    }

    /// Whether a path fits.
    pub(super) fn fits(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        match self {
            Self::Part(part) => path.contains(part.as_str()),
            Self::Whole(pattern) => glob(pattern, &path.chars().collect::<Vec<_>>()),
        }
    }
}

/// Matches with one point to go back to, so that the time is bounded by the product of the lengths.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&have) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&want) if want == '?' || want == have => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((after, taken)) => {
                    *taken += 1;
                    p = *after + 1;
                    t = *taken;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|sign| *sign == '*'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_and_patterns() {
        let fits = |pattern: &str, path: &str| Pattern::new(pattern).fits(path);
        assert!(fits("sms.DB", "HomeDomain/Library/SMS/sms.db"));
        assert!(!fits("sms.db2", "HomeDomain/Library/SMS/sms.db"));
        assert!(fits("*.jpg", "CameraRollDomain/Media/DCIM/a.JPG"));
        assert!(!fits("*.jpg", "a.jpeg"));
        assert!(fits("home*/sms/*", "HomeDomain/Library/SMS/sms.db"));
        assert!(fits("a?c", "abc") && !fits("a?c", "ac"));
        assert!(fits("*a*b*", "xaxxabx") && fits("**", ""));
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_definition(pattern in "[ab*?]{0,7}", text in "[ab]{0,7}") {
            fn plain(p: &[char], t: &[char]) -> bool {
                match (p.split_first(), t.split_first()) {
                    (None, _) => t.is_empty(),
                    (Some(('*', rest)), _) => plain(rest, t) || t.split_first().is_some_and(|(_, t)| plain(p, t)),
                    (Some((want, p)), Some((have, t))) => (*want == '?' || want == have) && plain(p, t),
                    (Some(_), None) => false,
                }
            }
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(glob(&p, &t), plain(&p, &t));
        }
    }
}
