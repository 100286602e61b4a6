//! A filter as the condition of a statement. Every condition is true or false, never NULL, so that NOT is its opposite.

use super::compose::{Bound, Column, Field, Link, MISSING, Params, unfit};
use crate::Error;
use crate::users::keys;
use keyreeve_filter::{Filter, Op, Value};
use uuid::Uuid;

/// Beyond this many bytes, the key of an attribute's value does not hold the value itself; see [`keys::of_value`].
const WHOLE_VALUE: usize = 252;
/// The longest beginning by which an attribute's value is found, in bytes.
const MAX_BEGINNING: usize = 200;

const TRUE: &str = "1 = 1";
const FALSE: &str = "1 = 0";

/// The condition that a filter is. As deep as the filter, which its parser bounds.
pub(super) fn condition<F: Field>(filter: &Filter<F>, params: &mut Params) -> Result<String, Error> {
    Ok(match filter {
        Filter::And(parts) => joined(parts, " AND ", TRUE, params)?,
        Filter::Or(parts) => joined(parts, " OR ", FALSE, params)?,
        Filter::Not(inner) => format!("NOT ({})", condition(inner, params)?),
        // What is stored has no values with parts of their own.
        Filter::Within(_, inner) => condition(inner, params)?,
        Filter::Present(field) => present(&field.column(), params)?,
        Filter::Compare(field, op, value) => compare(field, *op, value, params)?,
    })
}

fn joined<F: Field>(
    parts: &[Filter<F>],
    word: &str,
    none: &str,
    params: &mut Params,
) -> Result<String, Error> {
    let parts = parts.iter().map(|part| condition(part, params)).collect::<Result<Vec<_>, _>>()?;
    Ok(if parts.is_empty() { none.to_owned() } else { format!("({})", parts.join(word)) })
}

fn present(column: &Column<'_>, params: &mut Params) -> Result<String, Error> {
    Ok(match column {
        Column::Id | Column::Flag(_) | Column::Time(..) => TRUE.to_owned(),
        Column::Key(key, _) => format!("r.{key} <> '{MISSING}'"),
        Column::Plain(column) | Column::Reference(column) => format!("r.{column} IS NOT NULL"),
        Column::Linked(links) => exists(links, ""),
        Column::Attribute(link, name) => {
            let name = attribute_name(name, params)?;
            exists(std::slice::from_ref(*link), &format!(" AND x.name = {name}"))
        }
    })
}

fn compare<F: Field>(field: &F, op: Op, value: &Value, params: &mut Params) -> Result<String, Error> {
    if matches!(value, Value::Text(text) if text.contains('\0')) {
        return Err(unfit(format!("compares {} with a text that contains U+0000", field.label())));
    }
    let column = field.column();
    match (op, value) {
        (Op::Eq, Value::Null) => return Ok(format!("NOT ({})", present(&column, params)?)),
        (Op::Ne, Value::Null) => return present(&column, params),
        (Op::Ne, value) => return Ok(format!("NOT ({})", compare(field, Op::Eq, value, params)?)),
        _ => {}
    }
    let unlike = |has: &str| {
        Err(unfit(format!("compares {} by {} with {value}; it is {has}", field.label(), op.text())))
    };
    match (column, value) {
        (Column::Key(column, _), Value::Text(text)) => Ok(key(column, op, &keys::of_text(text), params)),
        (Column::Plain(column), Value::Text(text)) => Ok(plain(column, op, text, params)),
        (Column::Attribute(link, name), Value::Text(text)) => attribute(link, name, (op, text), params),
        (Column::Flag(column), Value::Bool(flag)) if op == Op::Eq => {
            Ok(format!("r.{column} = {}", params.bind(Bound::Flag(*flag))))
        }
        (Column::Time(column, _), Value::Text(text)) => match (moment(text), symbol(op)) {
            (Some(at), Some(symbol)) => Ok(format!("r.{column} {symbol} {}", params.bind(Bound::Int(at)))),
            _ => unlike("a moment, as in \"2026-01-31T12:00:00Z\""),
        },
        (Column::Id, Value::Text(text)) if op == Op::Eq => {
            Ok(identifier(text, |id| format!("r.id = {}", params.bind(Bound::Uuid(id)))))
        }
        (Column::Reference(column), Value::Text(text)) if op == Op::Eq => Ok(identifier(text, |id| {
            format!("(r.{column} IS NOT NULL AND r.{column} = {})", params.bind(Bound::Uuid(id)))
        })),
        (Column::Linked(links), Value::Text(text)) if op == Op::Eq => Ok(identifier(text, |id| {
            let id = params.bind(Bound::Uuid(id));
            exists_keyed(links, &id)
        })),
        (Column::Key(..) | Column::Plain(_) | Column::Attribute(..), _) => unlike("a text"),
        (Column::Flag(_), _) => unlike("true or false"),
        (Column::Time(..), _) => unlike("a moment, as in \"2026-01-31T12:00:00Z\""),
        (Column::Id | Column::Reference(_) | Column::Linked(_), _) => {
            unlike("an identifier, which compares by eq and ne only")
        }
    }
}

