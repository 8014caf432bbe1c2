//! Terms in requests and answers: of an endpoint, of a tenant, of the host.

mod read;
mod show;

pub(super) use read::{MAX_SUCCESS_CODES, MIN_TIMEOUT, ON_FAILURE, read, span, within};
pub(super) use show::{TermsView, in_full, inherited};

/// The members that are terms.
pub(super) const MEMBERS: [&str; 8] =
    ["transforms", "body", "signature", "auth", "headers", "retry", "timeout", "success"];
