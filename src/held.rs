//! [`Held`]: where the values of a task lie.
//!
//! A closure, an argument and a result are moved a dozen times between `submit` and `result`. Moving a small value
//! costs a few instructions. Each move of a large value may be a copy on the stack, and a few copies overflow it, which
//! ends the program. So a [large](is_large) value is boxed on arrival, moved as a pointer, and unboxed where user code
//! receives it:
//!
//! | value | is boxed | is unboxed |
//! |---|---|---|
//! | closure, with its argument | in `spawn` and its like | nowhere: it is called where it lies |
//! | argument of a plain function | in `submit`, or as it is decoded | at the call |
//! | result | as the call returns, or as it is decoded | in `result`, `.await` and their like |
//!
//! The size of a type is known to the compiler: for small values there is neither a box nor a test for one.
#![forbid(unsafe_code)]

/// The size of the largest value that is handed on as it is: then a thread with 64 KiB of stack is still wide enough.
const SMALL: usize = 4 << 10;

/// Returns `true` if a value of this type lies in a box of its own.
pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > SMALL
}

/// A `T` as it is handed on: itself, or in a box.
pub(crate) trait Held<T>: Sized {
    /// Holds what `make` returns. A function, so that a large value goes from its return to its box.
    fn hold(make: impl FnOnce() -> T) -> Self;
    fn get(&self) -> &T;
    fn release(self) -> T;
    fn boxed(self) -> Box<T>;
}

impl<T> Held<T> for T {
    #[inline(always)]
    fn hold(make: impl FnOnce() -> T) -> T {
        make()
    }
    #[inline(always)]
    fn get(&self) -> &T {
        self
    }
    #[inline(always)]
    fn release(self) -> T {
        self
    }
    fn boxed(self) -> Box<T> {
        Box::new(self)
    }
}

impl<T> Held<T> for Box<T> {
    #[inline(always)]
    fn hold(make: impl FnOnce() -> T) -> Self {
        // `Box::new` would have it on the stack once more, also with optimisation.
        Box::write(Box::new_uninit(), make())
    }
    #[inline(always)]
    fn get(&self) -> &T {
        self
    }
    #[inline(always)]
    fn release(self) -> T {
        *self
    }
    fn boxed(self) -> Self {
        self
    }
}
