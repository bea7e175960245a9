//! Git repositories as they are named, and how one logs in to them (`writeback.md` 11).

pub mod credential;
pub mod record;
pub mod secret;
pub mod url;
