//! A task of any type, as seen by any format.
#![forbid(unsafe_code)]

use super::{AnyFormat, FormattedReplies, Reply, Visit, Visitor};
use crate::error::Error;
use crate::task::call::Call;
use crate::task::encoded::Entry;
use crate::task::phase::HeldOutcome;
use crate::task::state::Task;

impl<C, T, H> AnyFormat for Task<C, T, H>
where
    C: Call<T>,
    T: Send,
    H: HeldOutcome<T>,
{
    fn show(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.lend_call(|call| call.write(Visitor(visit)))
    }

    fn entry(&self) -> Option<Entry> {
        self.inner.lock().phase.call()?.entry()
    }

    fn read(&self, replies: &mut dyn Iterator<Item = Reply<'_>>) -> bool {
        self.end_with_replies(|expected| C::read(expected, &mut FormattedReplies(replies)))
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::task::call::LocalCall;
    use crate::task::new_task;
    use crate::task::owner_ref::OwnerRef;

    #[test]
    fn a_closure_is_not_shown_and_stays_with_its_task() {
        let one = Box::new(1_u8);
        let task = new_task(Some(LocalCall(move || Ok(*one))), None, OwnerRef::NOBODY);
        let refused = task.show(&mut |_| panic!("there is nothing to show"));
        let Err(Error::Encode(encode)) = refused else { panic!("{refused:?}") };
        assert!(encode.to_string().contains("only functions and closures that capture nothing can leave it"));
        assert!(task.entry().is_none() && task.is_waiting());
    }
}
