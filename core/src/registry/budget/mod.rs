//! Budgets: how many requests a registry is sent, how fast, and what it says about that itself.
//!
//! Of an endpoint, for everybody: the in-flight cap ([`slots`], `registry.md` 5.4), the rate limit
//! ([`rate`], 5.3) and the budget of further attempts ([`retries`]). Of an account, which is a credential
//! at an endpoint: its place in the line, its throttle window and lowered rate ([`pace`]),
//! its [`quota`], and whether it may read contents ([`pulls`]). Registries count by account whom they know and by address whom they do not: what is said
//! to a request that showed nothing holds for the endpoint as a whole, what is said to one that showed a
//! password or a token (an anonymous one too) holds for its account alone.

pub(super) mod account;
pub mod hint;
pub mod http_date;
pub(super) mod line;
pub mod pace;
pub mod pulls;
pub mod quota;
pub mod rate;
pub mod retries;
pub mod slots;

pub use hint::Hint;
pub use quota::Quota;
pub use rate::RateBudget;
