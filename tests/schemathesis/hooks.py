"""What no schema can say about requests that should be taken, and what to send in their place.

Requests that should be refused are sent as they are, but for patches: what is missing in a part of one may be stored.
"""

import os
from pathlib import Path

import hypothesis.strategies as st
import schemathesis
from schemathesis.generation.meta import TestPhase

TARGET = "http://127.0.0.1:9/hook"
EVENT = b'{"type":"invoice.paid","payload":{}}'
# Fewer headers than an endpoint may have, so that a patch may add one.
MOST_HEADERS = 8
NO_ENDPOINT = "ep_" + "0" * 26

# Tenants that were forgotten, and webhooks that were made, so far.
forgotten, webhooks = set(), set()

# A component that is one, and the plugin's name.
PLUGIN = Path(os.environ["TRIED_PLUGIN"])
schemathesis.openapi.media_type("application/wasm", st.just(PLUGIN.read_bytes()))

# An event a line.
schemathesis.openapi.media_type(
    "application/x-ndjson", st.lists(st.just(EVENT), min_size=1, max_size=3).map(b"\n".join)
)


@schemathesis.hook
def before_call(context, case, **kwargs):
    operation = case.operation.definition.raw.get("operationId")
    if case.meta is None:
        return
    if case.meta.generation.mode.is_negative:
        if operation in PATCHES:
            spoil(case)
        return
    mend = MENDS.get(operation)
    if mend is not None:
        mend(case)


@schemathesis.hook
def after_call(context, case, response):
    operation = case.operation.definition.raw.get("operationId")
    if operation == "delete_tenant" and response.status_code == 204:
        forgotten.add(case.path_parameters["id"])
    if operation == "create_webhook" and response.status_code == 201:
        webhooks.add(response.json()["id"])


def is_stateful(case):
    """Whether what earlier requests made is looked for, and missed where it is gone."""
    return case.meta.phase.name == TestPhase.STATEFUL


def sign_in(case):
    """With a key that is one."""
    if isinstance(case.body, dict):
        case.body = {**case.body, "key": os.environ["TRIED_KEY"]}


def post_events(case):
    """A key stands for the one event of a request, and differs from no other id."""
    one = case.media_type == "application/json" and isinstance(case.body, dict) and "id" not in case.body
    if not one:
        case.headers.pop("Idempotency-Key", None)
    if isinstance(case.body, dict) and "data_base64" in case.body:
        # The text in it has to be JSON, and there is one kind of data.
        body = {name: value for name, value in case.body.items() if name != "data"}
        case.body = {**body, "data_base64": "e30="}


def endpoint(case):
    """What depends on plugins, addresses and secrets that are there, and on other members."""
    if not isinstance(case.body, dict):
        return
    body = dict(case.body)
    # Where deliveries may go is the operator's to say.
    if "url" in body:
        body["url"] = TARGET
    # Which configuration is good is the plugin's to say.
    if body.get("transforms"):
        body["transforms"] = []
    # The kind of secret depends on the scheme, which a tenant or the host may decide.
    body.pop("secret", None)
    # Which versions there are, the catalogue says.
    body.pop("version", None)
    # No header twice, in whatever case; none that the signature goes into.
    if isinstance(body.get("signature"), dict) and "header" in body["signature"]:
        body["signature"] = {**body["signature"], "header": "X-Signature"}
    if isinstance(body.get("headers"), dict):
        taken = {"x-signature", "x-signature-next"}
        body["headers"] = {}
        for name, value in case.body["headers"].items():
            if name.lower() not in taken and len(body["headers"]) < MOST_HEADERS:
                taken.add(name.lower())
                body["headers"][name] = value
    case.body = body


def patch(case):
    endpoint(case)
    if isinstance(case.body, dict) and "headers" in case.body:
        # Which names are good is said where an endpoint is created; null is good for all.
        case.body = {**case.body, "headers": {"X-Tried": "1", "X-Removed": None}}


def spoil(case):
    """Whether a part of a patch lacks something depends on what is stored; a list in its place is always wrong."""
    if isinstance(case.body, dict):
        parts = {name: [value] for name, value in case.body.items() if isinstance(value, dict)}
        case.body = {**case.body, **parts}


def tenant(case):
    """A patch makes what is not there, which is no use of what was deleted: it is a new one."""
    if case.path_parameters["id"] in forgotten:
        case.path_parameters["id"] = f"anew-{len(forgotten)}"
    patch(case)


def delete_tenant(case):
    """By force, endpoints and keys go too, which are not below its path."""
    if is_stateful(case):
        case.query.pop("force", None)


def delete_webhook(case):
    """It is an endpoint under another path; only those that were made here are missed by nobody."""
    if is_stateful(case) and isinstance(case.body, dict) and case.body.get("id") not in webhooks:
        case.body = {**case.body, "id": NO_ENDPOINT}


def event_type(case):
    """What a schema and its samples have to be to each other."""
    if isinstance(case.body, dict):
        body = {name: value for name, value in case.body.items() if name not in ("name", "check")}
        case.body = {**body, "schema": {"type": "object"}} if body.get("schema") else body


def versions(case):
    """Names that differ, and steps only where there are plugins for them."""
    if isinstance(case.body, dict):
        names = {version["name"]: version for version in case.body.get("versions") or []}
        case.body = {"versions": [{**version, "steps": []} for version in names.values()]}


def upload(case):
    """Plugins say their names themselves; which signature is one depends on the file."""
    case.path_parameters["name"] = PLUGIN.stem
    case.headers.pop("Plugin-Signature", None)


def backtest(case):
    """Which endpoints there are, and where their chains have the plugin, no schema can say."""
    if isinstance(case.body, dict):
        body = {name: value for name, value in case.body.items() if name in ("digest", "events", "gate")}
        case.body = {**body, "digest": body.get("digest") or "0" * 64}


def rotate(case):
    if isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name != "secret"}


def replay(case):
    """The endpoint is there, and the start before the end."""
    if isinstance(case.body, dict):
        body = {name: value for name, value in case.body.items() if name in ("state", "type", "new_id", "tenant")}
        case.body = {**body, "type": body.get("type") or "invoice.paid"}


def dry_run(case):
    """Plugins that are there take what their configurations say."""
    if isinstance(case.body, dict):
        body = dict(case.body)
        if body.get("transforms"):
            body["transforms"] = []
        # A stored event is its tenant's, and so has the endpoint to be.
        if body.get("endpoint") and body.get("event"):
            del body["endpoint"]
            body["transforms"] = []
        # Where nothing is there under an id, that is said.
        case.body = body


def window(case):
    """The start is before the end, and not so many spans before it."""
    for name in ("since", "until"):
        case.query.pop(name, None)


PATCHES = {"change_endpoint", "change_tenant", "change_host"}

MENDS = {
    "sign_in": sign_in,
    "post_events": post_events,
    "create_endpoint": endpoint,
    "change_endpoint": patch,
    "change_tenant": tenant,
    "delete_tenant": delete_tenant,
    "change_host": patch,
    "create_webhook": endpoint,
    "change_webhook": endpoint,
    "delete_webhook": delete_webhook,
    "put_event_type": event_type,
    "change_event_type": event_type,
    "put_versions": versions,
    "upload_plugin": upload,
    "backtest_plugin": backtest,
    "rotate_secret": rotate,
    "create_replay": replay,
    "transform": dry_run,
    "overview": window,
    "endpoint_stats": window,
    "list_warnings": window,
}
