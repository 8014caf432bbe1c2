//! What plugins for people share: a title, a text, labelled values and a link, filled in from a payload.
//!
//! [`Field`] and [`Link`] are members of a configuration; an [`Outline`] gathers what a configuration says, and
//! [`Outline::fill`] makes a [`Card`] of it, for the plugin to write in its target's form. Where a configuration
//! names no fields, the payload's own are shown: see [`facts`].
//!
//! ```
//! use hookwright_plugin::{Template, card::Outline, json, test, text};
//!
//! let payload = json::parse(br#"{
//!     "schema_version": "2.0", "event": "case.created", "timestamp": "2026-03-22T08:30:00Z",
//!     "case_id": 5, "title": "Missing tax ID", "contact_name": "R&D", "due_date": null
//! }"#)?;
//! let title = Template::known("{@type}: {title}");
//! let outline = Outline { title: &title, text: None, fields: None, link: None };
//! let card = outline.fill(&test::event("case.created"), &payload, &text::SLACK);
//!
//! assert_eq!(card.title, "case.created: Missing tax ID");
//! let fields: Vec<_> = card.fields.iter().map(|(label, value)| format!("{label}={value}")).collect();
//! assert_eq!(fields, ["Case id=5", "Title=Missing tax ID", "Contact name=R&D"]);
//! # Ok::<(), json::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Event, Path, Template, body,
    config::{Check, join},
    json::{Text, Value},
    text::{Dialect, Unit, cut},
};

/// A label with a value: exactly one of `path` and `value`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// What stands with the value.
    #[schemars(length(min = 1, max = 200))]
    pub label: String,
    /// Where the value is.
    #[serde(default)]
    pub path: Option<Path>,
    /// The value as text with places in it: `{document.total_amount} {document.currency}`.
    #[serde(default)]
    pub value: Option<Template>,
    /// What stands there where the value is missing, `null` or empty. Without it, the field is left out.
    #[serde(default)]
    pub missing: Option<String>,
}

/// A link to a place that the payload names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where the URL is, for example `document.doc_url`. It has to begin with `https://` or `http://`; where there
    /// is none, the link is left out.
    pub path: Path,
    /// What the link says.
    #[serde(default = "open")]
    pub label: Template,
}

/// What a configuration says about a card.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'c> {
    /// Where it comes to nothing, the event type stands there.
    pub title: &'c Template,
    /// What comes from the payload is escaped; the template's own text is the target's markup.
    pub text: Option<&'c Template>,
    /// `None` shows the payload's own; an empty list shows none.
    pub fields: Option<&'c [Field]>,
    /// `None` takes the first URL among the payload's own fields, if these are shown.
    pub link: Option<&'c Link>,
}

/// A card that is filled in. Nothing but the text is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Never blank.
    pub title: String,
    /// Never blank.
    pub text: Option<String>,
    /// Labels and values, none of them blank.
    pub fields: Vec<(String, String)>,
    /// URL and label. The URL is one of the web, encoded as [`body::web_url`] does it; the label may be blank.
    pub link: Option<(String, String)>,
}

/// The most fields that a configuration may name.
pub const MAX_FIELDS: usize = 100;
/// The most fields that are taken from a payload where the configuration names none.
pub const MAX_FACTS: usize = 12;

impl Outline<'_> {
    /// Fills in what the payload says. A link that is no URL of the web is left out, with a warning in the log.
    pub fn fill(&self, event: &Event, payload: &Value<'_>, dialect: &Dialect) -> Card {
        let title = Some(self.title.render(event, payload)).filter(|title| !is_blank(title));
        let text = self.text.map(|text| text.render_with(event, payload, |found| dialect.escape(found)));
        let (mut found, mut url) = (Vec::new(), None);
        match self.fields {
            Some(fields) => found.extend(fields.iter().filter_map(|field| field.fill(event, payload))),
            None => (found, url) = facts(payload),
        }
        let link = match self.link {
            Some(link) => link.fill(event, payload),
            None => url.map(|url| (url, "Open".to_owned())),
        };
        Card {
            title: title.unwrap_or_else(|| event.event_type.clone()),
            text: text.filter(|text| !is_blank(text)),
            fields: found,
            link,
        }
    }
}

