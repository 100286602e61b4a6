//! Mappers: managing them, and what tokens say because of them.

use crate::house::{App, House, claims, house, robot, web_app};
use keyreeve_base::ClientId;
use keyreeve_identity::{Cause, MembershipKind, NewGroup, NewRole, Party, ProfilePatch};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::mappers::{GroupValue, Membership, Source, Target};
use keyreeve_tokens::{Error, Mapper, MapperSettings};
use serde_json::{Value, json};

async fn add(house: &House, client: Option<ClientId>, settings: MapperSettings) -> Mapper {
    let owner = (house.tenant.id, client);
    house.tokens.mappers().create(owner, settings, &Cause::operator()).await.expect("a mapper")
}

fn everywhere(mut settings: MapperSettings) -> MapperSettings {
    settings.targets = [Target::AccessToken, Target::IdToken, Target::Userinfo, Target::Introspection].into();
    settings
}

fn settings(name: &str, source: Source, claim: &str) -> MapperSettings {
    everywhere(MapperSettings::new(name, source, claim).expect("settings"))
}

/// What the four places say under a name.
struct Told {
    access: Value,
    id: Value,
    userinfo: Value,
    introspection: Value,
}

async fn told(house: &House, app: &App, name: &str) -> Told {
    let session = house.sign_in().await;
    let response = house.tokens_for(app, &session).await;
    let of = |token: &str| claims(token).get(name).cloned().unwrap_or_default();
    let token =
        house.tokens.verify_access(&house.tenant, &response.access_token).await.unwrap().expect("a token");
    let userinfo = house.tokens.userinfo(&token).await.unwrap().expect("claims");
    let asking = house.login(app).await;
    let introspection =
        house.tokens.introspect(&house.tenant, &asking, &response.access_token).await.unwrap();
    Told {
        access: of(&response.access_token),
        id: of(response.id_token.as_deref().expect("an ID token")),
        userinfo: userinfo.get(name).cloned().unwrap_or_default(),
        introspection: serde_json::to_value(&introspection).unwrap().get(name).cloned().unwrap_or_default(),
    }
}

#[track_caller]
fn everywhere_is(told: &Told, expected: &Value) {
    for (place, value) in [
        ("access token", &told.access),
        ("ID token", &told.id),
        ("userinfo", &told.userinfo),
        ("introspection", &told.introspection),
    ] {
        assert_eq!(value, expected, "{place}");
    }
}

async fn role(house: &House, name: &str, application: Option<ClientId>, party: Party) {
    let roles = house.identity.roles();
    let new = NewRole { name: name.into(), application, ..NewRole::default() };
    let role = roles.create(house.tenant.id, new, &Cause::operator()).await.expect("a role");
    roles.assign((house.tenant.id, role.id), party, &Cause::operator()).await.expect("an assignment");
}

