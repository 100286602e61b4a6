//! A directory as OpenLDAP and Active Directory export it.

use super::*;
use crate::convert::Note;
use keyreeve_identity::Patch;

const OPENLDAP: &str = "\
version: 1

dn: dc=example,dc=org
objectClass: dcObject
dc: example

dn: uid=ada,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
objectClass: posixAccount
uid: ada
cn: Ada Lovelace
givenName: Ada
sn:: TMO2dmVsYWNl
mail: ada@example.org
mail: countess@example.org
userPassword:: e1NTSEF9a2tIMWJGMkRZU0dMVHBIMnc3U2hkSGhpcW1GellXeDBjMkZzZEE9PQ==
employeeNumber: 17
jpegPhoto:< file:///etc/shadow
createTimestamp: 20200131235959Z

dn: cn=Bob Builder,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: Bob Builder
uid: bob
userPassword: {MD5}x
pwdReset: TRUE
nsAccountLock: true

dn: uid=carol,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: carol
userPassword: clear text

dn: cn=staff,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: staff
owner: uid=ada,ou=people,dc=example,dc=org
member: uid=ada,ou=people,dc=example,dc=org
member: CN=bob builder, OU=people, dc=example,dc=org
member: cn=admins,ou=groups,dc=example,dc=org
member: cn=nobody,dc=example,dc=org

dn: cn=admins,ou=groups,dc=example,dc=org
objectClass: groupOfUniqueNames
cn: admins
uniqueMember: uid=carol,ou=people,dc=example,dc=org#'0101'B

dn: cn=staff,ou=other,dc=example,dc=org
objectClass: posixGroup
cn: Staff
memberUid: ada
";

#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    notes: Vec<Note>,
}

impl Sink for Kept {
    fn record(&mut self, record: Record) -> io::Result<()> {
        let mut line = Vec::new();
        record.write(&mut line)?;
        self.lines.push(String::from_utf8(line).unwrap().trim().to_owned());
        Ok(())
    }

    fn note(&mut self, note: Note) -> io::Result<()> {
        self.notes.push(note);
        Ok(())
    }
}

fn converted(text: &str, mapping: &[&str]) -> Kept {
    let mut kept = Kept::default();
    let mapping = Mapping::parse(mapping.iter().copied()).unwrap();
    convert(|| Ok(text.as_bytes()), &mapping, &mut kept).unwrap();
    kept
}

#[test]
fn a_directory_becomes_users_groups_and_members() {
    let kept = converted(OPENLDAP, &["employeeNumber=attributes.number"]);
    assert_eq!(
        kept.lines,
        [
            r#"{"type":"user","username":"ada","email":"ada@example.org","given_name":"Ada","family_name":"Lövelace","display_name":"Ada Lovelace","attributes":{"number":["17"]},"enabled":true,"password_hash":"{SSHA}kkH1bF2DYSGLTpH2w7ShdHhiqmFzYWx0c2FsdA==","created_at":"2020-01-31T23:59:59.000000Z"}"#,
            r#"{"type":"user","username":"bob","display_name":"Bob Builder","enabled":false,"must_change_password":true}"#,
            r#"{"type":"user","username":"carol","enabled":true}"#,
            r#"{"type":"group","name":"staff"}"#,
            r#"{"type":"group","name":"admins"}"#,
            r#"{"type":"group","name":"cn=staff,ou=other,dc=example,dc=org"}"#,
            r#"{"type":"membership","group":"staff","member":{"user":"ada"},"kind":"OWNER"}"#,
            r#"{"type":"membership","group":"staff","member":{"user":"bob"},"kind":"MEMBER"}"#,
            r#"{"type":"membership","group":"staff","member":{"group":"admins"},"kind":"MEMBER"}"#,
            r#"{"type":"membership","group":"admins","member":{"user":"carol"},"kind":"MEMBER"}"#,
            r#"{"type":"membership","group":"cn=staff,ou=other,dc=example,dc=org","member":{"user":"ada"},"kind":"MEMBER"}"#,
        ]
    );
    let notes: Vec<_> =
        kept.notes.iter().map(|note| format!("{}: {} {}", note.about, note.what, note.detail)).collect();
    assert_eq!(
        notes,
        [
            "entry dc=example,dc=org: an entry that is neither user nor group ",
            "entry uid=ada,ou=people,dc=example,dc=org: a value that cannot be read refers to a file for jpegphoto, which is not read",
            "user ada: further addresses 1",
            "user bob: a password hash of a kind that is not known {MD5}",
            "user carol: a password in clear, or of no form that is known ",
            "group Staff: a name that another group has; it is called by its DN cn=staff,ou=other,dc=example,dc=org",
            "group staff: a member that is not in the file cn=nobody,dc=example,dc=org",
        ]
    );
}

#[test]
fn active_directory_accounts_are_users_and_computers_are_not() {
    let text = "dn: CN=Ada Lovelace,CN=Users,DC=corp\nobjectClass: top\nobjectClass: person\nobjectClass: user\nsAMAccountName: ada\nuserPrincipalName: ada@corp\nuserAccountControl: 514\npwdLastSet: 0\nwhenCreated: 20200131235959.0Z\n\ndn: CN=PC1,DC=corp\nobjectClass: user\nobjectClass: computer\nsAMAccountName: PC1$\n\ndn: CN=Admins,DC=corp\nobjectClass: group\ncn: Admins\nmember: CN=Ada Lovelace,CN=Users,DC=corp\n";
    let kept = converted(text, &["userPrincipalName=username"]);
    assert_eq!(
        kept.lines,
        [
            r#"{"type":"user","username":"ada@corp","enabled":false,"must_change_password":true,"created_at":"2020-01-31T23:59:59.000000Z"}"#,
            r#"{"type":"group","name":"Admins"}"#,
            r#"{"type":"membership","group":"Admins","member":{"user":"ada@corp"},"kind":"MEMBER"}"#,
        ]
    );
}

#[test]
fn no_note_shows_a_password() {
    let text = "dn: uid=a\nobjectClass: person\nuid: a\nuserPassword: planted-1\nuserPassword: {planted-2 and more of it}x\nuserPassword: {CLEARTEXT}planted-3\n";
    let kept = converted(text, &[]);
    assert_eq!(kept.notes.len(), 3);
    for note in &kept.notes {
        assert!(!note.detail.contains("planted"), "{note:?}");
    }
}

#[test]
fn a_mapping_that_is_none_is_refused() {
    for bad in ["cn", "cn=", "=username", "cn=password_hash", "cn=attributes."] {
        assert!(Mapping::parse([bad]).is_err(), "{bad}");
    }
    let kept = converted("dn: cn=x\nobjectClass: person\ncn: x\n", &["cn=username"]);
    assert!(kept.lines[0].contains(r#""username":"x""#));
    let _ = Patch::<String>::Keep;
}
