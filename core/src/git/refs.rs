//! What a server has: its version and capabilities, and the references that are looked for.
//!
//! Of the references only those that were asked for are kept, however many the server lists.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::capability::{Capabilities, Server};
use super::fault::Fault;
use super::object::ObjectId;
use super::packet::{self, Packet, PacketReader};
use super::sideband;

/// How this program names itself to servers.
pub const AGENT: &str = concat!("argocd-image-updater/", env!("CARGO_PKG_VERSION"));

/// References of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refs {
    ids: BTreeMap<String, ObjectId>,
    /// The reference that `HEAD` stands for, whether that exists or not.
    head_target: Option<String>,
}

impl Refs {
    /// The object that `name`, a full name, stands for.
    pub fn id(&self, name: &str) -> Option<ObjectId> {
        self.ids.get(name).copied()
    }

    /// The full name of the default branch.
    pub fn head_target(&self) -> Option<&str> {
        self.head_target.as_deref()
    }
}

/// Which references are kept: full names, and the default branch always.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WantedRefs(pub BTreeSet<String>);

impl WantedRefs {
    /// The request for them, in version 2.
    pub fn to_request(&self, server: &Server) -> Vec<u8> {
        let mut request = Vec::new();
        begin_command(&mut request, "ls-refs", server);
        packet::write_packet(&mut request, b"symrefs\n");
        if server.capabilities.has_word("ls-refs", "unborn") {
            packet::write_packet(&mut request, b"unborn\n");
        }
        for name in ["HEAD"]
            .into_iter()
            .chain(self.0.iter().map(String::as_str))
        {
            packet::write_packet(&mut request, format!("ref-prefix {name}\n").as_bytes());
        }
        packet::write_flush(&mut request);
        request
    }
}

/// Begins a command of version 2: its name, who asks, and a delimiter.
pub(super) fn begin_command(request: &mut Vec<u8>, command: &str, server: &Server) {
    packet::write_packet(request, format!("command={command}\n").as_bytes());
    if server.capabilities.has("agent") {
        packet::write_packet(request, format!("agent={AGENT}\n").as_bytes());
    }
    if server.capabilities.has("object-format") {
        packet::write_packet(request, b"object-format=sha1\n");
    }
    packet::write_delimiter(request);
}

/// Reads what a server says first, on either transport and in either version.
#[derive(Clone, Debug)]
pub struct AdvertisementReader {
    packets: PacketReader,
    wanted: WantedRefs,
    state: AdvertisementState,
    server: Server,
    refs: Refs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AdvertisementState {
    Begin,
    /// After the line that names the service, over HTTP.
    Service,
    Capabilities,
    Refs,
    End,
}

impl AdvertisementReader {
    /// Begins; of the references `wanted` are kept.
    pub fn new(wanted: WantedRefs) -> Self {
        Self {
            packets: PacketReader::default(),
            wanted,
            state: AdvertisementState::Begin,
            server: Server {
                is_v2: false,
                capabilities: Capabilities::default(),
            },
            refs: Refs::default(),
        }
    }

