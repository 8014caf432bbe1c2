//! `redact`: masks or leaves out what an endpoint must not see.

use hookwright_plugin::{config::join, prelude::*, text::Unit};

mod find;
mod places;
mod rule;
mod walk;

pub use places::Places;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is redacted. Every rule looks at the whole payload.
    #[schemars(length(min = 1, max = 100))]
    pub rules: Vec<Rule>,
    /// What stands in the place of what is masked, where a rule does not say it.
    #[serde(default = "default_mask")]
    #[schemars(length(max = 100))]
    pub mask: String,
}

/// Exactly one of `path`, `key`, `pattern` and `regex`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// A place in the payload: `customer.tax_id`, `items[*].ssn`, `/customer/P.O. Box`.
    pub path: Option<Places>,
    /// Members of this name, wherever they are. Upper and lower case are the same.
    #[schemars(length(min = 1, max = 200))]
    pub key: Option<String>,
    /// What looks like one of these, in any text and in any member's name.
    pub pattern: Option<Pattern>,
    /// What this regular expression matches, in any text, number or member's name.
    #[schemars(length(min = 1, max = 1000))]
    pub regex: Option<String>,
    /// What happens to it.
    pub action: Action,
    /// What stands in its place.
    #[schemars(length(max = 100))]
    pub mask: Option<String>,
    /// How many of its last characters stay, after the mask. Nothing stays of what has less than twice as many.
    #[schemars(range(max = 16))]
    pub keep_last: usize,
}

/// What can be recognised in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// `jean.dupont@example.com`
    Email,
    /// The number of a payment card, 13 to 19 digits with the right check digit; numbers are looked at, too.
    Card,
    /// An international bank account number with the right check digits.
    Iban,
    /// A telephone number: with `+` or `00` and a country, with an area code that begins with 0 or stands in
    /// parentheses, or as `415-555-2671`.
    Phone,
}

/// What happens to what a rule finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is replaced by the mask: the whole value, or the part of a text that is matched.
    #[default]
    Mask,
    /// The member or element is left out, the whole of it even where only a part of a text is matched.
    Drop,
}

