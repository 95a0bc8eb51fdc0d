//! [`Held`]: where the values of a task are stored.
//!
//! A closure, an argument and a result are moved a dozen times between `submit` and `result`. Moving a small value
//! costs a few instructions. Each move of a large value may copy it on the stack, and a few copies can overflow the
//! stack, which ends the program. So a [large](is_large) value is boxed on arrival, moved as a pointer, and unboxed
//! where user code receives it:
//!
//! | value | is boxed | is unboxed |
//! |---|---|---|
//! | closure, with its argument | in `spawn` and similar methods | nowhere: it is called in its box |
//! | argument of a plain function | in `submit`, or as it is decoded | at the call |
//! | result | as the call returns, or as it is decoded | in `result`, `.await` and similar |
//!
//! The compiler knows the size of a type: for small values there is neither a box nor a test for one.
#![forbid(unsafe_code)]

/// The size of the largest value that is not boxed. With it, a stack of 64 KiB is still large enough.
const SMALL: usize = 4 << 10;

/// Returns `true` if values of this type are boxed.
pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > SMALL
}

/// A `T` as it is passed on: itself, or in a box.
pub(crate) trait Held<T>: Sized {
    /// Holds what `make` returns. Takes a function, so that a large value is written straight into its box.
    fn hold(make: impl FnOnce() -> T) -> Self;
    fn get(&self) -> &T;
    fn release(self) -> T;
    fn boxed(self) -> Box<T>;
    fn from_boxed(boxed: Box<T>) -> Self;
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
    fn from_boxed(boxed: Box<T>) -> T {
        *boxed
    }
}

impl<T> Held<T> for Box<T> {
    #[inline(always)]
    fn hold(make: impl FnOnce() -> T) -> Self {
        // `Box::new` would copy it to the stack once more, even with optimisation.
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
    fn from_boxed(boxed: Self) -> Self {
        boxed
    }
}
