//! A TOML text with settings laid over it, read key by key; every value remembers where it was written. Owns places,
//! types and unknown keys; must not know what any key means.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::spec::SourceError;
use crate::spec::setting::{self, Setting, nearest};

/// A parsed text and the settings laid over it.
pub(crate) struct Document {
    /// The file first, then each setting as a text of its own.
    sources: Vec<Source>,
    root: Node,
    /// Every dotted key a reader asked for: the keys that exist, places in lists as `0`.
    asked: RefCell<BTreeSet<String>>,
}

struct Source {
    origin: String,
    text: String,
}

/// Where something was written: a source and its bytes.
#[derive(Debug, Clone)]
struct Place {
    source: usize,
    span: Range<usize>,
}

#[derive(Debug)]
struct Node {
    place: Place,
    item: Item,
}

#[derive(Debug)]
enum Item {
    Table(BTreeMap<String, Entry>),
    Array(Vec<Node>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(String),
    Date,
}

#[derive(Debug)]
struct Entry {
    key: Place,
    node: Node,
}

impl Document {
    /// Parses `text`; `origin` is how errors name it.
    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self, SourceError> {
        let table = DeTable::parse(text).map_err(|error| {
            SourceError::new(origin, text, error.span().unwrap_or(0..0), error.message().to_owned())
        })?;
        let place = Place { source: 0, span: 0..0 };
        let sources = vec![Source { origin: origin.to_owned(), text: text.to_owned() }];
        let mut document =
            Self { sources, root: Node { place, item: Item::Date }, asked: RefCell::default() };
        document.root.item = document.table(table.into_inner())?;
        Ok(document)
    }

    /// Lays one setting over what is there.
    pub(crate) fn set(&mut self, setting: &Setting) -> Result<(), SourceError> {
        let source = self.sources.len();
        self.sources.push(Source { origin: setting::ORIGIN.to_owned(), text: setting.text() });
        let key_place = Place { source, span: 0..setting.key.len() };
        let value_place = Place { source, span: setting.key.len() + 1..setting.text().len() };
        let node = Node::from_value(&setting.value, &value_place);
        let segments: Vec<&str> = setting.key.split('.').collect();
        match self.root.insert(&segments, node, &key_place) {
            Ok(()) => Ok(()),
            Err(message) => Err(self.error(&key_place, message)),
        }
    }

    /// Takes a key out, where it is there.
    pub(crate) fn remove(&mut self, segments: &[&str]) {
        let Some((last, parents)) = segments.split_last() else { return };
        let mut node = &mut self.root;
        for segment in parents {
            let Item::Table(entries) = &mut node.item else { return };
            let Some(entry) = entries.get_mut(*segment) else { return };
            node = &mut entry.node;
        }
        if let Item::Table(entries) = &mut node.item {
            entries.remove(*last);
        }
    }

    /// The document as one TOML text, settings applied; comments and order are not kept.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(&self.root.value()).unwrap_or_default()
    }

    /// The whole document, to be read.
    pub(crate) fn root(&self) -> Section<'_> {
        Section { document: self, path: String::new(), node: Some(&self.root), known: BTreeSet::new() }
    }

    /// Every key asked for so far, dotted, places in lists as `0`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    fn error(&self, place: &Place, message: impl Into<String>) -> SourceError {
        let source = &self.sources[place.source];
        SourceError::new(&source.origin, &source.text, place.span.clone(), message)
    }

    fn table(&self, table: DeTable<'_>) -> Result<Item, SourceError> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let key_place = Place { source: 0, span: key.span() };
            let node = self.node(value)?;
            entries.insert(key.into_inner().into_owned(), Entry { key: key_place, node });
        }
        Ok(Item::Table(entries))
    }

    fn node(&self, value: toml::Spanned<DeValue<'_>>) -> Result<Node, SourceError> {
        let place = Place { source: 0, span: value.span() };
        let item = match value.into_inner() {
            DeValue::Table(table) => self.table(table)?,
            DeValue::Array(items) => {
                Item::Array(items.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Item::Integer)
                .map_err(|_| self.error(&place, "this number does not fit 64 bits"))?,
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map(Item::Float)
                .map_err(|_| self.error(&place, "this number cannot be read"))?,
            DeValue::Boolean(truth) => Item::Boolean(truth),
            DeValue::String(text) => Item::Text(text.into_owned()),
            DeValue::Datetime(_) => Item::Date,
        };
        Ok(Node { place, item })
    }
}

