//! What an image is: its reference, its tags, and how one of them is chosen.

pub mod name;
pub mod reference;

pub use reference::{Image, ImageDefect, Tag, find_all_live, find_live, repository_name};
