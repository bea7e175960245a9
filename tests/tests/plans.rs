//! Every plan that once failed is run again, and every incident is played; its file says what it is about.

use std::path::{Path, PathBuf};

use image_updater_sim::{plan_file, report, run, script};

#[test]
fn every_kept_plan_holds_today() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/plans");
    let entries = std::fs::read_dir(&folder).expect("fixtures/plans is there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "plan"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are plans in {}", folder.display());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a plan can be read");
        let named = |problem| format!("{}: {problem}", path.display());
        let mut page = Vec::new();
        let verdict = if script::is_script(&text) {
            let script = script::parse(&text).map_err(named);
            let report = script::run(&script.unwrap_or_else(|problem| panic!("{problem}")));
            script::write(&mut page, &report).expect("writing to memory succeeds");
            report.run.verdict
        } else {
            let options = plan_file::parse(&text).map_err(named);
            let report = run::run(&options.unwrap_or_else(|problem| panic!("{problem}")));
            report::write(&mut page, &report).expect("writing to memory succeeds");
            report.verdict
        };
        let page = String::from_utf8_lossy(&page);
        assert!(verdict.is_ok(), "{}\n{page}", path.display());
    }
}