impl Node {
    fn from_value(value: &toml::Value, place: &Place) -> Self {
        let item = match value {
            toml::Value::Table(table) => Item::Table(
                table
                    .iter()
                    .map(|(key, value)| {
                        let node = Self::from_value(value, place);
                        (key.clone(), Entry { key: place.clone(), node })
                    })
                    .collect(),
            ),
            toml::Value::Array(items) => {
                Item::Array(items.iter().map(|item| Self::from_value(item, place)).collect())
            }
            toml::Value::Integer(number) => Item::Integer(*number),
            toml::Value::Float(number) => Item::Float(*number),
            toml::Value::Boolean(truth) => Item::Boolean(*truth),
            toml::Value::String(text) => Item::Text(text.clone()),
            toml::Value::Datetime(_) => Item::Date,
        };
        Self { place: place.clone(), item }
    }

    fn value(&self) -> toml::Value {
        match &self.item {
            Item::Table(entries) => {
                let each = entries.iter().map(|(key, entry)| (key.clone(), entry.node.value()));
                toml::Value::Table(each.collect())
            }
            Item::Array(items) => toml::Value::Array(items.iter().map(Node::value).collect()),
            Item::Integer(number) => toml::Value::Integer(*number),
            Item::Float(number) => toml::Value::Float(*number),
            Item::Boolean(truth) => toml::Value::Boolean(*truth),
            Item::Text(text) => toml::Value::String(text.clone()),
            // No key takes a date: readers have refused it.
            Item::Date => toml::Value::String(String::new()),
        }
    }

    /// Puts `value` at the dotted place `segments` below this node, making the tables on the way.
    fn insert(&mut self, segments: &[&str], value: Node, key: &Place) -> Result<(), String> {
        let Some((first, rest)) = segments.split_first() else {
            *self = value;
            return Ok(());
        };
        let kind = self.kind();
        match &mut self.item {
            Item::Table(entries) => {
                let entry = entries.entry((*first).to_owned()).or_insert_with(|| Entry {
                    key: key.clone(),
                    node: Node { place: key.clone(), item: Item::Table(BTreeMap::new()) },
                });
                entry.node.insert(rest, value, key)
            }
            Item::Array(items) => {
                let length = items.len();
                match first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    Some(item) => item.insert(rest, value, key),
                    None => Err(format!("`{first}` is not a place in this list of {length}, counted from 0")),
                }
            }
            _ => Err(format!("`{first}` has no place here: what it would be part of is {kind}")),
        }
    }

    fn kind(&self) -> &'static str {
        match self.item {
            Item::Table(_) => "a table",
            Item::Array(_) => "a list",
            Item::Integer(_) => "a whole number",
            Item::Float(_) => "a number with a fraction",
            Item::Boolean(_) => "true or false",
            Item::Text(_) => "a string",
            Item::Date => "a date",
        }
    }
}

/// One table of a document while it is read. What was never asked for is refused by [`Section::finish`].
pub(crate) struct Section<'d> {
    document: &'d Document,
    path: String,
    node: Option<&'d Node>,
    known: BTreeSet<&'static str>,
}

