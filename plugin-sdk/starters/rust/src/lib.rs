use hookwright_plugin::prelude::*;

/// Most characters of a mark.
const MARK: usize = 3;

/// What a user writes under `"config"` in an endpoint's transform.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Put behind the text, at most 3 characters.
    mark: String,
}

#[derive(Serialize)]
struct Body {
    text: String,
}

fn transform(_event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let Some(title) = payload.get("title") else {
        return Ok(Verdict::drop("The payload has no title."));
    };
    hookwright_plugin::info!("the title is {}", title.display());
    let text = format!("{}{}", title.display().to_uppercase(), config.mark);
    Verdict::json(message, &Body { text })
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    if config.mark.chars().count() > MARK {
        return Err(vec![ConfigError::new("/mark", format!("The mark has more than {MARK} characters."))]);
    }
    Ok(())
}

hookwright_plugin::plugin! {
    summary: "Says the title loudly.",
    config: Config,
    transform: transform,
    check: check,
    examples: [
        Example::new("A title", "case.created", r#"{"title":"Missing tax ID"}"#)
            .config(r#"{"mark":"!"}"#)
            .becomes(r#"{"text":"MISSING TAX ID!"}"#),
        Example::new("No title", "case.created", "{}").drops("The payload has no title."),
    ],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples() {
        hookwright_plugin::test::run_examples::<Plugin>();
    }
}
