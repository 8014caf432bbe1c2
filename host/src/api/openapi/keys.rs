//! `/v1/keys`.

use std::time::Duration;

use super::operation::Operation;
use super::shape::{
    Named, about, id, object, or_null, page, reference, span, tenant, text, text_of, time, time_ahead, truth,
    words,
};
use crate::access::Role;
use crate::api::problem::Kind;

const GROUP: &str = "Keys";

pub fn operations() -> Vec<Operation> {
    let role = || words(Role::ALL.map(Role::word));
    vec![
        Operation::new("create_key", GROUP, "Make a key")
            .takes(reference("NewKey"))
            .answers(201, "The key, shown this once.", reference("Key"))
            .problems(&[Kind::Conflict]),
        Operation::new("list_keys", GROUP, "The keys, oldest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .query("role", "Only those of this role.", role())
            .page(id("key_"))
            .answers(200, "A page of keys.", page("Key")),
        Operation::new("show_key", GROUP, "One key").of("id", id("key_")).answers(
            200,
            "What is known of it.",
            reference("Key"),
        ),
        Operation::new("revoke_key", GROUP, "Revoke a key")
            .of("id", id("key_"))
            .answers_nothing(204, "It opens nothing any more."),
    ]
}

pub fn schemas() -> Vec<Named> {
    let key = object(
        &[
            ("id", id("key_")),
            ("role", words(Role::ALL.map(Role::word))),
            ("tenant", or_null(tenant())),
            ("description", text()),
            ("created_at", time()),
            ("expires_at", or_null(time())),
            ("expired", truth()),
        ],
        &[("key", about("Shown once, when it is made.", text()))],
    );
    vec![("NewKey", serde_json::json!({"oneOf": new_keys()})), ("Key", key)]
}

/// What has to be said of a key of each role, with each way to say its end.
fn new_keys() -> Vec<serde_json::Value> {
    let life = span(Duration::from_secs(1), Duration::from_secs(100 * 365 * 86_400));
    let ends: [&[(&str, serde_json::Value)]; 2] =
        [&[("expires", or_null(life))], &[("expires_at", or_null(time_ahead()))]];
    let mut forms = Vec::new();
    for (index, end) in ends.into_iter().enumerate() {
        let mut add = |role: Role, whose: (&str, serde_json::Value)| {
            let mut required = vec![("role", words([role.word()]))];
            let mut optional = vec![("description", or_null(text_of(0, 2_000)))];
            if role == Role::Tenant {
                required.push(whose)
            } else {
                optional.push(whose)
            }
            if index == 0 {
                optional.extend_from_slice(end)
            } else {
                required.extend_from_slice(end)
            }
            forms.push(object(&required, &optional));
        };
        add(Role::Admin, ("tenant", serde_json::json!({"type": "null"})));
        add(Role::Ingest, ("tenant", or_null(tenant())));
        add(Role::Tenant, ("tenant", tenant()));
    }
    forms
}
