//! Searches: of subjects, of resources, of actions.

use super::documents::{
    ActionSearchDoc, ActionsDoc, EntityDoc, FoundActionDoc, PageAnswerDoc, PageDoc, ResourceSearchDoc,
    ResourcesDoc, SubjectSearchDoc, SubjectsDoc,
};
use crate::call::Call;
use crate::paging::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::resources::PartyKind;
use keyreeve_identity::Party;
use keyreeve_sharing::{Check, Error, Freshness, OWNER, Page, Reach, ResourcesOf, SubjectsOf};
use std::str::FromStr;

/// What part of the results is asked for.
fn page<C: FromStr>(page: &PageDoc) -> Result<(Option<C>, u16), Refused> {
    let token = page.token.as_deref().filter(|token| !token.is_empty());
    let wrong = |_| Refused::of(INVALID_BODY).at("/page/token", "is not the `next_token` of a page");
    let after = token.map(C::from_str).transpose().map_err(wrong)?;
    let limit = match page.limit {
        None => DEFAULT_LIMIT,
        Some(0) => return Err(Refused::of(INVALID_BODY).at("/page/limit", "must be at least 1")),
        Some(limit) => u16::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT),
    };
    Ok((after, limit))
}

fn answered(next: Option<String>, count: usize) -> PageAnswerDoc {
    PageAnswerDoc { next_token: next.unwrap_or_default(), count }
}

/// What there is not has nobody and nothing.
fn found<T, C>(page: Result<Page<T, C>, Error>) -> Result<Page<T, C>, Refused> {
    match page {
        Err(Error::NotFound(_)) => Ok(Page { items: Vec::new(), next: None }),
        page => Ok(page?),
    }
}

/// Whether the resource that is named is there, and of the type that is named.
async fn is_of(call: &Call, resource: &super::documents::ResourceDoc) -> Result<bool, Refused> {
    match call.sharing().questions().type_of(call.authority(), &resource.id).await {
        Ok(of) => Ok(of.as_deref() == Some(resource.of.as_str())),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn subjects(call: Call) -> Result<Reply, Refused> {
    let doc: SubjectSearchDoc = call.body()?;
    let (after, limit) = page(&doc.page)?;
    let kind = PartyKind::of(&doc.subject.of).ok();
    let mut results = Vec::new();
    let mut next = None;
    if let (Some(kind), true) = (kind, is_of(&call, &doc.resource).await?) {
        let of = SubjectsOf {
            resource: doc.resource.id,
            permission: doc.action.name,
            reach: Reach::Effective,
            // Groups are found as such, and whoever is in them otherwise (section 8.4 recommends it).
            expand: kind != PartyKind::Group,
            exact: false,
            after,
            limit,
        };
        let questions = call.sharing().questions();
        let page = found(questions.subjects_of(call.authority(), &of, Freshness::Bounded).await)?;
        let wanted = |party: &Party| kind.party(party.uuid()) == *party;
        let items = page.items.into_iter().filter(wanted);
        results.extend(
            items.map(|party| EntityDoc { of: doc.subject.of.clone(), id: party.uuid().to_string() }),
        );
        next = page.next.map(|next| next.to_string());
    }
    let page = answered(next, results.len());
    Reply::ok(&SubjectsDoc { results, page })
}

pub(super) async fn resources(call: Call) -> Result<Reply, Refused> {
    let doc: ResourceSearchDoc = call.body()?;
    let (after, limit) = page(&doc.page)?;
    let mut results = Vec::new();
    let mut next = None;
    if let Some(subject) = doc.subject.party() {
        let of = ResourcesOf {
            subject,
            resource_type: doc.resource.of,
            permission: doc.action.name,
            after,
            limit,
        };
        let questions = call.sharing().questions();
        let page = found(questions.resources_of(call.authority(), &of, Freshness::Bounded).await)?;
        results.extend(page.items.into_iter().map(|one| EntityDoc { of: one.resource_type, id: one.id }));
        next = page.next.map(|next| next.to_string());
    }
    let page = answered(next, results.len());
    Reply::ok(&ResourcesDoc { results, page })
}

pub(super) async fn actions(call: Call) -> Result<Reply, Refused> {
    let doc: ActionSearchDoc = call.body()?;
    let (after, limit) = page::<String>(&doc.page)?;
    let mut names = Vec::new();
    if let (Some(subject), true) = (doc.subject.party(), is_of(&call, &doc.resource).await?) {
        names = allowed(&call, subject, (&doc.resource.of, &doc.resource.id)).await?;
    }
    // There are few: a page begins behind a name.
    names.retain(|name| after.as_ref().is_none_or(|after| name > after));
    let more = names.len() > usize::from(limit);
    names.truncate(usize::from(limit));
    let next = names.last().filter(|_| more).cloned();
    let results: Vec<_> = names.into_iter().map(|name| FoundActionDoc { name }).collect();
    let page = answered(next, results.len());
    Reply::ok(&ActionsDoc { results, page })
}

/// Everything that a subject may do to a resource, in order.
async fn allowed(call: &Call, subject: Party, (of, resource): (&str, &str)) -> Result<Vec<String>, Refused> {
    let permissions = call.sharing().permissions();
    let own = match permissions.list(call.authority(), Some(of)).await {
        Err(Error::NotFound(_)) => return Ok(Vec::new()),
        own => own?,
    };
    let common = permissions.list(call.authority(), None).await?;
    let declared = own.into_iter().chain(common).map(|permission| permission.id);
    let mut names: Vec<String> = declared.chain([OWNER.to_owned()]).collect();
    names.sort_unstable();
    let checks: Vec<Check> = names
        .iter()
        .map(|name| Check { subject, resource: resource.to_owned(), permission: name.clone() })
        .collect();
    let decisions =
        call.sharing().questions().check_many(call.authority(), &checks, Freshness::Bounded).await;
    let decisions = match decisions {
        Err(Error::NotFound(_)) => return Ok(Vec::new()),
        decisions => decisions?,
    };
    let both = names.into_iter().zip(decisions);
    Ok(both.filter(|(_, decision)| decision.is_allowed()).map(|(name, _)| name).collect())
}
