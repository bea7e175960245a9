//! Git's protocol as bytes.

pub mod capability;
pub mod object;
pub mod pack;
pub mod packet;
pub mod sideband;
