//! What an image is: its reference, its tags, and how one of them is chosen.

pub mod constraint;
pub mod glob;
pub mod list;
pub mod name;
pub mod platform;
pub mod reference;
pub mod version;

pub use constraint::{Constraint, ConstraintError};
pub use glob::{Glob, MalformedGlob};
pub use list::{ImageList, ImageListError, RejectedEntry};
pub use platform::{Platform, PlatformSet};
pub use reference::{Image, ImageDefect, Tag, find_all_live, find_live, repository_name};
pub use version::Version;
