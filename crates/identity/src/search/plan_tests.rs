//! Statements mean something to both engines, and SQLite answers the short ones by the index that they were made for.

use super::super::cursor::{Cursor, Key};
use super::*;
use crate::{GroupField, RoleField, ServiceField, UserField};
use keyreeve_filter::parse;
use keyreeve_store::{ToParam, Tx};
use keyreeve_testkit::{Engine, TestStore, on_both_engines, store};

const WHO: &str = "0190f5a2-0000-7000-8000-000000000001";

const BETWEEN: &str = r#"created_at ge "2026-01-01T00:00:00Z" and created_at lt "2026-02-01T00:00:00Z" and created_at ge "1999-01-01T00:00:00Z""#;

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(7))
}

fn view(limited: bool) -> View {
    let me = Party::User(keyreeve_base::UserId::from_uuid(Uuid::from_u128(8)));
    View { tenant: tenant(), me: limited.then_some(me) }
}

fn of_user(text: &str) -> Filter<UserField> {
    let meaning = &mut |path: &keyreeve_filter::Path| {
        Ok::<_, String>(match path.name.as_str() {
            "id" => UserField::Id,
            "username" => UserField::Username,
            "email" => UserField::Email,
            "given_name" => UserField::GivenName,
            "family_name" => UserField::FamilyName,
            "display_name" => UserField::DisplayName,
            "phone_number" => UserField::PhoneNumber,
            "enabled" => UserField::Enabled,
            "created_at" => UserField::CreatedAt,
            "attributes" => UserField::Attribute(path.sub.clone().unwrap_or_default()),
            "group" => UserField::Group,
            "role" => UserField::Role,
            other => return Err(other.to_owned()),
        })
    };
    parse(text).unwrap().resolve(meaning).unwrap()
}

fn search(text: &str, sort: Option<UserField>) -> Search<UserField> {
    Search {
        filter: (!text.is_empty()).then(|| of_user(text)),
        sort: sort.map(|field| (field, Direction::Ascending)),
        ..Search::default()
    }
}

async fn tables(engine: Engine) -> TestStore {
    store(engine, &[keyreeve_audit::MIGRATIONS, crate::MIGRATIONS].concat()).await
}

async fn explain(test: &TestStore, statement: &Statement, params: Vec<Bound>) -> String {
    let statement = Statement::composed("explain", format!("EXPLAIN QUERY PLAN {}", statement.sql()));
    let steps = test.store.read(async move |tx: &mut Tx<'_>| {
        let params: Vec<_> = params.iter().map(ToParam::to_param).collect();
        tx.query_composed(&statement, &params, |row| row.get::<String>(3)).await
    });
    steps.await.unwrap().join("\n")
}

/// A cursor into the order of a search.
fn behind(search: &Search<UserField>) -> Search<UserField> {
    let driver = Driver::of(search, view(false));
    let (order, _) = ordering(search, &driver).unwrap();
    let key = match order.by {
        By::Id => Key::None,
        By::Text(_) => Key::Text("m".to_owned()),
        By::Time(_) => Key::Int(5),
    };
    let cursor = Cursor { order: order.order, descending: order.descending, key, id: Uuid::from_u128(9) };
    Search { page: Start::After(cursor), ..search.clone() }
}

