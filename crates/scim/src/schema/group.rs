//! The schema of groups (RFC 7643 section 4.2).

use super::model::{Attribute, Schema};

pub(crate) const GROUP_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

pub(crate) static GROUP: Schema = Schema {
    id: GROUP_URN,
    name: "Group",
    description: "Group",
    attributes: &[
        Attribute::text("displayName", "The name.").required().unique(),
        Attribute::complex(
            "members",
            "The users and groups that the group holds itself.",
            &[
                Attribute::text("value", "The member's identifier.").exact().immutable(),
                Attribute::reference("$ref", "The member's URI.", &["User", "Group"]).immutable(),
                Attribute::text("type", "What the member is.").canonical(&["User", "Group"]).immutable(),
                Attribute::text("display", "The member's name.").read_only().on_request(),
            ],
        )
        .many(),
    ],
};
