//! Sending objects with the new value of a branch, and reading what became of it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::capability::Capabilities;
use super::fault::Fault;
use super::object::ObjectId;
use super::packet::{self, Packet, PacketReader};
use super::refs::{AGENT, check_error, split_at_byte};
use super::sideband::{self, Band, Messages};

/// The request that moves reference `name` from `old` to `new`, and nothing else: the server refuses when it
/// is not at `old` any more. `capabilities` are known where the server spoke first; else what every server
/// has is used. `atomic` is not: with one reference it changes nothing but the reason of a refusal, which
/// then does not say that the reference moved.
pub fn to_request(
    name: &str,
    old: ObjectId,
    new: ObjectId,
    capabilities: Option<&Capabilities>,
    pack: &[u8],
) -> Vec<u8> {
    let mut features = String::from(" ");
    for (feature, is_used_unasked) in [
        ("report-status-v2", false),
        ("report-status", true),
        ("side-band-64k", true),
    ] {
        if capabilities.map_or(is_used_unasked, |known| known.has(feature)) {
            features = format!("{features} {feature}");
        }
    }
    if capabilities.is_some_and(|known| known.has("object-format")) {
        features += " object-format=sha1";
    }
    if capabilities.is_none_or(|known| known.has("agent")) {
        features = format!("{features} agent={AGENT}");
    }
    let mut request = Vec::new();
    packet::write_packet(
        &mut request,
        format!("{old} {new} {name}\0{}\n", features.trim_start()).as_bytes(),
    );
    packet::write_flush(&mut request);
    request.extend_from_slice(pack);
    request
}

/// What became of a push.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Why the objects were not taken.
    pub unpack_error: Option<String>,
    /// What became of the reference: nothing when the server does not say, and else why not, when not.
    pub reference: Option<Result<(), String>>,
    /// What programs on the server said, bounded.
    pub messages: Vec<String>,
}

/// Reads a report, in a side band or not.
#[derive(Clone, Debug)]
pub struct ReportReader {
    name: String,
    outer: PacketReader,
    inner: PacketReader,
    has_band: Option<bool>,
    has_unpack: bool,
    messages: Messages,
    report: Report,
}

impl ReportReader {
    /// Begins; `name` is the reference that was to be moved.
    pub fn new(name: String) -> Self {
        Self {
            name,
            outer: PacketReader::default(),
            inner: PacketReader::default(),
            has_band: None,
            has_unpack: false,
            messages: Messages::default(),
            report: Report::default(),
        }
    }

