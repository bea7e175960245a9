//! Names of things inside the core: operations and applications.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;

/// Identifies one started effect. Never reused within the life of a core (A8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpId(pub u64);

/// Hands out [`OpId`]s in order.
#[derive(Debug, Default)]
pub struct OpIds {
    next: u64,
}

impl OpIds {
    /// The next unused id.
    pub fn take_next(&mut self) -> OpId {
        let id = OpId(self.next);
        self.next += 1;
        id
    }
}

/// Stands for one Application record inside the core. Never reused: a re-created Application has
/// another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AppId(pub u64);

/// Names an Application: two of one name in different namespaces are two (`images.md` D-43).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppKey {
    /// The namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl AppKey {
    /// The key of `name` in `namespace`.
    pub fn new(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key as `namespace/name` in one allocation; the subject of keyed draws.
    pub fn to_subject(&self) -> Box<str> {
        format!("{self}").into_boxed_str()
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
