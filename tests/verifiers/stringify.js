// Parses JSON and writes it again. README.md says what goes in and out.
"use strict";

const fs = require("fs");

function again(text) {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

const texts = JSON.parse(fs.readFileSync(0, "utf8")).map((text) => Buffer.from(text, "base64").toString("utf8"));
process.stdout.write(JSON.stringify(texts.map(again)));
