//! Packs as strangers may make them.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::inflate::{deflate, deflater};
use super::*;
use crate::git::object::{Kind, ObjectHasher, ObjectId};

const LIMITS: PackLimits = PackLimits::new(1 << 20);

/// Makes packs entry by entry.
struct Maker {
    bytes: Vec<u8>,
    n_objects: u32,
    /// Where entries begin.
    at: Vec<usize>,
}

impl Maker {
    fn new() -> Self {
        Self {
            bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(),
            n_objects: 0,
            at: Vec::new(),
        }
    }

    fn entry(&mut self, kind: u8, size: usize, base: &[u8], content: &[u8]) -> usize {
        self.at.push(self.bytes.len());
        self.n_objects += 1;
        let low = |size: usize| size.to_le_bytes()[0];
        let mut byte = kind << 4 | (low(size) & 15);
        let mut rest = size >> 4;
        while rest > 0 {
            self.bytes.push(byte | 0x80);
            byte = low(rest) & 0x7f;
            rest >>= 7;
        }
        self.bytes.push(byte);
        self.bytes.extend_from_slice(base);
        deflate(&mut deflater(), content, &mut self.bytes);
        self.at.len() - 1
    }

    fn blob(&mut self, content: &[u8]) -> usize {
        self.entry(3, content.len(), &[], content)
    }

    /// A difference to entry `base`, at most 16,000 bytes before.
    fn on_entry(&mut self, base: usize, delta: &[u8]) -> usize {
        let mut distance = self.bytes.len() - self.at[base];
        let mut code = vec![(distance & 0x7f).to_le_bytes()[0]];
        distance >>= 7;
        while distance > 0 {
            distance -= 1;
            code.insert(0, 0x80 | (distance & 0x7f).to_le_bytes()[0]);
            distance >>= 7;
        }
        self.entry(6, delta.len(), &code, delta)
    }

    fn on_id(&mut self, base: ObjectId, delta: &[u8]) -> usize {
        self.entry(7, delta.len(), base.as_bytes(), delta)
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&self.n_objects.to_be_bytes());
        let mut hasher = ObjectHasher::plain();
        hasher.handle_bytes(&self.bytes);
        let sum = hasher.into_id().unwrap();
        self.bytes.extend_from_slice(sum.as_bytes());
        self.bytes
    }
}

/// A difference that keeps the base and adds `own`.
fn append(base: &[u8], own: &[u8]) -> Vec<u8> {
    let size = |n: usize| {
        vec![
            (n & 0x7f).to_le_bytes()[0] | 0x80,
            (n >> 7).to_le_bytes()[0],
        ]
    };
    let mut delta = [size(base.len()), size(base.len() + own.len())].concat();
    let length = u16::try_from(base.len()).unwrap().to_le_bytes();
    delta.extend_from_slice(&[0xb0, length[0], length[1]]);
    delta.push(u8::try_from(own.len()).unwrap());
    delta.extend_from_slice(own);
    delta
}

fn read(bytes: &[u8], piece: usize, limits: PackLimits) -> Result<Pack, PackError> {
    let mut reader = PackReader::new(limits);
    for piece in bytes.chunks(piece) {
        reader.handle_bytes(piece)?;
    }
    reader.into_pack()
}

fn id(data: &[u8]) -> ObjectId {
    ObjectId::of(Kind::Blob, data).unwrap()
}

struct Held(BTreeMap<ObjectId, Vec<u8>>);

impl Bases for Held {
    fn object(&self, id: &ObjectId) -> Option<(Kind, &[u8])> {
        self.0.get(id).map(|data| (Kind::Blob, &**data))
    }
}

