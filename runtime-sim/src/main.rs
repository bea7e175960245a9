//! `image-updater-sim`: runs of the production core in virtual time.

use std::io;
use std::process::ExitCode;

use image_updater_sim::cli;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    // A closed pipe is the reader's wish.
    ExitCode::from(cli::run(&words, &mut out, &mut err).unwrap_or(0))
}
