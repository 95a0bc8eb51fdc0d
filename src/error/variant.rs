//! [`Variant`]: which variant of [`Error`](crate::Error) it is, in one byte.
#![forbid(unsafe_code)]

macro_rules! variants {
    ($($name:ident),* $(,)?) => {
        /// The variant of an [`Error`](crate::Error), without its details.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Variant {
            $($name),*
        }

        impl Variant {
            /// Returns the name of the variant, as the texts of futures show it.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Variant::$name => stringify!($name)),*
                }
            }
        }
    };
}

variants!(
    Cancelled, Panicked, Failed, TimeLimit, WorkerDied, Broken, ShutDown, Full, Encode, Decode, TooLarge, Timeout,
    Build, Abandoned,
);
