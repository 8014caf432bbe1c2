//! Block Kit, within Slack's limits. Lengths are counted in UTF-16 units of the escaped text, the strictest of
//! the readings that Slack's documents leave open.

use hookwright_plugin::{card, text::SLACK};
use serde::Serialize;

/// The body of a message that grows block by block.
#[derive(Serialize)]
pub(crate) struct Blocks {
    text: String,
    blocks: Vec<Block>,
    /// What may still be written over all blocks.
    #[serde(skip)]
    room: usize,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Header { text: Text },
    Section(Section),
    Context { elements: [Text; 1] },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Section {
    Text(Text),
    Fields(Vec<Text>),
}

#[derive(Serialize)]
#[serde(tag = "type", content = "text", rename_all = "snake_case")]
enum Text {
    PlainText(String),
    Mrkdwn(String),
}

impl Blocks {
    /// Begins with what notifications and screen readers say.
    pub(crate) fn new(fallback: &str) -> Self {
        let text = SLACK.fit(fallback, MAX_FALLBACK);
        Self { text, blocks: Vec::new(), room: MAX_TOTAL }
    }

    /// Plain text, which is escaped here.
    pub(crate) fn header(&mut self, title: &str) {
        if let Some(text) = self.fit(&SLACK.escape(title.trim()), MAX_HEADER) {
            self.blocks.push(Block::Header { text: Text::PlainText(text) });
        }
    }

    /// A paragraph of mrkdwn that is escaped already.
    pub(crate) fn section(&mut self, mrkdwn: &str) {
        if let Some(text) = self.fit(mrkdwn.trim(), MAX_SECTION) {
            self.blocks.push(Block::Section(Section::Text(Text::Mrkdwn(text))));
        }
    }

    /// Labels and values, ten to a section. Where the room for text ends, a line says how many are missing.
    pub(crate) fn fields(&mut self, fields: &[(String, String)]) {
        let (mut row, mut left_out) = (Vec::new(), 0_usize);
        for (label, value) in fields {
            let text = format!("*{}*\n{}", SLACK.escape(label), SLACK.escape(value));
            let text = SLACK.cut(&text, MAX_FIELD);
            if SLACK.measure(&text) > self.room.saturating_sub(RESERVED) {
                left_out += 1;
                continue;
            }
            row.extend(self.fit(&text, MAX_FIELD).map(Text::Mrkdwn));
            if row.len() == MAX_FIELDS {
                self.blocks.push(Block::Section(Section::Fields(std::mem::take(&mut row))));
            }
        }
        if !row.is_empty() {
            self.blocks.push(Block::Section(Section::Fields(row)));
        }
        if left_out > 0 {
            let text = card::left_out(left_out, "Slack");
            self.blocks.push(Block::Context { elements: [Text::PlainText(text)] });
        }
    }

    /// A link to a URL of the web, unless it is too long to be written whole.
    pub(crate) fn link(&mut self, url: &str, label: &str) -> bool {
        let (url, label) = (SLACK.escape(url), SLACK.fit(label.trim(), MAX_HEADER));
        let text = if label.is_empty() { format!("<{url}>") } else { format!("<{url}|{label}>") };
        if SLACK.measure(&text) > MAX_SECTION.min(self.room) {
            return false;
        }
        self.section(&text);
        true
    }

    /// The text, cut to its limit and to the room that is left; nothing where nothing would be seen.
    fn fit(&mut self, text: &str, limit: usize) -> Option<String> {
        let text = SLACK.cut(text, limit.min(self.room)).into_owned();
        self.room -= SLACK.measure(&text).min(self.room);
        (!text.is_empty()).then_some(text)
    }
}

const MAX_HEADER: usize = 150;
const MAX_SECTION: usize = 3_000;
const MAX_FIELD: usize = 2_000;
/// In one section.
const MAX_FIELDS: usize = 10;
const MAX_FALLBACK: usize = 4_000;
/// Over all blocks. Slack documents none, and refuses messages somewhat above this as `msg_blocks_too_long`.
const MAX_TOTAL: usize = 12_000;
/// Kept from the fields for the link.
const RESERVED: usize = MAX_SECTION;
