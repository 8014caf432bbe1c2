//! `/api/webhooks-config`: the endpoints in the words of RKT's own interface.

use serde_json::{Value, json};

use super::endpoints::stated;
use super::operation::Operation;
use super::shape::{
    Named, about, channel, id, list, object, or_null, page, reference, tenant, text, time, truth,
};
use crate::api::problem::Kind;
use crate::config::Config;

const GROUP: &str = "webhooks-config";

const BY_ID: &str = "The `id` may stand in the query instead.";

pub fn operations() -> Vec<Operation> {
    let operation = |name, summary| Operation::new(name, GROUP, summary);
    vec![
        operation("list_webhooks", "The webhooks, oldest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .query("chatbotId", "Only those of this chatbot.", channel())
            .page(id("ep_"))
            .answers(200, "A page of webhooks.", page("Webhook")),
        operation("create_webhook", "Create a webhook")
            .takes(reference("NewWebhook"))
            .answers(201, "The webhook, with its signing secret, shown this once.", reference("Webhook"))
            .problems(&[Kind::Conflict]),
        operation("change_webhook", "Change a webhook, or turn it off and on")
            .about(BY_ID)
            .takes(reference("WebhookChange"))
            .answers(200, "The webhook as it is now.", reference("Webhook"))
            .problems(&[Kind::NotFound, Kind::Conflict]),
        operation("delete_webhook", "Delete a webhook")
            .about(BY_ID)
            .takes(object(&[("id", id("ep_"))], &[]))
            .answers(200, "It is gone.", object(&[("id", id("ep_")), ("success", truth())], &[]))
            .problems(&[Kind::NotFound, Kind::Conflict]),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let required: Vec<(&str, Value)> =
        stated(config).into_iter().filter(|(name, _)| *name != "name").collect();
    let optional = [("chatbotId", or_null(channel())), ("active", or_null(truth()))];
    let owned = [optional.as_slice(), &[("tenant", or_null(tenant()))]].concat();
    let mut change = object(&[("id", id("ep_"))], &[required.as_slice(), &optional].concat());
    change["minProperties"] = json!(2);
    let webhook = object(
        &[
            ("id", id("ep_")),
            ("url", about("Scheme and host; the rest is masked.", text())),
            ("events", list(text())),
            ("chatbotId", or_null(channel())),
            ("active", truth()),
            ("createdAt", time()),
            ("updatedAt", time()),
        ],
        &[("secret", about("Shown once, when it is made.", text()))],
    );
    vec![("NewWebhook", object(&required, &owned)), ("WebhookChange", change), ("Webhook", webhook)]
}
