//! Registries: where images are listed, and everything that is agreed with them over HTTP.

pub mod credential;

pub use credential::{CredentialError, CredentialReference, CredentialSource, RegistryPrefix};