hookwright_plugin::plugin! {
    summary: "Masks or leaves out fields by path, by name, and by what their text looks like.",
    config: Config,
    transform: transform,
    must_run: true,
    check: check,
    examples: [
        Example::new(
            "By path and by name",
            "contact.created",
            r#"{"name":"Café Müller 😀","tax_id":"DE123456789","balance":12345678901234567890.10,"items":[{"id":1,"ssn":"123-45-6789"},{"id":2,"ssn":"987-65-4321"}],"login":{"Password":"hunter2"}}"#,
        )
        .config(r#"{"rules":[{"path":"items[*].ssn","keep_last":4,"mask":"***-**-"},{"path":"tax_id"},{"key":"password","action":"drop"}]}"#)
        .becomes(r#"{"name":"Café Müller 😀","tax_id":"[redacted]","balance":12345678901234567890.10,"items":[{"id":1,"ssn":"***-**-6789"},{"id":2,"ssn":"***-**-4321"}],"login":{}}"#),
        Example::new(
            "By what it looks like",
            "notification.created",
            r#"{"message":"Write to jean.dupont@example.com 😀 or call +49 30 1234567.","paid_with":"4111 1111 1111 1111","to":"DE89 3704 0044 0532 0130 00","total":12500.00}"#,
        )
        .config(r#"{"mask":"…","rules":[{"pattern":"email"},{"pattern":"phone"},{"pattern":"card","keep_last":4},{"pattern":"iban","keep_last":4}]}"#)
        .becomes(r#"{"message":"Write to … 😀 or call ….","paid_with":"…1111","to":"…3000","total":12500.00}"#),
        Example::new("Nothing to redact", "contact.created", r#"{ "name": "Acme" }"#)
            .config(r#"{"rules":[{"pattern":"email"}]}"#),
    ],
}

/// The most rules.
const MAX_RULES: usize = 100;
/// The longest mask, in characters.
const MAX_MASK: usize = 100;
/// The most characters of a value that may stay.
const MAX_KEPT: usize = 16;

fn default_mask() -> String {
    "[redacted]".to_owned()
}

fn transform(_: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let rules = rule::compile(config)?;
    let payload = message.tree()?;
    Ok(match walk::redact(&payload, &rules) {
        walk::Outcome::Unchanged => Verdict::Pass,
        walk::Outcome::Changed(body) => Verdict::body(message, &message.content_type, body),
        walk::Outcome::Dropped => Verdict::body(message, &message.content_type, "null"),
    })
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut demand = |holds: bool, pointer: &str, message: &str| {
        if !holds {
            errors.push(ConfigError::new(pointer, message));
        }
    };
    let fits = |text: &String| Unit::Chars.measure(text) <= MAX_MASK;
    demand((1..=MAX_RULES).contains(&config.rules.len()), "/rules", "There are 1 to 100 rules.");
    demand(fits(&config.mask), "/mask", "A mask has at most 100 characters.");
    for (index, rule) in config.rules.iter().enumerate() {
        let pointer = join("/rules", index);
        let mask = rule.mask.as_ref().is_none_or(fits);
        demand(mask, &join(&pointer, "mask"), "A mask has at most 100 characters.");
        let kept = rule.keep_last <= MAX_KEPT;
        demand(kept, &join(&pointer, "keep_last"), "At most 16 characters stay.");
        let drops = rule.action == Action::Drop;
        let idle = drops && (rule.mask.is_some() || rule.keep_last > 0);
        demand(!idle, &pointer, "What is dropped has no mask, and nothing of it stays.");
    }
    errors.extend(rule::compile(config).err().into_iter().flatten());
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::test;

    use super::*;

    fn redacted(payload: &str, rules: &str) -> String {
        match test::call::<Plugin>("t", payload, &format!(r##"{{"mask":"#","rules":[{rules}]}}"##)) {
            Ok(Verdict::Pass) => "unchanged".to_owned(),
            Ok(Verdict::Replace(message)) => String::from_utf8_lossy(&message.body).into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
        assert!(test::describe::<Plugin>().must_run);
    }

    #[test]
    fn fields_by_path_and_by_name() {
        let payload =
            r#"{"a":{"b":1.0,"c":"x"},"l":[{"s":"1","t":2.00},{"s":"2"},["s"]],"P.O.":"y","S":null}"#;
        let table = [
            (
                r#"{"path":"a.b"}"#,
                r##"{"a":{"b":"#","c":"x"},"l":[{"s":"1","t":2.00},{"s":"2"},["s"]],"P.O.":"y","S":null}"##,
            ),
            (r#"{"path":"a","action":"drop"},{"path":"l"}"#, r##"{"l":"#","P.O.":"y","S":null}"##),
            (
                r#"{"path":"l[*].s","action":"drop"},{"path":"a.*"}"#,
                r##"{"a":{"b":"#","c":"#"},"l":[{"t":2.00},{},["s"]],"P.O.":"y","S":null}"##,
            ),
            (
                r#"{"path":"l.1","action":"drop"}"#,
                r#"{"a":{"b":1.0,"c":"x"},"l":[{"s":"1","t":2.00},["s"]],"P.O.":"y","S":null}"#,
            ),
            (
                r#"{"path":"l[2][0]"},{"path":"/P.O.","mask":"é"}"#,
                r##"{"a":{"b":1.0,"c":"x"},"l":[{"s":"1","t":2.00},{"s":"2"},["#"]],"P.O.":"é","S":null}"##,
            ),
            (
                r#"{"key":"s"}"#,
                r##"{"a":{"b":1.0,"c":"x"},"l":[{"s":"#","t":2.00},{"s":"#"},["s"]],"P.O.":"y","S":"#"}"##,
            ),
            (
                r#"{"key":"s","action":"drop"},{"key":"A","action":"drop"}"#,
                r#"{"l":[{"t":2.00},{},["s"]],"P.O.":"y"}"#,
            ),
            (r#"{"path":"a.x"},{"key":"nobody"},{"path":"l.s"}"#, "unchanged"),
        ];
        for (rules, expected) in table {
            assert_eq!(redacted(payload, rules), expected, "{rules}");
        }
    }

    #[test]
    fn nothing_hides_behind_a_spelling() {
        let table = [
            (r#"{"a":1,"\u0061":2}"#, r#"{"path":"a"}"#, r##"{"a":"#","\u0061":"#"}"##),
            (r#"{"a":"x\u0040y.org"}"#, r#"{"pattern":"email"}"#, r##"{"a":"#"}"##),
            (
                r#"{"jean@example.com":{"x@y.org":1},"b@c.de":2}"#,
                r#"{"pattern":"email"}"#,
                r##"{"#":{"#":1},"#_2":2}"##,
            ),
            (r#"["ÄRGER"]"#, r#"{"regex":"(?i)ärger"}"#, "unchanged"),
            (r#"{"STRASSE":1}"#, r#"{"key":"strasse"}"#, r##"{"STRASSE":"#"}"##),
            (r#"{"ÉTÉ":1}"#, r#"{"key":"été"}"#, r##"{"ÉTÉ":"#"}"##),
            (r#""jean@example.com""#, r#"{"pattern":"email"}"#, r##""#""##),
            (r#""jean@example.com""#, r#"{"pattern":"email","action":"drop"}"#, "null"),
            (
                r#"{"n":4111111111111111,"m":12500.00}"#,
                r#"{"pattern":"card","keep_last":4}"#,
                r##"{"n":"#1111","m":12500.00}"##,
            ),
            (
                r#"{"a":"k: secret-1 and secret-22","b":["secret-3",7]}"#,
                r#"{"regex":"secret-[0-9]+"}"#,
                r##"{"a":"k: # and #","b":["#",7]}"##,
            ),
            (r#"{"a":"secret","b":["secret",7]}"#, r#"{"regex":"secret","action":"drop"}"#, r#"{"b":[7]}"#),
        ];
        for (payload, rules, expected) in table {
            assert_eq!(redacted(payload, rules), expected, "{payload} {rules}");
        }
    }

    #[test]
    fn some_characters_may_stay_but_never_most() {
        let table = [("12345678", "#5678"), ("1234567", "#"), ("😀😀😀😀😀éé漢字", "#éé漢字"), ("", "#")];
        for (text, expected) in table {
            let out = redacted(&format!(r#"{{"a":"{text}"}}"#), r#"{"path":"a","keep_last":4}"#);
            assert_eq!(out, format!(r#"{{"a":"{expected}"}}"#), "{text}");
        }
        assert_eq!(redacted(r#"{"a":123456789}"#, r#"{"path":"a","keep_last":4}"#), r##"{"a":"#6789"}"##);
        assert_eq!(redacted(r#"{"a":{"b":"12345678"}}"#, r#"{"path":"a","keep_last":4}"#), r##"{"a":"#"}"##);
    }

    #[test]
    fn what_cannot_be_read_fails_and_never_passes() {
        let failure = test::call::<Plugin>("t", "{", r#"{"rules":[{"key":"a"}]}"#).expect_err("no JSON");
        assert_eq!(failure.code, Failure::BAD_PAYLOAD);
    }

    #[test]
    fn configurations_are_checked() {
        let long = format!(r#"{{"rules":[{{"regex":"{}"}}]}}"#, "a".repeat(1001));
        let table = [
            ("{}", ""),
            (r#"{"rules":[]}"#, "/rules"),
            (r#"{"rules":[{}]}"#, "/rules/0"),
            (r#"{"rules":[{"path":"a","key":"b"}]}"#, "/rules/0"),
            (r#"{"rules":[{"path":"a[b]"}]}"#, "/rules/0/path"),
            (r#"{"rules":[{"path":""}]}"#, "/rules/0/path"),
            (r#"{"rules":[{"path":"@type"}]}"#, "/rules/0/path"),
            (r#"{"rules":[{"key":""}]}"#, "/rules/0/key"),
            (r#"{"rules":[{"key":"a"},{"regex":"("}]}"#, "/rules/1/regex"),
            (r#"{"rules":[{"regex":"a*"}]}"#, "/rules/0/regex"),
            (&long, "/rules/0/regex"),
            (r#"{"rules":[{"pattern":"ssn"}]}"#, "/rules/0/pattern"),
            (r#"{"rules":[{"key":"a","keep_last":17}]}"#, "/rules/0/keep_last"),
            (r#"{"rules":[{"key":"a","action":"drop","mask":"x"}]}"#, "/rules/0"),
            (r#"{"rules":[{"key":"a","actoin":"drop"}]}"#, "/rules/0/actoin"),
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
