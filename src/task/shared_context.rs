//! [`SharedContext`]: a value that many calls read, and that is not sent with each of them.
//!
//! In the process of the caller, each call holds a counted reference to the context. An executor with workers in other
//! processes attaches its encoding to the context, so that it encodes once. An attachment lives at least as long as the
//! context. In a worker, a context is a [`ReceivedContext`]:
//!
//! | state | meaning | next state |
//! |---|---|---|
//! | `Encoded` | no call has needed the context yet | `Known`, when the first call that needs it has decoded it |
//! | `Known(Ok)` | the value, which all calls share | |
//! | `Known(Err)` | there is no value: each call that needs it ends with this error | |
#![forbid(unsafe_code)]

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

use crate::bytes::{OutOfBand, with_out_of_band};
use crate::codec::{self, Payload};
use crate::error::{Decode, Error, Part};
use crate::sync::Mutex;

/// A value that many calls share. Its clones are the same context.
pub(crate) struct SharedContext<C>(Arc<ContextInner<C>>);

struct ContextInner<C> {
    attachments: Mutex<Vec<Attachment>>,
    /// Boxed, because a large one must not be moved over the stack of a worker.
    value: Box<C>,
}

/// What an executor has made of a context and attached to it, such as an encoding.
pub(crate) type Attachment = Arc<dyn Any + Send + Sync>;

/// A context of any type, as an executor sees it.
pub(crate) trait AnyContext: Send + Sync {
    /// Encodes the value. Runs user code. A panic of that is an error.
    fn encode(&self) -> Result<Vec<u8>, Error>;
    /// Returns the attachments of executors. No attachment is dropped under this lock.
    fn attachments(&self) -> &Mutex<Vec<Attachment>>;
}

impl<C> SharedContext<C> {
    pub(crate) fn new(value: C) -> Self {
        Self::of(Box::new(value))
    }

    fn of(value: Box<C>) -> Self {
        Self(Arc::new(ContextInner { attachments: Mutex::new(Vec::new()), value }))
    }
}

impl<C: Serialize + Send + Sync + 'static> SharedContext<C> {
    pub(crate) fn of_any_type(&self) -> Arc<dyn AnyContext> {
        Arc::clone(&self.0) as _
    }
}

impl<C> Clone for SharedContext<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Deref for SharedContext<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0.value
    }
}

impl<C: Serialize + Send + Sync + 'static> AnyContext for ContextInner<C> {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        codec::encode_caught(Part::Context, &*self.value)
    }

    fn attachments(&self) -> &Mutex<Vec<Attachment>> {
        &self.attachments
    }
}

/// A context in a worker.
pub(crate) struct ReceivedContext(Mutex<State>);

enum State {
    Encoded(Vec<u8>),
    /// The inside of a [`SharedContext`], or the reason why there is none.
    Known(Result<Arc<dyn Any + Send + Sync>, Error>),
}

impl ReceivedContext {
    pub(crate) fn new(encoded: Vec<u8>) -> Self {
        Self(Mutex::new(State::Encoded(encoded)))
    }

    /// Makes a context without a value. Calls that need it end with an error that gives the reason.
    pub(crate) fn unreadable(reason: impl Into<String>) -> Self {
        Self(Mutex::new(State::Known(Err(unreadable(reason)))))
    }

    /// Returns the value. The first call decodes it, which runs user code.
    pub(super) fn get<C: Payload + Sync>(&self, out_of_band: &Arc<dyn OutOfBand>) -> Result<SharedContext<C>, Error> {
        // A worker runs one call at a time, so no other call is here meanwhile, except one inside this decoding.
        let underway = State::Known(Err(unreadable("it is needed to read itself")));
        let state = std::mem::replace(&mut *self.0.lock(), underway);
        let known = match state {
            State::Known(known) => known,
            State::Encoded(bytes) => {
                let value = with_out_of_band(out_of_band, || codec::decode_boxed_caught::<C>(Part::Context, &bytes)).0;
                value.map(|value| SharedContext::of(value).0 as Arc<dyn Any + Send + Sync>)
            }
        };
        *self.0.lock() = State::Known(known.clone());
        let value = known?.downcast().map_err(|_| unreadable("it is not of the type that the function takes"))?;
        Ok(SharedContext(value))
    }
}

fn unreadable(reason: impl Into<String>) -> Error {
    Error::Decode(Decode::new(Part::Context, reason))
}

/// Returns the error of a call whose context is not there.
pub(super) fn missing() -> Error {
    unreadable("it did not come before the task that needs it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;

    /// An out-of-band channel that nothing goes through.
    struct Nothing;

    impl OutOfBand for Nothing {
        fn put(&self, _: &[u8]) -> Option<u32> {
            None
        }
        fn put_back(&self, _: &[u32]) {}
        fn get(&self, _: u32, _: u64) -> Option<Bytes> {
            None
        }
    }

    fn get<C: Payload + Sync>(context: &ReceivedContext) -> Result<SharedContext<C>, String> {
        let out_of_band: Arc<dyn OutOfBand> = Arc::new(Nothing);
        context.get(&out_of_band).map_err(|error| match &error {
            Error::Decode(decode) if decode.part() == Part::Context => error.to_string(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn all_calls_share_what_the_first_one_has_decoded() {
        let encoded = SharedContext::new(vec![1_u8, 2]).of_any_type().encode().unwrap();
        let context = ReceivedContext::new(encoded);
        let [first, second] = [(); 2].map(|()| get::<Vec<u8>>(&context).unwrap());
        assert_eq!((&*first, std::ptr::from_ref(&*first)), (&vec![1, 2], std::ptr::from_ref(&*second)));
    }

    #[test]
    fn every_call_gets_the_error_of_the_decoding() {
        let context = ReceivedContext::new(vec![5]);
        let [first, second] = [(); 2].map(|()| get::<String>(&context).err().unwrap());
        assert_eq!(first, second);
        assert!(get::<u8>(&ReceivedContext::unreadable("no memory")).err().unwrap().ends_with(": no memory"));
        // The other side may be damaged.
        let context = ReceivedContext::new(vec![5]);
        assert_eq!(get::<u8>(&context).map(|five| *five), Ok(5));
        assert!(get::<u16>(&context).err().unwrap().ends_with("it is not of the type that the function takes"));
        assert!(missing().to_string().ends_with("it did not come before the task that needs it"));
    }
}
