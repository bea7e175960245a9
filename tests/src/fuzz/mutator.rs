//! Inputs made from inputs: keyed by a number, so that every run makes the same.

use image_updater_sim::entropy::{Entropy, Stream};

/// Longest input that is made.
const LEN_MAX: usize = 1 << 16;
/// Bytes that mean something to at least one of the readers.
const MEANINGFUL: &[u8] = b"{}[]\"\\,:;=<>@#&*|-!%/?.~^ \t\n\r\0\xff\xc3\x80019azAZ";

/// Makes inputs.
#[derive(Debug)]
pub struct Mutator {
    entropy: Entropy,
}

impl Mutator {
    /// The maker of the inputs of one seed.
    pub fn new(seed: u64) -> Self {
        Self {
            entropy: Entropy::new(seed, Stream::Workload),
        }
    }

    /// A few changes to `one`; parts of `other` may come in.
    pub fn mutate(&mut self, one: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = one.to_vec();
        for _ in 0..self.entropy.between(1, 6) {
            self.change(&mut bytes, other);
            bytes.truncate(LEN_MAX);
        }
        bytes
    }

    /// A part of `one` over and over, up to `len` bytes: what makes a careless reader slow.
    pub fn stretch(&mut self, one: &[u8], len: usize) -> Vec<u8> {
        let (from, to) = self.span(one.len());
        let part = if from == to { one } else { &one[from..to] };
        if part.is_empty() {
            return Vec::new();
        }
        let mut bytes = one[..from].to_vec();
        while bytes.len() + part.len() <= len {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&one[to..]);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let (from, to) = self.span(bytes.len());
        match self.entropy.index(7) {
            0 => {
                let letter = MEANINGFUL[self.entropy.index(MEANINGFUL.len())];
                bytes.insert(from, letter);
            }
            1 => {
                bytes.drain(from..to);
            }
            2 if from < bytes.len() => bytes[from] ^= 1 << self.entropy.index(8),
            3 => {
                let part = bytes[from..to].to_vec();
                bytes.splice(to..to, part);
            }
            4 => bytes.truncate(to),
            5 => {
                let (first, last) = self.span(other.len());
                bytes.splice(from..to, other[first..last].iter().copied());
            }
            _ => {
                let letter = MEANINGFUL[self.entropy.index(MEANINGFUL.len())];
                bytes.splice(from..to, std::iter::repeat_n(letter, to - from));
            }
        }
    }

    /// Two places in order.
    fn span(&mut self, len: usize) -> (usize, usize) {
        let (one, other) = (self.entropy.index(len + 1), self.entropy.index(len + 1));
        (one.min(other), one.max(other))
    }
}
