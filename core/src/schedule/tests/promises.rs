//! The promises of `ops.md` 7 and 20.1, one by one.
