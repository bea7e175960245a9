//! Environment variables as data, and the lenient grammars of their values (`ops.md` 1.5).
//!
//! An unacceptable value never fails: the default holds, and mostly a warning says so.

use std::collections::BTreeMap;
use std::fmt;

use image_updater_core::duration::GoDuration;

/// The variables of a process. Its `Debug` shows names only, since values may be secret.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process; what is not UTF-8 is read with replacement characters.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .map(|(name, value)| {
                    (
                        name.to_string_lossy().into_owned(),
                        value.to_string_lossy().into_owned(),
                    )
                })
                .collect(),
        )
    }

    /// The value of a variable; an empty one counts as unset.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// `true` or `false` in any letter case. Everything else is the default, with a warning.
    pub fn bool_or(&self, name: &str, default: bool, warnings: &mut Vec<String>) -> bool {
        let Some(text) = self.text(name) else {
            return default;
        };
        for (word, value) in [("true", true), ("false", false)] {
            if word.eq_ignore_ascii_case(text) {
                return value;
            }
        }
        warnings.push(format!(
            "{name} is {text:?}, not true or false; {default} is used"
        ));
        default
    }

    /// A decimal number in `min..=max`. Everything else is the default, with a warning.
    pub fn integer_or(
        &self,
        name: &str,
        default: i64,
        (min, max): (i64, i64),
        warnings: &mut Vec<String>,
    ) -> i64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => number,
            Ok(_) | Err(_) => {
                let bounds = match (min, max) {
                    (i64::MIN, i64::MAX) => String::new(),
                    (_, i64::MAX) => format!(" from {min}"),
                    (_, _) => format!(" from {min} to {max}"),
                };
                warnings.push(format!(
                    "{name} is {text:?}, not a whole number{bounds}; {default} is used"
                ));
                default
            }
        }
    }

    /// A duration of any sign. Everything else is the default, with a warning.
    pub fn duration_or(
        &self,
        name: &str,
        default: GoDuration,
        warnings: &mut Vec<String>,
    ) -> GoDuration {
        let Some(text) = self.text(name) else {
            return default;
        };
        text.parse().unwrap_or_else(|error| {
            warnings.push(format!(
                "{name} is {text:?}, not a duration ({error}); {default} is used"
            ));
            default
        })
    }

    /// A duration in `min..=max` that is not negative, where a `max` of zero means no limit.
    /// Everything else is the default, silently.
    pub fn bounded_duration_or(
        &self,
        name: &str,
        default: GoDuration,
        (min, max): (GoDuration, GoDuration),
    ) -> GoDuration {
        self.text(name)
            .and_then(|text| text.parse().ok())
            .filter(|duration| !GoDuration::is_negative(*duration))
            .filter(|duration| *duration >= min)
            .filter(|duration| max == GoDuration::ZERO || *duration <= max)
            .unwrap_or(default)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unacceptable_values_are_the_default_with_a_warning_that_names_the_variable() {
        let environment = Environment::from_iter([("V", "30")]);
        let default = GoDuration::from_secs(120);
        let mut warnings = Vec::new();
        assert_eq!(
            environment.duration_or("V", default, &mut warnings),
            default
        );
        assert_eq!(environment.integer_or("V", 10, (1, 20), &mut warnings), 10);
        assert!(environment.bool_or("V", true, &mut warnings));
        assert_eq!(
            warnings,
            [
                "V is \"30\", not a duration (a unit is missing); 2m0s is used",
                "V is \"30\", not a whole number from 1 to 20; 10 is used",
                "V is \"30\", not true or false; true is used",
            ]
        );
    }

    #[test]
    fn empty_values_are_unset_and_blanks_are_kept() {
        let environment = Environment::from_iter([("EMPTY", ""), ("BLANK", " ")]);
        let mut warnings = Vec::new();
        assert_eq!(environment.text("EMPTY"), None);
        assert_eq!(environment.text("BLANK"), Some(" "));
        assert!(environment.bool_or("EMPTY", true, &mut warnings));
        assert_eq!(environment.integer_or("EMPTY", 3, (0, 5), &mut warnings), 3);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn bounded_durations_are_never_negative_and_never_clamped() {
        let hour = GoDuration::from_secs(3_600);
        let default = GoDuration::from_secs(7);
        for (text, max, want) in [
            ("0", hour, GoDuration::ZERO),
            ("1h", hour, hour),
            ("1h1s", hour, default),
            ("-1s", hour, default),
            ("-1s", GoDuration::ZERO, default),
            ("2h", GoDuration::ZERO, GoDuration::from_secs(7_200)),
            ("x", hour, default),
        ] {
            let environment = Environment::from_iter([("V", text)]);
            let got = environment.bounded_duration_or("V", default, (GoDuration::ZERO, max));
            assert_eq!(got, want, "{text} up to {max}");
        }
    }

    #[test]
    fn debug_output_shows_no_value() {
        let environment = Environment::from_iter([("ARGOCD_TOKEN", "hush")]);
        assert_eq!(format!("{environment:?}"), "{\"ARGOCD_TOKEN\"}");
    }
}
