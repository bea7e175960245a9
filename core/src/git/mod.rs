//! Git's protocol as bytes.

pub mod capability;
pub mod object;
pub mod pack;
pub mod packet;
pub mod sideband;
pub mod fault;
pub mod fetch;
pub mod refs;
pub mod report;
pub mod channel;
pub mod job;
pub mod known;
pub mod refusal;
mod tree;
