//! The program's way to registries over sockets: the real registry, and the fake one for tokens and
//! pages. The API server is the fake one, so that none has to be built.

mod exchanges;
mod setups;
mod stand;