    /// What programs on the server have said so far.
    pub fn to_messages(&self) -> Vec<String> {
        self.messages.to_lines()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When the server says so, or it is no report. What became of the push is then not known.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<Report>, Fault> {
        self.outer.handle_bytes(bytes);
        while let Some(packet) = self.outer.poll_packet()? {
            match packet {
                Packet::Data(data) => {
                    let is_band = matches!(data.first(), Some(1..=3));
                    if *self.has_band.get_or_insert(is_band) {
                        match sideband::read(data)? {
                            Band::Data(data) => {
                                self.inner.handle_bytes(data);
                                while let Some(packet) = self.inner.poll_packet()? {
                                    match packet {
                                        Packet::Data(line) => {
                                            on_line(
                                                line,
                                                &self.name,
                                                &mut self.report,
                                                &mut self.has_unpack,
                                            )?;
                                        }
                                        Packet::Flush => {}
                                        Packet::Delimiter | Packet::ResponseEnd => {
                                            return Err(Fault::Malformed("a report with marks"));
                                        }
                                    }
                                }
                            }
                            Band::Message(text) => self.messages.handle_bytes(text),
                            Band::Fatal(text) => {
                                return Err(Fault::Remote(sideband::to_shown(text)));
                            }
                        }
                    } else {
                        on_line(data, &self.name, &mut self.report, &mut self.has_unpack)?;
                    }
                }
                Packet::Flush => {
                    if !self.has_unpack {
                        return Err(Fault::Malformed("a report that ends early"));
                    }
                    let mut report = core::mem::take(&mut self.report);
                    report.messages = self.to_messages();
                    return Ok(Some(report));
                }
                Packet::Delimiter | Packet::ResponseEnd => {
                    return Err(Fault::Malformed("a report with marks"));
                }
            }
        }
        Ok(None)
    }
}

fn on_line(
    data: &[u8],
    name: &str,
    report: &mut Report,
    has_unpack: &mut bool,
) -> Result<(), Fault> {
    let line = check_error(data)?;
    let (word, rest) = split_at_byte(line, b' ');
    let (reference, reason) = split_at_byte(rest, b' ');
    match word {
        b"unpack" => {
            *has_unpack = true;
            report.unpack_error = (rest != b"ok").then(|| sideband::to_shown(rest));
        }
        b"ok" if reference == name.as_bytes() => report.reference = Some(Ok(())),
        b"ng" if reference == name.as_bytes() => {
            report.reference = Some(Err(sideband::to_shown(reason)));
        }
        // Another reference, or an option of this one.
        b"ok" | b"ng" | b"option" => {}
        _ => return Err(Fault::Malformed("a report of another form")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], has_band: bool) -> Result<Option<Report>, Fault> {
        let mut inner = Vec::new();
        for line in lines {
            packet::write_packet(&mut inner, format!("{line}\n").as_bytes());
        }
        packet::write_flush(&mut inner);
        let mut bytes = inner.clone();
        if has_band {
            bytes.clear();
            packet::write_packet(&mut bytes, b"\x02policy: ");
            packet::write_packet(&mut bytes, b"\x02no\n");
            for piece in inner.chunks(5) {
                packet::write_packet(&mut bytes, &[&[1], piece].concat());
            }
            packet::write_flush(&mut bytes);
        }
        let mut reader = ReportReader::new("refs/heads/main".into());
        let mut report = Ok(None);
        for byte in bytes {
            report = reader.handle_bytes(&[byte]);
            if report.is_err() {
                break;
            }
        }
        report
    }

    #[test]
    fn reports_say_what_became_of_our_reference() {
        for has_band in [true, false] {
            let check = |lines: &[&str], reference: Option<Result<(), &str>>| {
                let report = read(lines, has_band).unwrap().unwrap();
                let expected = reference.map(|outcome| outcome.map_err(Into::into));
                assert_eq!(report.reference, expected, "{lines:?}");
                let messages: &[&str] = if has_band { &["policy: no"] } else { &[] };
                assert_eq!(report.messages, messages);
            };
            check(&["unpack ok", "ok refs/heads/main"], Some(Ok(())));
            check(
                &["unpack ok", "ng refs/heads/main pre-receive hook declined"],
                Some(Err("pre-receive hook declined")),
            );
            check(&["unpack ok", "ok refs/heads/main-2"], None);
            check(
                &["unpack ok", "ok refs/heads/main", "option forced-update"],
                Some(Ok(())),
            );
            assert!(read(&["ok refs/heads/main"], has_band).is_err());
            assert!(read(&["<html>"], has_band).is_err());
            let report = read(&["unpack disk full"], has_band).unwrap().unwrap();
            assert_eq!(report.unpack_error.as_deref(), Some("disk full"));
        }
    }

    #[test]
    fn a_push_asks_only_for_what_is_there() {
        let text = |known: Option<&str>| {
            let known = known.map(|list| Capabilities::parse_list(list.as_bytes()));
            let bytes = to_request("r", ObjectId::NULL, ObjectId::NULL, known.as_ref(), b"");
            String::from_utf8(bytes).unwrap()
        };
        assert!(text(None).contains("report-status side-band-64k agent="));
        assert!(
            text(Some("report-status-v2 report-status atomic"))
                .contains("\0report-status-v2 report-status\n")
        );
    }
}
