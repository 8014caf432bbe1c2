//! Embeds within Discord's limits. Lengths are counted in UTF-16 units of the escaped text, the strictest of the
//! readings that Discord's documents leave open.

use hookwright_plugin::{
    card::{Card, left_out},
    text::DISCORD,
};
use serde::Serialize;

/// One embed.
#[derive(Serialize, Default)]
pub(crate) struct Embed {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    footer: Option<Footer>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    value: String,
    inline: bool,
}

#[derive(Serialize)]
struct Footer {
    text: String,
}

/// How fields and edge look.
pub(crate) struct Look {
    pub(crate) color: Option<u32>,
    pub(crate) inline: bool,
}

/// The card as embeds: title, text, link and the first 25 fields in one, further fields in further ones. Where the
/// room for text ends, the last one's footer says how many fields are missing.
pub(crate) fn write(card: &Card, look: &Look) -> Vec<Embed> {
    let mut room = Room(MAX_TOTAL);
    let mut embed = Embed { color: look.color, ..Embed::default() };
    embed.title = room.fit(&DISCORD.escape(card.title.trim()), MAX_TITLE);
    let link = link(card, &mut room);
    embed.url = link.as_ref().map(|(url, _)| url.clone());
    embed.description = describe(card.text.as_deref(), link.map(|(_, line)| line), &mut room);
    spread(embed, card, look, room)
}

/// Fields into embeds, 25 to each.
fn spread(first: Embed, card: &Card, look: &Look, mut room: Room) -> Vec<Embed> {
    let fields: Vec<(String, String)> = card
        .fields
        .iter()
        .map(|(label, value)| (DISCORD.fit(label.trim(), MAX_TITLE), DISCORD.fit(value.trim(), MAX_VALUE)))
        .collect();
    let length = |(name, value): &(String, String)| DISCORD.measure(name) + DISCORD.measure(value);
    let reserved = if fields.iter().map(length).sum::<usize>() <= room.0 { 0 } else { RESERVED };

    let (mut embeds, mut missing) = (vec![first], 0);
    for field in fields {
        let needed = length(&field);
        let is_full = embeds.last().is_none_or(|embed| embed.fields.len() == MAX_FIELDS);
        if needed + reserved > room.0 || (is_full && embeds.len() == MAX_EMBEDS) {
            missing += 1;
            continue;
        }
        if is_full {
            embeds.push(Embed { color: look.color, ..Embed::default() });
        }
        room.0 -= needed;
        if let Some(embed) = embeds.last_mut() {
            embed.fields.push(Field { name: field.0, value: field.1, inline: look.inline });
        }
    }
    if let Some(embed) = embeds.last_mut().filter(|_| missing > 0) {
        embed.footer = room.fit(&left_out(missing, "Discord"), RESERVED).map(|text| Footer { text });
    }
    embeds
}

/// The URL, and the line in the text that links to it.
fn link(card: &Card, room: &mut Room) -> Option<(String, String)> {
    let (url, label) = card.link.as_ref()?;
    let label = DISCORD.fit(label.trim(), MAX_TITLE);
    let line = format!("[{}]({url})", if label.is_empty() { "Open" } else { &label });
    if DISCORD.measure(url) > MAX_URL {
        hookwright_plugin::warn!("The link is left out: it is longer than Discord takes.");
        return None;
    }
    room.0 -= DISCORD.measure(&line).min(room.0);
    Some((url.clone(), line))
}

fn describe(text: Option<&str>, link: Option<String>, room: &mut Room) -> Option<String> {
    let Some(link) = link else {
        return room.fit(text?.trim(), MAX_DESCRIPTION);
    };
    room.0 = room.0.saturating_sub(PARAGRAPH.len());
    let most = MAX_DESCRIPTION - DISCORD.measure(&link) - PARAGRAPH.len();
    match text.and_then(|text| room.fit(text.trim(), most)) {
        Some(text) => Some([text, link].join(PARAGRAPH)),
        None => Some(link),
    }
}

/// What may still be written over all embeds.
struct Room(usize);

impl Room {
    /// The text, cut to its limit and to the room that is left; nothing where nothing would be seen.
    fn fit(&mut self, escaped: &str, limit: usize) -> Option<String> {
        let text = DISCORD.cut(escaped, limit.min(self.0)).into_owned();
        self.0 -= DISCORD.measure(&text).min(self.0);
        (!text.is_empty()).then_some(text)
    }
}

const PARAGRAPH: &str = "\n\n";
/// Of a title and of a field's name.
const MAX_TITLE: usize = 256;
const MAX_DESCRIPTION: usize = 4_096;
const MAX_VALUE: usize = 1_024;
const MAX_URL: usize = 2_048;
/// In one embed.
const MAX_FIELDS: usize = 25;
const MAX_EMBEDS: usize = 10;
/// Over all embeds of a message.
const MAX_TOTAL: usize = 6_000;
/// Kept from the fields for the line that says how many are missing.
const RESERVED: usize = 120;
