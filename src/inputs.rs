//! [`Inputs`]: the futures whose values a task needs.
#![forbid(unsafe_code)]

use crate::error::{Error, Outcome};
use crate::future::Future;
use crate::future::shared::SharedFuture;
use sealed::{Input, Sealed, Task};

/// The futures whose values a task needs, for [`Executor::submit_after`](crate::Executor::submit_after): one future, a
/// tuple of two to four, an array or a `Vec`.
///
/// A future is a [`Future`] or, if its value can be cloned, a [`SharedFuture`]. They may belong to several executors.
/// Sealed: no other crate can implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no future, nor a tuple, array or `Vec` of futures",
    label = "no task can be submitted after this",
    note = "a tuple has two to four futures, and the value of a `SharedFuture` has to be `Clone`"
)]
pub trait Inputs: Sealed + Send + 'static {
    /// The argument of the function: the value of one future, or a tuple, an array or a `Vec` of values.
    type Values: Send + 'static;
    #[doc(hidden)]
    fn tasks(&self) -> Vec<Task>;
    /// Takes the values. If one input has settled the matter, takes its error instead.
    #[doc(hidden)]
    fn values(self, settled_by: Option<usize>) -> Outcome<Self::Values>;
}

pub(crate) mod sealed {
    use crate::error::Outcome;
    use crate::task::after;

    /// The task behind a future.
    #[expect(missing_debug_implementations, reason = "cannot be named outside")]
    pub struct Task(pub(crate) after::Input);

    pub trait Sealed {}

    /// One future whose value a task needs.
    pub trait Input: Send + 'static {
        type Value: Send + 'static;
        #[doc(hidden)]
        fn as_task(&self) -> Task;
        /// Takes the outcome of a done task, or clones it if the future is shared.
        #[doc(hidden)]
        fn outcome(self) -> Outcome<Self::Value>;
    }
}

impl<T: Send + 'static> Input for Future<T> {
    type Value = T;
    fn as_task(&self) -> Task {
        Task(self.input())
    }
    fn outcome(self) -> Outcome<T> {
        self.take()
    }
}

impl<T: Clone + Send + Sync + 'static> Input for SharedFuture<T> {
    type Value = T;
    fn as_task(&self) -> Task {
        Task(self.input())
    }
    fn outcome(self) -> Outcome<T> {
        self.lent().cloned()
    }
}

macro_rules! one_future {
    ($([$($bound:tt)*] $future:ty),*) => {$(
        impl<T: $($bound)*> Sealed for $future {}
        impl<T: $($bound)*> Inputs for $future {
            type Values = T;
            fn tasks(&self) -> Vec<Task> {
                vec![self.as_task()]
            }
            fn values(self, _: Option<usize>) -> Outcome<T> {
                self.outcome()
            }
        }
    )*};
}

one_future!([Send + 'static] Future<T>, [Clone + Send + Sync + 'static] SharedFuture<T>);

macro_rules! tuple {
    ($($input:ident $name:ident $position:tt),*) => {
        impl<$($input: Input),*> Sealed for ($($input,)*) {}
        impl<$($input: Input),*> Inputs for ($($input,)*) {
            type Values = ($($input::Value,)*);
            fn tasks(&self) -> Vec<Task> {
                vec![$(self.$position.as_task()),*]
            }
            fn values(self, settled_by: Option<usize>) -> Outcome<Self::Values> {
                let ($($name,)*) = self;
                if let Some(position) = settled_by {
                    $(
                        if position == $position {
                            $name.outcome()?;
                            return Err(Error::Abandoned);
                        }
                    )*
                }
                Ok(($($name.outcome()?,)*))
            }
        }
    };
}

tuple!(A a 0, B b 1);
tuple!(A a 0, B b 1, C c 2);
tuple!(A a 0, B b 1, C c 2, D d 3);

impl<F: Input> Sealed for Vec<F> {}
impl<F: Input> Inputs for Vec<F> {
    type Values = Vec<F::Value>;
    fn tasks(&self) -> Vec<Task> {
        self.iter().map(Input::as_task).collect()
    }
    fn values(self, settled_by: Option<usize>) -> Outcome<Self::Values> {
        decisive(self.into_iter(), settled_by).map(Input::outcome).collect()
    }
}

impl<F: Input, const N: usize> Sealed for [F; N] {}
impl<F: Input, const N: usize> Inputs for [F; N] {
    type Values = [F::Value; N];
    fn tasks(&self) -> Vec<Task> {
        self.iter().map(Input::as_task).collect()
    }
    fn values(self, settled_by: Option<usize>) -> Outcome<Self::Values> {
        let values: Vec<F::Value> =
            decisive(self.into_iter(), settled_by).map(Input::outcome).collect::<Outcome<_>>()?;
        values.try_into().map_err(|_| Error::Abandoned)
    }
}

/// Returns all inputs, or only the one that has settled the matter.
fn decisive<F>(inputs: impl Iterator<Item = F>, settled_by: Option<usize>) -> impl Iterator<Item = F> {
    let (from, most) = settled_by.map_or((0, usize::MAX), |position| (position, 1));
    inputs.skip(from).take(most)
}
