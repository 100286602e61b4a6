//! What a resource is, what a new one is made of, and what can be changed.

use crate::Error;
use crate::grants::PartyKind;
use crate::model::{Model, check_description, check_name, check_text};
use keyreeve_base::Timestamp;
use keyreeve_identity::{Party, Patch};
use keyreeve_store::Row;
use std::collections::BTreeMap;

/// The most searchable text that a resource has, in bytes.
pub const MAX_TEXT_BYTES: usize = 65_536;
/// The most metadata that a resource has, in bytes.
pub const MAX_METADATA_BYTES: usize = 65_536;
/// The most attributes that a resource has.
pub const MAX_ATTRIBUTES: usize = 64;
/// The longest name of an attribute, in bytes.
const MAX_ATTRIBUTE_NAME_BYTES: usize = 128;
/// The longest value of an attribute, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 4_096;

/// Something that permissions can be granted on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Resource {
    #[serde(skip)]
    pub(crate) key: i64,
    /// The identifier, unique in the tenant, as its maker chose it, or generated.
    pub id: String,
    /// The type.
    pub resource_type: String,
    /// Who owns it.
    pub owner: Party,
    /// What it lies below, of any type.
    pub parent: Option<String>,
    /// The name that people read.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// What else it can be found by.
    pub text: Option<String>,
    /// Whatever else its application keeps, by name.
    pub attributes: BTreeMap<String, String>,
    /// Bytes that mean nothing here.
    #[serde(skip)]
    pub metadata: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed; what is granted on it is no change.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes.
    pub version: i64,
}

/// What a new resource is made of.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewResource {
    /// The identifier; generated where there is none. To choose one takes authority over the tenant: an identifier that
    /// an application is going to use means something to it.
    #[serde(default)]
    pub id: Option<String>,
    /// The type.
    pub resource_type: String,
    /// Who owns it; whoever makes it, where nobody is named. To name another takes authority over the tenant.
    #[serde(default)]
    pub owner: Option<Party>,
    /// What it lies below.
    #[serde(default)]
    pub parent: Option<String>,
    /// The name.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub description: Option<String>,
    /// What else it can be found by.
    #[serde(default)]
    pub text: Option<String>,
    /// Whatever else.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Bytes; in JSON a text in base64url.
    #[serde(default, with = "crate::wire::bytes")]
    pub metadata: Option<Vec<u8>>,
}

/// What changes of a resource; what is left out stays. Its owner and its parent change by use cases of their own.
#[derive(Debug, Clone, Default)]
pub struct ResourcePatch {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none.
    pub description: Patch<String>,
    /// Another text, or none.
    pub text: Patch<String>,
    /// All of the attributes.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Other bytes, or none.
    pub metadata: Patch<Vec<u8>>,
}

impl NewResource {
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        check_description(self.description.as_deref())?;
        check_rest(self.text.as_deref(), &self.attributes, self.metadata.as_deref())
    }
}

impl ResourcePatch {
    /// Applies it; answers the names of the fields that it touches.
    pub(super) fn apply(&self, resource: &mut Resource) -> Result<Vec<&'static str>, Error> {
        let mut touched = Vec::new();
        if let Some(name) = &self.name {
            resource.name.clone_from(name);
            touched.push("name");
        }
        if let Some(attributes) = &self.attributes {
            resource.attributes.clone_from(attributes);
            touched.push("attributes");
        }
        for (field, applied) in [
            ("description", self.description.apply(&mut resource.description)),
            ("text", self.text.apply(&mut resource.text)),
            ("metadata", self.metadata.apply(&mut resource.metadata)),
        ] {
            if applied {
                touched.push(field);
            }
        }
        check_name(&resource.name)?;
        check_description(resource.description.as_deref())?;
        check_rest(resource.text.as_deref(), &resource.attributes, resource.metadata.as_deref())?;
        Ok(touched)
    }
}

fn check_rest(
    text: Option<&str>,
    attributes: &BTreeMap<String, String>,
    metadata: Option<&[u8]>,
) -> Result<(), Error> {
    text.map_or(Ok(()), |text| check_text("text", text, MAX_TEXT_BYTES))?;
    if metadata.is_some_and(|bytes| bytes.len() > MAX_METADATA_BYTES) {
        return Err(Error::invalid("metadata", format!("is longer than {MAX_METADATA_BYTES} bytes")));
    }
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(Error::invalid("attributes", format!("are more than {MAX_ATTRIBUTES}")));
    }
    for (name, value) in attributes {
        if name.is_empty() {
            return Err(Error::invalid("attributes", "have an empty name among them"));
        }
        check_text("attributes", name, MAX_ATTRIBUTE_NAME_BYTES)?;
        check_text("attributes", value, MAX_ATTRIBUTE_BYTES)?;
    }
    Ok(())
}

/// A resource as it is stored, its type by key.
#[derive(Debug, Clone)]
pub(crate) struct StoredResource {
    pub(crate) type_key: i64,
    pub(crate) resource: Resource,
}

impl StoredResource {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let attributes: Option<String> = row.get(13)?;
        let attributes = match attributes {
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                keyreeve_store::Error::corrupt(format!("a resource's attributes cannot be read: {error}"))
            })?,
            None => BTreeMap::new(),
        };
        let resource = Resource {
            key: row.get(0)?,
            id: row.get(1)?,
            resource_type: String::new(),
            owner: row.get::<PartyKind>(5)?.party(row.get(6)?),
            parent: row.get(4)?,
            created_at: row.get(7)?,
            updated_at: row.get(8)?,
            version: row.get(9)?,
            name: row.get(10)?,
            description: row.get(11)?,
            text: row.get(12)?,
            attributes,
            metadata: row.get(14)?,
        };
        Ok(Self { type_key: row.get(2)?, resource })
    }

    /// The resource, with the name of its type.
    pub(crate) fn typed(self, model: &Model) -> Resource {
        let resource_type = model.type_by_key(self.type_key).map(|entry| entry.of.id.clone());
        Resource { resource_type: resource_type.unwrap_or_default(), ..self.resource }
    }
}

/// Attributes as they are stored: no text for none, which most resources have.
pub(crate) fn attributes_text(
    attributes: &BTreeMap<String, String>,
) -> Result<Option<String>, keyreeve_store::Error> {
    if attributes.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(attributes);
    text.map(Some).map_err(|error| keyreeve_store::Error::internal(error.to_string()))
}