on_both_engines! {
    /// Roles given to a nest of groups reach the token of who is in the innermost one.
    async fn roles_and_groups_are_told_through_the_nest(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let other = house.app("other", web_app()).await;
        let (tenant, operator, ada) = (house.tenant.id, Cause::operator(), Party::User(house.ada.id));
        let group = async |name: &str| {
            let new = NewGroup { name: name.into(), ..NewGroup::default() };
            house.identity.groups().create(tenant, new, &operator).await.expect("a group").id
        };
        let (staff, makers) = (group("Staff").await, group("Makers").await);
        let groups = house.identity.groups();
        groups.add((tenant, staff), Party::Group(makers), MembershipKind::Member, &operator).await.expect("a nest");
        groups.add((tenant, makers), ada, MembershipKind::Member, &operator).await.expect("a member");
        role(&house, "reader", None, Party::Group(staff)).await;
        role(&house, "author", None, ada).await;
        role(&house, "editor", Some(portal.client.id), Party::Group(makers)).await;
        role(&house, "painter", Some(other.client.id), ada).await;

        everywhere_is(&told(&house, &portal, "realm_access").await, &Value::Null);
        add(&house, None, settings("realm", Source::TenantRoles {}, "realm_access.roles")).await;
        add(&house, None, settings("own", Source::ClientRoles { client: None }, "roles")).await;
        let of_other = Source::ClientRoles { client: Some(other.client.id) };
        add(&house, Some(portal.client.id), settings("theirs", of_other, "roles")).await;
        let full = Source::Groups { membership: Membership::Full, value: GroupValue::Name };
        add(&house, None, settings("groups", full, "groups")).await;
        let direct = Source::Groups { membership: Membership::Direct, value: GroupValue::Id };
        add(&house, None, settings("direct", direct, "own_groups")).await;

        everywhere_is(&told(&house, &portal, "realm_access").await, &json!({"roles": ["author", "reader"]}));
        everywhere_is(&told(&house, &portal, "roles").await, &json!(["editor", "painter"]));
        everywhere_is(&told(&house, &portal, "groups").await, &json!(["Makers", "Staff"]));
        everywhere_is(&told(&house, &portal, "own_groups").await, &json!([makers.to_string()]));

        // What is told at userinfo and by introspection is of the moment.
        groups.remove((tenant, makers), ada, &operator).await.expect("a removal");
        everywhere_is(&told(&house, &portal, "realm_access").await, &json!({"roles": ["author"]}));
        everywhere_is(&told(&house, &portal, "groups").await, &Value::Null);
        house.check().await;
    }

    async fn attributes_are_told_where_and_when_the_mapper_says(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let patch = ProfilePatch {
            attributes: Some([("cost_centre".to_owned(), vec!["42".to_owned()])].into()),
            ..ProfilePatch::default()
        };
        let who = (house.tenant.id, house.ada.id);
        house.identity.users().update(who, patch, None, &Cause::operator()).await.expect("an update");
        let source = || Source::UserAttribute { attribute: "cost_centre".into() };
        let mut typed = settings("centre", source(), "org.cost_centre");
        typed.value_type = keyreeve_tokens::mappers::ValueType::Integer;
        typed.multivalued = false;
        typed.targets = [Target::IdToken].into();
        let mapper = add(&house, None, typed.clone()).await;
        let said = told(&house, &portal, "org").await;
        assert_eq!(said.id, json!({"cost_centre": 42}));
        assert_eq!((said.access, said.userinfo, said.introspection), (Value::Null, Value::Null, Value::Null));

        typed.scope = Some("phone".into());
        let mapper = house.tokens.mappers().update(&mapper, typed, &Cause::operator()).await.expect("an update");
        assert_eq!(mapper.version, 2);
        assert_eq!(told(&house, &portal, "org").await.id, Value::Null, "the scope was not granted");
    }

    async fn an_audience_is_added_for_clients_and_for_programs(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        let mut wanted = settings("api", Source::TenantRoles {}, "x");
        wanted.source = Source::Audience { audience: "https://api.example".into() };
        wanted.claim = None;
        wanted.targets = [Target::AccessToken].into();
        add(&house, Some(robot.client.id), wanted).await;
        let response = house.client_credentials(&robot, None).await.expect("a token");
        assert_eq!(claims(&response.access_token)["aud"], "https://api.example");
    }

    async fn mappers_are_managed_within_their_bounds(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let (tenant, operator) = (house.tenant.id, Cause::operator());
        let mappers = house.tokens.mappers();
        let constant = |name: &str| settings(name, Source::Constant { value: json!("x") }, "c");
        let (made, lines) = house.lines_of(add(&house, None, constant("one"))).await;
        assert_eq!(lines, ["mapper.create success"]);
        let taken = mappers.create((tenant, None), constant("one"), &operator).await;
        assert!(matches!(taken, Err(Error::Taken("name"))), "{taken:?}");
        add(&house, Some(portal.client.id), constant("one")).await;
        assert_eq!(mappers.list(tenant, None).await.unwrap(), std::slice::from_ref(&made));
        assert_eq!(mappers.get(tenant, made.id).await.unwrap(), made);

        let stranger = house.other.id;
        assert!(matches!(mappers.get(stranger, made.id).await, Err(Error::NotFound("mapper"))));
        let foreign = mappers.delete((stranger, made.id), None, &operator).await;
        assert!(matches!(foreign, Err(Error::NotFound("mapper"))), "{foreign:?}");
        let stale = mappers.delete((tenant, made.id), Some(2), &operator).await;
        assert!(matches!(stale, Err(Error::VersionConflict)), "{stale:?}");
        let foreign = mappers.create((stranger, Some(portal.client.id)), constant("two"), &operator).await;
        assert!(matches!(foreign, Err(Error::NotFound("client"))), "{foreign:?}");
        assert!(matches!(mappers.list(stranger, Some(portal.client.id)).await, Err(Error::NotFound("client"))));
        let theirs = settings("two", Source::ClientRoles { client: Some(portal.client.id) }, "c");
        let foreign = mappers.create((stranger, None), theirs, &operator).await;
        assert!(matches!(foreign, Err(Error::Invalid { field: "source.client", .. })), "{foreign:?}");

        mappers.update(&made, constant("uno"), &operator).await.expect("an update");
        let stale = mappers.update(&made, constant("un"), &operator).await;
        assert!(matches!(stale, Err(Error::VersionConflict)), "{stale:?}");
        for n in 1..50 {
            add(&house, None, constant(&format!("m{n}"))).await;
        }
        let full = mappers.create((tenant, None), constant("more"), &operator).await;
        assert!(matches!(full, Err(Error::Invalid { field: "mappers", .. })), "{full:?}");
        let (deleted, lines) = house.lines_of(mappers.delete((tenant, made.id), Some(2), &operator)).await;
        deleted.expect("a removal");
        assert_eq!(lines, ["mapper.delete success"]);
        assert!(matches!(mappers.update(&made, constant("x"), &operator).await, Err(Error::NotFound("mapper"))));
        house.tokens.clients().delete(tenant, portal.client.id, &operator).await.expect("a removal");
        house.check().await;
    }
}

/// Another node hears of a change.
#[test]
fn a_change_reaches_the_tokens_of_every_node() {
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Postgres).await;
        let portal = house.portal().await;
        let (_, there) = house.other_node().await;
        everywhere_is(&told(&house, &portal, "c").await, &Value::Null);
        let new = settings("one", Source::Constant { value: json!("x") }, "c");
        let owner = (house.tenant.id, None);
        there.mappers().create(owner, new, &Cause::operator()).await.expect("a mapper");
        // Within the second that a node may lag behind, at worst.
        let mut tries = 0;
        while told(&house, &portal, "c").await.access != json!(["x"]) {
            tries += 1;
            assert!(tries < 100, "the change never came");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
}