/// A folded text against a key column.
fn key(column: &str, op: Op, folded: &str, params: &mut Params) -> String {
    match op {
        Op::Sw => range(&format!("r.{column}"), folded, params),
        Op::Co | Op::Ew => {
            format!(
                "(r.{column} <> '{MISSING}' AND r.{column} LIKE {} ESCAPE '\\')",
                pattern(op, folded, params)
            )
        }
        Op::Eq | Op::Ne | Op::Gt | Op::Ge | Op::Lt | Op::Le => {
            let symbol = symbol(op).unwrap_or("=");
            format!("(r.{column} {symbol} {} AND r.{column} <> '{MISSING}')", params.text(folded))
        }
    }
}

/// All keys that begin so: no key contains [`MISSING`], so that nothing lies between the last of them and the bound.
fn range(column: &str, folded: &str, params: &mut Params) -> String {
    let (from, below) = (params.text(folded), params.text(format!("{folded}{MISSING}")));
    format!("({column} >= {from} AND {column} < {below})")
}

/// A text as it was given, but for the case of ASCII's letters.
fn plain(column: &str, op: Op, text: &str, params: &mut Params) -> String {
    let text = text.to_ascii_lowercase();
    let test = match symbol(op) {
        Some(symbol) => format!("lower(r.{column}) {symbol} {}", params.text(text)),
        None => format!("lower(r.{column}) LIKE {} ESCAPE '\\'", pattern(op, &text, params)),
    };
    format!("(r.{column} IS NOT NULL AND {test})")
}

fn attribute(
    link: &'static Link,
    name: &str,
    (op, text): (Op, &str),
    params: &mut Params,
) -> Result<String, Error> {
    let name = attribute_name(name, params)?;
    let folded = keys::of_text(text);
    let key = format!("x.{}", link.key);
    let test = match op {
        Op::Eq | Op::Ne => format!("{key} = {}", params.text(keys::of_value(text))),
        Op::Sw | Op::Gt | Op::Ge | Op::Lt | Op::Le if folded.len() > MAX_BEGINNING => {
            return Err(unfit(format!(
                "compares an attribute by {} with a text of more than {MAX_BEGINNING} bytes",
                op.text()
            )));
        }
        Op::Sw => range(&key, &folded, params),
        Op::Co | Op::Ew => format!(
            "{key} LIKE {} ESCAPE '\\' AND octet_length({key}) <= {WHOLE_VALUE}",
            pattern(op, &folded, params)
        ),
        Op::Gt | Op::Ge | Op::Lt | Op::Le => {
            format!("{key} {} {}", symbol(op).unwrap_or("="), params.text(folded))
        }
    };
    Ok(exists(std::slice::from_ref(link), &format!(" AND x.name = {name} AND {test}")))
}

/// The parameter of an attribute's name.
pub(super) fn attribute_name(name: &str, params: &mut Params) -> Result<String, Error> {
    if name.contains('\0') {
        return Err(unfit("names an attribute with the character U+0000"));
    }
    Ok(params.text(name))
}

fn exists(links: &[Link], more: &str) -> String {
    let each = links.iter().map(|link| {
        let Link { table, id, .. } = link;
        format!("EXISTS (SELECT 1 FROM {table} x WHERE x.tenant_id = $1 AND x.{id} = r.id{more})")
    });
    format!("({})", each.collect::<Vec<_>>().join(" OR "))
}

fn exists_keyed(links: &[Link], value: &str) -> String {
    let each = links.iter().map(|link| {
        let Link { table, id, key } = link;
        format!(
            "EXISTS (SELECT 1 FROM {table} x WHERE x.tenant_id = $1 AND x.{key} = {value} AND x.{id} = r.id)"
        )
    });
    format!("({})", each.collect::<Vec<_>>().join(" OR "))
}

/// What is no identifier, nothing has.
fn identifier(text: &str, test: impl FnOnce(Uuid) -> String) -> String {
    Uuid::parse_str(text).map_or_else(|_| FALSE.to_owned(), test)
}

/// Microseconds since the epoch, of a moment as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

const fn symbol(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Eq => "=",
        Op::Ne => "<>",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Co | Op::Sw | Op::Ew => return None,
    })
}

/// The parameter that LIKE compares with. The text's own `%`, `_` and `\` stand for themselves (AC-56).
fn pattern(op: Op, text: &str, params: &mut Params) -> String {
    let mut pattern = String::with_capacity(text.len().saturating_add(2));
    if matches!(op, Op::Co | Op::Ew) {
        pattern.push('%');
    }
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    if matches!(op, Op::Co | Op::Sw) {
        pattern.push('%');
    }
    params.text(pattern)
}
