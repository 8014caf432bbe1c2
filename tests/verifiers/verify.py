"""Checks requests with one of the official libraries. README.md says what goes in and out."""

import base64
import json
import sys

if sys.argv[1] == "svix":
    from svix.webhooks import Webhook, WebhookVerificationError
else:
    from standardwebhooks import Webhook, WebhookVerificationError


def objection(webhook, request):
    try:
        webhook.verify(base64.b64decode(request["body"]), request["headers"])
    except WebhookVerificationError as error:
        return str(error) or type(error).__name__
    return None


given = json.load(sys.stdin)
webhook = Webhook(given["secret"])
json.dump([objection(webhook, request) for request in given["requests"]], sys.stdout)
