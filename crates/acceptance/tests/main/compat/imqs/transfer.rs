//! Moving from the original: a database of its schema, read once.

use super::House;
use super::house::{ADMIN, says};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_acceptance::{Engine, Setup};
use keyreeve_store::Location;
use keyreeve_testkit::{Database, block_on};
use serde_json::json;

const SCHEMA: &str = "
CREATE TABLE authuserstore (userid BIGSERIAL PRIMARY KEY, email VARCHAR, username VARCHAR, firstname VARCHAR, lastname VARCHAR,
    mobile VARCHAR, phone VARCHAR, remarks VARCHAR, archived BOOLEAN, archive_date TIMESTAMP, authusertype SMALLINT,
    created TIMESTAMP, createdby BIGINT NOT NULL, modified TIMESTAMP, modifiedby BIGINT, externaluuid UUID, internaluuid UUID UNIQUE);
CREATE TABLE authuserpwd (userid BIGINT PRIMARY KEY, password VARCHAR, permit VARCHAR, pwdtoken VARCHAR, created TIMESTAMP,
    updated TIMESTAMP, accountlocked BOOLEAN);
CREATE TABLE authpwdarchive (id BIGSERIAL PRIMARY KEY, userid BIGINT, password VARCHAR, created TIMESTAMP);
CREATE TABLE authgroup (id SERIAL PRIMARY KEY, name VARCHAR UNIQUE, permlist VARCHAR);
CREATE TABLE authsession (id BIGSERIAL PRIMARY KEY, sessionkey VARCHAR UNIQUE, userid BIGINT, permit VARCHAR, expires TIMESTAMP,
    internaluuid UUID, oauthid VARCHAR);
CREATE TABLE authuserstats (user_id BIGINT PRIMARY KEY, enabled_date TIMESTAMP, disabled_date TIMESTAMP, last_login_date TIMESTAMP);
";

/// What authaus keeps of a password: a version, a salt, and scrypt with its parameters.
fn hash(password: &str) -> String {
    let salt = [5_u8; 32];
    let mut bytes = vec![1_u8];
    bytes.extend_from_slice(&salt);
    let mut hash = [0_u8; 32];
    scrypt::scrypt(password.as_bytes(), &salt, &scrypt::Params::new(8, 8, 1).unwrap(), &mut hash).unwrap();
    bytes.extend_from_slice(&hash);
    STANDARD.encode(bytes)
}

fn pack(numbers: &[u32]) -> String {
    STANDARD.encode(numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>())
}

const UUID: &str = "8cf6406a-6e43-402b-95eb-c0a47f8791cc";
const KEY: &str = "abcdefghijABCDEFGHIJ0123456789";

fn rows(now: i64) -> String {
    let (ann, boss) = (hash("ann's own"), hash("Boss1"));
    let (permit_ann, permit_boss) = (pack(&[3, 9]), pack(&[2, 3]));
    format!(
        "INSERT INTO authgroup (id, name, permlist) VALUES (1, 'PCS', ''), (2, 'admin', 'AAE='), (3, 'enabled', 'AAI='), \
         (9, 'Pump crew', 'AAMD5w=='), (10, 'broken', 'AA==');
         INSERT INTO authuserstore (userid, email, username, firstname, lastname, mobile, phone, remarks, archived, authusertype, createdby, modifiedby, internaluuid) VALUES \
         (3618, 'Ann@example.org', 'ann', 'Ann', 'Lee', '1', '2', 'night shift', false, 0, 0, 3620, '{UUID}'), \
         (3619, '', 'gone', '', '', '', '', '', true, 0, 0, 0, '0f0c1d9e-4a5b-4c3d-8e2f-112233445566'), \
         (3620, 'boss@example.org', 'boss', 'B', 'O', '', '', '', false, 0, 0, 0, NULL), \
         (3621, '', 'dir', '', '', '', '', '', NULL, 1, -2, -2, NULL), \
         (3622, 'locked@example.org', '', '', '', '', '', '', false, 0, 0, 0, NULL), \
         (3623, 'ann@example.org', '', '', '', '', '', '', false, 0, 0, 0, NULL);
         INSERT INTO authuserpwd (userid, password, permit, accountlocked) VALUES (3618, '{ann}', '{permit_ann}', false), \
         (3620, '{boss}', '{permit_boss}', NULL), (3622, '{boss}', '{permit_boss}', true), (4000, '{boss}', '', false);
         INSERT INTO authuserstats (user_id, last_login_date) VALUES (3618, '2024-02-03 04:05:06.5');
         INSERT INTO authsession (sessionkey, userid, permit, expires) VALUES \
         ('{KEY}', 3618, '', to_timestamp({}) AT TIME ZONE 'UTC'), ('{}', 3618, '', to_timestamp({}) AT TIME ZONE 'UTC');",
        now + 3_600,
        KEY.replace('a', "z"),
        now - 1
    )
}

