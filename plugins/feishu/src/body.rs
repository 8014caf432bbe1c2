//! The three forms of a message that a custom bot takes, each within the limit of the whole request.

use hookwright_plugin::{
    card::{Card, Room, left_out},
    text::{Dialect, FEISHU, FEISHU_TEXT, Unit},
};
use serde::Serialize;

use crate::Form;

/// The body of a request.
#[derive(Serialize)]
pub(crate) struct Body {
    #[serde(flatten)]
    pub(crate) signature: Option<Signature>,
    #[serde(flatten)]
    pub(crate) message: Message,
}

/// Proves that the sender knows the bot's secret.
#[derive(Serialize)]
pub(crate) struct Signature {
    /// Seconds since 1970.
    pub(crate) timestamp: String,
    pub(crate) sign: String,
}

#[derive(Serialize)]
#[serde(tag = "msg_type", rename_all = "snake_case")]
pub(crate) enum Message {
    Text { content: TextContent },
    Post { content: PostContent },
    Interactive { card: InteractiveCard },
}

#[derive(Serialize, Default)]
pub(crate) struct TextContent {
    text: String,
}

#[derive(Serialize, Default)]
pub(crate) struct PostContent {
    post: Languages,
}

/// What is there in one language alone is shown in all.
#[derive(Serialize, Default)]
struct Languages {
    zh_cn: Post,
}

#[derive(Serialize, Default)]
struct Post {
    title: String,
    content: Vec<[Node; 1]>,
}

#[derive(Serialize)]
#[serde(tag = "tag", rename_all = "snake_case")]
enum Node {
    Text { text: String },
    A { text: String, href: String },
}

#[derive(Serialize)]
pub(crate) struct InteractiveCard {
    header: Header,
    elements: Vec<Element>,
}

#[derive(Serialize)]
struct Header {
    title: Words,
    template: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "tag", rename_all = "snake_case")]
enum Element {
    Div(Div),
    Action { actions: [Button; 1] },
    Note { elements: [Words; 1] },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Div {
    Text(Words),
    Fields(Vec<Column>),
}

#[derive(Serialize)]
struct Column {
    is_short: bool,
    text: Words,
}

#[derive(Serialize)]
#[serde(tag = "tag", content = "content", rename_all = "snake_case")]
enum Words {
    PlainText(String),
    LarkMd(String),
}

#[derive(Serialize)]
struct Button {
    tag: &'static str,
    text: Words,
    r#type: &'static str,
    url: String,
}

/// The card in this form, in a body of at most [`MAX_BYTES`].
pub(crate) fn write(card: &Card, form: Form, signature: Option<Signature>) -> Body {
    let message = match form {
        Form::Text => Message::Text { content: TextContent::default() },
        Form::Post => Message::Post { content: PostContent::default() },
        Form::Card => Message::Interactive { card: InteractiveCard::default() },
    };
    let mut body = Body { signature, message };
    let mut room = Room::beside(MAX_BYTES, &body);
    match &mut body.message {
        Message::Text { content } => content.text = text(card, &mut room),
        Message::Post { content } => content.post.zh_cn.write(card, &mut room),
        Message::Interactive { card: content } => content.write(card, &mut room),
    }
    body
}

/// Line by line. A line break takes no more than the quotes and the comma that are counted for each line.
fn text(card: &Card, room: &mut Room) -> String {
    let link = card.link.as_ref().map(|(url, label)| format!("{}: {url}", label.trim()));
    let link = link.filter(|link| room.take(link));
    let mut lines = Vec::new();
    lines.extend(room.fit_in("", &FEISHU_TEXT, &FEISHU_TEXT.escape(card.title.trim()), MAX_TITLE));
    lines.extend(
        card.text.as_ref().and_then(|text| room.fit_in("", &FEISHU_TEXT, text.trim(), share(card, room))),
    );
    let fields = card.fields.iter().map(|(label, value)| {
        let line = format!("{}: {}", label.trim(), value.trim());
        FEISHU_TEXT.fit(&line, MAX_VALUE)
    });
    let (fields, missing) = room.fill(fields.collect(), RESERVED);
    lines.extend(fields);
    lines.extend((missing > 0).then(|| left_out(missing, "Feishu")));
    lines.extend(link);
    lines.join("\n")
}

impl Post {
    /// Nothing in a post's texts is markup, so there is nothing to escape.
    fn write(&mut self, card: &Card, room: &mut Room) {
        let node = |text| [Node::Text { text }];
        let link =
            card.link.as_ref().map(|(url, label)| [Node::A { text: label_of(label), href: url.clone() }]);
        let link = link.filter(|link| room.take(link));
        self.title = room.fit(&PLAIN, card.title.trim(), MAX_TITLE).unwrap_or_default();
        if let Some(text) = &card.text {
            let text = room.fit_in(&node(String::new()), &PLAIN, text.trim(), share(card, room));
            self.content.extend(text.map(node));
        }
        let fields = card
            .fields
            .iter()
            .map(|(label, value)| node(PLAIN.fit(&format!("{}: {}", label.trim(), value.trim()), MAX_VALUE)));
        let (fields, missing) = room.fill(fields.collect(), RESERVED);
        self.content.extend(fields);
        self.content.extend((missing > 0).then(|| node(left_out(missing, "Feishu"))));
        self.content.extend(link);
    }
}

impl Default for InteractiveCard {
    fn default() -> Self {
        let title = Words::PlainText(String::new());
        Self { header: Header { title, template: "blue" }, elements: Vec::new() }
    }
}

impl InteractiveCard {
    fn write(&mut self, card: &Card, room: &mut Room) {
        let button = card.link.as_ref().map(|(url, label)| Element::Action {
            actions: [Button {
                tag: "button",
                text: Words::PlainText(label_of(label)),
                r#type: "primary",
                url: url.clone(),
            }],
        });
        let button = button.filter(|button| room.take(button));
        self.header.title =
            Words::PlainText(room.fit(&PLAIN, card.title.trim(), MAX_TITLE).unwrap_or_default());
        if let Some(text) = &card.text {
            self.elements.extend(div(text.trim(), share(card, room), room));
        }
        self.fields(&card.fields, room);
        self.elements.extend(button);
        if self.elements.is_empty() {
            // A card without elements is refused.
            self.elements.extend(div(&FEISHU.escape(card.title.trim()), MAX_TITLE, room));
        }
    }

