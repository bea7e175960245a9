//! Packs that are sent: whole objects, deflated, in memory.

use alloc::vec::Vec;

use super::inflate;
use crate::git::object::{Kind, ObjectHasher};

/// A pack of `objects`.
///
/// # Panics
/// When there are more objects than a pack can count, or SHA-1's collision check answers for the pack as a
/// whole, which would take objects that it refused before.
pub fn to_bytes<'a>(objects: impl ExactSizeIterator<Item = (Kind, &'a [u8])>) -> Vec<u8> {
    let mut pack = Vec::from(*b"PACK\0\0\0\x02");
    let n_objects = u32::try_from(objects.len()).expect("fewer objects than a pack can count");
    pack.extend_from_slice(&n_objects.to_be_bytes());
    let mut deflater = inflate::deflater();
    for (kind, data) in objects {
        write_head(&mut pack, kind, data.len());
        inflate::deflate(&mut deflater, data, &mut pack);
    }
    let mut hasher = ObjectHasher::plain();
    hasher.handle_bytes(&pack);
    let checksum = hasher
        .into_id()
        .expect("a pack of our own objects does not collide");
    pack.extend_from_slice(checksum.as_bytes());
    pack
}

/// The kind and the size: four bits, then groups of seven.
fn write_head(pack: &mut Vec<u8>, kind: Kind, size: usize) {
    let kind: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let low = |size: usize| size.to_le_bytes()[0];
    let mut byte = kind << 4 | (low(size) & 15);
    let mut rest = size >> 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = low(rest) & 0x7f;
        rest >>= 7;
    }
    pack.push(byte);
}
