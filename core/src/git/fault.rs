//! Why a reply is not used.

use alloc::string::String;
use core::fmt;

use super::pack::PackError;
use super::packet::Malformed;

/// What is wrong with a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is not what the protocol has here.
    Malformed(&'static str),
    /// Its pack is not read.
    Pack(PackError),
    /// The server says that something is wrong.
    Remote(String),
}

impl From<Malformed> for Fault {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}

impl From<PackError> for Fault {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the answer is not git's protocol: {what}"),
            Self::Pack(error) => write!(f, "{error}"),
            Self::Remote(text) => write!(f, "the server says: {text}"),
        }
    }
}
