//! An Adaptive Card in the message that Workflows takes, within the limit of the whole request.

use hookwright_plugin::{
    card::{Card, Room, left_out},
    text::TEAMS,
};
use serde::Serialize;

/// The body of a message.
#[derive(Serialize)]
pub(crate) struct Body {
    r#type: &'static str,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: &'static str,
    content: Content,
}

#[derive(Serialize)]
struct Content {
    #[serde(rename = "$schema")]
    schema: &'static str,
    r#type: &'static str,
    version: &'static str,
    msteams: Width,
    body: Vec<Element>,
    actions: Vec<Action>,
}

#[derive(Serialize)]
struct Width {
    width: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Element {
    TextBlock(TextBlock),
    FactSet { facts: Vec<Fact> },
}

#[derive(Serialize)]
struct TextBlock {
    text: String,
    wrap: bool,
    #[serde(flatten)]
    look: Look,
}

/// Text is written as it is unless it says how it looks.
#[derive(Serialize, Clone, Copy, Default)]
#[serde(rename_all = "camelCase")]
struct Look {
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_subtle: bool,
}

#[derive(Serialize)]
struct Fact {
    title: String,
    value: String,
}

#[derive(Serialize)]
struct Action {
    r#type: &'static str,
    title: String,
    url: String,
}

/// The card as a message of at most `limit` bytes. The link goes first, then title and text, then as many fields as
/// there is room for, and a line that says how many are missing.
pub(crate) fn write(card: &Card, limit: usize) -> Body {
    let mut body = empty();
    let mut room = Room::beside(limit, &body);
    let [Attachment { content, .. }] = &mut body.attachments;
    content.actions.extend(card.link.as_ref().and_then(|(url, label)| action(url, label, &mut room)));
    content.body.extend(block(&TEAMS.escape(card.title.trim()), MAX_TITLE, TITLE, &mut room));
    if let Some(text) = &card.text {
        let most = if card.fields.is_empty() { usize::MAX } else { room.left() / 2 };
        content.body.extend(block(text.trim(), most, Look::default(), &mut room));
    }
    facts(&card.fields, &mut room, &mut content.body);
    body
}

fn empty() -> Body {
    let content = Content {
        schema: "http://adaptivecards.io/schemas/adaptive-card.json",
        r#type: "AdaptiveCard",
        version: "1.4",
        msteams: Width { width: "Full" },
        body: Vec::new(),
        actions: Vec::new(),
    };
    let content_type = "application/vnd.microsoft.card.adaptive";
    Body { r#type: "message", attachments: [Attachment { content_type, content }] }
}

fn block(escaped: &str, most: usize, look: Look, room: &mut Room) -> Option<Element> {
    let block = |text| Element::TextBlock(TextBlock { text, wrap: true, look });
    room.fit_in(&block(String::new()), &TEAMS, escaped, most).map(block)
}

fn action(url: &str, label: &str, room: &mut Room) -> Option<Action> {
    // A button's title is no Markdown.
    let title = TEAMS.cut(label.trim(), MAX_TITLE).into_owned();
    let title = if title.is_empty() { "Open".to_owned() } else { title };
    let action = Action { r#type: "Action.OpenUrl", title, url: url.to_owned() };
    if url.len() > MAX_URL || !room.take(&action) {
        hookwright_plugin::warn!("The link is left out: it is longer than Teams takes.");
        return None;
    }
    Some(action)
}

fn facts(fields: &[(String, String)], room: &mut Room, body: &mut Vec<Element>) {
    if fields.is_empty() || !room.take(&Element::FactSet { facts: Vec::new() }) {
        return;
    }
    let fact = |(label, value): &(String, String)| Fact {
        title: TEAMS.fit(label.trim(), MAX_TITLE),
        value: TEAMS.fit(value.trim(), MAX_VALUE),
    };
    let (facts, missing) = room.fill(fields.iter().map(fact).collect(), RESERVED);
    if !facts.is_empty() {
        body.push(Element::FactSet { facts });
    }
    if missing > 0 {
        body.extend(block(&left_out(missing, "Teams"), usize::MAX, NOTE, room));
    }
}

const TITLE: Look = Look { size: Some("Large"), weight: Some("Bolder"), is_subtle: false };
const NOTE: Look = Look { size: Some("Small"), weight: None, is_subtle: true };
/// Of a title and of a label, in bytes of JSON.
const MAX_TITLE: usize = 1_000;
/// Of a value, in bytes of JSON.
const MAX_VALUE: usize = 4_000;
const MAX_URL: usize = 4_000;
/// Kept from the fields for the line that says how many are missing.
const RESERVED: usize = 200;
