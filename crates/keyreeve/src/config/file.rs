//! The file: TOML, every error with its line and column. It is flat but for `[compat.NAME]`, the settings of a dialect: `tenant`
//! there is the setting `compat_NAME_tenant`.

use super::value::Given;
use super::{Problem, Source, settings};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file beyond this size is no configuration, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// A setting as the file gives it.
pub(super) struct Item {
    pub key: &'static str,
    pub value: Given,
    pub source: Source,
}

/// Reads the file: all its settings, or all that is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<Item>, Vec<Problem>> {
    let whole = |message: String| {
        let source = Source::File { path: path.to_path_buf(), line: 1, column: 1 };
        vec![Problem { source, key: None, message }]
    };
    let size = std::fs::metadata(path).map_err(|error| whole(format!("cannot be read: {error}")))?.len();
    if size > MAX_FILE_BYTES {
        return Err(whole(format!(
            "is {size} bytes long; a configuration file has at most {MAX_FILE_BYTES}"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Item>, Vec<Problem>> {
    let place = |span: Range<usize>| {
        let (line, column) = position(text, span.start);
        Source::File { path: path.to_path_buf(), line, column }
    };
    let table = DeTable::parse(text).map_err(|error| {
        let message = format!("is not valid TOML: {}", error.message().replace('\n', "; "));
        vec![Problem { source: place(error.span().unwrap_or_default()), key: None, message }]
    })?;
    let mut items = Vec::new();
    let mut problems = Vec::new();
    // Tables, each with the name that its keys have before them.
    let mut tables = vec![(String::new(), table.get_ref())];
    while let Some((before, table)) = tables.pop() {
        for (key, value) in table {
            let name = format!("{before}{}", key.get_ref());
            match (settings::Setting::find(&name), value.get_ref()) {
                (Some(setting), _) => {
                    items.push(Item { key: setting.key, value: given(value), source: place(value.span()) });
                }
                (None, DeValue::Table(inner)) if settings::is_table(&name) => {
                    tables.push((format!("{name}_"), inner));
                }
                (None, _) => problems.push(Problem {
                    source: place(key.span()),
                    message: settings::unknown(&name),
                    key: Some(name),
                }),
            }
        }
    }
    // The parser sorts by key; people read from the top.
    items.sort_by_key(|item| order(&item.source));
    problems.sort_by_key(|problem| order(&problem.source));
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

fn order(source: &Source) -> (usize, usize) {
    match source {
        Source::File { line, column, .. } => (*line, *column),
        Source::Default | Source::Environment(_) | Source::Flag(_) => (0, 0),
    }
}

fn given(value: &Spanned<DeValue<'_>>) -> Given {
    match value.get_ref() {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Boolean(value) => Given::Boolean(*value),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Given::Other("a huge number"), Given::Integer),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            match texts {
                Some(texts) => Given::List(texts),
                None => Given::Other("a list of other things than strings"),
            }
        }
        DeValue::Float(_) => Given::Other("a fraction"),
        DeValue::Datetime(_) => Given::Other("a date"),
        DeValue::Table(_) => Given::Other("a table"),
    }
}

/// Line and column of a byte, counted from 1; the column in characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match parse(Path::new("k.toml"), text) {
            Ok(_) => Vec::new(),
            Err(found) => found.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_column() {
        assert_eq!(
            problems("# comment\n\n  listn = \"127.0.0.1:1\"\n[hashing]\n"),
            [
                "k.toml:3:3: listn is not a setting; did you mean listen?",
                "k.toml:4:2: hashing is not a setting; `keyreeve config show` lists them all"
            ]
        );
        let found = problems("listen = \"127.0.0.1:1\nlog = 1");
        assert!(found[0].starts_with("k.toml:1:"), "{found:?}");
        assert!(problems("log = \"a\"\nlog = \"b\"")[0].starts_with("k.toml:2:1: "));
    }

    #[test]
    fn a_dialect_has_a_table_of_its_own() {
        let items = parse(Path::new("k.toml"), "[compat.imqs]\nenabled = true\ntenant = \"x\"\n").unwrap();
        let keys: Vec<_> = items.iter().map(|item| (item.key, item.source.to_string())).collect();
        assert_eq!(
            keys,
            [
                ("compat_imqs_enabled", "k.toml:2:11".to_owned()),
                ("compat_imqs_tenant", "k.toml:3:10".to_owned())
            ]
        );
        let found = problems("[compat.imqs]\nenabeld = true\n[compat.nothing]\nenabled = true\n");
        assert!(found[0].contains("did you mean compat_imqs_enabled?"), "{found:?}");
        assert!(found[1].starts_with("k.toml:3:9: compat_nothing is not a setting"), "{found:?}");
    }

    #[test]
    fn values_keep_their_types_and_places() {
        let items =
            parse(Path::new("k.toml"), "hash_iterations = 0x10\ntrusted_proxies = [\"::1\"]\n").unwrap();
        let iterations = items.iter().find(|item| item.key == "hash_iterations").unwrap();
        assert_eq!(iterations.value, Given::Integer(16));
        assert_eq!(iterations.source.to_string(), "k.toml:1:19");
        let proxies = items.iter().find(|item| item.key == "trusted_proxies").unwrap();
        assert_eq!(proxies.value, Given::List(vec!["::1".to_owned()]));
    }
}
