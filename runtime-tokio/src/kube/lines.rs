//! The lines of a watch, cut from the chunks in which they arrive.

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest line that is kept; etcd refuses objects far smaller than this.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that are not a whole line yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    scanned: usize,
}

/// The stream has a line longer than any object can be.
#[derive(Debug)]
pub(super) struct LineTooLong;

impl Lines {
    /// Adds a chunk.
    pub(super) fn extend(&mut self, chunk: &[u8]) -> Result<(), LineTooLong> {
        self.buffer.extend_from_slice(chunk);
        let ends = chunk.contains(&b'\n');
        if !ends && self.buffer.len() > LINE_BYTES_MAX {
            return Err(LineTooLong);
        }
        Ok(())
    }

    /// The next whole line without its end, if there is one; empty lines are left out.
    pub(super) fn take_next(&mut self) -> Option<Bytes> {
        loop {
            let Some(at) = self.buffer[self.scanned..].iter().position(|&b| b == b'\n') else {
                self.scanned = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.scanned + at).freeze();
            self.buffer.advance(1);
            self.scanned = 0;
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_are_cut() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\"";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut out = Vec::new();
            for chunk in text.chunks(size) {
                lines.extend(chunk).expect("short lines");
                out.extend(std::iter::from_fn(|| lines.take_next()));
            }
            assert_eq!(out, [&b"{\"a\":1}"[..], b"{\"b\":2}\r"], "chunks of {size}");
        }
    }

    #[test]
    fn endless_line_is_refused() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; LINE_BYTES_MAX / 2];
        assert!(lines.extend(&chunk).is_ok());
        assert!(lines.take_next().is_none());
        assert!(lines.extend(&chunk).is_ok());
        assert!(lines.extend(b"x").is_err());
    }
}
