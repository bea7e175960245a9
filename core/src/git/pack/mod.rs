//! Packs: many objects in one stream, some written as the difference to another.
//!
//! A pack is read while it comes ([`PackReader`]): every object is inflated once, hashed and forgotten, so
//! that what is held is the pack as it was sent, bounded by [`PackLimits`]. What is needed of it is inflated
//! again ([`Pack::find`]). Packs are written whole and without differences ([`write::to_bytes`]).

use core::fmt;

mod delta;
mod inflate;
mod read;
mod resolve;
pub mod write;

pub use read::PackReader;
pub use resolve::{Bases, Pack};

/// How much a pack may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackLimits {
    /// Longest pack, as it is sent (`GIT_PACK_BYTES_MAX`).
    pub pack_bytes_max: usize,
    /// Longest object that is looked at.
    pub object_bytes_max: u64,
    /// Most that may be inflated of one pack, over all objects and each time.
    pub inflated_bytes_max: u64,
}

impl PackLimits {
    /// The bounds that follow from that of the pack: a quarter for one object, sixteen times as much in
    /// all. Text shrinks to a quarter or less; what shrinks to a sixteenth is no repository.
    pub const fn new(pack_bytes_max: usize) -> Self {
        Self {
            pack_bytes_max,
            object_bytes_max: pack_bytes_max as u64 / 4 + 4_096,
            inflated_bytes_max: pack_bytes_max as u64 * 16 + 65_536,
        }
    }
}

impl Default for PackLimits {
    fn default() -> Self {
        Self::new(64 << 20)
    }
}

/// Why a pack is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PackError {
    /// It is longer than [`PackLimits::pack_bytes_max`].
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It inflates to more than a pack of its kind may.
    Bomb,
    /// It is no pack, or a damaged one.
    Malformed(&'static str),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes_max } => {
                write!(f, "the pack is larger than {bytes_max} bytes")
            }
            Self::Bomb => f.write_str("the pack inflates out of proportion"),
            Self::Malformed(what) => write!(f, "the pack is damaged: {what}"),
        }
    }
}

#[cfg(test)]
mod tests;
