//! What an image is: its reference, its tags, and how one of them is chosen.

pub mod reference;

pub use reference::{Image, Tag};
