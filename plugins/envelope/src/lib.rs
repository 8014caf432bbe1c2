//! `envelope`: puts a payload into an object of your own making.

use hookwright_plugin::{
    config::{self, join},
    json::{Text, Value},
    prelude::*,
    serde_json::value::RawValue,
};

/// The configuration. As it stands without one: `{event, timestamp, data}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The members, in the order in which they are written.
    #[schemars(length(max = 100))]
    pub members: Vec<Member>,
    /// Let the payload's own members follow at the top level. The payload has to be an object then.
    pub merge: bool,
    /// Which one stays where the payload has a member of the same name.
    pub conflicts: Conflicts,
}

/// A member of the envelope: a `name`, and exactly one of `constant` and `from`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The member's name.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Any JSON value, written as it stands here.
    #[serde(default, deserialize_with = "config::present")]
    pub constant: Option<Box<RawValue>>,
    /// Where the value comes from: `@payload`, `@type`, `@timestamp` and alike, or a place in the payload.
    #[serde(default)]
    pub from: Option<Path>,
    /// How a time is written.
    #[serde(default)]
    pub format: Option<Format>,
    /// What happens where nothing is there.
    #[serde(default)]
    pub missing: Missing,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `"2026-03-22T08:30:00Z"`
    Seconds,
    /// `"2026-03-22T08:30:00.000Z"`
    Millis,
    /// `"2026-03-22T08:30:00.000000Z"`
    Micros,
    /// `1774168200`, seconds since 1970
    Unix,
    /// `1774168200000`, milliseconds since 1970
    UnixMillis,
    /// `1774168200000000`, microseconds since 1970
    UnixMicros,
}

/// What happens where nothing is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The member is left out.
    #[default]
    Omit,
    /// The member is `null`.
    Null,
    /// The transform fails.
    Fail,
}

/// Which of two members of the same name stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conflicts {
    /// That of the envelope.
    Envelope,
    /// That of the payload.
    Payload,
    /// Neither: the transform fails and names it.
    Error,
}

impl Default for Config {
    fn default() -> Self {
        let from = |name: &str, path: &str, format| Member {
            name: name.to_owned(),
            from: Path::parse(path).ok(),
            format,
            ..Member::default()
        };
        Self {
            members: vec![
                from("event", "@type", None),
                from("timestamp", "@timestamp", Some(Format::Millis)),
                from("data", "@payload", None),
            ],
            merge: false,
            conflicts: Conflicts::Envelope,
        }
    }
}

