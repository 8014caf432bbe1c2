import hookwright
from hookwright import ConfigError, Event, Example, Message, Verdict, drop, payload, reply

# Most characters of a mark.
MARK = 3


def check(config: dict) -> list[ConfigError]:
    errors = [ConfigError(f"/{name}", "There is no such member.") for name in config if name != "mark"]
    mark = config.get("mark", "")
    if not isinstance(mark, str):
        errors.append(ConfigError("/mark", "The mark is a text."))
    elif len(mark) > MARK:
        errors.append(ConfigError("/mark", f"The mark has more than {MARK} characters."))
    return errors


def transform(event: Event, message: Message, config: dict) -> Verdict:
    title = payload(message).get("title")
    if title is None:
        return drop("The payload has no title.")
    hookwright.info(f"the title is {title}")
    return reply(message, {"text": str(title).upper() + config.get("mark", "")})


Transformer = hookwright.plugin(
    name="shout",
    version="0.1.0",
    summary="Says the title loudly.",
    # What a user writes under "config" in an endpoint's transform.
    config_schema={
        "type": "object",
        "properties": {
            "mark": {"type": "string", "maxLength": MARK, "default": "", "description": "Put behind the text."},
        },
        "additionalProperties": False,
    },
    check=check,
    transform=transform,
    examples=[
        Example(
            "A title",
            "case.created",
            {"title": "Missing tax ID"},
            config={"mark": "!"},
            becomes={"text": "MISSING TAX ID!"},
        ),
        Example("No title", "case.created", {}, drops="The payload has no title."),
    ],
)
