//! One rule each: inputs in, effects and outcomes out.

mod chaos;
mod circuits;
mod conditions;
mod contents;
mod driver;
mod facts;
mod limits;
mod listings;
mod logins;
mod page_sizes;
mod pages;
mod pings;
mod reloads;
mod revalidations;
mod rotation;
mod sickness;
mod stores;
mod tokens;
