//! One series as it is read: family, labels, value.

use core::fmt;
use core::time::Duration;

use super::family::{Family, FamilyId, LABELS_MAX};
use super::histogram::Histogram;
use super::token::TokenFailure;
use crate::id::AppKey;

/// The label value that stands for everything beyond a bound.
pub(super) const OTHER: &str = "other";

/// One series of a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample<'a> {
    /// Its family.
    pub family: &'static Family,
    /// The values of the family's labels, in their order; those beyond are empty.
    values: [LabelValue<'a>; LABELS_MAX],
    /// Its value.
    pub value: Value<'a>,
}

/// The value of a series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// A count, or whole seconds of Unix time.
    Integer(u64),
    /// Counts of durations, with the bounds of the family.
    Histogram(&'a Histogram),
}

/// The value of a label, written when it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LabelValue<'a> {
    /// A text; an empty one is the same as no label.
    Text(&'a str),
    /// `namespace/name` of an application.
    Application(&'a AppKey),
    /// An HTTP status.
    Status(u16),
    /// Why no token was had.
    TokenFailure(TokenFailure),
}

impl LabelValue<'_> {
    /// True when it is the same as no label.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(""))
    }
}

impl fmt::Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Application(key) => write!(f, "{key}"),
            Self::Status(status) => write!(f, "{status}"),
            Self::TokenFailure(failure) => match failure {
                TokenFailure::Roundtrip => f.write_str("roundtrip_error"),
                TokenFailure::ReadBody => f.write_str("read_body_error"),
                TokenFailure::ParseJson => f.write_str("parse_json_error"),
                TokenFailure::Http(status) => write!(f, "http_{status}"),
                TokenFailure::Other => f.write_str(OTHER),
            },
        }
    }
}

impl<'a> Sample<'a> {
    pub(super) fn new<const N: usize>(
        id: FamilyId,
        labels: [LabelValue<'a>; N],
        value: Value<'a>,
    ) -> Self {
        let family = id.family();
        debug_assert_eq!(N, family.labels.len(), "{}", family.name);
        let mut values = [LabelValue::Text(""); LABELS_MAX];
        for (place, label) in values.iter_mut().zip(labels) {
            *place = label;
        }
        Self {
            family,
            values,
            value,
        }
    }

    /// The labels that it has, with their names.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, LabelValue<'a>)> + use<'a> {
        let names = self.family.labels.iter().copied();
        names
            .zip(self.values)
            .filter(|(_, value)| !value.is_empty())
    }

    /// For a histogram: its bounds with how many durations were at most as long.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + use<'a> {
        let histogram = match self.value {
            Value::Histogram(histogram) => Some(histogram),
            Value::Integer(_) => None,
        };
        let bounds = self.family.id.bounds().iter().copied();
        bounds.zip(histogram.into_iter().flat_map(Histogram::cumulative))
    }
}
