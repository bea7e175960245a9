//! Asking for objects, and reading the pack that comes.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::capability::Server;
use super::fault::Fault;
use super::object::ObjectId;
use super::pack::{Pack, PackLimits, PackReader};
use super::packet::{self, Packet, PacketReader};
use super::refs::{AGENT, begin_command, check_error};
use super::sideband::{self, Band};

/// What a server is to leave out of a pack, where it can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// The contents of files.
    Blobs,
    /// Folders and files: commits alone are left.
    Trees,
}

impl Filter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Blobs => "blob:none",
            Self::Trees => "tree:0",
        }
    }
}

/// One request for objects; it is whole, there is no negotiation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FetchRequest {
    /// What is asked for, with all that belongs to it.
    pub wants: BTreeSet<ObjectId>,
    /// Commits that are held, with all that belongs to them.
    pub haves: Vec<ObjectId>,
    /// How many commits of a line, from those that are asked for; all when not given.
    pub depth: Option<u32>,
    /// What is left out.
    pub filter: Option<Filter>,
    /// The pack may build on what belongs to `haves`.
    pub is_thin: bool,
}

impl FetchRequest {
    /// The request, as `server` takes it; parts that it cannot do are left out.
    pub fn to_bytes(&self, server: &Server) -> Vec<u8> {
        let mut request = Vec::new();
        let filter = self.filter.filter(|_| server.can_fetch("filter"));
        let depth = self.depth.filter(|_| server.can_fetch("shallow"));
        let line = |request: &mut Vec<u8>, text: String| {
            packet::write_packet(request, text.as_bytes());
        };
        if server.is_v2 {
            begin_command(&mut request, "fetch", server);
            if self.is_thin {
                line(&mut request, "thin-pack\n".into());
            }
            line(&mut request, "no-progress\n".into());
            line(&mut request, "ofs-delta\n".into());
            for want in &self.wants {
                line(&mut request, format!("want {want}\n"));
            }
        } else {
            let mut features = String::from("side-band-64k no-progress ofs-delta");
            for (feature, is_used) in [
                ("thin-pack", self.is_thin),
                ("shallow", depth.is_some()),
                ("filter", filter.is_some()),
            ] {
                if is_used {
                    features = format!("{features} {feature}");
                }
            }
            if server.capabilities.has("agent") {
                features = format!("{features} agent={AGENT}");
            }
            for (n, want) in self.wants.iter().enumerate() {
                let features = if n == 0 { &*format!(" {features}") } else { "" };
                line(&mut request, format!("want {want}{features}\n"));
            }
        }
        if let Some(depth) = depth {
            for have in &self.haves {
                line(&mut request, format!("shallow {have}\n"));
            }
            line(&mut request, format!("deepen {depth}\n"));
        }
        if let Some(filter) = filter {
            line(&mut request, format!("filter {}\n", filter.as_str()));
        }
        if !server.is_v2 {
            packet::write_flush(&mut request);
        }
        for have in &self.haves {
            line(&mut request, format!("have {have}\n"));
        }
        line(&mut request, "done\n".into());
        if server.is_v2 {
            packet::write_flush(&mut request);
        }
        request
    }
}

/// Reads the answer to a [`FetchRequest`].
#[derive(Debug)]
pub struct FetchReader {
    packets: PacketReader,
    pack: Option<PackReader>,
    is_v2: bool,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Lines before the pack: a section of version 2, or what comes before it in version 0.
    Lines,
    Pack,
}

impl FetchReader {
    /// Begins.
    pub fn new(server: &Server, limits: PackLimits) -> Self {
        Self {
            packets: PacketReader::default(),
            pack: Some(PackReader::new(limits)),
            is_v2: server.is_v2,
            part: Part::Lines,
        }
    }

