//! A page as a browser reads it: its elements and texts, each with the elements around it.

use html5ever::tendril::TendrilSink;
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::collections::BTreeMap;

/// An element.
#[derive(Clone, Debug)]
pub struct Element {
    pub tag: String,
    pub attributes: BTreeMap<String, String>,
    /// The texts inside, joined.
    pub text: String,
    /// The indices in [`Page::elements`] of the elements around it, outermost first.
    pub ancestors: Vec<usize>,
}

impl Element {
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.contains_key(attribute)
    }
}

/// A parsed page.
#[derive(Default)]
pub struct Page {
    /// In the order of the document.
    pub elements: Vec<Element>,
    /// Each text that is more than white space, with the index of the element that holds it.
    pub texts: Vec<(usize, String)>,
}

impl Page {
    pub fn parse(html: &str) -> Self {
        let dom = html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default()).one(html);
        assert!(dom.errors.borrow().is_empty(), "not valid HTML: {:?}", dom.errors.borrow());
        let mut page = Self::default();
        page.walk(&dom.document, &[]);
        page
    }

    fn walk(&mut self, node: &Handle, ancestors: &[usize]) {
        let mut inside = ancestors.to_vec();
        match &node.data {
            NodeData::Element { name, attrs, .. } => {
                let attributes =
                    attrs.borrow().iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
                inside.push(self.elements.len());
                self.elements.push(Element {
                    tag: name.local.to_string(),
                    attributes,
                    text: String::new(),
                    ancestors: ancestors.to_vec(),
                });
            }
            NodeData::Text { contents } => {
                for &index in ancestors {
                    self.elements[index].text.push_str(&contents.borrow());
                }
                let (text, holder) = (contents.borrow().trim().to_owned(), ancestors.last().copied());
                if let (false, Some(holder)) = (text.is_empty(), holder) {
                    self.texts.push((holder, text));
                }
            }
            _ => {}
        }
        for child in node.children.borrow().iter() {
            self.walk(child, &inside);
        }
    }

    pub fn all<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |e| e.tag == tag)
    }

    pub fn with<'a>(&'a self, attribute: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |e| e.has(attribute))
    }

    pub fn by_id(&self, id: &str) -> Option<&Element> {
        self.with("id").find(|e| e.get("id") == Some(id))
    }

    /// The inputs of a form.
    pub fn inputs_in<'a>(&'a self, form: &'a Element) -> impl Iterator<Item = &'a Element> {
        let index = self.elements.iter().position(|e| std::ptr::eq(e, form));
        self.all("input").filter(move |input| index.is_some_and(|index| input.ancestors.contains(&index)))
    }

    /// Whether an element of this kind holds the element at `index`, or is it.
    pub fn within(&self, index: usize, tag: &str) -> bool {
        let element = &self.elements[index];
        element.tag == tag || element.ancestors.iter().any(|&a| self.elements[a].tag == tag)
    }
}
