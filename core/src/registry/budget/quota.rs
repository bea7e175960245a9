//! The pull quota of an account, as the registry counts it (Docker Hub: `ratelimit-limit: 100;w=21600`).

use alloc::boxed::Box;
use core::time::Duration;

use super::hint::Hint;

/// What an account has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Requests that a window allows.
    pub limit: u64,
    /// Requests that are left in it.
    pub remaining: u64,
    /// How long it is, if the registry says so.
    pub window: Option<Duration>,
    /// Who is counted: an address or an account, in the registry's words.
    pub source: Option<Box<str>>,
}

impl Quota {
    /// The quota that a response tells; `None` when it tells none.
    pub fn of(hint: &Hint) -> Option<Self> {
        Some(Self {
            limit: hint.limit?,
            remaining: hint.remaining?,
            window: hint.window,
            source: hint.source.clone(),
        })
    }

    /// True when at most a tenth is left.
    pub const fn is_low(&self) -> bool {
        self.remaining <= self.limit / 10
    }
}