impl Field {
    /// Label and value; nothing where the value is blank and nothing is said for that.
    pub fn fill(&self, event: &Event, payload: &Value<'_>) -> Option<(String, String)> {
        let at_path = |path: &Path| path.find(event, payload).map(|value| value.display().into_owned());
        let value = match &self.value {
            Some(template) => Some(template.render(event, payload)),
            None => self.path.as_ref().and_then(at_path),
        };
        let value = value.filter(|value| !is_blank(value)).or_else(|| self.missing.clone())?;
        (!is_blank(&value)).then(|| (self.label.clone(), value))
    }

    /// What the types of a list of fields cannot say. `pointer` is the list's.
    pub fn check_all(fields: &[Field], pointer: &str, check: &mut Check) {
        check.demand(fields.len() <= MAX_FIELDS, pointer, "A message has at most 100 fields.");
        for (index, field) in fields.iter().enumerate() {
            let pointer = join(pointer, index);
            check.length(join(&pointer, "label"), "A label", &field.label, 1..=MAX_LABEL);
            check.demand(
                field.path.is_some() != field.value.is_some(),
                pointer,
                "A field has exactly one of `path` and `value`.",
            );
        }
    }
}

impl Link {
    /// URL and label, if the payload has a URL there that a person could open.
    pub fn fill(&self, event: &Event, payload: &Value<'_>) -> Option<(String, String)> {
        let found = self.path.find(event, payload).filter(|url| !url.is_null())?;
        match body::web_url(&found.display()) {
            Some(url) => Some((url, self.label.render(event, payload))),
            None => {
                crate::warn!("The link is left out: what stands at {} is not a URL of the web.", self.path);
                None
            }
        }
    }
}

/// What is left of a limit on a whole request, in bytes of JSON. Each part counts with a comma, the first of a list
/// too, so that a byte for each list may stay unused.
///
/// ```
/// use hookwright_plugin::{card::Room, text::TEAMS};
///
/// let mut body = vec![String::new()];
/// let mut room = Room::beside(30, &body);
/// let text = room.fit_in("", &TEAMS, "Missing tax ID on fapiao batch", 100).unwrap();
/// assert_eq!(text, "Missing tax ID on fa…");
/// body.push(text);
/// assert!(!room.take(&"more"), "there is no room for more");
/// # assert!(hookwright_plugin::serde_json::to_string(&body).unwrap().len() <= 30);
/// ```
#[derive(Debug)]
pub struct Room {
    left: usize,
    unit: Unit,
}

impl Room {
    /// What `limit` leaves beside the body that is there already.
    pub fn beside<T: Serialize + ?Sized>(limit: usize, body: &T) -> Self {
        Self::counting(Unit::JsonBytes, limit, body)
    }

    /// As [`beside`](Self::beside), in [`Unit::JsonUtf16`] for a target that counts so.
    pub fn counting<T: Serialize + ?Sized>(unit: Unit, limit: usize, body: &T) -> Self {
        Self { left: limit.saturating_sub(size(unit, body)), unit }
    }

    /// Takes the room of one more part with its comma, if there is that much.
    pub fn take<T: Serialize + ?Sized>(&mut self, part: &T) -> bool {
        let needed = size(self.unit, part).saturating_add(1);
        let is_enough = needed <= self.left;
        if is_enough {
            self.left -= needed;
        }
        is_enough
    }

    /// Cuts a text that was escaped to `most` and to the room, and takes its room; nothing where nothing would be
    /// seen. The dialect's unit should be the room's.
    pub fn fit(&mut self, dialect: &Dialect, escaped: &str, most: usize) -> Option<String> {
        let text = dialect.cut(escaped, self.left.min(most)).into_owned();
        self.left = self.left.saturating_sub(self.unit.measure(&text));
        (!is_blank(&text)).then_some(text)
    }

    /// As [`fit`](Self::fit), for a text that stands in one more part: `part` is that, with the text still empty.
    pub fn fit_in<T: Serialize + ?Sized>(
        &mut self,
        part: &T,
        dialect: &Dialect,
        escaped: &str,
        most: usize,
    ) -> Option<String> {
        let before = self.left;
        let text = if self.take(part) { self.fit(dialect, escaped, most) } else { None };
        if text.is_none() {
            self.left = before;
        }
        text
    }

