//! Writing changes back to Git: what is edited, where, and with which words (`writeback.md`).

pub mod branch;
pub mod configuration;
pub mod edit;
pub mod helm_values;
pub mod kustomization;
pub mod message;
mod newest;
pub mod override_file;
pub mod target;
pub mod template;
pub mod yaml;
