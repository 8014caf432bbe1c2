// Receives webhooks as the users of a system write it. README.md says what goes in and out.
"use strict";

const crypto = require("crypto");
const express = require("express");

const SECRET = process.env.WEBHOOK_SECRET;
const hmac = (text) => crypto.createHmac("sha256", SECRET).update(text).digest("hex");

const receivers = {
  // The body has been parsed before anybody looks at it, and is written again for the check.
  revkeen: (app) => {
    app.use(express.json());
    app.post("/", (request, response) => {
      const given = Buffer.from(request.headers["x-revkeen-signature"]);
      const wanted = Buffer.from(`sha256=${hmac(JSON.stringify(request.body))}`);
      const valid = crypto.timingSafeEqual(given, wanted);
      response.status(valid ? 200 : 401).send(valid ? "ok" : "Invalid signature");
    });
  },
  // The text of the body, and the digits alone.
  rkt: (app) => {
    app.use(express.text({ type: "*/*" }));
    app.post("/", (request, response) => {
      const valid = request.headers["x-rkt-signature"] === hmac(request.body);
      response.status(valid ? 200 : 401).send(valid ? "ok" : "Invalid signature");
    });
  },
};

const app = express();
receivers[process.argv[2]](app);
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
// Whoever started it has gone.
process.stdin.resume().on("end", () => process.exit(0));
