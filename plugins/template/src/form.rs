//! `application/x-www-form-urlencoded`.

use hookwright_plugin::json::Value;

use crate::write::percent;

/// An object's members as fields: a list gives one for each element, `null` none, and an inner object is JSON.
pub(crate) fn encoded(value: &Value<'_>) -> Option<String> {
    let Value::Object(members, _) = value else {
        return None;
    };
    let mut out = String::new();
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::Array(elements, _) => {
                elements.iter().for_each(|element| field(&name.decode(), element, &mut out))
            }
            value => field(&name.decode(), value, &mut out),
        }
    }
    Some(out)
}

fn field(name: &str, value: &Value<'_>, out: &mut String) {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(&plus(name));
    out.push('=');
    out.push_str(&plus(&value.display()));
}

/// A space is a plus sign here.
fn plus(text: &str) -> String {
    percent(text).replace("%20", "+")
}
