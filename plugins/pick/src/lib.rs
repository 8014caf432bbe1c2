//! `pick`: an object of chosen members, under names of your own.

use hookwright_plugin::{
    config::join,
    json::{self, Value},
    prelude::*,
};

mod members;

pub use members::{Members, Missing, Source};

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What comes out, in this order: a name, and where its value is.
    pub members: Members,
}

hookwright_plugin::plugin! {
    summary: "Makes an object of chosen members of the payload, under names of your own.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "Some members, renamed",
            "document.exported",
            r#"{"document":{"invoice_number":"INV-2026-0042","total_amount":12500.00,"vendor_name":"Café Müller 😀","notes":null}}"#,
        )
        .config(r#"{"members":{"Vendor":"document.vendor_name","Invoice":"document.invoice_number","Total":"document.total_amount","Event":"@type","Notes":{"path":"document.notes","default":"none"}}}"#)
        .becomes(r#"{"Vendor":"Café Müller 😀","Invoice":"INV-2026-0042","Total":12500.00,"Event":"document.exported","Notes":"none"}"#),
        Example::new(
            "Each element of a list, and an object inside",
            "document.exported",
            r#"{"id":42,"line_items":[{"description":"Office Chair","amount":12345678901234567890.10,"tax":13.0},{"description":"Desk"}]}"#,
        )
        .config(r#"{"members":{"lines":{"path":"line_items","each":{"what":"description","price":{"path":"amount","missing":"null"}}},"meta":{"members":{"id":"id","sent":"@timestamp"}}}}"#)
        .becomes(r#"{"lines":[{"what":"Office Chair","price":12345678901234567890.10},{"what":"Desk","price":null}],"meta":{"id":42,"sent":"2026-03-22T08:30:00Z"}}"#),
    ],
}

/// The most members, over all levels.
const MAX_MEMBERS: usize = 500;
/// The longest name of a member, in characters.
const MAX_NAME: usize = 200;
/// How deep objects and lists may nest in a configuration.
const MAX_LEVELS: usize = 16;

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let mut out = String::with_capacity(message.body.len() / 2);
    write_object(&config.members, event, &payload, &mut out)?;
    Ok(Verdict::body(message, hookwright_plugin::JSON, out))
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut errors = Vec::new();
    let count = check_members(&config.members, "/members", 1, &mut errors);
    if count > MAX_MEMBERS {
        errors.push(ConfigError::new("/members", "There are more than 500 members."));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn write_object(members: &Members, event: &Event, payload: &Value<'_>, out: &mut String) -> Result<()> {
    out.push('{');
    let mut first = true;
    for (name, source) in &members.0 {
        let before = out.len();
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        json::escape(name, out);
        out.push(':');
        if !write_value(name, source, event, payload, out)? {
            out.truncate(before);
            first = out.ends_with('{');
        }
    }
    out.push('}');
    Ok(())
}

/// False where nothing is to be written.
fn write_value(
    name: &str,
    source: &Source,
    event: &Event,
    payload: &Value<'_>,
    out: &mut String,
) -> Result<bool> {
    if let Some(members) = &source.members {
        return write_object(members, event, payload, out).map(|()| true);
    }
    let found = source.path.as_ref().and_then(|path| path.find(event, payload));
    match (found, &source.default) {
        (Some(value), default) if default.is_none() || !value.is_null() => {
            write_found(name, source, event, &value, out)?
        }
        (_, Some(default)) => out.push_str(default.get()),
        _ => return write_missing(name, source, out),
    }
    Ok(true)
}

fn write_found(
    name: &str,
    source: &Source,
    event: &Event,
    value: &Value<'_>,
    out: &mut String,
) -> Result<()> {
    match (&source.each, value) {
        (None, value) => value.write(out),
        (Some(_), Value::Null) => out.push_str("null"),
        (Some(members), Value::Array(elements, _)) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_object(members, event, element, out)?;
            }
            out.push(']');
        }
        (Some(_), other) => {
            let message =
                format!("What stands at {} is {}; `each` needs a list.", place(name, source), other.kind());
            return Err(Failure::new("not-a-list", message));
        }
    }
    Ok(())
}

fn write_missing(name: &str, source: &Source, out: &mut String) -> Result<bool> {
    match source.missing {
        Missing::Omit => Ok(false),
        Missing::Null => {
            out.push_str("null");
            Ok(true)
        }
        Missing::Fail => {
            Err(Failure::new("missing", format!("Nothing stands at {}, for {name:?}.", place(name, source))))
        }
    }
}

fn place(name: &str, source: &Source) -> String {
    source.path.as_ref().map_or_else(|| name.to_owned(), ToString::to_string)
}

/// Gives the number of members, those of inner objects included.
fn check_members(members: &Members, pointer: &str, level: usize, errors: &mut Vec<ConfigError>) -> usize {
    if level > MAX_LEVELS {
        errors.push(ConfigError::new(pointer, "Members nest at most 16 levels deep."));
        return 0;
    }
    if members.0.is_empty() {
        errors.push(ConfigError::new(pointer, "There is at least one member."));
    }
    let mut count = members.0.len();
    for (index, (name, source)) in members.0.iter().enumerate() {
        let pointer = join(pointer, name);
        if members.0[..index].iter().any(|(earlier, _)| earlier == name) {
            errors.push(ConfigError::new(pointer.clone(), "Two members have this name."));
        }
        if !(1..=MAX_NAME).contains(&name.chars().count()) {
            errors.push(ConfigError::new(pointer.clone(), "A name has 1 to 200 characters."));
        }
        check_source(source, &pointer, errors);
        let inner = [("members", &source.members), ("each", &source.each)];
        for (word, inner) in inner.into_iter().filter_map(|(word, inner)| Some((word, inner.as_ref()?))) {
            count += check_members(inner, &join(&pointer, word), level + 1, errors);
        }
    }
    count
}

fn check_source(source: &Source, pointer: &str, errors: &mut Vec<ConfigError>) {
    if source.path.is_some() == source.members.is_some() {
        errors.push(ConfigError::new(pointer, "A member has exactly one of `path` and `members`."));
    }
    let of_paths = [
        ("each", source.each.is_some()),
        ("default", source.default.is_some()),
        ("missing", source.missing != Missing::Omit),
    ];
    for (word, _) in of_paths.iter().filter(|(_, used)| *used && source.path.is_none()) {
        errors.push(ConfigError::new(join(pointer, word), format!("`{word}` needs a `path` beside it.")));
    }
    if source.default.is_some() && source.missing != Missing::Omit {
        errors.push(ConfigError::new(join(pointer, "missing"), "With a `default`, nothing is ever missing."));
    }
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::test;

    use super::*;

    const PAYLOAD: &str = r#"{"a":{"b":12500.00,"n":12345678901234567890.10,"e":1E+5,"t":"caf\u00e9 \/ 😀","l":[ 1, 2.0 ],"z":null},"P.O.":"x","items":[{"q":1,"p":{"x":0.10}},{},7]}"#;

    fn picked(members: &str) -> String {
        test::body::<Plugin>("a.b", PAYLOAD, &format!(r#"{{"members":{members}}}"#))
            .unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn picks() {
        let table = [
            (r#"{"x":"a.b","y":"a.n","z":"a.e"}"#, r#"{"x":12500.00,"y":12345678901234567890.10,"z":1E+5}"#),
            (r#"{"z":"a.t","a":"a.l"}"#, r#"{"z":"caf\u00e9 \/ 😀","a":[ 1, 2.0 ]}"#),
            (r#"{"名前 \"1\"":"/P.O."}"#, r#"{"名前 \"1\"":"x"}"#),
            (r#"{"m":"missing","x":"a.l.1"}"#, r#"{"x":2.0}"#),
            (r#"{"x":"a.l.1","m":"missing"}"#, r#"{"x":2.0}"#),
            (r#"{"m":"missing"}"#, "{}"),
            (r#"{"m":{"path":"missing","missing":"null"},"z":"a.z"}"#, r#"{"m":null,"z":null}"#),
            (r#"{"z":{"path":"a.z","default":[1.00,"x"]}}"#, r#"{"z":[1.00,"x"]}"#),
            (r#"{"z":{"path":"a.y","default":null}}"#, r#"{"z":null}"#),
            (
                r#"{"m":{"path":"missing","missing":"fail"}}"#,
                "Nothing stands at missing, for \"m\". (missing)",
            ),
            (r#"{"o":{"members":{"t":"@type","none":"nothing"}}}"#, r#"{"o":{"t":"a.b"}}"#),
            (
                r#"{"i":{"path":"items","each":{"quantity":"q","price":"p.x","all":"@payload"}}}"#,
                r#"{"i":[{"quantity":1,"price":0.10,"all":{"q":1,"p":{"x":0.10}}},{"all":{}},{"all":7}]}"#,
            ),
            (
                r#"{"i":{"path":"a","each":{"q":"q"}}}"#,
                "What stands at a is an object; `each` needs a list. (not-a-list)",
            ),
            (r#"{"i":{"path":"a.z","each":{"q":"q"}}}"#, r#"{"i":null}"#),
            (r#"{"i":{"path":"a.x","each":{"q":"q"},"default":[]}}"#, r#"{"i":[]}"#),
        ];
        for (members, expected) in table {
            assert_eq!(picked(members), expected, "{members}");
        }
    }

    #[test]
    fn configurations_are_checked() {
        let many: Vec<String> = (0..501).map(|n| format!(r#""m{n}":"a""#)).collect();
        let many = format!(r#"{{"members":{{{}}}}}"#, many.join(","));
        let deep =
            format!(r#"{{"members":{}{{"a":"a"}}{}}}"#, r#"{"m":{"members":"#.repeat(17), "}}".repeat(17));
        let table = [
            ("{}", ""),
            (r#"{"members":{}}"#, "/members"),
            (r#"{"members":["a"]}"#, "/members"),
            (r#"{"members":{"a":"b[0]"}}"#, "/members/a"),
            (r#"{"members":{"a":7}}"#, "/members/a"),
            (r#"{"members":{"a":{}}}"#, "/members/a"),
            (r#"{"members":{"a":{"path":"b","members":{"c":"d"}}}}"#, "/members/a"),
            (r#"{"members":{"a":{"path":"b..c"}}}"#, "/members/a/path"),
            (r#"{"members":{"a":{"members":{"c":"d"},"default":1}}}"#, "/members/a/default"),
            (r#"{"members":{"a":{"path":"b","default":1,"missing":"fail"}}}"#, "/members/a/missing"),
            (r#"{"members":{"a":{"path":"b","each":{"c":{}}}}}"#, "/members/a/each/c"),
            (r#"{"members":{"a":"b","a":"c"}}"#, "/members/a"),
            (r#"{"members":{"":"b"}}"#, "/members/"),
            (r#"{"fields":{"a":"b"}}"#, "/fields"),
            (&many, "/members"),
            (&deep, &format!("/members{}", "/m/members".repeat(16))),
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
