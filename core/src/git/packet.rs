//! Packet lines: the frames in which git's protocols speak.
//!
//! Four hexadecimal digits give the length of a packet with themselves; lengths below four are marks without
//! content. What is kept is at most one packet and the piece that came last.

use alloc::vec::Vec;

/// Longest content of a packet, in bytes.
pub const PACKET_BYTES_MAX: usize = 65_516;

/// A packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// Content; a final line end belongs to it.
    Data(&'a [u8]),
    /// The end of a message or of a list.
    Flush,
    /// Between the parts of a message, in version 2.
    Delimiter,
    /// The end of a response, in version 2.
    ResponseEnd,
}

impl<'a> Packet<'a> {
    /// The content as a line without its end; `None` for a mark.
    pub fn line(self) -> Option<&'a [u8]> {
        match self {
            Self::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Self::Flush | Self::Delimiter | Self::ResponseEnd => None,
        }
    }
}

/// What comes is no sequence of packets, or not the one that the protocol has here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

/// Takes bytes in pieces of any size and gives packets.
#[derive(Clone, Debug, Default)]
pub struct PacketReader {
    buffer: Vec<u8>,
    at: usize,
}

impl PacketReader {
    /// Takes the next piece. All packets of the one before have been polled.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet.
    ///
    /// # Errors
    /// When the length is no length.
    pub fn poll_packet(&mut self) -> Result<Option<Packet<'_>>, Malformed> {
        let rest = &self.buffer[self.at..];
        let Some(length) = rest.get(..4) else {
            return Ok(None);
        };
        let mut bytes = 0;
        for digit in length {
            let digit = char::from(*digit).to_digit(16);
            let digit = digit.ok_or(Malformed("the length of a packet is no number"))?;
            bytes = bytes << 4 | digit as usize;
        }
        let packet = match bytes {
            0 => Packet::Flush,
            1 => Packet::Delimiter,
            2 => Packet::ResponseEnd,
            3 => return Err(Malformed("a packet is shorter than its length")),
            4.. if bytes > PACKET_BYTES_MAX + 4 => {
                return Err(Malformed("a packet is longer than packets may be"));
            }
            4.. => match rest.get(4..bytes) {
                Some(data) => Packet::Data(data),
                None => return Ok(None),
            },
        };
        self.at += bytes.max(4);
        Ok(Some(packet))
    }

    /// True when nothing is left, so that the sequence may end here.
    pub fn is_empty(&self) -> bool {
        self.at == self.buffer.len()
    }
}

/// Appends a packet with `data`, of which at most [`PACKET_BYTES_MAX`] bytes are taken.
pub fn write_packet(out: &mut Vec<u8>, data: &[u8]) {
    let data = &data[..data.len().min(PACKET_BYTES_MAX)];
    let length = data.len() + 4;
    for shift in [12, 8, 4, 0] {
        out.push(b"0123456789abcdef"[length >> shift & 15]);
    }
    out.extend_from_slice(data);
}

/// Appends a flush.
pub fn write_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Appends a delimiter.
pub fn write_delimiter(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0001");
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut reader = PacketReader::default();
        let mut read = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.handle_bytes(piece);
            while let Some(packet) = reader.poll_packet()? {
                read.push(match packet {
                    Packet::Data(data) => data.to_vec(),
                    Packet::Flush => b"<flush>".to_vec(),
                    Packet::Delimiter => b"<delimiter>".to_vec(),
                    Packet::ResponseEnd => b"<end>".to_vec(),
                });
            }
        }
        Ok(read)
    }

    #[test]
    fn pieces_of_any_size_give_the_same_packets() {
        let mut bytes = Vec::new();
        write_packet(&mut bytes, b"one\n");
        write_packet(&mut bytes, b"");
        write_delimiter(&mut bytes);
        write_packet(&mut bytes, &vec![b'x'; PACKET_BYTES_MAX + 9]);
        write_flush(&mut bytes);
        bytes.extend_from_slice(b"0002");
        let whole = read(&bytes, bytes.len()).unwrap();
        assert_eq!(whole[0], b"one\n");
        assert_eq!(whole[3].len(), PACKET_BYTES_MAX);
        assert_eq!(whole.len(), 6);
        for piece in [1, 3, 1_000] {
            assert_eq!(read(&bytes, piece).unwrap(), whole, "{piece}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for bytes in [&b"0003"[..], b"ffff", b"fff1", b"<htm", b"+01a", b"00 4"] {
            assert!(read(bytes, 4).is_err(), "{bytes:?}");
        }
        assert_eq!(read(b"0008ab", 2), Ok(vec![]), "not whole yet");
    }
}