#[tokio::test]
async fn short_searches_read_an_index_in_its_order() {
    let test = tables(Engine::Sqlite).await;
    use UserField as F;
    let group = format!(r#"group eq "{WHO}""#);
    let id = format!(r#"id eq "{WHO}""#);
    for (text, sort, index) in [
        ("", None, "user_account_tenant (tenant_id=?"),
        ("", Some(F::Username), "user_account_username (tenant_id=?"),
        ("", Some(F::Email), "user_account_email (tenant_id=?"),
        ("", Some(F::FamilyName), "user_account_family_name (tenant_id=?"),
        ("", Some(F::DisplayName), "user_account_display_name (tenant_id=?"),
        ("", Some(F::CreatedAt), "user_account_created (tenant_id=?"),
        (r#"username eq "a""#, None, "user_account_username (tenant_id=? AND username_key=?"),
        (r#"email eq "a""#, None, "user_account_email (tenant_id=? AND email_key=?"),
        (r#"family_name eq "a""#, None, "user_account_family_name (tenant_id=? AND family_name_key=?"),
        (r#"display_name eq "a""#, None, "user_account_display_name (tenant_id=? AND display_name_key=?"),
        (
            r#"username sw "a""#,
            None,
            "user_account_username (tenant_id=? AND username_key>? AND username_key<?",
        ),
        (r#"email sw "a""#, None, "user_account_email (tenant_id=? AND email_key>? AND email_key<?"),
        (
            r#"family_name sw "a""#,
            Some(F::FamilyName),
            "user_account_family_name (tenant_id=? AND family_name_key>?",
        ),
        (r#"display_name ge "a""#, None, "user_account_display_name (tenant_id=? AND display_name_key>?"),
        (BETWEEN, Some(F::CreatedAt), "user_account_created (tenant_id=? AND created_at>? AND created_at<?"),
        (
            r#"created_at gt "2026-01-01T00:00:00Z""#,
            None,
            "user_account_created (tenant_id=? AND created_at>?",
        ),
        (r#"attributes.team eq "a""#, None, "PRIMARY KEY (tenant_id=? AND name=? AND value_key=?"),
        (group.as_str(), None, "sqlite_autoindex_group_member_1 (group_id=?"),
        (id.as_str(), None, "sqlite_autoindex_user_account_1 (id=?"),
        (
            r#"username eq "a" and enabled eq true"#,
            None,
            "user_account_username (tenant_id=? AND username_key=?",
        ),
        (r#"username eq "a" or email eq "a""#, None, "user_account_email (tenant_id=? AND email_key=?"),
    ] {
        let first = search(text, sort);
        for search in [behind(&first), first] {
            let plan = page(&search, view(false)).unwrap();
            assert!(plan.short, "{text} {}", plan.statement.sql());
            let mut explained = explain(&test, &plan.statement, plan.params).await;
            if let By::Text(key) | By::Time(key) = plan.order.by {
                // Behind a cursor, the bound is that of a row.
                explained = explained.replace(&format!("({key},id)>(?,?)"), &format!("{key}>?"));
            }
            assert!(explained.contains(index), "{text}:\n{}\n{explained}", plan.statement.sql());
            let sorts = explained.contains("TEMP B-TREE FOR ORDER BY");
            // The union of what is unique is at most a few rows.
            assert!(!sorts || text.contains(" or "), "{text}:\n{}\n{explained}", plan.statement.sql());
            assert!(!explained.contains("SCAN r"), "{text}:\n{explained}");
        }
    }
}

#[test]
fn what_reads_more_than_its_page_runs_beside_the_requests() {
    for (text, sort) in [
        (r#"username co "a""#, None),
        (r#"username ew "a""#, None),
        (r#"username ne "a""#, None),
        (r#"username sw "a" and enabled eq true"#, None),
        (r#"username sw "a""#, Some(UserField::Email)),
        ("", Some(UserField::GivenName)),
        (r#"attributes.team eq "a" and enabled eq true"#, None),
        (r#"attributes.team eq "a""#, Some(UserField::Username)),
        (r#"attributes.team eq "a" or attributes.team eq "b""#, None),
        (r#"family_name eq "a""#, Some(UserField::Email)),
    ] {
        assert!(!page(&search(text, sort), view(false)).unwrap().short, "{text}");
    }
    let far = Search { page: Start::Offset(501), ..search("", None) };
    assert!(!page(&far, view(false)).unwrap().short);
    assert!(!page(&search("", None), view(true)).unwrap().short, "somebody's groups may hold anything");
    let archived = Search { include_archived: true, ..search("", Some(UserField::Email)) };
    assert!(!page(&archived, view(false)).unwrap().short);
}

#[test]
fn nothing_that_was_sent_stands_in_a_statement() {
    let evil = r#"evil%_\\' OR 1=1 --"#;
    for op in ["eq", "ne", "co", "sw", "ew", "gt", "le"] {
        for field in ["username", "phone_number", "attributes.evil"] {
            let search = search(&format!(r#"{field} {op} "{evil}" or group eq "{evil}""#), None);
            for limited in [false, true] {
                let plan = page(&search, view(limited)).unwrap();
                let (count, _) = count(&search, view(limited)).unwrap();
                assert!(
                    !plan.statement.sql().contains("evil") && !count.sql().contains("evil"),
                    "{field} {op}"
                );
            }
        }
    }
}

fn every_shape<F: Field + Clone>(fields: &[F]) -> Vec<Search<F>> {
    let values = [Value::Null, Value::Bool(true), Value::from("2026-01-01T00:00:00Z"), Value::from(WHO)];
    let ops = [Op::Eq, Op::Ne, Op::Co, Op::Sw, Op::Ew, Op::Gt, Op::Ge, Op::Lt, Op::Le];
    let mut filters = vec![None];
    for field in fields {
        filters.push(Some(Filter::Present(field.clone())));
        for (op, value) in ops.iter().flat_map(|op| values.iter().map(move |value| (op, value))) {
            filters.push(Some(Filter::Compare(field.clone(), *op, value.clone())));
        }
    }
    let sorts = fields.iter().map(|field| Some((field.clone(), Direction::Descending))).chain([None]);
    let sorts: Vec<_> = sorts.collect();
    let mut searches = Vec::new();
    for (index, filter) in filters.into_iter().enumerate() {
        // Each filter by itself, and with some order.
        for sort in [None, sorts[index % sorts.len()].clone()] {
            let page = if sort.is_some() { Start::Offset(7) } else { Start::First };
            searches.push(Search { filter: filter.clone(), sort, page, ..Search::default() });
        }
    }
    searches
}

async fn prepare<F: Field + Clone>(test: &TestStore, fields: &[F]) -> usize {
    let mut prepared = 0;
    for search in every_shape(fields) {
        for limited in [false, true] {
            // What makes no sense has no statement.
            let (Ok(page), Ok((count, params))) =
                (page(&search, view(limited)), count(&search, view(limited)))
            else {
                continue;
            };
            let statements = [Some((page.statement, page.params)), Some((count, params)), page.rest];
            for (statement, params) in statements.into_iter().flatten() {
                let text = statement.sql().to_owned();
                let run = test.store.read(async move |tx: &mut Tx<'_>| {
                    let params: Vec<_> = params.iter().map(ToParam::to_param).collect();
                    tx.query_composed(&statement, &params, |_| Ok(())).await
                });
                run.await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
                prepared += 1;
            }
        }
    }
    prepared
}

on_both_engines! {
    async fn every_shape_of_a_statement_runs(engine: Engine) {
        let test = tables(engine).await;
        use UserField as U;
        let users = [
            U::Id, U::Username, U::Email, U::EmailVerified, U::GivenName, U::FamilyName, U::DisplayName, U::PhoneNumber,
            U::Locale, U::Enabled, U::Locked, U::CreatedAt, U::UpdatedAt, U::Attribute("a".to_owned()), U::Group, U::Role,
        ];
        assert!(prepare(&test, &users).await > 500);
        use GroupField as G;
        let groups =
            [G::Id, G::Name, G::Description, G::CreatedAt, G::UpdatedAt, G::Attribute("a".to_owned()), G::Member];
        assert!(prepare(&test, &groups).await > 200);
        use RoleField as R;
        let roles = [R::Id, R::Name, R::Description, R::Application, R::Holder, R::CreatedAt, R::UpdatedAt];
        assert!(prepare(&test, &roles).await > 200);
        use ServiceField as S;
        let services = [S::Id, S::Name, S::Description, S::Enabled, S::Owner, S::Group, S::Role, S::CreatedAt, S::UpdatedAt];
        assert!(prepare(&test, &services).await > 200);
    }
}
