//! The simulator itself: it is deterministic, its checks bite, its faults strike, and its exit codes and
//! first line are what `simulation.md` 3.7 says.

use std::time::Duration;

use image_updater_core::time::Time;
use image_updater_sim::engine::Engine;
use image_updater_sim::options::{Options, Planted, Profile};
use image_updater_sim::run::{ExitCode, Report, run, run_twice};
use image_updater_sim::workload::Plan;
use image_updater_sim::{cli, plan_file, report, settings};

/// More steps than any of these runs takes.
const STEPS_MAX: u64 = 1_000_000;

#[test]
fn two_runs_of_one_plan_are_equal_and_two_seeds_are_not() {
    let mut options = Options::quiet(3);
    options.faults.server_error = 20_000;
    options.faults.patch_reply_lost = 100_000;
    let report = run_twice(&options);
    assert_holds(&report);
    assert_eq!(report.hash, run(&options).hash);
    assert_ne!(report.hash, run(&Options { seed: 4, ..options }).hash);
}

#[test]
fn first_difference_of_two_runs_is_located() {
    let options = Options::quiet(3);
    let changed = Options {
        tags: options.tags + 1,
        ..options.clone()
    };
    let (one, other) = (run(&options).trace, run(&changed).trace);
    let lines = one.first_difference(&other).expect("they differ");
    assert_eq!(lines.start, 0, "they differ from the first listing on");
    assert_eq!(one.first_difference(&run(&options).trace), None);
}

#[test]
fn pinned_seeds_hold() {
    for seed in [1, 7, 0x2c] {
        for profile in [Profile::Faultless, Profile::Swarm] {
            assert_holds(&run(&Options::derive(seed, profile, Some(8), Some(1))));
        }
    }
}

#[test]
fn each_planted_bug_is_found_by_its_own_invariant() {
    for (planted, code) in [
        (Planted::DoubleCheck, ExitCode::Safety),
        (Planted::StaleListing, ExitCode::Safety),
        (Planted::StrayEdit, ExitCode::Safety),
        (Planted::ForgottenApp, ExitCode::Liveness),
    ] {
        let mut options = Options::quiet(5);
        options.plant(planted);
        options.planted = None;
        assert_holds(&run(&options));
        options.plant(planted);
        let report = run(&options);
        let failure = report.verdict.expect_err("a planted bug is found");
        assert_eq!(
            (failure.violation.id, failure.code),
            (planted.invariant(), code),
            "{}",
            failure.violation
        );
    }
}

#[test]
fn each_class_of_faults_strikes_and_is_survived() {
    for idx in 0..11 {
        let mut options = Options::quiet(11);
        options.profile = Profile::Swarm;
        let mut classes = plan_file::classes(&mut options.faults);
        let (name, rate) = &mut classes[idx];
        let (name, class) = match *name {
            "watch-resets-per-hour" => (*name, None),
            "restarts-per-day" => (*name, Some("restart")),
            name => (name, Some(name)),
        };
        **rate = if class.is_none_or(|class| class == "restart") {
            48
        } else {
            50_000
        };
        let report = run(&options);
        assert_holds(&report);
        if let Some(class) = class {
            assert!(report.injected.contains_key(class), "{name} never struck");
        }
        assert!(report.writes > 0, "{name}: nothing was written");
    }
}

#[test]
fn each_class_of_faults_of_git_strikes_and_is_survived() {
    for idx in 0..8 {
        let mut options = Options::quiet(12);
        options.profile = Profile::Swarm;
        options.git = 2;
        let mut classes = plan_file::git_classes(&mut options.git_faults);
        let (name, rate) = &mut classes[idx];
        let name = *name;
        **rate = 300_000;
        let report = run(&options);
        assert_holds(&report);
        assert!(report.injected.contains_key(name), "{name} never struck");
        assert!(report.commits > 0, "{name}: nothing was committed");
    }
}

#[test]
fn a_restart_writes_nothing_that_was_written_before() {
    let options = Options {
        actions_per_hour: 0,
        ..Options::quiet(21)
    };
    let mut engine = engine(&options);
    engine
        .run_until(Time::from_secs(600), STEPS_MAX)
        .expect("the world settles");
    let writes = engine.observers.ledger.writes;
    assert!(writes > 0, "there was something to write");
    engine.restart();
    engine
        .run_until(Time::from_secs(1_200), STEPS_MAX)
        .expect("the world stays settled");
    assert!(engine.core.stats().decisions > 0, "the new process decided");
    assert_eq!(engine.observers.ledger.writes, writes);
}

#[test]
fn nothing_is_left_of_applications_that_are_gone() {
    let options = Options {
        actions_per_hour: 0,
        ..Options::quiet(31)
    };
    let mut engine = engine(&options);
    engine
        .run_until(Time::from_secs(600), STEPS_MAX)
        .expect("the world settles");
    engine.delete_all();
    engine
        .run_until(Time::from_secs(1_200), STEPS_MAX)
        .expect("the teardown holds");
    let (held, fresh) = (engine.core.footprint(), engine.fresh_core().footprint());
    assert_eq!(
        (held.applications, held.listings, held.registry),
        (fresh.applications, fresh.listings, fresh.registry)
    );
    assert_eq!(engine.core.stats().operations, 0);
}

#[test]
fn words_give_the_first_line_and_the_exit_code() {
    let (code, out) = command("run --seed 0x7 --apps 5 --hours 1 --faultless --once");
    assert_eq!(code, 0, "{out}");
    let line = "ok   image-updater-sim run --seed 0x7 --apps 5 --hours 1 --faultless options 0x";
    assert!(out.starts_with(line), "{out}");
    assert_eq!(out.lines().count(), 1, "{out}");

    let (code, out) = command("run --seed 0x7 --apps 5 --hours 1 --planted S1 --once");
    assert_eq!(code, 111, "{out}");
    let line = "S1   image-updater-sim run --seed 0x7 --apps 5 --hours 1 --faultless --planted S1 ";
    assert!(out.starts_with(line), "{out}");
    assert!(out.contains("\nreproduce with\n"), "{out}");

    assert_eq!(
        command("run --planted L2 --seed 7 --apps 5 --hours 1").0,
        112
    );
    for words in ["run --colour red", "run --seed many", "replay", "fly"] {
        assert_eq!(command(words).0, 1, "{words}");
    }
}

fn command(words: &str) -> (u8, String) {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(&words, &mut out, &mut err).expect("writing to memory succeeds");
    let text = String::from_utf8(out).expect("a report is text");
    (code, text)
}

fn engine(options: &Options) -> Engine {
    let config = settings::config(options, &Plan::generate(options))
        .expect("the options make valid settings");
    let mut engine = Engine::new(options.clone(), Plan::generate(options), config);
    // No check of these tests is about being late.
    assert!(options.horizon >= Duration::from_mins(10));
    engine.heal();
    engine
}

fn assert_holds(report: &Report) {
    let mut page = Vec::new();
    report::write(&mut page, report).expect("writing to memory succeeds");
    assert!(report.verdict.is_ok(), "{}", String::from_utf8_lossy(&page));
}