    fn fields(&mut self, fields: &[(String, String)], room: &mut Room) {
        if fields.is_empty() || !room.take(&Element::Div(Div::Fields(Vec::new()))) {
            return;
        }
        let column = |(label, value): &(String, String)| {
            let label = FEISHU.fit(label.trim(), MAX_TITLE);
            let text = format!("**{label}**\n{}", FEISHU.fit(value.trim(), MAX_VALUE));
            Column { is_short: true, text: Words::LarkMd(text) }
        };
        let (fields, missing) = room.fill(fields.iter().map(column).collect(), RESERVED);
        if !fields.is_empty() {
            self.elements.push(Element::Div(Div::Fields(fields)));
        }
        if missing > 0 {
            let elements = [Words::PlainText(left_out(missing, "Feishu"))];
            self.elements.push(Element::Note { elements });
        }
    }
}

fn div(escaped: &str, most: usize, room: &mut Room) -> Option<Element> {
    let div = |text| Element::Div(Div::Text(Words::LarkMd(text)));
    room.fit_in(&div(String::new()), &FEISHU, escaped, most).map(div)
}

fn label_of(label: &str) -> String {
    let label = PLAIN.cut(label.trim(), MAX_TITLE);
    if label.is_empty() { "Open".to_owned() } else { label.into_owned() }
}

/// How much of the room a text may have, so that the fields have some as well.
fn share(card: &Card, room: &Room) -> usize {
    if card.fields.is_empty() { usize::MAX } else { room.left() / 2 }
}

const PLAIN: Dialect = Dialect::plain(Unit::JsonBytes);
/// Of a whole request. Feishu documents 20 KB; this is the stricter reading.
pub(crate) const MAX_BYTES: usize = 20_000;
/// Of a title and of a label, in bytes of JSON.
const MAX_TITLE: usize = 1_000;
/// Of a value, in bytes of JSON.
const MAX_VALUE: usize = 4_000;
/// Kept from the fields for the line that says how many are missing.
const RESERVED: usize = 250;
