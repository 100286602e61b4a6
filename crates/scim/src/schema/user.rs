//! The schemas of users: the core (RFC 7643 section 4.1) and the enterprise extension (section 4.3).

use super::model::{Attribute, Kind, Schema};

pub(crate) const USER_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const ENTERPRISE_URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

const DISPLAY: Attribute = Attribute::text("display", "A name for people to read.");
const PRIMARY: Attribute =
    Attribute::new("primary", Kind::Boolean, "Whether this is the preferred value; at most one is.");
const PLACE: &[&str] = &["work", "home", "other"];

const fn label(canonical: &'static [&'static str]) -> Attribute {
    Attribute::text("type", "What the value is for.").canonical(canonical)
}

/// A multi-valued attribute with the sub-attributes of RFC 7643 section 2.4.
const fn several(name: &'static str, description: &'static str, sub: &'static [Attribute]) -> Attribute {
    Attribute::complex(name, description, sub).many()
}

pub(crate) static USER: Schema = Schema {
    id: USER_URN,
    name: "User",
    description: "User Account",
    attributes: &[
        Attribute::text("userName", "The name to sign in with; the e-mail address where there is no other.")
            .required()
            .unique(),
        Attribute::complex(
            "name",
            "The parts of the real name.",
            &[
                Attribute::text("formatted", "The whole name as it is to be shown."),
                Attribute::text("familyName", "Family name or names."),
                Attribute::text("givenName", "Given name or names."),
                Attribute::text("middleName", "Middle name or names."),
                Attribute::text("honorificPrefix", "Titles before the name."),
                Attribute::text("honorificSuffix", "What stands behind the name."),
            ],
        ),
        Attribute::text("displayName", "The name as it is shown to others."),
        Attribute::text("nickName", "The casual name."),
        Attribute::reference("profileUrl", "A page about the user.", &["external"]),
        Attribute::text("title", "The position, such as \"Vice President\"."),
        Attribute::text("userType", "How the user stands to the organization."),
        Attribute::text("preferredLanguage", "Preferred languages, as in Accept-Language."),
        Attribute::text("locale", "Language tag (BCP 47).").canonical(&["en-US", "en-GB", "de-DE"]),
        Attribute::text("timezone", "Time zone name of the IANA database.").canonical(&[
            "Etc/UTC",
            "Europe/Berlin",
            "America/Los_Angeles",
        ]),
        Attribute::new("active", Kind::Boolean, "Whether the account is in use."),
        Attribute::text("password", "A new password in the clear; never returned.").exact().write_only(),
        several(
            "emails",
            "E-mail addresses; the primary one is also a name to sign in with.",
            &[Attribute::text("value", "The address."), DISPLAY, label(PLACE), PRIMARY],
        ),
        several(
            "phoneNumbers",
            "Phone numbers.",
            &[
                Attribute::text("value", "The number, best in E.164 form or as a tel: URI."),
                DISPLAY,
                label(&["work", "home", "mobile", "fax", "pager", "other"]),
                PRIMARY,
            ],
        ),
        several(
            "ims",
            "Instant messaging addresses.",
            &[
                Attribute::text("value", "The address."),
                DISPLAY,
                label(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
                PRIMARY,
            ],
        ),
        several(
            "photos",
            "URLs of pictures.",
            &[
                Attribute::reference("value", "The URL.", &["external"]),
                DISPLAY,
                label(&["photo", "thumbnail"]),
                PRIMARY,
            ],
        ),
        several(
            "addresses",
            "Postal addresses.",
            &[
                Attribute::text("formatted", "The whole address, ready for a label."),
                Attribute::text("streetAddress", "Street, house number, post office box."),
                Attribute::text("locality", "City."),
                Attribute::text("region", "State or region."),
                Attribute::text("postalCode", "Postal code."),
                Attribute::text("country", "Country, as in ISO 3166-1 alpha-2."),
                label(PLACE),
                PRIMARY,
            ],
        ),
        several(
            "groups",
            "The groups that hold the user, directly or through nested ones.",
            &[
                Attribute::text("value", "The group's identifier.").exact().read_only(),
                Attribute::reference("$ref", "The group's URI.", &["Group"]).read_only(),
                Attribute::text("display", "The group's name.").read_only(),
                Attribute::text("type", "Whether the group holds the user itself.")
                    .canonical(&["direct", "indirect"])
                    .read_only(),
            ],
        )
        .read_only(),
        several(
            "entitlements",
            "What the user is entitled to, as the provisioning system says.",
            &[Attribute::text("value", "The entitlement."), DISPLAY, label(&[]), PRIMARY],
        ),
        several(
            "roles",
            "The tenant's roles that the user has, directly or through groups.",
            &[
                Attribute::text("value", "The role's name.").read_only(),
                Attribute::text("display", "The role's name.").read_only(),
                Attribute::text("type", "Not used.").read_only(),
                Attribute::new("primary", Kind::Boolean, "Not used.").read_only(),
            ],
        )
        .read_only(),
        several(
            "x509Certificates",
            "Certificates, for others to read: nobody signs in with them.",
            &[
                Attribute::new("value", Kind::Binary, "The certificate: DER, in base64."),
                DISPLAY,
                label(&[]),
                PRIMARY,
            ],
        ),
    ],
};

pub(crate) static ENTERPRISE: Schema = Schema {
    id: ENTERPRISE_URN,
    name: "EnterpriseUser",
    description: "Enterprise User",
    attributes: &[
        Attribute::text("employeeNumber", "The number that the organization gave the user."),
        Attribute::text("costCenter", "Cost center."),
        Attribute::text("organization", "Organization."),
        Attribute::text("division", "Division."),
        Attribute::text("department", "Department."),
        Attribute::complex(
            "manager",
            "The user's manager.",
            &[
                Attribute::text("value", "The identifier of the manager's User resource.").exact(),
                Attribute::reference("$ref", "The URI of the manager's User resource.", &["User"]),
                Attribute::text("displayName", "The manager's name.").read_only().on_request(),
            ],
        ),
    ],
};
