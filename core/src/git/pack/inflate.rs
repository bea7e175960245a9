//! Zlib, as packs use it: one stream per object.

use alloc::vec;
use alloc::vec::Vec;

use gix_zlib::stream::deflate::{Compress, FlushCompress};
use gix_zlib::{Compression, Decompress, FlushDecompress, Status};

use super::PackError;

const DAMAGED: PackError = PackError::Malformed("an object does not inflate");

/// Inflates one stream after the other.
pub(super) struct Inflater(Decompress);

/// What one step did.
pub(super) struct Step {
    pub(super) n_consumed: usize,
    pub(super) n_produced: usize,
    /// The stream is over, and its checksum right.
    pub(super) is_end: bool,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompress::new())
    }

    /// Begins the next stream.
    pub(super) fn begin(&mut self) {
        self.0.reset();
    }

    /// Inflates as much of `input` as fits into `output`.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, PackError> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, output, FlushDecompress::None);
        let is_end = match status.map_err(|_| DAMAGED)? {
            Status::StreamEnd => true,
            Status::Ok | Status::BufError => false,
        };
        let step = |after: u64, before: u64| usize::try_from(after - before).map_err(|_| DAMAGED);
        Ok(Step {
            n_consumed: step(self.0.total_in(), before_in)?,
            n_produced: step(self.0.total_out(), before_out)?,
            is_end,
        })
    }

    /// The stream at the beginning of `input`, which was seen to inflate to `size` bytes.
    pub(super) fn whole(&mut self, input: &[u8], size: usize) -> Result<Vec<u8>, PackError> {
        self.begin();
        let mut output = vec![0; size];
        let (mut n_in, mut n_out) = (0, 0);
        loop {
            let step = self.step(&input[n_in..], &mut output[n_out..])?;
            n_in += step.n_consumed;
            n_out += step.n_produced;
            if step.is_end {
                return if n_out == size {
                    Ok(output)
                } else {
                    Err(DAMAGED)
                };
            }
            if step.n_consumed == 0 && step.n_produced == 0 {
                return Err(DAMAGED);
            }
        }
    }
}

/// Appends `data` as one stream.
pub(super) fn deflate(deflater: &mut Compress, data: &[u8], out: &mut Vec<u8>) {
    deflater.reset();
    let mut piece = [0; 4_096];
    let mut n_in = 0;
    loop {
        let (before_in, before_out) = (deflater.total_in(), deflater.total_out());
        let status = deflater
            .compress(&data[n_in..], &mut piece, FlushCompress::Finish)
            .expect("memory deflates into memory");
        n_in += usize::try_from(deflater.total_in() - before_in).expect("a piece of the data");
        let n_out = usize::try_from(deflater.total_out() - before_out).expect("a piece");
        out.extend_from_slice(&piece[..n_out]);
        match status {
            Status::StreamEnd => return,
            Status::Ok | Status::BufError => {}
        }
    }
}

/// What deflates.
pub(super) fn deflater() -> Compress {
    Compress::new(Compression::DEFAULT)
}
