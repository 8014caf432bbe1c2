//! `/v1/session`, and the links to portals.

use serde_json::json;

use super::operation::Operation;
use super::shape::{
    Named, about, matching, object, or_null, reference, span, tenant, text, text_of, time, truth, words,
};
use crate::access::Role;
use crate::api::problem::Kind;
use crate::config::{MAX_PORTAL, MIN_PORTAL};

const GROUP: &str = "Sessions";

const SIGN_IN: &str = "For browsers. The session is a cookie that scripts cannot read; every operation takes it in place \
                       of a key. What changes something has to come from the dashboard's own pages then, as `Origin` \
                       or `Sec-Fetch-Site` say. A session ends with its key, and a link's with its link.";

const PORTAL: &str = "A customer who opens the link sees and manages what belongs to this tenant, as with a tenant's \
                      key. The token can be sent as a bearer key, and exchanged for a session. It ends with the key \
                      that it was made with.";

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("sign_in", GROUP, "Exchange a key, or a link's token, for a session")
            .about(SIGN_IN)
            .takes(object(&[("key", text_of(1, 4_096))], &[]))
            .answers(200, "Who the caller is now. The cookie comes with it.", reference("Session"))
            .problems(&[Kind::Unauthorized, Kind::Forbidden, Kind::OverQuota]),
        Operation::new("show_session", GROUP, "Who the caller is").answers(
            200,
            "Who it is.",
            reference("Session"),
        ),
        Operation::new("sign_out", GROUP, "End the session")
            .about("Or the link, where its token was sent. A key stays as it is.")
            .answers_nothing(204, "It opens nothing any more."),
        Operation::new("create_portal_link", GROUP, "Make a link to a tenant's portal")
            .about(PORTAL)
            .of("id", tenant())
            .may_take(object(&[], &[("expires", or_null(span(MIN_PORTAL, MAX_PORTAL)))]))
            .answers(201, "The link, shown this once.", reference("PortalLink")),
    ]
}

pub fn schemas() -> Vec<Named> {
    let session = object(
        &[
            ("role", words([Role::Admin.word(), Role::Tenant.word()])),
            ("tenant", or_null(tenant())),
            ("expires_at", about("Null where it goes on until its key is revoked.", or_null(time()))),
            ("version", about("Of the server.", text())),
            ("offline", about("Deliveries wait: the host is offline, or the caller's tenant.", truth())),
        ],
        &[],
    );
    let link = object(
        &[
            ("token", matching("^hwp_[A-Za-z0-9_-]+$")),
            (
                "path",
                about(
                    "Where the dashboard has the portal.",
                    json!({"type": "string", "pattern": "^/#/portal/hwp_"}),
                ),
            ),
            ("expires_at", time()),
        ],
        &[],
    );
    vec![("Session", session), ("PortalLink", link)]
}
