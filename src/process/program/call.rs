//! How a call crosses to a worker: its functions as offsets in the program.
//!
//! Both processes run the same build of the same program, which is checked when a worker says hello, so a function has
//! the same offset in both. A function of a shared library may not: it is refused.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::sync::Arc;

use super::image::image;
use super::symbol;
use crate::bytes::OutOfBand;
use crate::error::{Encode, Error, Part};
use crate::task::encoded::{EncodedCall, Enter, Entry, ItemOffsets, Written};
use crate::task::shared_context::ReceivedContext;

/// An encoded call with its functions as offsets in the program. Its context travels on its own.
pub(in crate::process) struct LocatedCall {
    pub(in crate::process) call: FunctionAddress,
    pub(in crate::process) argument: Vec<u8>,
    pub(in crate::process) items: Option<ItemOffsets>,
}

impl LocatedCall {
    pub(in crate::process) fn of(encoded: EncodedCall) -> Result<Self, Error> {
        let EncodedCall { entry, argument, items, .. } = encoded;
        Ok(Self { call: FunctionAddress::of(entry)?, argument, items })
    }
}

/// The functions of a call, as offsets in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct FunctionAddress {
    pub(in crate::process) enter: u64,
    pub(in crate::process) function: u64,
    signature: &'static str,
}

/// Returns the name of the function at this offset in the program, unless the program was stripped of names.
pub(in crate::process) fn name_of(function: u64) -> Option<String> {
    image().address_of(function).and_then(symbol::name_of)
}

impl FunctionAddress {
    pub(in crate::process) fn of(entry: Entry) -> Result<Self, Error> {
        let Entry { enter, function, signature, .. } = entry;
        let (Some(enter), Some(function)) = (image().offset_of(enter), image().offset_of(function)) else {
            return Err(Error::Encode(Encode::new(
                Part::Function,
                format!(
                    "a function of type {signature} is not part of the main program but of a shared library, whose place \
                     in another process is unknown; call it from a function of the program, and submit that"
                ),
            )));
        };
        Ok(Self { enter, function, signature })
    }

    /// Makes the call in this process. Returns `None` if this program has no such functions.
    pub(in crate::process) fn make(
        enter: u64,
        function: u64,
        context: Option<&ReceivedContext>,
        argument: &[u8],
        reply: &mut Vec<u8>,
        out_of_band: &Arc<dyn OutOfBand>,
    ) -> Option<Written> {
        let enter = std::ptr::with_exposed_provenance::<()>(image().address_of(enter)?);
        let function = std::ptr::with_exposed_provenance::<()>(image().address_of(function)?);
        // SAFETY: this is a function of the main program, sent by a process of the same build that got it from
        // `Entry::of`. So it is an `Enter` except for its first parameter, a transparent wrapper of a function pointer;
        // the ABIs of all function pointers are compatible (documentation of the primitive type `fn`, "ABI
        // compatibility").
        let enter = unsafe { std::mem::transmute::<*const (), Enter>(enter) };
        // SAFETY: this is a function too, sent along with `enter`. Only `enter` calls it, which knows its type.
        let function = unsafe { std::mem::transmute::<*const (), fn()>(function) };
        Some(enter(function, context, argument, reply, out_of_band))
    }

    /// Returns the name of the user's function, or its type if the program was stripped of names.
    pub(in crate::process) fn name(&self) -> Cow<'static, str> {
        name_of(self.function).map_or(Cow::Borrowed(self.signature), Cow::Owned)
    }

    /// Returns the name of the user's function for a message, or says of which type it is.
    pub(in crate::process) fn described(&self) -> String {
        name_of(self.function).unwrap_or_else(|| format!("a function of type {}", self.signature))
    }
}
