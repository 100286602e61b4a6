//! A page as a browser reads it: its forms, its links, its texts.

use html5ever::tendril::TendrilSink as _;
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::collections::BTreeMap;

/// A form with what the browser would send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, as the page says it.
    pub action: String,
    /// `get` or `post`.
    pub method: String,
    /// Each input that has a name, with its value.
    pub fields: Vec<(String, String)>,
    /// Each button that has a name, with its value.
    pub buttons: Vec<(String, String)>,
    /// Whether the script of the page sends it by itself: the answer to a client.
    pub is_answer: bool,
}

impl Form {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// With another value in a field; a field that the form does not have is added, as a forger would.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) => value.clone_into(&mut field.1),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    /// With a button pressed, which the form has.
    ///
    /// # Panics
    /// When it has no such button.
    #[must_use]
    #[track_caller]
    pub fn press(self, name: &str, value: &str) -> Self {
        let has = self.buttons.iter().any(|(n, v)| n == name && v == value);
        assert!(has, "there is no button {name}={value} in {self:?}");
        self.with(name, value)
    }

    /// The fields as pairs of texts.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// A parsed page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The language that the page says it is in.
    pub lang: String,
    /// The title.
    pub title: String,
    /// The forms, in the order of the document.
    pub forms: Vec<Form>,
    /// Where its links lead.
    pub links: Vec<String>,
    /// The texts of the body, joined by spaces.
    pub text: String,
    /// The texts of elements that assistive technology speaks at once.
    pub alerts: Vec<String>,
    /// Each element: its name and its attributes.
    pub elements: Vec<(String, BTreeMap<String, String>)>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// When it is no valid HTML.
    #[track_caller]
    #[must_use]
    pub fn parse(html: &str) -> Self {
        let dom = html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default()).one(html);
        assert!(dom.errors.borrow().is_empty(), "not valid HTML: {:?}\n{html}", dom.errors.borrow());
        let mut page = Self::default();
        page.read(&dom.document);
        page
    }

    /// The form that goes to this path.
    ///
    /// # Panics
    /// When there is none, or there are several.
    #[track_caller]
    #[must_use]
    pub fn form(&self, action: &str) -> Form {
        let found: Vec<&Form> = self.forms.iter().filter(|form| form.action == action).collect();
        assert!(found.len() == 1, "{} forms go to {action}: {:?}", found.len(), self.forms);
        found[0].clone()
    }

    /// The form whose path ends so, if there is exactly one.
    #[must_use]
    pub fn form_ending(&self, end: &str) -> Option<Form> {
        let mut found = self.forms.iter().filter(|form| form.action.ends_with(end));
        found.next().filter(|_| found.next().is_none()).cloned()
    }

    fn read(&mut self, node: &Handle) {
        match &node.data {
            NodeData::Element { name, attrs, .. } => {
                let attributes: BTreeMap<String, String> =
                    attrs.borrow().iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
                self.element(&name.local, attributes, node);
            }
            NodeData::Text { contents } => {
                let text = contents.borrow();
                if !text.trim().is_empty() {
                    self.text.push_str(text.trim());
                    self.text.push(' ');
                }
            }
            _ => {}
        }
        for child in node.children.borrow().iter() {
            self.read(child);
        }
    }

    fn element(&mut self, tag: &str, attributes: BTreeMap<String, String>, node: &Handle) {
        let get = |name: &str| attributes.get(name).cloned();
        match tag {
            "html" => self.lang = get("lang").unwrap_or_default(),
            "title" => self.title = text_of(node),
            "a" => self.links.extend(get("href")),
            "form" => self.forms.push(Form {
                action: get("action").unwrap_or_default(),
                method: get("method").unwrap_or_else(|| "get".to_owned()),
                is_answer: attributes.contains_key("data-answer"),
                ..Form::default()
            }),
            "input" | "button" => {
                let field = get("name").map(|name| (name, get("value").unwrap_or_default()));
                if let (Some(form), Some(field)) = (self.forms.last_mut(), field) {
                    if tag == "input" { form.fields.push(field) } else { form.buttons.push(field) }
                }
            }
            _ => {}
        }
        if get("role").as_deref() == Some("alert") {
            self.alerts.push(text_of(node));
        }
        self.elements.push((tag.to_owned(), attributes));
    }
}

fn text_of(node: &Handle) -> String {
    let mut text = String::new();
    if let NodeData::Text { contents } = &node.data {
        text.push_str(&contents.borrow());
    }
    for child in node.children.borrow().iter() {
        text.push_str(&text_of(child));
    }
    text
}
