//! The text format in which Prometheus reads metrics, version 0.0.4.

use core::fmt::{self, Write};

use super::family::FamilyType;
use super::sample::{LabelValue, Sample, Value};

/// The value of `Content-Type` for [`write_samples`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes series as text. Those of one family must follow each other, as
/// [`Snapshot::samples`](super::Snapshot::samples) gives them.
///
/// # Errors
/// What `out` reports; a `String` reports nothing.
pub fn write_samples<'a>(
    out: &mut impl Write,
    samples: impl Iterator<Item = Sample<'a>>,
) -> fmt::Result {
    let mut last = None;
    for sample in samples {
        let family = sample.family;
        if last != Some(family.id) {
            write_head(out, family.name, family.help, family.kind)?;
            last = Some(family.id);
        }
        write_sample(out, &sample)?;
    }
    Ok(())
}

fn write_head(out: &mut impl Write, name: &str, help: &str, kind: FamilyType) -> fmt::Result {
    write!(out, "# HELP {name} ")?;
    for character in help.chars() {
        match character {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            other => out.write_char(other)?,
        }
    }
    writeln!(out, "\n# TYPE {name} {}", kind.as_str())
}

fn write_sample(out: &mut impl Write, sample: &Sample<'_>) -> fmt::Result {
    let histogram = match sample.value {
        Value::Integer(value) => {
            write_name(out, sample, "", None)?;
            return writeln!(out, " {value}");
        }
        Value::Histogram(histogram) => histogram,
    };
    // Before the first duration there are no counts, and all of them are zero.
    let mut buckets = sample.buckets();
    for bound in sample.family.id.bounds() {
        let bound = Seconds(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX));
        let count = buckets.next().map_or(0, |(_, count)| count);
        write_name(out, sample, "_bucket", Some(&bound))?;
        writeln!(out, " {count}")?;
    }
    let count = histogram.count();
    write_name(out, sample, "_bucket", Some(&"+Inf"))?;
    writeln!(out, " {count}")?;
    write_name(out, sample, "_sum", None)?;
    writeln!(out, " {}", Seconds(histogram.sum_nanos()))?;
    write_name(out, sample, "_count", None)?;
    writeln!(out, " {count}")
}

/// Writes the name with `suffix` and all labels; `bound` is the label `le`.
fn write_name(
    out: &mut impl Write,
    sample: &Sample<'_>,
    suffix: &str,
    bound: Option<&dyn fmt::Display>,
) -> fmt::Result {
    write!(out, "{}{suffix}", sample.family.name)?;
    let mut separator = '{';
    for (name, value) in sample.labels() {
        write!(out, "{separator}{name}=\"")?;
        write_value(out, value)?;
        out.write_char('"')?;
        separator = ',';
    }
    if let Some(bound) = bound {
        write!(out, "{separator}le=\"{bound}\"")?;
        separator = ',';
    }
    if separator == ',' {
        out.write_char('}')?;
    }
    Ok(())
}

fn write_value(out: &mut impl Write, value: LabelValue<'_>) -> fmt::Result {
    /// Escapes what is written to it.
    struct Escaped<'a, W>(&'a mut W);
    impl<W: Write> Write for Escaped<'_, W> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                match character {
                    '\\' => self.0.write_str("\\\\")?,
                    '"' => self.0.write_str("\\\"")?,
                    '\n' => self.0.write_str("\\n")?,
                    other => self.0.write_char(other)?,
                }
            }
            Ok(())
        }
    }
    write!(Escaped(out), "{value}")
}

/// Nanoseconds, shown as seconds with the digits that are needed and no others.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        write!(f, "{whole}")?;
        if nanos == 0 {
            return Ok(());
        }
        let (mut digits, mut width) = (nanos, 9);
        while digits % 10 == 0 {
            digits /= 10;
            width -= 1;
        }
        write!(f, ".{digits:0width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};
    use core::time::Duration;

    use crate::metrics::{FamilyId, Histogram};

    #[test]
    fn seconds_are_exact() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (5_000_000, "0.005"),
            (2_500_000_000, "2.5"),
            (86_400_000_000_000, "86400"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(Seconds(nanos).to_string(), text);
        }
    }

    #[test]
    fn label_values_are_escaped_and_empty_ones_are_left_out() {
        let labels = [
            LabelValue::Text("https://r.test/\"\\\n"),
            LabelValue::Text("s"),
            LabelValue::Text(""),
        ];
        let sample = Sample::new(FamilyId::RegistryTokenRequests, labels, Value::Integer(7));
        let mut text = String::new();
        write_samples(&mut text, core::iter::once(sample)).expect("a String takes everything");
        assert_eq!(
            text.lines().last(),
            Some(
                r#"argocd_image_updater_registry_jwt_auth_requests_total{registry="https://r.test/\"\\\n",service="s"} 7"#
            )
        );
    }

    #[test]
    fn a_histogram_ends_with_infinity_sum_and_count() {
        let mut histogram = Histogram::default();
        histogram.observe(
            FamilyId::CycleDuration.bounds(),
            Duration::from_millis(1_250),
        );
        histogram.observe(FamilyId::CycleDuration.bounds(), Duration::from_hours(1));
        let sample = Sample::new(FamilyId::CycleDuration, [], Value::Histogram(&histogram));
        let mut text = String::new();
        write_samples(&mut text, core::iter::once(sample)).expect("a String takes everything");
        let last: alloc::vec::Vec<&str> = text.lines().rev().take(4).collect();
        let name = "argocd_image_updater_update_cycle_duration_seconds";
        assert_eq!(
            last,
            [
                alloc::format!("{name}_count 2"),
                alloc::format!("{name}_sum 3601.25"),
                alloc::format!("{name}_bucket{{le=\"+Inf\"}} 2"),
                alloc::format!("{name}_bucket{{le=\"1800\"}} 1"),
            ]
        );
        assert!(text.contains("_bucket{le=\"1\"} 0\n"), "{text}");
        assert!(text.contains("_bucket{le=\"2.5\"} 1\n"), "{text}");
    }
}
