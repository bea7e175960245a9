//! The room by hand, and against a naive model.

mod batches;
mod model;
mod outcomes;
mod world;