    /// As many of the parts as there is room for, and how many are missing. Where some are, `reserve` bytes stay
    /// free for saying so.
    pub fn fill<T: Serialize>(&mut self, parts: Vec<T>, reserve: usize) -> (Vec<T>, usize) {
        let needed = parts.iter().map(|part| size(self.unit, part).saturating_add(1)).sum::<usize>();
        if needed <= self.left {
            self.left -= needed;
            return (parts, 0);
        }
        let all = parts.len();
        let reserved = reserve.min(self.left);
        self.left -= reserved;
        let parts: Vec<T> = parts.into_iter().filter(|part| self.take(part)).collect();
        self.left += reserved;
        let missing = all - parts.len();
        (parts, missing)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.left
    }
}

/// Of the JSON. What has no form there is too large for everything.
fn size<T: Serialize + ?Sized>(unit: Unit, value: &T) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |json| match unit {
        Unit::Utf16 | Unit::JsonUtf16 => Unit::Utf16.measure(&json),
        Unit::Chars => Unit::Chars.measure(&json),
        Unit::Bytes | Unit::JsonBytes => json.len(),
    })
}

/// The payload's own fields, for where nobody said which: names and values of the first [`MAX_FACTS`] members that
/// are neither blank nor lists nor objects, first those of the payload, then those of the first object in it
/// (`data`, `document`), or of the first one in that where it holds nothing else (`data.object`). Members of the
/// envelope (`event`, `type`, `timestamp`, `schema_version` and the like) are left out; the first URL becomes the link.
pub fn facts(payload: &Value<'_>) -> (Vec<(String, String)>, Option<String>) {
    let (mut fields, mut link) = (Vec::new(), None);
    let Value::Object(members, _) = payload else {
        return (fields, link);
    };
    let outer = members.iter().filter(|(name, _)| !ENVELOPE.contains(&name.decode().as_ref()));
    for (name, value) in outer.chain(inner(members)) {
        let (name, shown) = match value {
            Value::Object(..) | Value::Array(..) | Value::Null => continue,
            value => (name.decode(), value.display()),
        };
        match body::web_url(&shown) {
            Some(url) => link = link.or(Some(url)),
            None if is_blank(&shown) || is_blank(&name) || fields.len() == MAX_FACTS => {}
            None => fields.push((label(&name), shown.into_owned())),
        }
    }
    (fields, link)
}

/// The sentence that tells a reader of fields for which there was no room.
pub fn left_out(count: usize, target: &str) -> String {
    let fields = if count == 1 { "field is" } else { "fields are" };
    format!("{count} {fields} left out: the message would be too long for {target}.")
}

/// The members of the first object that has more to say than another object.
fn inner<'v, 'a>(members: &'v [(Text<'a>, Value<'a>)]) -> &'v [(Text<'a>, Value<'a>)] {
    let first = |members: &'v [(Text<'a>, Value<'a>)]| {
        members.iter().find_map(|(_, value)| match value {
            Value::Object(members, _) => Some(members.as_slice()),
            _ => None,
        })
    };
    let says_nothing = |members: &[(Text<'a>, Value<'a>)]| {
        members.iter().all(|(_, value)| matches!(value, Value::Object(..) | Value::Array(..) | Value::Null))
    };
    let Some(found) = first(members) else {
        return &[];
    };
    if says_nothing(found) { first(found).unwrap_or(found) } else { found }
}

/// `invoice_number` and `invoiceNumber` as `Invoice number`.
fn label(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut after_small = false;
    for c in name.chars() {
        match c {
            '_' | '-' => out.push(' '),
            c if out.is_empty() => out.extend(c.to_uppercase()),
            c if c.is_uppercase() && after_small => {
                out.push(' ');
                out.extend(c.to_lowercase());
            }
            c => out.push(c),
        }
        after_small = c.is_lowercase();
    }
    cut(&out, MAX_LABEL, Unit::Chars).into_owned()
}