fn import(engine: Engine) {
    block_on(async {
        let house = House::start(Setup::new(engine), "{}").await;
        let original = Database::postgres_migrated(&[]).await;
        let Location::Postgres(url) = original.location() else { panic!("a PostgreSQL database") };
        let source = keyreeve_store::foreign::connect(&url).await.unwrap();
        source.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        source.batch_execute(SCHEMA).await.unwrap();
        source.batch_execute(&rows(house.server.now().seconds())).await.unwrap();

        let done = house.imqs().import(&source).await.unwrap();
        assert_eq!(
            (done.groups, done.users, done.archived, done.passwords, done.sessions),
            (4, 5, 1, 3, 1),
            "{done:?}"
        );
        assert_eq!(done.left_out.len(), 2, "{done:?}");
        let left_out = done.left_out.join("\n");
        assert!(left_out.contains("broken") && left_out.contains("user 3623"), "{left_out}");

        // A session of the original goes on, with everything that hangs on it.
        let said = house.check(&format!("session={KEY}")).await.expect(200).json();
        assert_eq!((&said["UserId"], &said["Identity"]), (&json!(3618), &json!("Ann@example.org")));
        assert_eq!((&said["Roles"], &said["InternalUUID"]), (&json!(["2", "3", "999"]), &json!(UUID)));
        says(&house.check(&format!("session={}", KEY.replace('a', "z"))).await, 403, "Invalid session token");
        house.server.advance(3_601);
        house.check(&format!("session={KEY}")).await.check(403);

        // So does a password, whose weak hash the first sign-in replaces.
        let ann = ("ANN", "ann's own");
        says(&house.login(("ann", "Ann's own")).await, 401, "Invalid password");
        house.login(ann).await.check(200);
        house.login(ann).await.check(200);
        says(
            &house.login(("locked@example.org", "Boss1")).await,
            401,
            "Account locked. Please contact your administrator",
        );
        house.get(("boss", "Boss1"), "/userobjects").await.check(200);
        let ann = house.user_object(3618).await.unwrap();
        assert_eq!(
            (&ann["Surname"], &ann["Telephone"], &ann["Remarks"]),
            (&json!("Lee"), &json!("2"), &json!("night shift"))
        );
        assert_eq!((&ann["Groups"], &ann["ModifiedBy"]), (&json!(["enabled", "Pump crew"]), &json!("B O")));
        assert_eq!(house.user_object(3621).await.unwrap()["AuthUserType"], json!(1));
        let all = house.get(ADMIN, "/userobjects?archived=true").await.expect(200).json();
        let gone = all.as_array().unwrap().iter().find(|user| user["UserId"] == 3619).unwrap();
        assert_eq!((&gone["Archived"], &gone["Username"]), (&json!(true), &json!("gone")));
        // Numbers go on behind those of the original.
        house.put(ADMIN, "/create_user", &[("email", "next"), ("password", "x")]).await.check(200);
        assert!(house.user_object(3623).await.is_some());

        let again = house.imqs().import(&source).await.unwrap();
        assert_eq!((again.users, again.sessions), (0, 0), "{again:?}");
        drop(source);
        house.server.finish().await;
    });
}

#[test]
fn a_database_of_the_original_is_taken_over_sqlite() {
    import(Engine::Sqlite);
}

#[test]
fn a_database_of_the_original_is_taken_over_postgres() {
    import(Engine::Postgres);
}
