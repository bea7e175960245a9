//! Tests of the scheduler as a whole: promises one by one, and any sequence against a naive model.

mod model;
mod promises;
mod properties;
