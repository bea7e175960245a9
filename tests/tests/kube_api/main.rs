//! The program against a real API server, with the rights that are shipped, and a real registry.

mod discovery;
mod outage;
mod rights;
mod selection;
mod stand;
mod writing;
