//! A description in the Atlassian Document Format, within Jira's limit. Counted is the document as JSON, in UTF-16
//! units: more than its text, and so within the limit however Jira counts.

use hookwright_plugin::{
    card::{Card, Room, left_out},
    text::{Dialect, Unit},
};
use serde::Serialize;

/// A description.
#[derive(Serialize)]
pub(crate) struct Document {
    r#type: &'static str,
    version: u8,
    content: Vec<Block>,
}

#[derive(Serialize)]
#[serde(tag = "type", content = "content", rename_all = "camelCase")]
enum Block {
    Paragraph(Vec<Text>),
    BulletList(Vec<Item>),
}

#[derive(Serialize)]
#[serde(tag = "type", content = "content", rename_all = "camelCase")]
enum Item {
    ListItem([Block; 1]),
}

/// Never empty: Jira refuses that.
#[derive(Serialize)]
struct Text {
    r#type: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<[Mark; 1]>,
}

#[derive(Serialize)]
#[serde(tag = "type", content = "attrs", rename_all = "camelCase")]
enum Mark {
    Strong,
    Link { href: String },
}

/// The card as a description: the text's lines as paragraphs, the fields as a list, then the link. Where the room
/// ends, a line says how many fields are missing. Nothing where there would be nothing to read.
pub(crate) fn write(card: &Card) -> Option<Document> {
    let mut document = Document { r#type: "doc", version: 1, content: Vec::new() };
    let mut room = Room::counting(Unit::JsonUtf16, MAX_DESCRIPTION, &document);
    let link = link(card, &mut room);
    if let Some(text) = &card.text {
        let share = if card.fields.is_empty() { room.left() } else { room.left() / 2 };
        paragraphs(text, share, &mut room, &mut document.content);
    }
    fields(&card.fields, &mut room, &mut document.content);
    document.content.extend(link);
    (!document.content.is_empty()).then_some(document)
}

/// Until one had to be cut.
fn paragraphs(text: &str, share: usize, room: &mut Room, content: &mut Vec<Block>) {
    let enough = room.left() - share;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let part = Block::Paragraph(vec![plain(String::new())]);
        let most = room.left().saturating_sub(enough);
        let Some(shown) = room.fit_in(&part, &PLAIN, line, most) else {
            return;
        };
        let is_cut = shown.len() != line.len();
        content.push(Block::Paragraph(vec![plain(shown)]));
        if is_cut {
            return;
        }
    }
}

fn fields(fields: &[(String, String)], room: &mut Room, content: &mut Vec<Block>) {
    if fields.is_empty() || !room.take(&Block::BulletList(Vec::new())) {
        return;
    }
    let item = |(label, value): &(String, String)| {
        let label = Text { marks: Some([Mark::Strong]), ..plain(PLAIN.fit(label.trim(), MAX_LABEL)) };
        let value = plain(format!(": {}", PLAIN.fit(value.trim(), MAX_VALUE)));
        Item::ListItem([Block::Paragraph(vec![label, value])])
    };
    let (items, missing) = room.fill(fields.iter().map(item).collect(), RESERVED);
    if !items.is_empty() {
        content.push(Block::BulletList(items));
    }
    if missing > 0 {
        content.push(Block::Paragraph(vec![plain(left_out(missing, "Jira"))]));
    }
}

fn link(card: &Card, room: &mut Room) -> Option<Block> {
    let (url, label) = card.link.as_ref()?;
    let label = PLAIN.fit(label.trim(), MAX_LABEL);
    let text = plain(if label.is_empty() { "Open".to_owned() } else { label });
    let block = Block::Paragraph(vec![Text { marks: Some([Mark::Link { href: url.clone() }]), ..text }]);
    if url.len() > MAX_URL || !room.take(&block) {
        hookwright_plugin::warn!("The link is left out: it is longer than Jira takes.");
        return None;
    }
    Some(block)
}

fn plain(text: String) -> Text {
    Text { r#type: "text", text, marks: None }
}

const PLAIN: Dialect = Dialect::plain(Unit::JsonUtf16);
/// Jira answers CONTENT_LIMIT_EXCEEDED above this, and has used up an issue number by then.
pub(crate) const MAX_DESCRIPTION: usize = 32_767;
const MAX_LABEL: usize = 255;
const MAX_VALUE: usize = 8_000;
const MAX_URL: usize = 4_000;
/// Kept from the fields for the line that says how many are missing.
const RESERVED: usize = 200;
