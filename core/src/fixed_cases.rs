//! The setting of every property test: the same cases in every run, so that a build fails for what changed in it.
//!
//! `PROPTEST_RNG_SEED` and `PROPTEST_CASES` override it, to search further by hand. What is found is kept in
//! `proptest-regressions` and runs first ever after.

use proptest::test_runner::{Config, RngSeed};

/// Cases of a property that is cheap to check.
pub(crate) const CASES: u32 = 256;
const SEED: u64 = 0x5eed;

/// The setting for so many cases.
pub(crate) fn config(cases: u32) -> Config {
    let asked = Config::default();
    let is_asked_for_cases = asked.cases != CASES;
    Config {
        cases: if is_asked_for_cases {
            asked.cases
        } else {
            cases
        },
        rng_seed: match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(SEED),
            RngSeed::Fixed(seed) => RngSeed::Fixed(seed),
        },
        ..asked
    }
}
