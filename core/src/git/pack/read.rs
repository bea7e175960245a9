//! A pack as it comes in, in pieces of any size.
//!
//! Nothing is believed: sizes are checked against what inflates, bases must have come before, the checksum
//! must be that of the bytes. What inflates is hashed in a small window and dropped.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::inflate::Inflater;
use super::resolve::{Form, Pack, PackEntry};
use super::{PackError, PackLimits};
use crate::git::object::{Kind, ObjectHasher, ObjectId};

/// How much inflates at once.
const WINDOW_BYTES: usize = 32 << 10;
/// Bytes before the first object.
const HEAD_BYTES: usize = 12;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 20;

/// Takes a pack in pieces.
pub struct PackReader {
    limits: PackLimits,
    bytes: Vec<u8>,
    /// How far the bytes are read.
    at: usize,
    /// How far they are in the checksum.
    n_hashed: usize,
    checksum: ObjectHasher,
    inflater: Box<Inflater>,
    window: Vec<u8>,
    state: State,
    n_objects: u32,
    n_inflated: u64,
    entries: Vec<PackEntry>,
    by_id: BTreeMap<ObjectId, (usize, Kind)>,
}

enum State {
    Head,
    Entry,
    Content {
        /// Of a whole object.
        hasher: Option<ObjectHasher>,
        n_left: u64,
    },
    Checksum,
    End,
}

