//! Writing changes back to Git: what is edited, where, and with which words (`writeback.md`).

pub mod branch;
pub mod configuration;
pub mod message;
pub mod target;
pub mod template;
