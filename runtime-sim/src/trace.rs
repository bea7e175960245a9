//! What happened in a run, as lines and as one rolling hash.
//!
//! The hash covers every line, also when lines are not kept, so that two runs are compared by one
//! number (D1); checkpoints of it locate the first difference.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::fmt::Write as _;

use image_updater_core::time::Time;

/// Steps between two checkpoints of the hash.
const CHECKPOINT_STEPS: u64 = 1024;

/// The trace of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: u64,
    lines: u64,
    kept: VecDeque<String>,
    checkpoints: Vec<u64>,
    buffer: String,
    lines_max: usize,
}

impl Trace {
    /// No line yet; of all, the last `lines_max` will be kept.
    pub fn new(lines_max: usize) -> Self {
        Self {
            lines_max,
            ..Self::default()
        }
    }

    /// Adds a line: when, what kind, and the rest.
    pub fn line(&mut self, at: Time, kind: &str, rest: Arguments<'_>) {
        self.buffer.clear();
        write!(self.buffer, "{at:?} {kind:<9} {rest}").expect("writing to a String succeeds");
        for byte in self.buffer.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.lines += 1;
        if self.lines.is_multiple_of(CHECKPOINT_STEPS) {
            self.checkpoints.push(self.hash);
        }
        // A line that goes lends its room to the next.
        let is_full = self.kept.len() >= self.lines_max;
        let next = if is_full { self.kept.pop_front() } else { None };
        let line = std::mem::replace(&mut self.buffer, next.unwrap_or_default());
        if self.lines_max > 0 {
            self.kept.push_back(line);
        }
    }

    /// The hash over all lines so far.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines that are kept, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(String::as_str)
    }

    /// The last line.
    pub fn last(&self) -> Option<&str> {
        self.kept.back().map(String::as_str)
    }

    /// Where two traces part: the range of lines that holds the first difference.
    ///
    /// # Panics
    /// Never: a count fits in 64 bits.
    pub fn first_difference(&self, other: &Self) -> Option<std::ops::Range<u64>> {
        let same = self
            .checkpoints
            .iter()
            .zip(&other.checkpoints)
            .take_while(|(a, b)| a == b)
            .count();
        if self.hash == other.hash && self.lines == other.lines {
            return None;
        }
        let start = u64::try_from(same).expect("a count fits in 64 bits") * CHECKPOINT_STEPS;
        Some(start..start + CHECKPOINT_STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_traces_hash_equal_and_a_difference_is_located() {
        let run = |odd: u64| {
            let mut trace = Trace::new(40);
            for step in 0..3000 {
                trace.line(
                    Time::from_secs(step),
                    "step",
                    format_args!("{}", step + u64::from(step == odd)),
                );
            }
            trace
        };
        assert_eq!(run(9999).hash(), run(9999).hash());
        assert_eq!(run(9999).first_difference(&run(9999)), None);
        assert_eq!(run(9999).first_difference(&run(1500)), Some(1024..2048));
        assert_eq!(run(1).kept().count(), 40);
    }
}
