//! Between JSON and the values of JavaScript.
//!
//! JavaScript has one kind of number, of about 16 digits. Where a number of the payload has more, or is written in
//! a way that JavaScript would not write it, its digits are remembered, and a number that comes out with the same
//! value is written with them again. Whole numbers within 2^53 are written as JavaScript does, since a `1.00`
//! in a payload must not turn every 1 of the result into `1.00`.

use std::collections::BTreeMap;

use boa_engine::{
    Context, JsArgs, JsNativeError, JsResult, JsString, JsValue, NativeFunction,
    object::{JsObject, builtins::JsArray},
};
use hookwright_plugin::json::{Value, compare_numbers};

/// How the payload writes its numbers, by the bits that JavaScript has of them.
#[derive(Default)]
pub(crate) struct Digits(BTreeMap<u64, Option<String>>);

impl Digits {
    /// Two numbers that JavaScript cannot tell apart have no digits: it is not known which one comes out.
    fn note(&mut self, digits: &str, value: f64) {
        let plain = value.fract() == 0.0 && value.abs() <= SAFE;
        if plain || !value.is_finite() {
            return;
        }
        let known = self.0.entry(value.to_bits()).or_insert_with(|| Some(digits.to_owned()));
        if known.as_deref().is_some_and(|known| compare_numbers(known, digits).is_ne()) {
            *known = None;
        }
    }

    fn of(&self, value: f64) -> Option<&str> {
        self.0.get(&value.to_bits())?.as_deref()
    }
}

/// 2^53 - 1: whole numbers up to here are exact.
const SAFE: f64 = 9_007_199_254_740_991.0;

/// The value, and in `digits` how its numbers are written.
pub(crate) fn to_js(value: &Value<'_>, digits: &mut Digits, context: &mut Context) -> JsResult<JsValue> {
    Ok(match value {
        Value::Null => JsValue::null(),
        Value::Bool(truth) => JsValue::from(*truth),
        Value::Number(text) => number(text, digits),
        Value::String(text) => JsValue::from(JsString::from(text.decode().as_ref())),
        Value::Array(elements, _) => {
            let elements: JsResult<Vec<_>> =
                elements.iter().map(|element| to_js(element, digits, context)).collect();
            JsArray::from_iter(elements?, context).into()
        }
        Value::Object(members, _) => {
            let object = JsObject::with_object_proto(context.intrinsics());
            for (name, value) in members {
                let value = to_js(value, digits, context)?;
                set(&object, &name.decode(), value, context)?;
            }
            object.into()
        }
    })
}

/// Adds a member, whatever its name: `__proto__` is a name like any other here, as it is for `JSON.parse`.
pub(crate) fn set(object: &JsObject, name: &str, value: JsValue, context: &mut Context) -> JsResult<()> {
    object.create_data_property_or_throw(JsString::from(name), value, context)?;
    Ok(())
}

/// What `JSON.stringify` makes of a value: nothing of `undefined` and functions.
pub(crate) fn stringify(
    value: &JsValue,
    digits: Option<Digits>,
    context: &mut Context,
) -> JsResult<Option<String>> {
    let mut arguments = vec![value.clone()];
    if let Some(digits) = digits.filter(|digits| !digits.0.is_empty()) {
        context.insert_data(digits);
        let replacer = NativeFunction::from_fn_ptr(with_digits);
        arguments.push(replacer.to_js_function(context.realm()).into());
    }
    let text = call_json("stringify", &arguments, context)?;
    Ok(text.as_string().map(|text| text.to_std_string_lossy()))
}

/// A replacer for `JSON.stringify`.
fn with_digits(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let value = arguments.get_or_undefined(1);
    let digits = value
        .as_number()
        .and_then(|number| context.get_data::<Digits>()?.of(number))
        .map(|digits| JsValue::from(JsString::from(digits)));
    let Some(digits) = digits else {
        return Ok(value.clone());
    };
    call_json("rawJSON", &[digits], context)
}

/// Calls a function of the engine's own `JSON`, whatever the script made of the global one.
fn call_json(name: &str, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let json = JsValue::from(context.intrinsics().objects().json());
    let function = json.to_object(context)?.get(JsString::from(name), context)?;
    match function.as_callable() {
        Some(function) => function.call(&json, arguments, context),
        None => Err(JsNativeError::typ().with_message(format!("JSON.{name} is no function any more")).into()),
    }
}

fn number(text: &str, digits: &mut Digits) -> JsValue {
    if let Ok(small) = text.parse::<i32>()
        && text != "-0"
    {
        return JsValue::from(small);
    }
    // Every JSON number is one that Rust reads; what is too large becomes infinite, as in JavaScript.
    let value = text.parse::<f64>().unwrap_or(f64::NAN);
    digits.note(text, value);
    JsValue::from(value)
}