impl<'d> Section<'d> {
    /// The table `key`; an empty one where it was not written.
    pub(crate) fn section(&mut self, key: &'static str) -> Result<Section<'d>, SourceError> {
        self.known.insert(key);
        let node = self.entry(key).map(|entry| &entry.node);
        self.child(node, self.dotted(key))
    }

    /// The tables of this one, whose keys are numbers; the first has no number: it is what any of them may hold.
    pub(crate) fn numbered(&self) -> Result<Vec<(Option<u32>, Section<'d>)>, SourceError> {
        let mut tables = vec![(None, self.child(None, format!("{}.0", self.path))?)];
        if let Some(Node { item: Item::Table(entries), .. }) = self.node {
            for (key, entry) in entries {
                let number = key.parse::<u32>().map_err(|_| {
                    let message = format!("`{}.{key}`: a layer's number is expected here", self.path);
                    self.document.error(&entry.key, message).with_hint("layers are counted from 0")
                })?;
                tables.push((Some(number), self.child(Some(&entry.node), format!("{}.0", self.path))?));
            }
        }
        Ok(tables)
    }

    /// The list of tables `key`, in order; none where it was not written.
    pub(crate) fn sections(&mut self, key: &'static str) -> Result<Vec<Section<'d>>, SourceError> {
        self.known.insert(key);
        let path = self.dotted(key);
        match self.entry(key).map(|entry| &entry.node) {
            None => Ok(Vec::new()),
            Some(Node { item: Item::Array(items), .. }) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.child(Some(item), format!("{path}.{index}")))
                .collect(),
            Some(other) => Err(self.wrong_kind(key, other, "a list of tables")),
        }
    }

    /// A whole number in `range`; `reason` says in words why the range is what it is.
    pub(crate) fn integer<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        reason: &str,
    ) -> Result<Option<T>, SourceError> {
        match self.value(key) {
            None => Ok(None),
            Some(node) => self.whole_number(key, node, &range, reason).map(Some),
        }
    }

