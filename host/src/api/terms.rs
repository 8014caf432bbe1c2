//! Terms in requests and answers: of an endpoint, of a tenant, of the host.

mod read;
mod readable;
mod show;

pub(super) use read::{
    MAX_FAILURES, MAX_PATIENCE, MAX_SUCCESS_CODES, MIN_PATIENCE, MIN_TIMEOUT, ON_FAILURE, read, span,
    transform, transforms, within,
};
pub(super) use show::{LinkView, TermsView, in_full, inherited, link};

/// The members that are terms.
pub(super) const MEMBERS: [&str; 9] =
    ["transforms", "body", "signature", "auth", "headers", "retry", "timeout", "success", "auto_disable"];
