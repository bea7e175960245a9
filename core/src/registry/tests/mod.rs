//! One rule each: inputs in, effects and outcomes out.

mod driver;
mod facts;
mod listings;
mod logins;
mod sickness;
