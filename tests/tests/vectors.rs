//! `cargo test -p image-updater-tests --test vectors`: the contract in machine-readable form.
//!
//! Reads `fixtures/vectors/`, or the folder in `IMAGE_UPDATER_VECTORS` (any subset of the files).
//! An argument limits the run to the groups whose name contains it.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors"));
    let folder = std::env::var_os("IMAGE_UPDATER_VECTORS").map_or(own, PathBuf::from);
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let summary = image_updater_tests::vectors::run_folder(&folder, only.as_deref());
    if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
