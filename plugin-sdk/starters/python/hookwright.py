"""The contract of wit/ in the words of Python."""

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from componentize_py_types import Err
from wit_world.imports import log, types
from wit_world.imports.types import (
    ConfigError,
    Event,
    Message,
    Verdict,
    Verdict_Drop,
    Verdict_Pass,
    Verdict_Reject,
    Verdict_Replace,
)

__all__ = [
    "Answer", "ConfigError", "Event", "Example", "Failure", "Message", "Verdict",
    "body", "debug", "drop", "error", "info", "judging", "passed", "payload", "plugin", "reject", "reply", "warn",
]

JSON = "application/json"


class Failure(Exception):
    """The plugin could not do its work; the endpoint's `on_failure` decides what follows.

    `code` is a stable word, such as `bad-payload`, and `message` a sentence for whoever reads the attempt.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


@dataclass
class Example:
    """Documentation that can be run. Without `becomes`, `drops` and `rejects` the message passes."""

    title: str
    event_type: str
    input: Any
    config: dict = field(default_factory=dict)
    becomes: Any = None
    drops: str | None = None
    rejects: str | None = None


def plugin(
    *,
    name: str,
    version: str,
    summary: str,
    transform: Callable[[Event, Message, dict], Verdict],
    config_schema: dict | None = None,
    must_run: bool = False,
    check: Callable[[dict], list[ConfigError]] = lambda config: [],
    examples: list[Example] | None = None,
) -> type:
    """Makes a plugin of a function: `Transformer = plugin(...)`.

    `must_run` is true where passing a message through unchanged after a failure would be wrong, as for a filter.
    What `transform` raises is the plugin's failure; a `Failure` with its own code.
    """

    class Transformer:
        def describe(self) -> types.Description:
            shown = [_example(example) for example in examples or []]
            return types.Description(name, version, summary, _dump(config_schema or {}), must_run, shown)

        def check_config(self, config: str) -> None:
            errors = _refusals(check, config)
            if errors:
                raise Err(errors)

        def transform(self, event: Event, message: Message, config: str) -> Verdict:
            try:
                return transform(event, message, _config(config))
            except Failure as failure:
                raise Err(types.Failure(failure.code, str(failure))) from failure
            except Exception as exception:
                error(traceback.format_exc())
                said = f"{type(exception).__name__}: {exception}"
                raise Err(types.Failure("exception", said)) from exception

    return Transformer


@dataclass
class Answer:
    """What the receiver said. `status` is 0 where no answer came, and the body then is a word that says why."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def judging(judge: Callable[[Answer, dict], Any]) -> type:
    """For the world `destination`: `Receiver = judging(judge)`.

    `judge` gives one of the judgements of `wit_world.exports.receiver`, such as `Judgement_Retry(30)`. Where it raises,
    the endpoint's success codes decide.
    """

    class Receiver:
        def judge(self, status: int, headers: list[tuple[str, str]], body: bytes, config: str) -> Any:
            from wit_world.exports.receiver import Judgement_ByStatus

            try:
                return judge(Answer(status, headers, body), _config(config))
            except Exception:
                error(traceback.format_exc())
                return Judgement_ByStatus()

    return Receiver


def passed() -> Verdict:
    """Leave the message as it is."""
    return Verdict_Pass()


def drop(reason: str) -> Verdict:
    """Not for this endpoint: the delivery ends as filtered, which is a success."""
    return Verdict_Drop(reason)


def reject(reason: str) -> Verdict:
    """It can never be delivered: the delivery ends as failed, without a retry."""
    return Verdict_Reject(reason)


def reply(message: Message, value: Any) -> Verdict:
    """Send `value` as JSON; method, path and headers stay as `message` has them."""
    return body(message, JSON, _dump(value).encode())


def body(message: Message, content_type: str, content: bytes) -> Verdict:
    """Send these bytes; method, path and headers stay as `message` has them."""
    return Verdict_Replace(replace(message, content_type=content_type, body=content))


def payload(message: Message) -> Any:
    """The body as JSON. A `Failure` where it is none.

    Whole numbers keep all of their digits; others become floats, and `12.50` is written as `12.5`.
    """
    try:
        return json.loads(message.body)
    except ValueError as problem:
        raise Failure("bad-payload", f"The payload is not JSON: {problem}.") from problem


def debug(line: str) -> None:
    """Writes to the plugin log of the attempt, as its kin do."""
    log.write(log.Level.DEBUG, line)


def info(line: str) -> None:
    log.write(log.Level.INFO, line)


def warn(line: str) -> None:
    log.write(log.Level.WARN, line)


def error(line: str) -> None:
    log.write(log.Level.ERROR, line)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _config(text: str) -> dict:
    """An endpoint may leave its configuration out."""
    return json.loads(text.strip() or "{}") or {}


def _refusals(check: Callable[[dict], list[ConfigError]], text: str) -> list[ConfigError]:
    config = _config(text)
    if not isinstance(config, dict):
        return [ConfigError("", "A configuration is a JSON object.")]
    return check(config)


def _example(example: Example) -> types.Example:
    expect = passed()
    if example.drops is not None:
        expect = drop(example.drops)
    elif example.rejects is not None:
        expect = reject(example.rejects)
    elif example.becomes is not None:
        expect = reply(Message(None, None, JSON, [], b""), example.becomes)
    given = _dump(example.input).encode()
    return types.Example(example.title, _dump(example.config), example.event_type, given, expect)
