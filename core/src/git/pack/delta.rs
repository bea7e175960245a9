//! An object as the difference to another: copies from the base, and bytes of its own.

use alloc::vec::Vec;

use super::PackError;

const CUT: PackError = PackError::Malformed("a difference ends early");

/// The object that `delta` makes of `base`.
///
/// # Errors
/// When the difference is damaged or made for another base.
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, PackError> {
    let (base_size, rest) = size(delta)?;
    let (result_size, mut rest) = size(rest)?;
    if base_size != base.len() as u64 {
        return Err(PackError::Malformed("a difference to another base"));
    }
    let result_size = usize::try_from(result_size).map_err(|_| PackError::Bomb)?;
    let mut result = Vec::new();
    while let Some((command, after)) = rest.split_first() {
        rest = after;
        let piece = if command & 0x80 != 0 {
            let mut argument = |bits: core::ops::Range<u8>| {
                let mut value = 0_usize;
                for (place, bit) in bits.enumerate() {
                    if command & 1 << bit != 0 {
                        let (byte, after) = rest.split_first().ok_or(CUT)?;
                        value |= usize::from(*byte) << (8 * place);
                        rest = after;
                    }
                }
                Ok::<usize, PackError>(value)
            };
            let offset = argument(0..4)?;
            let length = match argument(4..7)? {
                0 => 0x1_0000,
                length => length,
            };
            base.get(offset..offset.saturating_add(length))
                .ok_or(PackError::Malformed(
                    "a difference copies from beyond its base",
                ))?
        } else if *command == 0 {
            return Err(PackError::Malformed("a difference with a reserved command"));
        } else {
            let (own, after) = rest.split_at_checked(usize::from(*command)).ok_or(CUT)?;
            rest = after;
            own
        };
        if piece.len() > result_size - result.len() {
            return Err(PackError::Malformed("a difference makes more than it says"));
        }
        result.extend_from_slice(piece);
    }
    if result.len() == result_size {
        Ok(result)
    } else {
        Err(PackError::Malformed("a difference makes less than it says"))
    }
}

/// How long the object is that `delta` makes.
pub(super) fn result_size(delta: &[u8]) -> Result<u64, PackError> {
    let (_, rest) = size(delta)?;
    size(rest).map(|(size, _)| size)
}

/// A size in groups of seven bits, the lowest first, and what follows it.
fn size(bytes: &[u8]) -> Result<(u64, &[u8]), PackError> {
    let mut size = 0;
    for (n, byte) in bytes.iter().take(9).enumerate() {
        size |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Ok((size, &bytes[n + 1..]));
        }
    }
    Err(CUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_own_bytes_make_the_object() {
        let base = b"0123456789";
        let check = |delta: &[u8], result: Option<&[u8]>| {
            assert_eq!(apply(base, delta).ok().as_deref(), result, "{delta:?}");
        };
        check(&[10, 5, 0x91, 2, 3, 2, b'a', b'b'], Some(b"234ab"));
        check(&[10, 0], Some(b""));
        check(&[9, 5, 0x91, 2, 3], None);
        check(&[10, 4, 0x91, 2, 3, 2, b'a', b'b'], None);
        check(&[10, 6, 0x91, 2, 3, 2, b'a', b'b'], None);
        check(&[10, 3, 0x91, 8, 3], None);
        check(&[10, 3, 0], None);
        check(&[10, 3, 3, b'a'], None);
        check(&[10, 200, 1, 0x80], None);
        check(
            &[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, b'a'],
            None,
        );
        check(&[], None);
        check(&[0xff; 12], None);
    }

    #[test]
    fn a_copy_without_length_is_sixty_four_kibibytes() {
        let base = alloc::vec![7; 0x1_0000];
        let delta = [0x80, 0x80, 4, 0x80, 0x80, 4, 0x80];
        assert_eq!(apply(&base, &delta).unwrap(), base);
    }
}
