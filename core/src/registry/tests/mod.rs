//! One rule each: inputs in, effects and outcomes out.

mod chaos;
mod driver;
mod facts;
mod listings;
mod logins;
mod reloads;
mod revalidations;
mod sickness;
