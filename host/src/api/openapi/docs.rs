//! The document as a page for people.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1c1c1c;\
background:#fff}h1,h2,h3{line-height:1.2}h2{margin-top:3rem;border-bottom:1px solid #ccc}article{margin:2rem 0}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:.75rem;overflow:auto;max-height:30rem}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;\
border-bottom:1px solid #e4e4e4}.method{font-weight:bold;margin-right:.5rem}nav ul{columns:2;padding-left:1rem}\
summary{cursor:pointer}@media(prefers-color-scheme:dark){body{color:#e4e4e4;background:#161616}pre{background:#242424}\
td,th,h2{border-color:#444}a{color:#8ab4f8}}";

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// One operation of the document, and where it is.
struct Place<'d> {
    path: &'d str,
    method: &'static str,
    operation: &'d Value,
}

pub fn page(document: &Value) -> String {
    let places = places(document);
    let groups = groups(&places);
    let mut page = String::new();
    let title = word(&document["info"]["title"]);
    let _ = write!(
        page,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{title}: the interface</title><style>{STYLE}</style>\
         </head><body><h1>{title} {}</h1><p>{}</p><p>For programs: <a href=\"/openapi.json\">openapi.json</a>.</p>",
        word(&document["info"]["version"]),
        word(&document["info"]["description"]),
    );
    contents(&mut page, &groups, &places);
    for group in groups {
        let _ = write!(page, "<h2>{}</h2>", escape(group));
        places.iter().filter(|place| place.group() == group).for_each(|place| operation(&mut page, place));
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let _ = write!(page, "<article id=\"schema-{0}\"><h3>{0}</h3>", escape(name));
        shape(&mut page, schema);
        page.push_str("</article>");
    }
    page.push_str("</body></html>\n");
    page
}

impl Place<'_> {
    fn group(&self) -> &str {
        self.operation["tags"][0].as_str().unwrap_or_default()
    }
}

fn places(document: &Value) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    for (path, methods) in members(&document["paths"]) {
        let of_method = |method| methods.get(method).map(|operation| Place { path, method, operation });
        places.extend(METHODS.into_iter().filter_map(of_method));
    }
    places
}

/// In the order in which they are first met.
fn groups<'d>(places: &'d [Place<'d>]) -> Vec<&'d str> {
    let mut groups = Vec::new();
    for place in places {
        if !groups.contains(&place.group()) {
            groups.push(place.group());
        }
    }
    groups
}

fn contents(page: &mut String, groups: &[&str], places: &[Place<'_>]) {
    page.push_str("<nav>");
    for group in groups {
        let _ = write!(page, "<h3>{}</h3><ul>", escape(group));
        for place in places.iter().filter(|place| place.group() == *group) {
            let (name, summary) = (word(&place.operation["operationId"]), word(&place.operation["summary"]));
            let _ = write!(page, "<li><a href=\"#{name}\">{summary}</a></li>");
        }
        page.push_str("</ul>");
    }
    page.push_str("</nav>");
}

fn operation(page: &mut String, place: &Place<'_>) {
    let operation = place.operation;
    let _ = write!(
        page,
        "<article id=\"{}\"><h3>{}</h3><p><code><span class=\"method\">{}</span>{}</code></p>",
        word(&operation["operationId"]),
        word(&operation["summary"]),
        place.method.to_ascii_uppercase(),
        escape(place.path),
    );
    if let Some(about) = operation["description"].as_str() {
        let _ = write!(page, "<p>{}</p>", escape(about));
    }
    let roles: Vec<&str> = items(&operation["x-roles"]).filter_map(Value::as_str).collect();
    match roles.as_slice() {
        [] => page.push_str("<p>No key is asked for, unless it is said above.</p>"),
        roles => {
            let _ = write!(page, "<p>For keys with the role {}.</p>", escape(&roles.join(" or ")));
        }
    }
    parameters(page, operation);
    for (form, content) in members(&operation["requestBody"]["content"]) {
        let _ = write!(page, "<p>Takes <code>{}</code>: ", escape(form));
        shape(page, &content["schema"]);
        page.push_str("</p>");
    }
    answers(page, operation);
    page.push_str("</article>");
}

fn parameters(page: &mut String, operation: &Value) {
    if operation.get("parameters").is_none() {
        return;
    }
    page.push_str("<table><tr><th>Parameter</th><th>In</th><th>What it is</th></tr>");
    for parameter in items(&operation["parameters"]) {
        let _ = write!(
            page,
            "<tr><td><code>{}</code></td><td>{}</td><td>{} ",
            word(&parameter["name"]),
            word(&parameter["in"]),
            word(&parameter["description"]),
        );
        shape(page, &parameter["schema"]);
        page.push_str("</td></tr>");
    }
    page.push_str("</table>");
}

fn answers(page: &mut String, operation: &Value) {
    page.push_str("<table><tr><th>Answer</th><th>When</th><th>What it holds</th></tr>");
    for (status, answer) in members(&operation["responses"]) {
        let about = word(&answer["description"]);
        let _ = write!(page, "<tr><td><code>{}</code></td><td>{about}</td><td>", escape(status));
        for (form, content) in members(&answer["content"]) {
            let _ = write!(page, "<code>{}</code> ", escape(form));
            shape(page, &content["schema"]);
        }
        page.push_str("</td></tr>");
    }
    page.push_str("</table>");
}

/// A link where the schema has a name; otherwise the schema, folded where it is long.
fn shape(page: &mut String, schema: &Value) {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escape(name);
        let _ = write!(page, "<a href=\"#schema-{name}\">{name}</a>");
        return;
    }
    let text = schema.to_string();
    let _ = match text.len() <= 80 {
        true => write!(page, "<code>{}</code>", escape(&text)),
        false => {
            let text = serde_json::to_string_pretty(schema).unwrap_or(text);
            write!(page, "<details><summary>Schema</summary><pre>{}</pre></details>", escape(&text))
        }
    };
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
