//! Readers of strangers' bytes, over a corpus and what a few thousand mutations make of it: no panic, and no
//! memory out of proportion. `IMAGE_UPDATER_FUZZ_CASES` asks for more by hand.

use std::alloc::System;

use image_updater_tests::fuzz::{BODIES, Body, Mutator};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Mutations of each file of a corpus.
const CASES: u64 = 500;
/// Bytes of a stretched input.
const STRETCHED: usize = 128 << 10;
/// Bytes that may be asked for in all, per byte of input and at least.
const PER_BYTE_MAX: usize = 400;
const AT_LEAST: usize = 1 << 20;

/// One test: the allocator counts for the whole process.
#[test]
fn strangers_bytes_cause_no_panic_and_no_work_out_of_proportion() {
    let cases = std::env::var("IMAGE_UPDATER_FUZZ_CASES");
    let cases = cases
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CASES);
    for body in BODIES {
        let corpus = body.corpus();
        for (at, (path, one)) in corpus.iter().enumerate() {
            check(body, &path.display().to_string(), one);
            for (n, case) in (0..cases).enumerate() {
                let other = &corpus[(at + n) % corpus.len()].1;
                let bytes = Mutator::new(case).mutate(one, other);
                check(
                    body,
                    &format!("{} mutated by {case}", path.display()),
                    &bytes,
                );
            }
            for case in 0..8 {
                let bytes = Mutator::new(case).stretch(one, STRETCHED);
                check(
                    body,
                    &format!("{} stretched by {case}", path.display()),
                    &bytes,
                );
            }
        }
    }
}

#[track_caller]
fn check(body: &Body, what: &str, bytes: &[u8]) {
    let region = Region::new(ALLOCATOR);
    let read = std::panic::catch_unwind(|| (body.read)(bytes));
    let asked = region.change().bytes_allocated;
    assert!(
        read.is_ok(),
        "{}: {what}: panics on {:?}",
        body.name,
        String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)])
    );
    let bound = AT_LEAST.max(bytes.len() * PER_BYTE_MAX);
    assert!(
        asked <= bound,
        "{}: {what}: {asked} bytes for {} of input",
        body.name,
        bytes.len()
    );
}
