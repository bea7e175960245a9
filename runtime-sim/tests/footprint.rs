//! The core's own account of its bytes against an allocator that counts.

use std::alloc::System;
use std::time::Duration;

use image_updater_sim::fleet::{Fleet, FleetSize};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A twentieth of the fleet of `scale`.
const FLEET: FleetSize = FleetSize {
    applications: 500,
    repositories: 100,
    tags: 200,
    sharing: 50,
    interval: Duration::from_mins(1),
    policy: None,
};

#[test]
fn footprint_agrees_with_what_the_allocator_gives_back() {
    let mut fleet = Fleet::new(FLEET).expect("the settings are valid");
    fleet.run(FLEET.interval * 4);
    let told = fleet.core.footprint();
    let before = live_bytes();
    drop(fleet.core);
    let freed = before - live_bytes();
    assert!(
        told.total().abs_diff(freed) * 10 <= freed,
        "the core says {} bytes ({told:?}), the allocator got {freed} back",
        told.total()
    );
}

/// Bytes that were asked for and not given back.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats
        .bytes_allocated
        .wrapping_add_signed(stats.bytes_reallocated)
        - stats.bytes_deallocated
}
