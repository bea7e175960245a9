//! What the tests at the boundaries share.

pub mod code;
pub mod echo;
pub mod edits;
pub mod fuzz;
pub mod git;
pub mod load;
pub mod oracle;
pub mod program;
pub mod servers;
pub mod sockets;
pub mod vectors;
pub mod world;