hookwright_plugin::plugin! {
    summary: "Puts the payload into an envelope, such as event, timestamp and data.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new("Without a configuration", "lead.captured", r#"{"name":"John Doe","score":0.90}"#)
            .becomes(r#"{"event":"lead.captured","timestamp":"2026-03-22T08:30:00.000Z","data":{"name":"John Doe","score":0.90}}"#),
        Example::new("A constant before the data", "lead.captured", r#"{"name":"John Doe"}"#)
            .config(r#"{"members":[{"name":"event","from":"@type"},{"name":"chatbotId","constant":"cmf9n7u1c"},{"name":"timestamp","from":"@timestamp","format":"millis"},{"name":"data","from":"@payload"}]}"#)
            .becomes(r#"{"event":"lead.captured","chatbotId":"cmf9n7u1c","timestamp":"2026-03-22T08:30:00.000Z","data":{"name":"John Doe"}}"#),
        Example::new("The event's channel as a member; null where it has none", "lead.captured", r#"{"leadId":"clx"}"#)
            .config(r#"{"members":[{"name":"event","from":"@type"},{"name":"chatbotId","from":"@channel","missing":"null"},{"name":"timestamp","from":"@timestamp","format":"millis"},{"name":"data","from":"@payload"}]}"#)
            .becomes(r#"{"event":"lead.captured","chatbotId":null,"timestamp":"2026-03-22T08:30:00.000Z","data":{"leadId":"clx"}}"#),
        Example::new("Members beside the payload's own", "contact.created", r#"{"contact_id":7,"name":"Acme Supplies Ltd"}"#)
            .config(r#"{"members":[{"name":"schema_version","constant":"2.0"},{"name":"event","from":"@type"},{"name":"timestamp","from":"@timestamp","format":"seconds"}],"merge":true}"#)
            .becomes(r#"{"schema_version":"2.0","event":"contact.created","timestamp":"2026-03-22T08:30:00Z","contact_id":7,"name":"Acme Supplies Ltd"}"#),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let merged = merged(&payload, config)?;
    let clash = |name: &str| merged.iter().any(|(other, _)| other.is(name));
    if config.conflicts == Conflicts::Error
        && let Some(member) = config.members.iter().find(|member| clash(&member.name))
    {
        return Err(Failure::new(
            "conflict",
            format!("Envelope and payload both have a member {:?} (`conflicts`).", member.name),
        ));
    }
    let mut out = Out::with_capacity(message.body.len() + 256);
    let own = |name: &Text<'_>| config.members.iter().any(|member| name.is(&member.name));
    for member in
        config.members.iter().filter(|member| config.conflicts != Conflicts::Payload || !clash(&member.name))
    {
        member.write(event, &payload, &mut out)?;
    }
    for (name, value) in
        merged.iter().filter(|(name, _)| config.conflicts == Conflicts::Payload || !own(name))
    {
        name.write(out.member());
        out.colon();
        value.write(&mut out.text);
    }
    Ok(Verdict::body(message, hookwright_plugin::JSON, out.finish()))
}

fn merged<'p, 'a>(payload: &'p Value<'a>, config: &Config) -> Result<&'p [(Text<'a>, Value<'a>)]> {
    match payload {
        _ if !config.merge => Ok(&[]),
        Value::Object(members, _) => Ok(members),
        other => Err(Failure::new(
            "not-an-object",
            format!("The payload is {}; only an object's members can be merged (`merge`).", other.kind()),
        )),
    }
}

impl Member {
    fn write(&self, event: &Event, payload: &Value<'_>, out: &mut Out) -> Result<()> {
        if let Some(constant) = &self.constant {
            out.name(&self.name).push_str(constant.get());
            return Ok(());
        }
        let found = self.from.as_ref().and_then(|path| path.find(event, payload));
        match found {
            Some(value) => match self.format {
                Some(format) => format.write(&value, &self.name, out),
                None => {
                    value.write(out.name(&self.name));
                    Ok(())
                }
            },
            None => self.write_missing(out),
        }
    }

    fn write_missing(&self, out: &mut Out) -> Result<()> {
        match self.missing {
            Missing::Omit => {}
            Missing::Null => out.name(&self.name).push_str("null"),
            Missing::Fail => {
                let place = self.from.as_ref().map(Path::to_string).unwrap_or_default();
                return Err(Failure::new(
                    "missing",
                    format!("There is no {place} for the member {:?} of the envelope.", self.name),
                ));
            }
        }
        Ok(())
    }
}

impl Format {
    /// `null` has no time to write, and stays.
    fn write(self, value: &Value<'_>, name: &str, out: &mut Out) -> Result<()> {
        if value.is_null() {
            out.name(name).push_str("null");
            return Ok(());
        }
        let time = Timestamp::parse(&value.display())?;
        let out = out.name(name);
        match self {
            Format::Seconds => json::escape(&time.to_seconds(), out),
            Format::Millis => json::escape(&time.to_millis(), out),
            Format::Micros => json::escape(&time.to_micros(), out),
            Format::Unix => out.push_str(&time.unix_seconds().to_string()),
            Format::UnixMillis => out.push_str(&time.unix_millis().to_string()),
            Format::UnixMicros => out.push_str(&time.unix_micros().to_string()),
        }
        Ok(())
    }
}

/// An object that is being written.
struct Out {
    text: String,
}

impl Out {
    fn with_capacity(capacity: usize) -> Self {
        let mut text = String::with_capacity(capacity);
        text.push('{');
        Self { text }
    }

    /// Where the next member's name goes.
    fn member(&mut self) -> &mut String {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        &mut self.text
    }

    fn colon(&mut self) {
        self.text.push(':');
    }

    /// Writes a name; its value goes into what comes back.
    fn name(&mut self, name: &str) -> &mut String {
        json::escape(name, self.member());
        self.colon();
        &mut self.text
    }

    fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// The most members of an envelope.
const MAX_MEMBERS: usize = 100;
/// The longest name, in bytes.
const MAX_NAME: usize = 200;

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut errors = Vec::new();
    if config.members.is_empty() && !config.merge {
        errors.push(ConfigError::new("/members", "An envelope without members needs `\"merge\": true`."));
    }
    if config.members.len() > MAX_MEMBERS {
        errors.push(ConfigError::new("/members", "An envelope has at most 100 members."));
    }
    for (index, member) in config.members.iter().enumerate() {
        let pointer = join("/members", index);
        if config.members[..index].iter().any(|other| other.name == member.name) {
            errors.push(ConfigError::new(join(&pointer, "name"), "Another member has this name."));
        }
        member.check(&pointer, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

impl Member {
    fn check(&self, pointer: &str, errors: &mut Vec<ConfigError>) {
        let mut complain =
            |member: &str, message: &str| errors.push(ConfigError::new(join(pointer, member), message));
        if self.name.is_empty() || self.name.len() > MAX_NAME {
            complain("name", "A name has 1 to 200 bytes.");
        }
        if self.constant.is_some() && self.from.is_some() {
            complain("constant", "A member has `constant` or `from`, not both.");
        }
        if self.constant.is_some() && self.format.is_some() {
            complain("format", "A constant is written as it stands; a format goes with `from`.");
        }
        if self.constant.is_none() && self.from.is_none() {
            errors.push(ConfigError::new(
                pointer,
                "A member needs `constant` or `from`; to leave it out, remove it.",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::test;

    use super::*;

    fn wrapped(payload: &str, config: &str) -> String {
        test::body::<Plugin>("lead.captured", payload, config).unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn wraps() {
        let table = [
            (r#"{"members":[{"name":"data","from":"@payload"}]}"#, r#"{"data":{ "a": 1.0, "b": [1e400] }}"#),
            (r#"{"members":[{"name":"x\"y","constant":{"n": 1.0}}]}"#, r#"{"x\"y":{"n": 1.0}}"#),
            (
                r#"{"members":[{"name":"n","constant":null},{"name":"first","from":"b.0"}]}"#,
                r#"{"n":null,"first":1e400}"#,
            ),
            (
                r#"{"members":[{"name":"id","from":"@id"},{"name":"tenant","from":"@tenant"}]}"#,
                r#"{"id":"evt_example","tenant":"default"}"#,
            ),
            (r#"{"members":[{"name":"c","from":"@channel"}]}"#, "{}"),
            (r#"{"members":[{"name":"c","from":"x.y","missing":"null"}]}"#, r#"{"c":null}"#),
            (
                r#"{"members":[{"name":"c","from":"x.y","missing":"fail"}]}"#,
                r#"There is no x.y for the member "c" of the envelope. (missing)"#,
            ),
            (r#"{"members":[{"name":"t","from":"@timestamp"}]}"#, r#"{"t":"2026-03-22T08:30:00Z"}"#),
            (r#"{"members":[{"name":"t","from":"@timestamp","format":"unix"}]}"#, r#"{"t":1774168200}"#),
            (
                r#"{"members":[{"name":"t","from":"@timestamp","format":"micros"}]}"#,
                r#"{"t":"2026-03-22T08:30:00.000000Z"}"#,
            ),
            (
                r#"{"members":[{"name":"t","from":"@timestamp","format":"unix_micros"}]}"#,
                r#"{"t":1774168200000000}"#,
            ),
            (
                r#"{"members":[{"name":"t","from":"@attempted_at","format":"unix_millis"}]}"#,
                r#"{"t":1774168201000}"#,
            ),
            (
                r#"{"members":[{"name":"t","from":"a","format":"unix"}]}"#,
                r#""1.0" is not a time in the form of RFC 3339, such as 2026-03-22T08:30:00Z. (bad-time)"#,
            ),
            (r#"{"members":[],"merge":true}"#, r#"{"a":1.0,"b":[1e400]}"#),
            (r#"{"members":[{"name":"a","constant":2}],"merge":true}"#, r#"{"a":2,"b":[1e400]}"#),
            (
                r#"{"members":[{"name":"z","constant":0},{"name":"a","constant":2}],"merge":true,"conflicts":"payload"}"#,
                r#"{"z":0,"a":1.0,"b":[1e400]}"#,
            ),
            (
                r#"{"members":[{"name":"a","constant":2}],"merge":true,"conflicts":"error"}"#,
                r#"Envelope and payload both have a member "a" (`conflicts`). (conflict)"#,
            ),
        ];
        for (config, expected) in table {
            assert_eq!(wrapped(r#"{ "a": 1.0, "b": [1e400] }"#, config), expected, "{config}");
        }
    }

    /// What stands in `text` but for white space between its parts.
    fn compact(text: &str) -> String {
        let mut quoted = false;
        let mut escaped = false;
        let keep = |c: &char| {
            let kept = quoted || !c.is_ascii_whitespace();
            quoted ^= *c == '"' && !escaped;
            escaped = quoted && *c == '\\' && !escaped;
            kept
        };
        text.chars().filter(keep).collect()
    }

    fn sent(event: &Event, payload: &str, config: &str) -> String {
        match test::call_with::<Plugin>(event, &Message::json(payload), config) {
            Ok(Verdict::Replace(message)) => String::from_utf8(message.body).expect("text"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_common_envelope_gives_the_samples_of_recordengine() {
        let config = r#"{"members":[{"name":"schema_version","constant":"2.0"},{"name":"event","from":"@type"},{"name":"timestamp","from":"@timestamp","format":"seconds"}],"merge":true}"#;
        let samples = [
            ("audit.log", include_str!("../../../tests/fixtures/samples/recordengine/audit.log.json")),
            ("case.created", include_str!("../../../tests/fixtures/samples/recordengine/case.created.json")),
            (
                "contact.created",
                include_str!("../../../tests/fixtures/samples/recordengine/contact.created.json"),
            ),
            (
                "document.exported",
                include_str!("../../../tests/fixtures/samples/recordengine/document.exported.json"),
            ),
            (
                "folder.created",
                include_str!("../../../tests/fixtures/samples/recordengine/folder.created.json"),
            ),
            (
                "notification.created",
                include_str!("../../../tests/fixtures/samples/recordengine/notification.created.json"),
            ),
            (
                "rule.executed",
                include_str!("../../../tests/fixtures/samples/recordengine/rule.executed.json"),
            ),
        ];
        for (event_type, sample) in samples {
            // The sample without its first three members is what a producer posts.
            let own: Vec<&str> = sample.lines().skip(4).collect();
            let payload = format!("{{{}", own.join("\n"));
            let event = Event { timestamp: "2026-03-22T08:30:00.75Z".to_owned(), ..test::event(event_type) };
            assert_eq!(compact(&sent(&event, &payload, config)), compact(sample), "{event_type}");
        }
    }

    #[test]
    fn a_channel_in_the_envelope_gives_the_sample_of_rkt() {
        let config = r#"{"members":[{"name":"event","from":"@type"},{"name":"chatbotId","from":"@channel"},{"name":"timestamp","from":"@timestamp","format":"millis"},{"name":"data","from":"@payload"}]}"#;
        let sample = include_str!("../../../tests/fixtures/samples/rkt/lead.captured.json");
        let (_, data) = sample.split_once("\"data\":").expect("data");
        let data = data.trim_end().strip_suffix('}').expect("an object's end").trim();
        let event = Event {
            timestamp: "2026-03-26T15:30:00Z".to_owned(),
            channels: vec!["cmf9n7u1c...".to_owned(), "another".to_owned()],
            ..test::event("lead.captured")
        };
        assert_eq!(compact(&sent(&event, data, config)), compact(sample));
        assert!(sent(&event, data, config).contains(data), "the data in the very bytes that were posted");
    }

    #[test]
    fn any_json_can_be_nested_and_only_objects_merged() {
        let nested = r#"{"members":[{"name":"data","from":"@payload"}]}"#;
        for payload in ["12345678901234567890.10", "\"x\\u00e9\"", "null", "[ ]", "true", "{ }"] {
            assert_eq!(wrapped(payload, nested), format!(r#"{{"data":{payload}}}"#));
        }
        let merged = wrapped("[1]", r#"{"merge":true}"#);
        assert_eq!(
            merged,
            "The payload is a list; only an object's members can be merged (`merge`). (not-an-object)"
        );
        assert!(wrapped("{", "{}").contains("(bad-payload)"));
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"members":[]}"#, "/members"),
            (r#"{"members":[{"name":"a","from":"x"},{"name":"a","from":"y"}]}"#, "/members/1/name"),
            (r#"{"members":[{"name":"","from":"x"}]}"#, "/members/0/name"),
            (r#"{"members":[{"name":"a"}]}"#, "/members/0"),
            (r#"{"members":[{"name":"a","from":"x","constant":1}]}"#, "/members/0/constant"),
            (r#"{"members":[{"name":"a","constant":1,"format":"unix"}]}"#, "/members/0/format"),
            (r#"{"members":[{"name":"a","from":"@now"}]}"#, "/members/0/from"),
            (r#"{"members":[{"name":"a","from":"x","format":"iso"}]}"#, "/members/0/format"),
            (r#"{"members":[{"from":"x"}]}"#, "/members/0"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
    }
}
