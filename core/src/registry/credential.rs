//! Where a credential comes from (`registry.md` 4.1, `images.md` 4.3).

use alloc::boxed::Box;

/// A parsed credential reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CredentialSource {
    /// One field of a Kubernetes Secret, holding `user:password`.
    Secret {
        /// Namespace of the Secret.
        namespace: Box<str>,
        /// Name of the Secret.
        name: Box<str>,
        /// Field in its data.
        field: Box<str>,
    },
    /// A docker config JSON in field `.dockerconfigjson` of a Kubernetes Secret.
    PullSecret {
        /// Namespace of the Secret.
        namespace: Box<str>,
        /// Name of the Secret.
        name: Box<str>,
    },
    /// An environment variable, holding `user:password`.
    Env(Box<str>),
    /// A program at an absolute path that prints `user:password`.
    Ext(Box<str>),
}