    /// One whole number or a list of two, as `kernel = 5` and `kernel = [5, 3]`.
    pub(crate) fn integer_or_pair<T: TryFrom<i64> + Copy>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        reason: &str,
    ) -> Result<Option<(T, T)>, SourceError> {
        match self.value(key) {
            None => Ok(None),
            Some(Node { item: Item::Array(items), .. }) if items.len() == 2 => Ok(Some((
                self.whole_number(key, &items[0], &range, reason)?,
                self.whole_number(key, &items[1], &range, reason)?,
            ))),
            Some(node @ Node { item: Item::Integer(_), .. }) => {
                self.whole_number(key, node, &range, reason).map(|number| Some((number, number)))
            }
            Some(other) => Err(self.wrong_kind(key, other, "a whole number or a list of two")),
        }
    }

    /// A number, whole or not.
    pub(crate) fn number(&mut self, key: &'static str) -> Result<Option<f64>, SourceError> {
        match self.value(key) {
            None => Ok(None),
            Some(Node { item: Item::Float(number), .. }) => Ok(Some(*number)),
            // Nothing read as a number here is large enough for its nearest float to differ.
            Some(node @ Node { item: Item::Integer(_), .. }) => {
                let bound = i64::from(i32::MAX);
                self.whole_number::<i32>(key, node, &(-bound..=bound), "it is read as a fraction")
                    .map(|number| Some(f64::from(number)))
            }
            Some(other) => Err(self.wrong_kind(key, other, "a number")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, SourceError> {
        match self.value(key) {
            None => Ok(None),
            Some(Node { item: Item::Boolean(truth), .. }) => Ok(Some(*truth)),
            Some(other) => Err(self.wrong_kind(key, other, "true or false")),
        }
    }

    /// A string.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<&'d str>, SourceError> {
        match self.value(key) {
            None => Ok(None),
            Some(Node { item: Item::Text(text), .. }) => Ok(Some(text)),
            Some(other) => Err(self.wrong_kind(key, other, "a string")),
        }
    }

    /// One of the named `options`.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        options: &[(&str, T)],
    ) -> Result<Option<T>, SourceError> {
        let Some(written) = self.text(key)? else { return Ok(None) };
        if let Some((_, chosen)) = options.iter().find(|(name, _)| *name == written) {
            return Ok(Some(*chosen));
        }
        let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
        let message = format!("`{}` cannot be `{written}`", self.dotted(key));
        Err(self.refuse(key, message).with_hint(suggestion(written, &names)))
    }

    /// Whether `key` is there as a list.
    pub(crate) fn is_list(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|entry| matches!(entry.node.item, Item::Array(_)))
    }

    /// Whether `key` is there as a table.
    pub(crate) fn is_table(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|entry| matches!(entry.node.item, Item::Table(_)))
    }

    /// The table `key` as if it were not written.
    pub(crate) fn absent(&self, key: &str) -> Result<Section<'d>, SourceError> {
        self.child(None, self.dotted(key))
    }

    /// The folder that a path written at `key` is relative to: the file's, or where the command runs.
    pub(crate) fn folder(&self, key: &str) -> PathBuf {
        let source = self.entry(key).map_or(0, |entry| entry.node.place.source);
        match &self.document.sources[source].origin {
            origin if origin == setting::ORIGIN => PathBuf::new(),
            origin => Path::new(origin).parent().map(Path::to_path_buf).unwrap_or_default(),
        }
    }

    /// Its dotted path; empty for the whole document.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether `key` was written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// An error at the value of `key`, or at this table where the key was not written.
    pub(crate) fn refuse(&self, key: &str, message: impl Into<String>) -> SourceError {
        let place = self.entry(key).map(|entry| match entry.node.item {
            Item::Table(_) => &entry.key,
            _ => &entry.node.place,
        });
        let place = place.or(self.node.map(|node| &node.place)).unwrap_or(&self.document.root.place);
        self.document.error(place, message)
    }

    /// Refuses the first key that was never asked for and names the nearest that was.
    pub(crate) fn finish(&self) -> Result<(), SourceError> {
        let Some(Node { item: Item::Table(entries), .. }) = self.node else { return Ok(()) };
        let unknown = entries
            .iter()
            .filter(|(key, _)| !self.known.contains(key.as_str()))
            .min_by_key(|(_, entry)| (entry.key.source, entry.key.span.start));
        let Some((key, entry)) = unknown else { return Ok(()) };
        let known: Vec<&str> = self.known.iter().copied().collect();
        let asked = self.document.asked.borrow();
        let elsewhere = asked.iter().find(|full| full.rsplit('.').next() == Some(key));
        let hint = match (nearest(key, known.iter().copied()), elsewhere) {
            (None, Some(full)) => format!("did you mean `{full}`?"),
            _ => suggestion(key, &known),
        };
        let within = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
        Err(self.document.error(&entry.key, format!("unknown key `{key}`{within}")).with_hint(hint))
    }

    fn child(&self, node: Option<&'d Node>, path: String) -> Result<Section<'d>, SourceError> {
        match node {
            None | Some(Node { item: Item::Table(_), .. }) => {
                Ok(Section { document: self.document, path, node, known: BTreeSet::new() })
            }
            Some(other) => {
                let message = format!("`{path}` is {}, not a table", other.kind());
                Err(self.document.error(&other.place, message))
            }
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'d Node> {
        self.known.insert(key);
        let dotted: Vec<String> = self.dotted(key).split('.').map(general).collect();
        self.document.asked.borrow_mut().insert(dotted.join("."));
        self.entry(key).map(|entry| &entry.node)
    }

    fn entry(&self, key: &str) -> Option<&'d Entry> {
        match self.node {
            Some(Node { item: Item::Table(entries), .. }) => entries.get(key),
            _ => None,
        }
    }

    /// The dotted path of a key.
    pub(crate) fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn whole_number<T: TryFrom<i64>>(
        &self,
        key: &str,
        node: &Node,
        range: &RangeInclusive<i64>,
        reason: &str,
    ) -> Result<T, SourceError> {
        let Item::Integer(number) = node.item else {
            return Err(self.wrong_kind(key, node, "a whole number"));
        };
        let fits = if range.contains(&number) { T::try_from(number).ok() } else { None };
        fits.ok_or_else(|| {
            let (least, greatest) = (range.start(), range.end());
            let message = format!("`{}` is {number}; it must be {least} to {greatest}", self.dotted(key));
            self.document.error(&node.place, message).with_hint(reason)
        })
    }

    fn wrong_kind(&self, key: &str, node: &Node, wanted: impl Display) -> SourceError {
        let message = format!("`{}` is {}; it must be {wanted}", self.dotted(key), node.kind());
        self.document.error(&node.place, message)
    }
}

