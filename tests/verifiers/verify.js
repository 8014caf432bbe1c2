// Checks requests with an official library, or the way a system's own users do. README.md says what goes in and out.
"use strict";

const crypto = require("crypto");
const fs = require("fs");

const hmac = (secret, body) => crypto.createHmac("sha256", secret).update(body).digest("hex");

const checks = {
  standardwebhooks: library("standardwebhooks"),
  svix: library("svix"),
  // With the public key: any of the signatures of version 1a.
  asymmetric: (publicKey, headers, body) => {
    const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
    const key = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    const content = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
    const matches = (signature) =>
      signature.startsWith("v1a,") && crypto.verify(null, content, key, Buffer.from(signature.slice(4), "base64"));
    return headers["webhook-signature"].split(" ").some(matches) ? null : "no match";
  },
  // In constant time, with a prefix.
  revkeen: (secret, headers, body) => {
    const given = Buffer.from(headers["x-revkeen-signature"]);
    const wanted = Buffer.from(`sha256=${hmac(secret, body)}`);
    return given.length === wanted.length && crypto.timingSafeEqual(given, wanted) ? null : "no match";
  },
  // The digits alone.
  rkt: (secret, headers, body) => (headers["x-rkt-signature"] === hmac(secret, body) ? null : "no match"),
};

function library(name) {
  return (secret, headers, body) => {
    const { Webhook, WebhookVerificationError } = require(name);
    try {
      new Webhook(secret).verify(body, headers);
      return null;
    } catch (error) {
      if (error instanceof WebhookVerificationError) return String(error.message);
      throw error;
    }
  };
}

const check = checks[process.argv[2]];
const { secret, requests } = JSON.parse(fs.readFileSync(0, "utf8"));
const verdicts = requests.map(({ headers, body }) => check(secret, headers, Buffer.from(body, "base64")));
process.stdout.write(JSON.stringify(verdicts));
