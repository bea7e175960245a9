//! What the program says about itself: log lines (`ops.md` 18).
//!
//! - One record is one line, whatever is in it.
//! - Records up to `warn` go to standard output, `error` and `fatal` to standard error, each through
//!   its own sink: no record can land in the other stream.
//! - A sink that is gone (a closed pipe) is no reason to end.

mod field;
mod json;
mod level;
mod log;
mod narrator;
mod page;
mod relay;
mod text;

pub use field::{Field, FieldValue};
pub use level::{Level, LogFormat, UnknownWord};
pub use log::{Log, Sink};
pub use narrator::Narrator;
pub use page::Page;
pub use relay::Relay;
