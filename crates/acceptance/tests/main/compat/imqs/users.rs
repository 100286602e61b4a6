//! Users: made, changed, renamed, archived.

use super::house::{ADMIN, ADMIN_DISABLED, JACK, JOE, basic, says};
use super::{House, on_imqs};
use serde_json::json;

const NOT_ADMIN: &str = "You are not an administrator";
const NEEDS: &str = "'rename_user' must be accompanied by HTTP BASIC authentication of the user that is being renamed (this \
    confirms that you know your own password). Alternatively, if you have admin rights, you can rename any user.";

async fn rename(house: &House, who: (&str, &str), old: &str, new: &str) -> keyreeve_acceptance::Answer {
    house.post(who, "/rename_user", &[("old", old), ("new", new)]).await
}

on_imqs! {
    async fn b08_a_cookie_alone_renames_nobody(house: &House) {
        let cookie = house.cookie(JOE).await;
        let call = house.call("POST", "/rename_user").query(&[("old", "joe"), ("new", "jack")]);
        let answer = call.header("cookie", &cookie).send().await;
        says(&answer, 403, &format!("{NEEDS} Error: No authorization information"));
        // With the password beside it, it does.
        let call = house.call("POST", "/rename_user").query(&[("old", "joe"), ("new", "sue")]);
        let answer = call.header("cookie", &cookie).header("authorization", &basic("joe", "JOE")).send().await;
        says(&answer, 200, "Renamed 'joe' to 'sue'");
        says(&house.check(&cookie).await, 403, "Invalid session token");
    }

    async fn b09_users_rename_themselves_by_their_password(house: &House) {
        says(&rename(house, JOE, "joe", "jack").await, 400, "Identity already exists");
        says(&rename(house, JOE, "joe", "jackusername").await, 400, "Identity already exists");
        says(&rename(house, JOE, "JOE", " joe").await, 200, "Renamed 'joe' to 'joe'");
        let other = format!("{NEEDS} Authenticated with 'jack', but tried to rename user 'joe'");
        says(&rename(house, JACK, "joe", "sarah").await, 403, &other);
        says(&rename(house, JOE, "nobody", "sarah").await, 400, "Identity 'nobody'' not found");
        says(&rename(house, JOE, "", "sarah").await, 400, "No 'old' identity given");
        says(&rename(house, JOE, "joe", "").await, 400, "No 'new' identity given");
        let only = "No rows were affected during update: Identity authorization not found";
        says(&rename(house, JOE, "joeusername", "sarah").await, 400, only);
        says(&rename(house, JOE, "joe", "sarah").await, 200, "Renamed 'joe' to 'sarah'");
        says(&house.login(JOE).await, 401, "Identity authorization not found");
        let said = house.login(("sarah", "JOE")).await.expect(200).json();
        assert_eq!((&said["UserId"], &said["Username"]), (&json!(1), &json!("joeUsername")));
    }

    async fn b10_an_administrator_renames_anyone(house: &House) {
        says(&rename(house, ADMIN, "joe", "jack").await, 400, "Identity already exists");
        says(&rename(house, ADMIN, "joe", "sarah").await, 200, "Renamed 'joe' to 'sarah'");
        says(&rename(house, ADMIN, "sarah", "Sarah@ABC.com").await, 200, "Renamed 'sarah' to 'sarah@abc.com'");
        house.login(("sarah@abc.com", "JOE")).await.check(200);
    }

    async fn b11_a_user_is_changed_as_a_whole(house: &House) {
        let update = async |who, more: &[(&str, &str)]| {
            let mut query = vec![("email", "joe@x.org"), ("firstname", "Joe"), ("lastname", "Doe"), ("mobilenumber", "1")];
            query.extend_from_slice(more);
            house.post(who, "/update_user", &query).await
        };
        says(&update(JOE, &[("userid", "1"), ("authusertype", "DEFAULT")]).await, 403, NOT_ADMIN);
        let none = update(ADMIN, &[("userid", "999"), ("authusertype", "DEFAULT")]).await;
        says(&none, 403, "Identity authorization not found");
        says(&update(ADMIN, &[("userid", "1"), ("authusertype", "DEFAULT")]).await, 200, "Updated user: '1'");
        let user = house.user_object(1).await.unwrap();
        assert_eq!((&user["Email"], &user["Name"], &user["Surname"]), (&json!("joe@x.org"), &json!("Joe"), &json!("Doe")));
        assert_eq!((&user["Username"], &user["AuthUserType"], &user["Mobile"]), (&json!(""), &json!(0), &json!("1")));
        assert_eq!(user["ModifiedBy"], json!(" "), "the administrator has no names");
        for (kind, number) in [("LDAP", 1), ("0", 0), ("1", 1)] {
            update(ADMIN, &[("userid", "1"), ("authusertype", kind), ("username", "joey")]).await.check(200);
            let user = house.user_object(1).await.unwrap();
            assert_eq!((&user["AuthUserType"], &user["Username"]), (&json!(number), &json!("joey")));
        }
        let wrong = update(ADMIN, &[("userid", "1"), ("authusertype", "InvalidAuthUserType")]).await;
        says(&wrong, 400, "Invalid AuthUserType: 'InvalidAuthUserType'");
        says(&update(ADMIN, &[("authusertype", "LDAP")]).await, 400, "No userid specified");
        let parse = "Invalid userid 'x': strconv.ParseInt: parsing \"x\": invalid syntax";
        says(&update(ADMIN, &[("userid", "x"), ("authusertype", "LDAP")]).await, 400, parse);
    }

    async fn b12_b30_who_is_archived_is_gone_from_everywhere(house: &House) {
        let archive = async |who, id: &str| house.post(who, "/archive_user", &[("userid", id)]).await;
        says(&archive(JOE, "1").await, 403, NOT_ADMIN);
        says(&archive(ADMIN, "999").await, 403, "Identity authorization not found");
        says(&archive(ADMIN, "").await, 403, "No userid specified");
        let cookie = house.cookie(JOE).await;
        says(&archive(ADMIN, "1").await, 200, "Archived user: '1'");
        says(&archive(ADMIN, "1").await, 403, "Identity authorization not found");
        says(&house.check(&cookie).await, 403, "Invalid session token");
        says(&house.login(JOE).await, 401, "Identity authorization not found");
        says(&house.login(("joeUsername", "JOE")).await, 401, "Identity authorization not found");
        assert_eq!(house.user_object(1).await, None);
        let all = house.get(ADMIN, "/userobjects?archived=true").await.expect(200).json();
        let joe = all.as_array().unwrap().iter().find(|user| user["UserId"] == 1).unwrap();
        assert_eq!((&joe["Archived"], &joe["Groups"]), (&json!(true), &json!([])));
        let with = house.get(ADMIN, "/userobjects?archived=true&permission=2").await.expect(200).json();
        assert!(with.as_array().unwrap().iter().any(|user| user["UserId"] == 1), "by the permit that was kept");
        for (path, status) in [("/update_user?authusertype=LDAP&email=a", 403), ("/unlock_user?", 403)] {
            house.post(ADMIN, &format!("{path}&userid=1"), &[]).await.check(status);
        }
        says(&rename(house, ADMIN, "joe", "sarah").await, 400, "Identity 'joe'' not found");
        // The names are free again.
        house.put(ADMIN, "/create_user", &[("email", "joe"), ("username", "joeUsername"), ("password", "x")]).await.check(200);
    }

    async fn b13_nobody_but_an_enabled_administrator_gets_as_far_as_parameters(house: &House) {
        for (method, path) in [("PUT", "/create_user"), ("POST", "/set_user_groups")] {
            says(&house.by(JOE, method, path).send().await, 403, NOT_ADMIN);
            says(&house.by(ADMIN_DISABLED, method, path).send().await, 403, "Account disabled");
        }
        says(&house.put(ADMIN, "/create_user", &[]).await, 403, "Identity may not be empty");
    }

    async fn b14_a_new_user_has_no_permit(house: &House) {
        let sam = [("email", "sam"), ("password", "SAM"), ("telephonenumber", "2"), ("remarks", "<new>")];
        says(&house.put(ADMIN, "/create_user", &sam).await, 200, "Created identity 'sam'");
        says(&house.get(("sam", "SAM"), "/check").await, 403, "Identity permit not found");
        says(&house.login(("sam", "SAM")).await, 401, "Identity permit not found");
        let all = house.get(JOE, "/users").await.expect(200).json();
        let sam = all.as_array().unwrap().iter().find(|user| user["Email"] == "sam").unwrap();
        assert_eq!(*sam, json!({"Email": "sam", "UserName": "", "Name": "", "Surname": "", "Groups": []}));
        let sam = house.user_object(5).await.unwrap();
        assert_eq!((&sam["Telephone"], &sam["Remarks"], &sam["Username"]), (&json!("2"), &json!("<new>"), &json!("")));
        // An empty permit is another thing than none.
        house.post(ADMIN, "/set_user_groups", &[("userid", "5"), ("groups", "")]).await.check(200);
        says(&house.login(("sam", "SAM")).await, 403, "Account disabled");
    }

    async fn b22_names_are_unique_in_every_spelling_and_across_both(house: &House) {
        let create = async |query: &[(&str, &str)]| house.put(ADMIN, "/create_user", query).await;
        let made = create(&[("email", "joe@email.test"), ("username", "joe2"), ("password", "x"), ("firstname", "J")]).await;
        says(&made, 200, "Created identity 'joe2'");
        for taken in ["JOE@email.test", "joe2", "JOE", "Joeusername"] {
            says(&create(&[("email", taken), ("password", "x")]).await, 403, "Identity already exists");
            says(&create(&[("username", taken), ("password", "x")]).await, 403, "Identity already exists");
        }
        house.post(ADMIN, "/set_user_groups", &[("userid", "5"), ("groups", "enabled")]).await.check(200);
        let said = house.login(("JOE@EMAIL.TEST", "x")).await.expect(200).json();
        assert_eq!(said["Identity"], json!("joe@email.test"));
        let update = [("userid", "1"), ("authusertype", "DEFAULT"), ("email", "joe@email.test")];
        says(&house.post(ADMIN, "/update_user", &update).await, 403, "Identity already exists");
        let uuid = "0f0c1d9e-4a5b-4c3d-8e2f-112233445566";
        create(&[("email", "u1"), ("password", "x"), ("uuid", uuid)]).await.check(200);
        assert_eq!(house.user_object(6).await.unwrap()["InternalUUID"], json!(uuid));
        says(&create(&[("email", "u2"), ("password", "x"), ("uuid", uuid)]).await, 403, "Identity already exists");
        assert!(house.user_object(7).await.is_none(), "nothing of it was made");
        says(&create(&[("email", "u2"), ("password", "x"), ("uuid", "x")]).await, 403, "Invalid uuid");
    }

    async fn b33_without_a_password_and_without_mail_it_is_said(house: &House) {
        let made = house.put(ADMIN, "/create_user", &[("email", "new@x.org")]).await;
        let text = "Created identity 'new@x.org'. However, failed to initiate password reset: No password for sending email\n";
        says(&made, 200, text);
    }

    async fn one_object_of_a_user(house: &House) {
        house.server.expect_failures();
        let get = async |query: &str| house.get(ADMIN, &format!("/userobject{query}")).await;
        let joe = get("?userid=1").await.expect(200).json();
        assert_eq!((&joe["Email"], &joe["Groups"]), (&json!("joe"), &json!(["enabled"])));
        assert_eq!(joe["LastLogin"], json!("0001-01-01T00:00:00Z"));
        assert_eq!(get("?identity=joeusername").await.expect(200).json(), joe);
        assert_eq!(get("?userid=1&identity=jack").await.expect(200).json(), joe);
        says(&get("").await, 400, "No parameter given");
        says(&get("?userid=x").await, 400, "Invalid parameter: x");
        get("?userid=999").await.check(404);
        get("?identity=nobody").await.check(404);
        house.put(ADMIN, "/create_user", &[("email", "sam"), ("password", "x")]).await.check(200);
        says(&get("?identity=sam").await, 500, "Identity permit not found");
    }

    async fn ac_72_permission_1_is_no_power_over_the_tenants_administrators(house: &House) {
        use keyreeve_identity::{Cause, Credential, NewUser, Profile};
        let boss = NewUser {
            profile: Profile { username: Some("boss".to_owned()), ..Profile::default() },
            credential: Credential::Password(keyreeve_crypto::Secret::from("a-long-sentence-of-mine".to_owned())),
            tenant_administrator: true,
            ..NewUser::default()
        };
        house.server.identity().users().create(house.mount.id(), boss, &Cause::operator()).await.unwrap();
        let all = house.get(ADMIN, "/userobjects").await.expect(200).json();
        let boss = all.as_array().unwrap().iter().find(|user| user["Username"] == "boss").unwrap();
        let id = boss["UserId"].to_string();
        for (path, more) in [
            ("/set_password", ("password", "mine-now")),
            ("/archive_user", ("x", "")),
            ("/unlock_user", ("x", "")),
            ("/set_user_groups", ("groups", "enabled")),
        ] {
            says(&house.post(ADMIN, path, &[("userid", &id), more]).await, 403, NOT_ADMIN);
        }
        let update = [("userid", id.as_str()), ("authusertype", "DEFAULT"), ("email", "b@x.org")];
        says(&house.post(ADMIN, "/update_user", &update).await, 403, NOT_ADMIN);
        says(&rename(house, ADMIN, "boss", "b@x.org").await, 403, NOT_ADMIN);
        // Nor is a group that gives a role of the server theirs to hand out.
        house.put(ADMIN, "/create_group", &[("groupname", "power")]).await.check(200);
        let (identity, tenant) = (house.server.identity(), house.mount.id());
        let group = identity.groups().find(tenant, "power").await.unwrap().unwrap().id;
        let role = identity.roles().tenant_admin(tenant).await.unwrap().id;
        identity.roles().assign((tenant, role), keyreeve_identity::Party::Group(group), &Cause::operator()).await.unwrap();
        let taken = house.post(ADMIN, "/set_user_groups", &[("userid", "3"), ("groups", "admin,enabled,power")]).await;
        says(&taken, 403, NOT_ADMIN);
    }
}