fn open() -> Template {
    Template::known("Open")
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The longest label, in characters.
const MAX_LABEL: usize = 200;
/// Members that say what every event says.
const ENVELOPE: [&str; 9] = [
    "schema_version",
    "event",
    "type",
    "event_type",
    "timestamp",
    "created",
    "api_version",
    "version",
    "livemode",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, json, test, text::DISCORD};

    fn filled(payload: &str, fields: Option<&str>, link: Option<&str>) -> Card {
        let payload = json::parse(payload.as_bytes()).expect(payload);
        let fields: Option<Vec<Field>> = fields.map(|text| serde_json::from_str(text).expect(text));
        let link: Option<Link> = link.map(|text| config::parse(text).expect(text));
        let (title, text) = (Template::known("{title}"), Template::known("**{title}**"));
        let outline =
            Outline { title: &title, text: Some(&text), fields: fields.as_deref(), link: link.as_ref() };
        outline.fill(&test::event("case.created"), &payload, &DISCORD)
    }

    #[test]
    fn room_is_used_and_never_exceeded() {
        let parts = |length: usize| vec!["x".repeat(length); 4];
        for (limit, fits) in [(45, 4), (44, 4), (43, 3), (36, 3), (35, 2), (0, 0)] {
            let mut room = Room { left: limit, unit: Unit::JsonBytes };
            let (taken, missing) = room.fill(parts(8), 3);
            assert_eq!((taken.len(), missing), (fits, 4 - fits), "{limit}");
            assert!(missing == 0 || room.left() >= 3.min(limit), "{limit}: {} left", room.left());
        }
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn fills_in_what_is_asked_for() {
        let fields = r#"[{"label":"A","path":"a"},{"label":"B","value":"{b} {c}","missing":"none"},
            {"label":"D","path":"d","missing":" "}]"#;
        let card = filled(
            r#"{"title":"a*b","a":1.50,"u":"https://e.test/"}"#,
            Some(fields),
            Some(r#"{"path":"u"}"#),
        );
        assert_eq!((card.title.as_str(), card.text.as_deref()), ("a*b", Some(r"**a\*b**")));
        assert_eq!(card.fields, [pair("A", "1.50"), pair("B", "none")]);
        assert_eq!(card.link, Some(pair("https://e.test/", "Open")));
    }

    #[test]
    fn a_card_without_anything_says_its_type() {
        for payload in ["7", "{}", r#"{"title":" ","u":"javascript:1"}"#, r#"{"title":null,"u":null}"#] {
            let card = filled(payload, Some("[]"), Some(r#"{"path":"u"}"#));
            assert_eq!(
                (card.title.as_str(), card.fields.len(), card.link),
                ("case.created", 0, None),
                "{payload}"
            );
        }
    }

    #[test]
    fn facts_are_those_of_the_payload() {
        let table = [
            (
                r#"{"event":"lead.captured","chatbotId":"cmf9","timestamp":"t","data":{"leadId":"clx","email":"j@e.test"}}"#,
                vec![pair("Chatbot id", "cmf9"), pair("Lead id", "clx"), pair("Email", "j@e.test")],
                None,
            ),
            (
                r#"{"event":"document.exported","document":{"id":42,"doc_url":"https://e.test/42","notes":"","tags":["a"],"total_amount":12500.00},"line_items_count":1}"#,
                vec![pair("Line items count", "1"), pair("Id", "42"), pair("Total amount", "12500.00")],
                Some("https://e.test/42"),
            ),
            (
                r#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"number":"2026-0042","customer":{"name":"x"}}}}"#,
                vec![pair("Id", "evt_1"), pair("Number", "2026-0042")],
                None,
            ),
            ("[1,2]", vec![], None),
        ];
        for (payload, fields, link) in table {
            let tree = json::parse(payload.as_bytes()).expect(payload);
            assert_eq!(facts(&tree), (fields, link.map(str::to_owned)), "{payload}");
        }
        let many: Vec<String> = (0..50).map(|n| format!(r#""m{n}":{n}"#)).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(facts(&json::parse(many.as_bytes()).expect("valid")).0.len(), MAX_FACTS);
    }

    #[test]
    fn fields_are_checked() {
        let fields: Vec<Field> = serde_json::from_str(
            r#"[{"label":"","path":"a"},{"label":"b"},{"label":"c","path":"a","value":"{a}"}]"#,
        )
        .expect("fields");
        let mut check = Check::default();
        Field::check_all(&fields, "/fields", &mut check);
        let errors = check.finish().expect_err("three errors");
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/fields/0/label", "/fields/1", "/fields/2"]);
    }
}
