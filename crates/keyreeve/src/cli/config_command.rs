//! `keyreeve config …`

use super::exit::{Failure, Output, table};
use crate::config::{Config, ConfigError};
use serde_json::json;

/// Says that the configuration is right, or everything that is wrong with it.
pub(super) fn check(checked: Result<Config, ConfigError>) -> Result<Output, Failure> {
    let config = checked?;
    let unknown = config.unknown_environment();
    let mut text = match config.file() {
        Some(file) => format!("The configuration is right ({}).", file.display()),
        None => "The configuration is right.".to_owned(),
    };
    for name in unknown {
        text.push_str(&format!("\n{name} is set, but there is no such setting; it has no effect."));
    }
    Ok(Output::new(text, json!({"ok": true, "file": config.file(), "unknown_environment": unknown})))
}

/// Every setting, its value and its source.
pub(super) fn show(config: &Config) -> Output {
    let shown = config.shown();
    let rows: Vec<_> = shown
        .iter()
        .map(|line| {
            vec![
                line.key.to_owned(),
                line.value.clone().unwrap_or_else(|| "-".to_owned()),
                line.source.clone(),
            ]
        })
        .collect();
    Output::new(table(&["SETTING", "VALUE", "FROM"], &rows), json!(shown))
}
