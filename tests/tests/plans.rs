//! Every plan that once failed is run again; its file says what was wrong.

use std::path::{Path, PathBuf};

use image_updater_sim::{plan_file, report, run};

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
        let options = plan_file::parse(&text)
            .unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        let report = run::run(&options);
        let mut page = Vec::new();
        report::write(&mut page, &report).expect("writing to memory succeeds");
        assert!(
            report.verdict.is_ok(),
            "{}\n{}",
            path.display(),
            String::from_utf8_lossy(&page)
        );
    }
}