#[test]
fn differences_of_both_kinds_are_made_whatever_their_order_and_the_pieces() {
    let outside = b"outside".to_vec();
    let mut maker = Maker::new();
    // To an object that comes later, and to one of which only the id is known.
    maker.on_id(id(b"base-1"), &append(b"base-1", b"-2"));
    maker.on_id(id(&outside), &append(&outside, b"-thin"));
    let base = maker.blob(b"base");
    let first = maker.on_entry(base, &append(b"base", b"-1"));
    maker.on_entry(first, &append(b"base-1", b"-other"));
    maker.blob(b"");
    let bytes = maker.into_bytes();
    let held = Held([(id(&outside), outside)].into());
    for piece in [1, 5, 10_000] {
        for data in [
            &b"base"[..],
            b"base-1",
            b"base-1-2",
            b"base-1-other",
            b"outside-thin",
            b"",
        ] {
            let mut pack = read(&bytes, piece, LIMITS).unwrap();
            assert_eq!(pack.n_objects(), 6);
            let found = pack.find(Kind::Blob, &id(data), &held).unwrap();
            assert_eq!(found.as_deref(), Some(data), "{piece}");
            assert_eq!(pack.find(Kind::Tree, &id(data), &held).unwrap(), None);
        }
        let mut pack = read(&bytes, piece, LIMITS).unwrap();
        assert_eq!(pack.all(Kind::Blob, &held).unwrap().len(), 6);
        let mut pack = read(&bytes, piece, LIMITS).unwrap();
        assert_eq!(
            pack.find(Kind::Blob, &id(b"outside-thin"), &()).unwrap(),
            None
        );
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let mut maker = Maker::new();
    let base = maker.blob(b"some content, some content");
    maker.on_entry(base, &append(b"some content, some content", b"!"));
    let bytes = maker.into_bytes();
    assert!(read(&bytes, 7, LIMITS).is_ok());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x04;
        assert!(read(&changed, 7, LIMITS).is_err(), "byte {at}");
        assert!(read(&bytes[..at], 7, LIMITS).is_err(), "cut at {at}");
    }
    let longer = [&*bytes, b"x"].concat();
    assert!(read(&longer, 7, LIMITS).is_err(), "something follows");
}

#[test]
fn packs_and_objects_out_of_proportion_are_refused() {
    let blob = vec![0; 100_000];
    let mut maker = Maker::new();
    maker.blob(&blob);
    let bytes = maker.into_bytes();
    let small = PackLimits {
        pack_bytes_max: bytes.len() - 1,
        ..LIMITS
    };
    assert_eq!(
        read(&bytes, 3, small).err(),
        Some(PackError::TooLarge {
            bytes_max: bytes.len() - 1
        })
    );
    let tight = PackLimits {
        inflated_bytes_max: 99_999,
        ..LIMITS
    };
    assert_eq!(read(&bytes, 99, tight).err(), Some(PackError::Bomb));

    let short = PackLimits {
        object_bytes_max: 99_999,
        ..LIMITS
    };
    let mut pack = read(&bytes, 99, short).unwrap();
    assert_eq!(pack.find(Kind::Blob, &id(&blob), &()).unwrap(), None);
    assert!(
        pack.is_too_large(&id(&blob)),
        "it is there, and not looked at"
    );

    for size in [99_999, 100_001] {
        let mut maker = Maker::new();
        maker.entry(3, size, &[], &blob);
        let error = read(&maker.into_bytes(), 50, LIMITS).err();
        assert!(matches!(error, Some(PackError::Malformed(_))), "{size}");
    }
}

#[test]
fn differences_that_make_ever_more_are_refused() {
    // Each doubles the one before.
    let mut maker = Maker::new();
    let mut last = maker.blob(&[7; 1_000]);
    let mut size = 1_000_usize;
    for _ in 0..14 {
        let number = |mut n: usize| {
            let mut code = Vec::new();
            while n > 0x7f {
                code.push((n & 0x7f).to_le_bytes()[0] | 0x80);
                n >>= 7;
            }
            code.push(n.to_le_bytes()[0]);
            code
        };
        let copy = {
            let length = size.to_le_bytes();
            vec![0xf0, length[0], length[1], length[2]]
        };
        let delta = [number(size), number(size * 2), copy.clone(), copy].concat();
        last = maker.on_entry(last, &delta);
        size *= 2;
    }
    let limits = PackLimits {
        object_bytes_max: u64::MAX,
        ..LIMITS
    };
    let mut pack = read(&maker.into_bytes(), 1_000, limits).unwrap();
    let found = pack.find(Kind::Blob, &ObjectId::NULL, &());
    assert_eq!(found, Err(PackError::Bomb));
}
