//! What an image is: its reference, its tags, and how one of them is chosen.

pub mod constraint;
pub mod glob;
pub mod list;
pub mod live;
pub mod match_expression;
pub mod name;
pub mod platform;
pub mod re2;
pub mod reference;
pub mod select;
pub mod tag_filter;
pub mod version;

pub use constraint::{Constraint, ConstraintError};
pub use glob::{Glob, MalformedGlob};
pub use list::{ImageList, ImageListError, RejectedEntry};
pub use live::{find_all_live, find_live};
pub use match_expression::{MatchExpression, MatchFault, TagRegexp};
pub use platform::{Platform, PlatformSet};
pub use reference::{Image, ImageDefect, Tag, repository_name};
pub use select::{Candidate, Selection, SelectionError, Strategy, TagDates, TagListSort, select};
pub use tag_filter::{IgnorePatterns, TagFilter, TagVerdict, TooManyPatterns};
pub use version::Version;
