//! [`Room`]: how much stack may be used to serialise or deserialise one value.
//!
//! serde's implementations recurse, a few frames for each level of a nested value, and neither serde nor postcard
//! limits that: a deep value would overflow the stack and end the process. So the stack depth is checked wherever a
//! byte is read or written. Each level of a recursive type has at least one byte before its content (the number of a
//! variant, the tag of an option, a length), so there is a check on each level. A reserve is kept for the frames of one
//! level and of the leaves that it calls.
//!
//! If deserialising runs out of stack, the value is read again on a fresh one, which is large.
#![forbid(unsafe_code)]

use postcard::{Error, Result, de_flavors, ser_flavors};

use crate::stack;

/// The part of a stack that a value may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Addresses below this one are outside the room: stacks grow downwards.
    floor: usize,
    size: usize,
    reserve: Reserve,
}

/// How much of a stack is kept free: `quarters` quarters of it, but at most `most` bytes.
#[derive(Clone, Copy, Debug)]
struct Reserve {
    quarters: usize,
    most: usize,
}

impl Room {
    /// Returns the room to deserialise a value if `left` bytes of the stack are left.
    pub(super) fn to_read(left: usize) -> Self {
        // The value is moved from frame to frame: without optimisation, a level of 64 KiB takes ten times as much
        // stack.
        Self::of(left, Reserve { quarters: 3, most: 768 << 10 })
    }

    /// Returns the room to serialise a value if `left` bytes of the stack are left.
    pub(super) fn to_write(left: usize) -> Self {
        // Serialising does not move the value, so the reserve is smaller, and a small stack suffices for most values.
        Self::of(left, Reserve { quarters: 1, most: 128 << 10 })
    }

    fn of(left: usize, reserve: Reserve) -> Self {
        let size = left - (left / 4 * reserve.quarters).min(reserve.most);
        Self { floor: stack::here().saturating_sub(size), size, reserve }
    }

    pub(super) fn size(self) -> usize {
        self.size
    }

    /// Returns `true` if the stack of the caller has grown beyond it.
    #[inline(always)]
    pub(super) fn is_used_up(self) -> bool {
        stack::here() < self.floor
    }

    /// Returns a larger room once this one is used up, if the stack turns out to be larger than it was known to be.
    #[cold]
    fn and_more(self) -> Option<Self> {
        if !stack::look_further() {
            return None;
        }
        let rest = Self::of(stack::left(), self.reserve);
        Some(Self { size: self.size + rest.size, ..rest })
    }
}

/// Takes bytes from a slice while there is room on the stack.
pub(super) struct Source<'de> {
    bytes: de_flavors::Slice<'de>,
    room: Room,
    refused: Option<Room>,
}

impl<'de> Source<'de> {
    pub(super) fn new(bytes: &'de [u8], room: Room) -> Self {
        Self { bytes: de_flavors::Slice::new(bytes), room, refused: None }
    }

    #[cold]
    fn look_for_more(&mut self) -> Result<()> {
        let Some(room) = self.room.and_more() else {
            self.refused = Some(self.room);
            return Err(Error::DeserializeUnexpectedEnd);
        };
        self.room = room;
        Ok(())
    }
}

/// The state after an attempt to read a value.
pub(super) struct Remainder<'de> {
    pub(super) bytes: &'de [u8],
    /// The room that was not enough, even if the value has ignored the error.
    pub(super) refused: Option<Room>,
}

impl<'de> de_flavors::Flavor<'de> for Source<'de> {
    type Remainder = Remainder<'de>;
    type Source = &'de [u8];

    #[inline]
    fn pop(&mut self) -> Result<u8> {
        if self.room.is_used_up() {
            self.look_for_more()?;
        }
        self.bytes.pop()
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.bytes.size_hint()
    }

    // Anything longer than a byte is a leaf.
    #[inline]
    fn try_take_n(&mut self, count: usize) -> Result<&'de [u8]> {
        self.bytes.try_take_n(count)
    }

    fn finalize(self) -> Result<Remainder<'de>> {
        Ok(Remainder { bytes: self.bytes.finalize()?, refused: self.refused })
    }
}

/// Appends bytes to others while there is room on the stack.
pub(super) struct Sink<'a> {
    bytes: &'a mut Vec<u8>,
    room: Room,
    /// The room that was not enough, even if the value has ignored the error.
    pub(super) refused: Option<Room>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>, room: Room) -> Self {
        Self { bytes, room, refused: None }
    }

    #[inline(always)]
    fn look(&mut self) -> Result<()> {
        if self.room.is_used_up() { self.look_for_more() } else { Ok(()) }
    }

    #[cold]
    fn look_for_more(&mut self) -> Result<()> {
        let Some(room) = self.room.and_more() else {
            self.refused = Some(self.room);
            return Err(Error::SerializeBufferFull);
        };
        self.room = room;
        Ok(())
    }
}

impl ser_flavors::Flavor for Sink<'_> {
    type Output = ();

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> Result<()> {
        self.look()?;
        self.bytes.push(byte);
        Ok(())
    }

    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> Result<()> {
        // The number of a variant and a length are shorter: this is a leaf.
        if bytes.len() < 8 {
            self.look()?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> Result<()> {
        Ok(())
    }
}
