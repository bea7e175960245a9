//! YAML as bytes: a text is read with the places of its nodes, single scalars are spliced, and every edit is proven
//! before it is used (`writeback.md` 10, 15.7).
//!
//! Bytes outside of what was meant cannot change by construction. That they still mean the same is proven: the
//! edited text is read again and compared node by node. What cannot be proven is refused.
//! Text, depth and number of nodes are bounded, and so is the work.

mod builder;
mod draft;
mod lexer;
mod manner;
mod path;
mod proof;
mod refusal;
mod render;
pub mod resolve;
pub mod scalar;
mod tree;

pub use draft::{Draft, New, is_empty};
pub use path::ValuePath;
pub use refusal::{EditReason, EditRefusal, NodeKind};
pub use tree::{NodeId, Tree};

/// Longest text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 100;
/// Most nodes of one text.
pub const NODES_MAX: usize = 400_000;

#[cfg(test)]
mod tests;