    /// Takes the next piece; the references are those of version 0, none in version 2.
    ///
    /// # Errors
    /// When the server says so, or it is no advertisement.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<(Server, Refs)>, Fault> {
        use AdvertisementState as State;
        self.packets.handle_bytes(bytes);
        while self.state != State::End {
            let Some(packet) = self.packets.poll_packet()? else {
                return Ok(None);
            };
            self.state = match (self.state, packet) {
                (State::Begin, Packet::Data(_))
                    if packet
                        .line()
                        .is_some_and(|line| line.starts_with(b"# service=")) =>
                {
                    State::Service
                }
                (State::Service, Packet::Flush) => State::Begin,
                (State::Begin, Packet::Data(_)) if packet.line() == Some(b"version 2") => {
                    self.server.is_v2 = true;
                    State::Capabilities
                }
                (State::Begin, Packet::Data(_)) if packet.line() == Some(b"version 1") => {
                    State::Begin
                }
                (State::Begin, Packet::Data(data)) => {
                    let line = check_error(data)?;
                    let (line, list) = split_at_byte(line, 0);
                    self.server.capabilities = Capabilities::parse_list(list);
                    let target = self.server.capabilities.head_target();
                    self.refs.head_target = target.map(Into::into);
                    if self.server.capabilities.object_format() != "sha1" {
                        // What follows has ids of another form, and is of no use.
                        self.state = State::End;
                        continue;
                    }
                    on_ref(line, &self.wanted, &mut self.refs)?;
                    State::Refs
                }
                (State::Refs, Packet::Data(data)) => {
                    on_ref(check_error(data)?, &self.wanted, &mut self.refs)?;
                    State::Refs
                }
                (State::Capabilities, Packet::Data(data)) => {
                    self.server.capabilities.handle_line(check_error(data)?);
                    State::Capabilities
                }
                (State::Begin | State::Refs | State::Capabilities, Packet::Flush) => State::End,
                (
                    State::Begin | State::Service | State::Refs | State::Capabilities | State::End,
                    _,
                ) => {
                    return Err(Fault::Malformed("an advertisement of another form"));
                }
            };
        }
        Ok(Some((self.server.clone(), core::mem::take(&mut self.refs))))
    }
}

/// A line of version 0: an id, a blank, a name.
fn on_ref(line: &[u8], wanted: &WantedRefs, refs: &mut Refs) -> Result<(), Fault> {
    if line.starts_with(b"shallow ") {
        return Ok(());
    }
    let (hex, name) = split_at_byte(line, b' ');
    let id = ObjectId::from_hex(hex).ok_or(Fault::Malformed("a reference without an id"))?;
    let name = String::from_utf8_lossy(name);
    let is_head_target = refs.head_target.as_deref() == Some(&*name);
    if name == "HEAD" || is_head_target || wanted.0.contains(&*name) {
        refs.ids.insert(name.into_owned(), id);
    }
    Ok(())
}

/// Reads the answer to [`WantedRefs::to_request`].
#[derive(Clone, Debug, Default)]
pub struct RefsReader {
    packets: PacketReader,
    wanted: WantedRefs,
    refs: Refs,
}

impl RefsReader {
    /// Begins; `wanted` are kept.
    pub fn new(wanted: WantedRefs) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When the server says so, or it is no list of references.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<Refs>, Fault> {
        self.packets.handle_bytes(bytes);
        while let Some(packet) = self.packets.poll_packet()? {
            match packet {
                Packet::Data(data) => {
                    let line = check_error(data)?;
                    let target = line
                        .split(|byte| *byte == b' ')
                        .find_map(|word| word.strip_prefix(b"symref-target:"))
                        .map(|target| String::from_utf8_lossy(target).into_owned());
                    if let Some(rest) = line.strip_prefix(b"unborn ") {
                        if split_at_byte(rest, b' ').0 == b"HEAD" {
                            self.refs.head_target = target;
                        }
                        continue;
                    }
                    let (hex, rest) = split_at_byte(line, b' ');
                    let (name, _) = split_at_byte(rest, b' ');
                    let mut bare = hex.to_vec();
                    bare.push(b' ');
                    bare.extend_from_slice(name);
                    if name == b"HEAD" {
                        let id = ObjectId::from_hex(hex);
                        if let (Some(target), Some(id)) = (&target, id) {
                            self.refs.ids.insert(target.clone(), id);
                        }
                        self.refs.head_target = target;
                    }
                    on_ref(&bare, &self.wanted, &mut self.refs)?;
                }
                Packet::Flush => return Ok(Some(core::mem::take(&mut self.refs))),
                Packet::Delimiter | Packet::ResponseEnd => {
                    return Err(Fault::Malformed("a list of references of another form"));
                }
            }
        }
        Ok(None)
    }
}

