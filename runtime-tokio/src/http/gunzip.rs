//! Undoes gzip, which some servers and proxies send unasked (`registry.md` 5.8).
//!
//! What comes out counts against the bound of the body, so that a small response cannot unpack into more
//! than a plain one may have.

use zlib_rs::{Inflate, InflateFlush, Status};

/// Window bits that stand for a gzip header with the largest window.
const GZIP_WINDOW_BITS: u8 = 16 + 15;
/// How much is unpacked at once.
const PIECE_BYTES: usize = 16 << 10;

/// Why a body is not unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum GunzipError {
    /// It is damaged, ends early or goes on behind its end.
    #[error("the response's body says that it is gzip and is not")]
    Malformed,
    /// It unpacks into more than was allowed.
    #[error("the response unpacks into more than {0} bytes")]
    TooLong(usize),
}

/// Unpacks a whole body into at most `bytes_max` bytes.
pub(super) fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, GunzipError> {
    let mut inflate = Inflate::new(true, GZIP_WINDOW_BITS);
    let mut body = Vec::new();
    let mut piece = [0; PIECE_BYTES];
    let mut rest = packed;
    loop {
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(rest, &mut piece, InflateFlush::NoFlush)
            .map_err(|_| GunzipError::Malformed)?;
        let step = |after: u64, before: u64| {
            usize::try_from(after - before).map_err(|_| GunzipError::Malformed)
        };
        let n_consumed = step(inflate.total_in(), before_in)?;
        let n_produced = step(inflate.total_out(), before_out)?;
        let (_, next) = rest
            .split_at_checked(n_consumed)
            .ok_or(GunzipError::Malformed)?;
        rest = next;
        if body.len() + n_produced > bytes_max {
            return Err(GunzipError::TooLong(bytes_max));
        }
        body.extend_from_slice(piece.get(..n_produced).unwrap_or_default());
        match status {
            // One member is all that servers send; more of them could be ever so many empty ones.
            Status::StreamEnd if rest.is_empty() => return Ok(body),
            Status::StreamEnd => return Err(GunzipError::Malformed),
            Status::Ok | Status::BufError if n_consumed == 0 && n_produced == 0 => {
                return Err(GunzipError::Malformed);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use zlib_rs::{Deflate, DeflateFlush};

    use super::*;

    /// `data` as one gzip member.
    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut deflate = Deflate::new(9, true, GZIP_WINDOW_BITS);
        let mut packed = vec![0; data.len() + 1000];
        let status = deflate.compress(data, &mut packed, DeflateFlush::Finish);
        assert_eq!(status, Ok(Status::StreamEnd));
        packed.truncate(usize::try_from(deflate.total_out()).expect("it fits into memory"));
        packed
    }

    #[test]
    fn what_was_packed_comes_back_up_to_the_bound() {
        for data in [&b""[..], b"x", &vec![7; PIECE_BYTES], &vec![b'a'; 100_000]] {
            let packed = gzip(data);
            assert_eq!(gunzip(&packed, data.len()).as_deref(), Ok(data));
            if let Some(less) = data.len().checked_sub(1) {
                let refused = gunzip(&packed, less);
                assert_eq!(refused, Err(GunzipError::TooLong(less)));
            }
        }
    }

    #[test]
    fn bomb_is_given_up_at_the_bound() {
        let bomb = gzip(&vec![0; 4 << 20]);
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        assert_eq!(gunzip(&bomb, 1000), Err(GunzipError::TooLong(1000)));
    }

    #[test]
    fn damage_is_no_content() {
        let packed = gzip(b"content");
        let malformed = Err(GunzipError::Malformed);
        for end in 0..packed.len() {
            assert_eq!(gunzip(&packed[..end], 1000), malformed, "cut at {end}");
        }
        assert_eq!(gunzip(b"{\"tags\":[]}", 1000), malformed);
        assert_eq!(gunzip(&[&packed[..], &packed].concat(), 1000), malformed);
        let mut damaged = packed.clone();
        *damaged.iter_mut().nth_back(5).expect("the checksum") ^= 1;
        assert_eq!(gunzip(&damaged, 1000), malformed);
    }
}
