//! Scripts: an incident told line by line, and what is expected of the updater.
//!
//! The first line of the file is `script`; `#` begins a comment; durations are `500ms`, `30s`, `5m`,
//! `12h`. Applications are `app-0`, `app-1` … in the order of their lines. Version number `n` of a
//! repository is `1.<n / 100>.<n % 100>`, from 0; each application begins with the first one.
//!
//! ```text
//! seed N                                    default 1
//! lasts D                                   how long the script runs; required
//! interval D                                between two checks of an application; default 1m
//! warm-up                                   with the pass before the loop
//! slots N                                   checks at once; default 10
//! login USER SOURCE                         a user, and where its password is read: env:NAME …
//! registry rN open|basic|bearer OPTIONS     rN are numbered from 0; options:
//!          tokens-live D                      default 5m
//!          page N                             tags per page; default 100
//!          page-max N                         tags per page when more are asked for; default the same
//!          rate N                             requests per second in our settings; default unlimited
//!          login USER                         may read; of a bearer registry without logins all may
//!          own USER                           may read, and is the login of our settings
//! repository rN/NAME versions N
//! git N                                     Git repositories, with branches main and dev
//! apps N rN/NAME POLICY [login USER] [git gN [main|dev]]
//!                                           POLICY: any, minor A.B, alphabetical, newest-build, digest;
//!                                           login: a pull secret of the applications
//!
//! at T push rN/NAME A.B.C
//! at T delete rN/NAME oldest|newest N       so many of the versions that it began with
//! at T rotate USER [at-source|at-registries]  a new password, at both when not said
//! at T git gN WHAT
//!      WHAT   commit BRANCH, storm BRANCH every D for D, protect BRANCH, unprotect BRANCH,
//!             delete BRANCH, restore BRANCH, rotate [at-source|at-remote],
//!             touch app-N, revert app-N, link app-N,
//!             pushes N reply-lost|refused-reply-lost|hook|status CODE   what the next ones meet
//! at T restart                              the process ends and starts anew
//! at T trouble rN PLACE WHAT [of USER] [for D | times N]
//!      PLACE  all, content (all but tokens), lists, page N, manifests, blobs, tokens
//!      WHAT   status N, 429, 429 seconds N, 429 date N, 429 past, 429 huge, 429 hint-ms N,
//!             reset-before, reset-mid, cut, loop, repeat, shuffled, stale, unchanged, wrong-digest,
//!             no-port, hangs, times-out, slow D
//!
//! [at T] expect …                           at T, or at the end
//!      requests rN PLACE OP N [between T T]
//!      failed-logins rN OP N [between T T]
//!      retries rN OP N
//!      checks app-N OP N [between T T]
//!      updates OP N [of app-N] [between T T]
//!      commits OP N                         pushes of ours that were taken
//!      app-N holds TAG
//!      app-N reason CODE
//!      others-than rN unchanged             what happens elsewhere is the same without its users (L3)
//!      OP     <=, =, >=
//! ```
//!
//! All safety checks of a run hold in a script too.

mod expectation;
mod git;
mod reader;
mod run;
mod words;

pub use expectation::{Comparison, Counted, Expectation, Wanted};
pub use reader::{is_script, parse};
pub use run::{Report, run, run_twice, write};

use image_updater_core::time::Time;

use crate::options::Options;
use crate::workload::Plan;

/// A script, ready to run.
#[derive(Clone, Debug)]
pub struct Script {
    /// The options of its run.
    pub options: Options,
    /// What there is, and what happens.
    pub plan: Plan,
    /// When it ends.
    pub end: Time,
    /// What is expected.
    pub expectations: Vec<Expectation>,
}