/// The line in a packet, unless it is the last word of a server.
pub(super) fn check_error(data: &[u8]) -> Result<&[u8], Fault> {
    match data.strip_prefix(b"ERR ") {
        Some(text) => Err(Fault::Remote(sideband::to_shown(text))),
        None => Ok(data.strip_suffix(b"\n").unwrap_or(data)),
    }
}

/// What stands before the first `byte`, and behind it.
pub(super) fn split_at_byte(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|found| *found == byte);
    at.map_or((bytes, &[]), |at| (&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// Lines; an empty one is a flush.
    fn packets(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            if line.is_empty() {
                packet::write_flush(&mut bytes);
            } else {
                packet::write_packet(&mut bytes, format!("{line}\n").as_bytes());
            }
        }
        bytes
    }

    fn wanted(names: &[&str]) -> WantedRefs {
        WantedRefs(names.iter().map(|&name| name.into()).collect())
    }

    #[test]
    fn what_was_before_version_2_lists_references_at_once() {
        let bytes = packets(&[
            "# service=git-upload-pack",
            "",
            &format!("{A} HEAD\0shallow filter symref=HEAD:refs/heads/main agent=x"),
            &format!("{A} refs/heads/main"),
            &format!("{B} refs/heads/other"),
            &format!("{B} refs/heads/iu"),
            "",
        ]);
        for piece in [1, 7, 4_000] {
            let mut reader = AdvertisementReader::new(wanted(&["refs/heads/iu"]));
            let mut read = None;
            for piece in bytes.chunks(piece) {
                read = reader.handle_bytes(piece).unwrap();
            }
            let (server, refs) = read.unwrap();
            assert!(!server.is_v2 && server.can_fetch("filter"));
            assert_eq!(refs.head_target(), Some("refs/heads/main"));
            let id = |hex: &str| ObjectId::from_hex(hex.as_bytes());
            assert_eq!(refs.id("refs/heads/main"), id(A));
            assert_eq!(refs.id("refs/heads/iu"), id(B));
            assert_eq!(refs.id("refs/heads/other"), None, "not kept");
        }
    }

    #[test]
    fn version_2_lists_references_when_asked() {
        let mut reader = AdvertisementReader::new(WantedRefs::default());
        let bytes = packets(&["version 2", "ls-refs=unborn", "fetch=shallow filter", ""]);
        let (server, _) = reader.handle_bytes(&bytes).unwrap().unwrap();
        assert!(server.is_v2);
        let request = wanted(&["refs/heads/iu"]).to_request(&server);
        let text = String::from_utf8(request).unwrap();
        assert!(text.contains("unborn\n") && text.contains("ref-prefix refs/heads/iu\n"));

        let mut reader = RefsReader::new(wanted(&["refs/heads/iu"]));
        let bytes = packets(&[
            &format!("{A} HEAD symref-target:refs/heads/main"),
            &format!("{B} refs/heads/iu"),
            &format!("{B} refs/heads/iu-2"),
            "",
        ]);
        let refs = reader.handle_bytes(&bytes).unwrap().unwrap();
        assert_eq!(refs.head_target(), Some("refs/heads/main"));
        assert_eq!(refs.id("refs/heads/main"), ObjectId::from_hex(A.as_bytes()));
        assert!(refs.id("refs/heads/iu").is_some() && refs.id("refs/heads/iu-2").is_none());

        let mut reader = RefsReader::new(WantedRefs::default());
        let bytes = packets(&["unborn HEAD symref-target:refs/heads/main", ""]);
        let refs = reader.handle_bytes(&bytes).unwrap().unwrap();
        assert_eq!(refs.head_target(), Some("refs/heads/main"));
        assert_eq!(refs.id("refs/heads/main"), None);
    }

    #[test]
    fn last_words_of_a_server_are_told() {
        let mut reader = AdvertisementReader::new(WantedRefs::default());
        let bytes = packets(&["ERR Repository not found."]);
        assert_eq!(
            reader.handle_bytes(&bytes),
            Err(Fault::Remote("Repository not found.".into()))
        );
    }
}
