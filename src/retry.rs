//! Tasks that are tried again after an error: the options, the policy and the attempts.
#![forbid(unsafe_code)]

mod attempts;
mod back_off;
mod inline;
mod policy;
mod retrying;

pub use policy::RetryOptions;
pub(crate) use retrying::{Items, SubmitItem};
pub use retrying::{PlainRetrying, Retrying};