/// A place in a list stands for any place in it.
pub(crate) fn general(segment: &str) -> String {
    if segment.parse::<usize>().is_ok() { "0".to_owned() } else { segment.to_owned() }
}

fn suggestion(written: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? there is: {all}"),
        None => format!("there is: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str, settings: &[&str]) -> Document {
        let mut document = Document::parse(text, "f.toml").expect("TOML");
        for setting in settings {
            document.set(&Setting::parse(setting).expect("a setting")).expect("a place for it");
        }
        document
    }

    #[test]
    fn a_text_that_is_no_toml_is_refused_at_its_place() {
        let error = Document::parse("a = 1\nb = = 2\n", "f.toml").err().expect("not TOML");
        assert_eq!((error.origin.as_str(), error.line), ("f.toml", 2));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name_and_its_place() {
        let document = document("[array]\ncolumns = 2\nrow = 3\n", &[]);
        let mut array = document.root().section("array").expect("a table");
        let _: Option<u32> = array.integer("rows", 1..=9, "").expect("absent");
        let _: Option<u32> = array.integer("columns", 1..=9, "").expect("2");
        let error = array.finish().expect_err("row is unknown");
        assert_eq!((error.line, error.column), (3, 1));
        assert_eq!(error.message, "unknown key `row` in `array`");
        assert!(error.hint.expect("a hint").contains("`rows`"));
    }

    #[test]
    fn a_setting_replaces_a_value_and_errors_point_at_the_command_line() {
        let document = document("[array]\nrows = 2\n", &["array.rows=77"]);
        let mut array = document.root().section("array").expect("a table");
        let error = array.integer::<u32>("rows", 1..=9, "because").expect_err("77 is too many");
        assert_eq!((error.origin.as_str(), error.line, error.column), ("--set", 1, 12));
        assert_eq!(error.hint.as_deref(), Some("because"));
    }

    #[test]
    fn a_setting_reaches_into_a_list() {
        let document = document("[[layer]]\nfc = 1\n[[layer]]\nfc = 2\n", &["layer.1.fc=7"]);
        let mut root = document.root();
        let fc = |layer: &mut Section<'_>| layer.integer::<u32>("fc", 1..=9, "").expect("a number");
        let found: Vec<_> = root.sections("layer").expect("two").iter_mut().map(fc).collect();
        assert_eq!(found, [Some(1), Some(7)]);
    }

    #[test]
    fn a_setting_beyond_a_list_or_below_a_number_is_refused() {
        let mut document = document("a = 1\n[[layer]]\nfc = 1\n", &[]);
        for text in ["layer.1.fc=7", "layer.x=1", "a.b=1"] {
            let setting = Setting::parse(text).expect("a setting");
            assert!(document.set(&setting).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_too_long_for_64_bits_is_refused() {
        assert!(Document::parse("a = 9223372036854775808", "f").is_err());
        assert!(Document::parse("a = 0x7fff_ffff", "f").is_ok());
    }

    #[test]
    fn a_value_of_another_kind_is_refused_by_name() {
        let document = document("[array]\nrows = 2.5\n", &[]);
        let mut array = document.root().section("array").expect("a table");
        let error = array.integer::<u32>("rows", 1..=9, "").expect_err("a fraction");
        assert_eq!(error.message, "`array.rows` is a number with a fraction; it must be a whole number");
    }
}
