//! Readers of what git servers send.

use image_updater_core::git::capability::{Capabilities, Server};
use image_updater_core::git::fetch::FetchReader;
use image_updater_core::git::object::{self, Kind, ObjectHasher};
use image_updater_core::git::pack::{PackLimits, PackReader};
use image_updater_core::git::refs::{AdvertisementReader, RefsReader, WantedRefs};
use image_updater_core::git::report::ReportReader;
use image_updater_core::git::{Action, ChannelEnd, Known, Limits, ObjectId, Session, Target};

use crate::git::Transport;
use crate::git::jobs::{edit_job, remote, write};

/// Between two answers of a server, in the corpus of sessions.
const NEXT: &[u8] = b"\n%%\n";

/// Bounds in proportion.
fn limits(bytes: &[u8]) -> PackLimits {
    PackLimits {
        inflated_bytes_max: bytes.len() as u64 * 16 + 4_096,
        ..PackLimits::new(bytes.len() + 64)
    }
}

/// A pack in pieces; all of it is looked at. Its checksum is made right, so that mutations get past it.
pub(super) fn pack(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.len().checked_sub(20) {
        let mut hasher = ObjectHasher::plain();
        hasher.handle_bytes(&bytes[..at]);
        if let Some(sum) = hasher.into_id() {
            bytes[at..].copy_from_slice(sum.as_bytes());
        }
    }
    let bytes = &*bytes;
    let mut reader = PackReader::new(limits(bytes));
    for piece in bytes.chunks(97) {
        if reader.handle_bytes(piece).is_err() {
            return;
        }
    }
    let Ok(mut pack) = reader.into_pack() else {
        return;
    };
    for kind in [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag] {
        let Ok(all) = pack.all(kind, &()) else { return };
        for (id, data) in all {
            assert_eq!(ObjectId::of(kind, &data), Some(id), "an id is a hash");
            match kind {
                Kind::Tree => drop(object::entries(&data)),
                Kind::Commit => drop(object::Commit::parse(&data)),
                Kind::Blob | Kind::Tag => {}
            }
        }
    }
}

/// Any answer of a server, read as each of them.
pub(super) fn packets(bytes: &[u8]) {
    let wanted = WantedRefs(["refs/heads/main".into()].into());
    let mut advertisement = AdvertisementReader::new(wanted.clone());
    let mut refs = RefsReader::new(wanted);
    let mut report = ReportReader::new("refs/heads/main".into());
    let mut fetches = [true, false].map(|is_v2| {
        let server = Server {
            is_v2,
            capabilities: Capabilities::default(),
        };
        FetchReader::new(&server, limits(bytes))
    });
    feed(bytes, |piece| advertisement.handle_bytes(piece));
    feed(bytes, |piece| refs.handle_bytes(piece));
    feed(bytes, |piece| report.handle_bytes(piece));
    for fetch in &mut fetches {
        feed(bytes, |piece| fetch.handle_bytes(piece));
    }
}

/// Until there is an answer, or an error.
fn feed<T, E>(bytes: &[u8], mut handle: impl FnMut(&[u8]) -> Result<Option<T>, E>) {
    for piece in bytes.chunks(61) {
        if !matches!(handle(piece), Ok(None)) {
            return;
        }
    }
}

/// A publish whose server answers with one part after the other.
pub(super) fn session(bytes: &[u8]) {
    let limits = Limits {
        pack: limits(bytes),
        file_bytes_max: 10_000,
        known_bytes_max: 10_000,
    };
    let job = edit_job(&["a.yaml", "deploy/app/values.yaml"], Target::default());
    let mut session = Session::new(job, remote(Transport::Ssh), Known::default(), limits);
    let text = bytes.windows(NEXT.len());
    let mut cuts: Vec<usize> = text
        .enumerate()
        .filter(|(_, window)| *window == NEXT)
        .map(|(at, _)| at)
        .collect();
    cuts.push(bytes.len());
    let mut begin = 0;
    let mut parts = cuts.into_iter().map(|end| {
        let part = bytes.get(begin..end).unwrap_or_default();
        begin = end + NEXT.len();
        part
    });
    let mut live = None;
    for _ in 0..1_000 {
        match session.poll_action() {
            Some(Action::Finish(finished)) => {
                assert!(finished.known.n_bytes() <= 10_000);
                return;
            }
            Some(Action::Open { channel, .. }) => live = Some(channel),
            Some(Action::Edit(_)) => session.handle_edits(write(&[("a.yaml", "x")])),
            Some(Action::Sign { .. }) => session.handle_signature(Err("no key".into())),
            Some(Action::Send { .. } | Action::Close { .. }) => {}
            None => {
                let channel = live.expect("a channel is open");
                match parts.next() {
                    Some(part) => session.handle_data(channel, part),
                    None => session.handle_end(channel, &ChannelEnd::Finished),
                }
            }
        }
    }
    panic!("a session without end");
}
