//! Documents of the native API as people read them.

use super::exit::{Output, printable, record, table};
use serde_json::{Value, json};

/// What is shown of a document: a heading, and a JSON Pointer (RFC 6901) into it.
pub type Fields = &'static [(&'static str, &'static str)];

/// A value in one cell: lists joined by commas, switches as words, nothing for what is absent.
#[must_use]
pub fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(switch) => Some(if *switch { "yes" } else { "no" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(cell).collect::<Vec<_>>().join(",")),
        Value::Object(members) if members.is_empty() => None,
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| cell(value).map(|value| format!("{name}={value}"));
            Some(members.iter().filter_map(member).collect::<Vec<_>>().join(" "))
        }
    }
}

fn at(document: &Value, pointer: &str) -> Option<String> {
    document.pointer(pointer).and_then(cell)
}

/// One document in one line, two spaces between its fields.
#[must_use]
pub fn line(document: &Value, fields: Fields) -> String {
    let cells = fields.iter().map(|(_, pointer)| at(document, pointer).unwrap_or_else(|| "-".to_owned()));
    printable(&cells.collect::<Vec<_>>().join("  "))
}

/// One document, a line for each field.
#[must_use]
pub fn one(document: Value, fields: Fields) -> Output {
    let lines: Vec<_> = fields.iter().map(|(name, pointer)| (*name, at(&document, pointer))).collect();
    Output::new(record(&lines), document)
}

/// A page of documents, a line for each, and the word behind which the list goes on; as JSON an object of both.
#[must_use]
pub fn page(items: Vec<Value>, next: Option<&str>, columns: Fields) -> Output {
    let mut output = many(items, columns);
    if let Some(next) = next {
        output.text.push_str(&format!("\n\nThere is more: --after {next}"));
    }
    output.json = json!({"items": output.json, "next": next});
    output
}

/// All documents of a short list, a line for each.
#[must_use]
pub fn many(items: Vec<Value>, columns: Fields) -> Output {
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let row = |item: &Value| {
        columns.iter().map(|(_, pointer)| at(item, pointer).unwrap_or_default()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    Output::new(table(&headings, &rows), Value::Array(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_lines() {
        let document = json!({"name": "Ada", "on": true, "tags": ["a", "b"], "more": {"x": ["1"], "y": null}, "no": null});
        let fields: Fields =
            &[("name", "/name"), ("on", "/on"), ("tags", "/tags"), ("more", "/more"), ("no", "/no")];
        assert_eq!(one(document.clone(), fields).text, "name  Ada\non    yes\ntags  a,b\nmore  x=1");
        let output = page(vec![document], Some("abc"), &[("NAME", "/name"), ("NO", "/no")]);
        assert_eq!(output.text, "NAME  NO\nAda\n\nThere is more: --after abc");
    }
}