    /// Takes the next piece; at the end comes the pack.
    ///
    /// # Errors
    /// When the server says so, the pack is not read, or it is no answer to this request.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<Pack>, Fault> {
        self.packets.handle_bytes(bytes);
        while let Some(packet) = self.packets.poll_packet()? {
            match (self.part, packet) {
                (Part::Lines, Packet::Data([1..=3, ..])) if !self.is_v2 => {
                    self.part = Part::Pack;
                    on_pack_packet(packet, self.pack.as_mut())?;
                }
                (Part::Lines, Packet::Data(data)) => {
                    let line = check_error(data)?;
                    if self.is_v2 && line == b"packfile" {
                        self.part = Part::Pack;
                    }
                }
                (Part::Lines, Packet::Delimiter) if self.is_v2 => {}
                // The list of shallow commits ends so.
                (Part::Lines, Packet::Flush) if !self.is_v2 => {}
                (Part::Lines, Packet::Flush | Packet::Delimiter | Packet::ResponseEnd) => {
                    return Err(Fault::Malformed("an answer without a pack"));
                }
                (Part::Pack, Packet::Data(_)) => on_pack_packet(packet, self.pack.as_mut())?,
                (Part::Pack, Packet::Flush) => {
                    let pack = self.pack.take();
                    let pack = pack.ok_or(Fault::Malformed("a second pack"))?;
                    return Ok(Some(pack.into_pack()?));
                }
                (Part::Pack, Packet::Delimiter | Packet::ResponseEnd) => {
                    return Err(Fault::Malformed("a pack that ends otherwise"));
                }
            }
        }
        Ok(None)
    }
}

fn on_pack_packet(packet: Packet<'_>, pack: Option<&mut PackReader>) -> Result<(), Fault> {
    let (Packet::Data(data), Some(pack)) = (packet, pack) else {
        return Ok(());
    };
    match sideband::read(data)? {
        Band::Data(data) => Ok(pack.handle_bytes(data)?),
        Band::Message(_) => Ok(()),
        Band::Fatal(text) => Err(Fault::Remote(sideband::to_shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::capability::Capabilities;
    use crate::git::object::Kind;
    use crate::git::pack::write;

    fn server(is_v2: bool, features: &str) -> Server {
        let mut capabilities = Capabilities::default();
        if is_v2 {
            capabilities.handle_line(format!("fetch={features}").as_bytes());
        } else {
            capabilities = Capabilities::parse_list(features.as_bytes());
        }
        Server {
            is_v2,
            capabilities,
        }
    }

    fn request() -> FetchRequest {
        FetchRequest {
            wants: [ObjectId::NULL].into(),
            haves: [ObjectId::from_bytes(&[0xaa; 20]).unwrap()].into(),
            depth: Some(1),
            filter: Some(Filter::Blobs),
            is_thin: true,
        }
    }

    #[test]
    fn only_what_the_server_can_do_is_asked_for() {
        let check = |is_v2, features, has: &[&str], hasnt: &[&str]| {
            let bytes = request().to_bytes(&server(is_v2, features));
            let text = String::from_utf8(bytes).unwrap();
            for word in has {
                assert!(text.contains(word), "{text}: {word}");
            }
            for word in hasnt {
                assert!(!text.contains(word), "{text}: {word}");
            }
        };
        let all = [
            "deepen 1\n",
            "filter blob:none\n",
            "thin-pack",
            "have aaaa",
            "done\n",
        ];
        check(true, "shallow filter", &all, &["side-band", "agent"]);
        check(false, "shallow filter", &all, &["command", "agent"]);
        check(true, "", &["want 0000"], &["deepen", "filter", "shallow"]);
        check(false, "", &["want 0000"], &["deepen", "filter", "shallow"]);
    }

    #[test]
    fn the_pack_comes_out_of_both_versions() {
        let blob = ObjectId::of(Kind::Blob, b"content").unwrap();
        let pack = write::to_bytes([(Kind::Blob, &b"content"[..])].into_iter());
        for is_v2 in [true, false] {
            let mut bytes = Vec::new();
            packet::write_packet(&mut bytes, b"shallow-info\n");
            if is_v2 {
                packet::write_delimiter(&mut bytes);
                packet::write_packet(&mut bytes, b"packfile\n");
            } else {
                packet::write_flush(&mut bytes);
                packet::write_packet(&mut bytes, b"NAK\n");
            }
            packet::write_packet(&mut bytes, b"\x02counting\n");
            for piece in pack.chunks(9) {
                packet::write_packet(&mut bytes, &[&[1], piece].concat());
            }
            packet::write_flush(&mut bytes);
            let mut reader = FetchReader::new(&server(is_v2, ""), PackLimits::default());
            let mut read = None;
            for byte in &bytes {
                assert!(read.is_none());
                read = reader.handle_bytes(&[*byte]).unwrap();
            }
            let data = read.unwrap().find(Kind::Blob, &blob, &()).unwrap();
            assert_eq!(data.as_deref(), Some(&b"content"[..]));
        }
    }
}