impl PackReader {
    /// Begins.
    pub fn new(limits: PackLimits) -> Self {
        Self {
            limits,
            bytes: Vec::new(),
            at: 0,
            n_hashed: 0,
            checksum: ObjectHasher::plain(),
            inflater: Box::new(Inflater::new()),
            window: vec![0; WINDOW_BYTES],
            state: State::Head,
            n_objects: 0,
            n_inflated: 0,
            entries: Vec::new(),
            by_id: BTreeMap::new(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When the pack is too large, damaged, or longer than it says.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        if bytes.len() > self.limits.pack_bytes_max - self.bytes.len() {
            return Err(PackError::TooLarge {
                bytes_max: self.limits.pack_bytes_max,
            });
        }
        self.bytes.extend_from_slice(bytes);
        while self.step()? {}
        self.checksum
            .handle_bytes(&self.bytes[self.n_hashed..self.at.max(self.n_hashed)]);
        self.n_hashed = self.at.max(self.n_hashed);
        Ok(())
    }

    /// True when the pack is whole.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// True when nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The pack.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn into_pack(self) -> Result<Pack, PackError> {
        if !self.is_done() {
            return Err(PackError::Malformed("it ends early"));
        }
        let left = self.limits.inflated_bytes_max - self.n_inflated;
        Ok(Pack::new(
            self.bytes,
            self.entries,
            self.by_id,
            self.limits,
            left,
        ))
    }

    /// True when there was something to do.
    fn step(&mut self) -> Result<bool, PackError> {
        match &mut self.state {
            State::Head => self.on_head(),
            State::Entry if self.entries.len() == self.n_objects as usize => {
                self.state = State::Checksum;
                Ok(true)
            }
            State::Entry => self.on_entry(),
            State::Content { .. } => self.on_content(),
            State::Checksum => self.on_checksum(),
            State::End if self.at < self.bytes.len() => {
                Err(PackError::Malformed("something follows it"))
            }
            State::End => Ok(false),
        }
    }

    fn on_head(&mut self) -> Result<bool, PackError> {
        let Some(head) = self.bytes.first_chunk::<HEAD_BYTES>() else {
            return Ok(false);
        };
        let [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, a, b, c, d] = *head else {
            return Err(PackError::Malformed("it does not begin like one"));
        };
        self.n_objects = u32::from_be_bytes([a, b, c, d]);
        self.at = HEAD_BYTES;
        self.state = State::Entry;
        Ok(true)
    }

    fn on_entry(&mut self) -> Result<bool, PackError> {
        let Some(head) = EntryHead::parse(&self.bytes[self.at..])? else {
            return Ok(false);
        };
        let begin = self.at;
        let (form, hasher) = match head.form {
            HeadForm::Whole(kind) => {
                let hasher = ObjectHasher::new(kind, head.size);
                (Form::Whole(kind), Some(hasher))
            }
            HeadForm::Back(distance) => {
                let base = begin
                    .checked_sub(distance)
                    .and_then(|at| {
                        self.entries
                            .binary_search_by_key(&at, |entry| entry.at)
                            .ok()
                    })
                    .ok_or(PackError::Malformed("a difference to nothing before it"))?;
                (Form::OnEntry(base), None)
            }
            HeadForm::Id(id) => (Form::OnId(id), None),
        };
        self.n_inflated = self.n_inflated.saturating_add(head.size);
        if self.n_inflated > self.limits.inflated_bytes_max {
            return Err(PackError::Bomb);
        }
        self.at += head.length;
        self.entries.push(PackEntry {
            at: begin,
            content_at: self.at,
            size: head.size,
            form,
        });
        self.inflater.begin();
        self.state = State::Content {
            hasher,
            n_left: head.size,
        };
        Ok(true)
    }

    fn on_content(&mut self) -> Result<bool, PackError> {
        let State::Content { hasher, n_left } = &mut self.state else {
            return Ok(false);
        };
        let step = self
            .inflater
            .step(&self.bytes[self.at..], &mut self.window)?;
        self.at += step.n_consumed;
        let produced = &self.window[..step.n_produced];
        *n_left = n_left
            .checked_sub(produced.len() as u64)
            .ok_or(PackError::Malformed("an object is longer than it says"))?;
        if let Some(hasher) = hasher {
            hasher.handle_bytes(produced);
        }
        if !step.is_end {
            return Ok(step.n_consumed > 0 || step.n_produced > 0);
        }
        if *n_left > 0 {
            return Err(PackError::Malformed("an object is shorter than it says"));
        }
        if let Some(hasher) = hasher.take() {
            let id = hasher
                .into_id()
                .ok_or(PackError::Malformed("an object is made to collide"))?;
            let idx = self.entries.len() - 1;
            if let Form::Whole(kind) = self.entries[idx].form {
                self.by_id.insert(id, (idx, kind));
            }
        }
        self.state = State::Entry;
        Ok(true)
    }

    fn on_checksum(&mut self) -> Result<bool, PackError> {
        let rest = &self.bytes[self.at..];
        let Some(sum) = rest.get(..CHECKSUM_BYTES) else {
            return Ok(false);
        };
        let mut checksum = core::mem::replace(&mut self.checksum, ObjectHasher::plain());
        checksum.handle_bytes(&self.bytes[self.n_hashed..self.at]);
        if checksum.into_id().as_ref().map(ObjectId::as_bytes) != sum.first_chunk() {
            return Err(PackError::Malformed("its checksum is wrong"));
        }
        self.at += CHECKSUM_BYTES;
        self.n_hashed = self.at;
        self.state = State::End;
        Ok(true)
    }
}

impl core::fmt::Debug for PackReader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PackReader")
            .field("bytes", &self.bytes.len())
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// What stands before the content of an object.
struct EntryHead {
    form: HeadForm,
    size: u64,
    /// How many bytes it takes.
    length: usize,
}

enum HeadForm {
    Whole(Kind),
    /// A difference to the object that began so many bytes before.
    Back(usize),
    Id(ObjectId),
}

impl EntryHead {
    /// `None` when it has not all come yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, PackError> {
        let Some((first, _)) = bytes.split_first() else {
            return Ok(None);
        };
        let mut size = u64::from(first & 15);
        let mut length = 1;
        let mut last = *first;
        while last & 0x80 != 0 {
            if length == 9 {
                return Err(PackError::Malformed("the size of an object is no size"));
            }
            let Some(byte) = bytes.get(length) else {
                return Ok(None);
            };
            size |= u64::from(byte & 0x7f) << (7 * length - 3);
            last = *byte;
            length += 1;
        }
        let form = match first >> 4 & 7 {
            1 => HeadForm::Whole(Kind::Commit),
            2 => HeadForm::Whole(Kind::Tree),
            3 => HeadForm::Whole(Kind::Blob),
            4 => HeadForm::Whole(Kind::Tag),
            6 => {
                let Some((distance, taken)) = distance(&bytes[length..])? else {
                    return Ok(None);
                };
                length += taken;
                HeadForm::Back(distance)
            }
            7 => {
                let id = bytes.get(length..length + 20);
                let Some(id) = id.and_then(ObjectId::from_bytes) else {
                    return Ok(None);
                };
                length += 20;
                HeadForm::Id(id)
            }
            _ => return Err(PackError::Malformed("an object of no known kind")),
        };
        Ok(Some(Self { form, size, length }))
    }
}

/// How far before a base begins: groups of seven bits, the highest first, each but the last counting one more.
fn distance(bytes: &[u8]) -> Result<Option<(usize, usize)>, PackError> {
    let mut distance = 0_usize;
    for (n, byte) in bytes.iter().enumerate().take(6) {
        distance = distance << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(Some((distance, n + 1)));
        }
        distance += 1;
    }
    if bytes.len() < 6 {
        Ok(None)
    } else {
        Err(PackError::Malformed("a difference to something far away"))
    }
}
