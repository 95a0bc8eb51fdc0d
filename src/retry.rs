//! Tasks that are tried again after an error: the options, the policy and the attempts.
#![forbid(unsafe_code)]

mod attempts;
mod back_off;
mod inline;
mod policy;
mod retrying;

pub use policy::RetryOptions;
pub use retrying::{PlainRetrying, Retrying};
pub(crate) use retrying::{RetryingItems, SubmitItem};
