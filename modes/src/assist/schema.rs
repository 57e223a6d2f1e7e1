//! JSON Schemas of arguments and answers, and what people read of them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The schema of what is taken in.
pub fn taken<T: JsonSchema>() -> Map<String, Value> {
    of::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// The schema of what is given out: what may be left out is not required.
pub fn given<T: JsonSchema>() -> Map<String, Value> {
    of::<T>(SchemaSettings::draft2020_12().for_serialize())
}

/// Everything is in place: several clients do not follow references.
fn of<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let mut schema = match settings.into_generator().into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    // The name of a structure and the notes on it are for who reads its code.
    schema.remove("title");
    schema.remove("description");
    schema
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Whole,
    Number,
    Flag,
    Texts,
    Numbers,
}

/// An argument, as its schema has it.
pub struct Argument {
    pub name: String,
    pub about: String,
    pub kind: Kind,
    pub required: bool,
}

/// The arguments of a tool, in the order of their declaration as far as the schema keeps it.
pub fn arguments(schema: &Map<String, Value>) -> Vec<Argument> {
    let required = |name: &str| {
        let all = schema.get("required").and_then(Value::as_array);
        all.is_some_and(|all| all.iter().any(|required| required == name))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let argument = |(name, property): (&String, &Value)| Argument {
        name: name.clone(),
        // Lines of comments are not lines of help.
        about: property["description"].as_str().unwrap_or_default().replace('\n', " "),
        kind: kind(property),
        required: required(name),
    };
    properties.into_iter().flatten().map(argument).collect()
}

fn kind(property: &Value) -> Kind {
    let is = |property: &Value, name: &str| match &property["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    match property {
        list if is(list, "array") && is(&list["items"], "number") => Kind::Numbers,
        list if is(list, "array") => Kind::Texts,
        whole if is(whole, "integer") => Kind::Whole,
        number if is(number, "number") => Kind::Number,
        flag if is(flag, "boolean") => Kind::Flag,
        _ => Kind::Text,
    }
}

/// The arguments in words: `query (text, required), limit (whole number)`.
pub fn takes(schema: &Map<String, Value>) -> String {
    let word = |argument: Argument| {
        let kind = match argument.kind {
            Kind::Text => "text",
            Kind::Whole => "whole number",
            Kind::Number => "number",
            Kind::Flag => "true or false",
            Kind::Texts => "list of texts",
            Kind::Numbers => "list of numbers",
        };
        let required = if argument.required { ", required" } else { "" };
        format!("{} ({kind}{required})", argument.name)
    };
    arguments(schema).into_iter().map(word).collect::<Vec<_>>().join(", ")
}

/// A list, for which a single text is good too: models give one where there is only one.
pub fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of texts is expected")]
    enum Given {
        None(()),
        One(String),
        More(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::None(()) => Vec::new(),
        Given::One(one) => vec![one],
        Given::More(more) => more,
    })
}
