//! Stories through the facade of the core, with a fake cluster and fake registries in virtual time.
//!
//! Where the defects of the reference's scheduler (`ops.md` 20.1) are held off:
//!
//! | id | test |
//! |---|---|
//! | S1, S4, S5, S21 | `core/src/schedule/tests/defects.rs` |
//! | S2, S3 | `schedule::outcomes_are_remembered_across_cycles`, and `defects.rs` |
//! | S6, S7 | `schedule::the_cap_per_repository_puts_off_and_never_hangs`, and `defects.rs` |
//! | S8 | `schedule::one_limit_holds_for_the_whole_process` |
//! | S9 | `schedule::a_new_application_is_noticed_while_all_slots_are_taken` |
//! | S10, S11 | `schedule::nothing_ticks_and_nothing_is_listed_twice` |
//! | S12 | `core/src/schedule/tests/properties.rs`; the figures of `image-updater-sim scale` |
//! | S13, S20 | `schedule::both_modes_tell_the_same_events` |
//! | S14 | `life::once_ends_when_everything_is_done_in_both_modes` |
//! | S15 | `schedule::first_checks_are_spread` |
//! | S16 | the driver: a panic of an effect is its completion (`TransportKind::Crashed`), `schedule::a_crashed_request_is_a_failure_of_its_application` |
//! | S17 | `life::a_run_past_its_deadline_gives_its_slot_back` |
//! | S18 | `contract.rs`, `a11_…` |
//! | S19 | the driver counts CPUs; `core/src/schedule/settings.rs` uses what it is told |
//! | S22 | `schedule::an_attempt_is_stamped_when_it_starts` |
//! | S23 | `schedule::intervals_count_from_the_start_or_from_the_end` |
//! | S24 | `core/src/schedule/tests/defects.rs` |

mod deadlines;
mod decisions;
mod discovery;
mod life;
mod lookups;
mod reload;
mod schedule;
mod writes;
