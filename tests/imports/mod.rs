//! Reads which file of `src/` uses which other one: `use` declarations and paths in the code, resolved to files.
//!
//! It knows only what this crate does: no macros that make imports, no `#[path]`. Everything under `#[cfg(test)]` is
//! marked, because tests may look at anything.

pub(crate) mod structs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Names from the crate's root down: `["proxy", "body"]`; the root itself is empty.
pub(crate) type ModulePath = Vec<String>;

/// A path that a file uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// As it is written, `crate`, `self` and `super` included.
    pub(crate) path: Vec<String>,
    /// Inline modules of the file around it.
    inside: Vec<String>,
    /// The name that a `use` brings in: the last one, `as` another one, or `*`. `None`: a path in the code.
    alias: Option<String>,
    /// Under `#[cfg(test)]`.
    pub(crate) test: bool,
    /// A `pub use`, in whatever form.
    public: bool,
}

/// One source file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Where it lies.
    pub(crate) file: PathBuf,
    /// Declared under `#[cfg(test)]`, itself or the file that declares it.
    pub(crate) test: bool,
    /// What it uses.
    pub(crate) uses: Vec<Use>,
    /// `mod name;`, and whether under `#[cfg(test)]`.
    children: BTreeMap<String, bool>,
    /// Items it defines.
    defined: BTreeSet<String>,
    /// Identifiers outside of `use` declarations.
    words: BTreeSet<String>,
}

/// All source files by the path of their module.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) sources: BTreeMap<ModulePath, Source>,
}

impl Crate {
    /// Follows the `mod` declarations from `lib.rs` of the folder `src` on.
    pub(crate) fn read(src: &Path) -> Self {
        let mut found = Self::default();
        found.add(src.join("lib.rs"), src, Vec::new(), false);
        found
    }

    /// Adds the source `file`, whose children lie in `folder`.
    fn add(&mut self, file: PathBuf, folder: &Path, module: ModulePath, test: bool) {
        let mut source = Source::read(&fs::read_to_string(&file).expect("UTF-8"));
        (source.file, source.test) = (file, test);
        for (name, only_in_tests) in &source.children {
            let child = folder.join(name);
            let own = [folder.join(format!("{name}.rs")), child.join("mod.rs")];
            let file = own.into_iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("no file of `{name}`"));
            let module = module.iter().chain([name]).cloned().collect();
            self.add(file, &child, module, test || *only_in_tests);
        }
        self.sources.insert(module, source);
    }

    /// The top-level module that `used` in the file of `module` begins with; `None` for paths to elsewhere.
    pub(crate) fn top_level(module: &[String], used: &Use) -> Option<String> {
        absolute(module, used)?.into_iter().next()
    }

    /// Modules that each module needs: what its own code uses, without what it only re-exports, and without tests.
    pub(crate) fn needs(&self) -> BTreeMap<&ModulePath, BTreeSet<ModulePath>> {
        let needs = |module: &ModulePath, source: &Source| {
            let counts = |used: &&Use| !used.test && !source.only_re_exports(used);
            let mut all: BTreeSet<_> =
                source.uses.iter().filter(counts).flat_map(|used| self.targets(module, used)).collect();
            all.remove(module);
            all
        };
        let of_code = self.sources.iter().filter(|(_, source)| !source.test);
        of_code.map(|(module, source)| (module, needs(module, source))).collect()
    }

    /// The modules that hold what `used` names: usually one; none when it is of another crate.
    fn targets(&self, module: &[String], used: &Use) -> BTreeSet<ModulePath> {
        let mut found = BTreeSet::new();
        if let Some(path) = self.absolute(module, used) {
            self.follow(&path, used.alias.as_deref() == Some("*"), 0, &mut found);
        }
        found
    }

    /// `used` from the root of the crate on; `None` for paths to other crates and to what a `use` brought in.
    fn absolute(&self, module: &[String], used: &Use) -> Option<ModulePath> {
        // `child::item`, without `self`.
        let of_child = || self.sources[module].children.contains_key(&used.path[0]);
        absolute(module, used).or_else(|| of_child().then(|| [module, &used.path].concat()))
    }

    /// Goes down `path` from the root, through re-exports, to the files that define its end. `glob`: all they re-export.
    fn follow(&self, path: &[String], glob: bool, depth: usize, found: &mut BTreeSet<ModulePath>) {
        assert!(depth < 20, "re-exports form a circle at {path:?}");
        let known = (0..=path.len()).rev().find(|length| self.sources.contains_key(&path[..*length]));
        let (module, rest) = path.split_at(known.unwrap_or(0));
        let source = &self.sources[module];
        let onward = |used: &Use, rest: &[String]| self.absolute(module, used).map(|path| [&path, rest].concat());
        let re_exports = |used: &&Use| used.alias.is_some() && !used.test;
        let name = match rest.first() {
            Some(name) => name,
            None if glob => {
                found.insert(module.to_vec());
                for used in source.uses.iter().filter(re_exports).filter(|used| used.public) {
                    if let Some(path) = onward(used, &[]) {
                        self.follow(&path, false, depth + 1, found);
                    }
                }
                return;
            }
            None => {
                found.insert(module.to_vec());
                return;
            }
        };
        if source.defined.contains(name) {
            found.insert(module.to_vec());
            return;
        }
        for used in source.uses.iter().filter(re_exports) {
            let onward = match used.alias.as_deref() {
                Some("*") => onward(used, rest).filter(|path| self.defines(path)),
                Some(alias) if alias == name => onward(used, &rest[1..]),
                _ => None,
            };
            if let Some(path) = onward {
                return self.follow(&path, glob, depth + 1, found);
            }
        }
        found.insert(module.to_vec());
    }

    /// Whether the file that `path` leads to defines the next name of it.
    fn defines(&self, path: &[String]) -> bool {
        let known = (0..path.len()).rev().find_map(|length| Some((length, self.sources.get(&path[..length])?)));
        known.is_some_and(|(length, source)| source.defined.contains(&path[length]))
    }
}

/// `used` from the root of the crate on; `None` when it begins with neither `crate`, `self` nor `super`.
fn absolute(module: &[String], used: &Use) -> Option<ModulePath> {
    let mut base: ModulePath = module.iter().chain(&used.inside).cloned().collect();
    let relative = used.path.iter().take_while(|name| matches!(name.as_str(), "crate" | "self" | "super"));
    let count = relative
        .map(|name| match name.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        })
        .count();
    (count > 0).then(|| base.into_iter().chain(used.path[count..].iter().cloned()).collect())
}

impl Source {
    /// Reads the text of a file.
    pub(crate) fn read(text: &str) -> Self {
        let mut source = Self::default();
        let tokens = text.parse::<TokenStream>().unwrap_or_else(|error| panic!("{error}: {text}"));
        source.scan(tokens, &[], false, true);
        source
    }

    /// Whether `used` is only handed on to others: a `pub use` of a file with children whose own code does not say it.
    fn only_re_exports(&self, used: &Use) -> bool {
        used.public && !self.children.is_empty() && used.alias.as_ref().is_some_and(|alias| !self.words.contains(alias))
    }

    /// Reads what stands between two braces, or the whole file. `items`: it is a list of items.
    fn scan(&mut self, tokens: impl IntoIterator<Item = TokenTree>, inside: &[String], test: bool, items: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut at, mut public) = (0, false);
        while at < tokens.len() {
            let word = ident(&tokens[at..]);
            let rest = &tokens[at + 1..];
            match (&tokens[at], word.as_deref()) {
                (TokenTree::Punct(_), _) if is_test_attribute(&tokens[at..]) => {
                    let item = &tokens[at + 2..];
                    let length = item_length(item);
                    self.scan(item[..length].iter().cloned(), inside, true, items);
                    at += 1 + length;
                }
                (TokenTree::Group(group), _) => self.scan(group.stream(), inside, test, false),
                (_, Some("pub")) => {
                    public = true;
                    // `pub(in crate::a)` says who may look, and uses nothing.
                    at += usize::from(is_scope(rest));
                }
                (_, Some("use")) => {
                    let length = rest.iter().position(|token| is_punct(token, ';')).unwrap_or(rest.len());
                    let new = |path, alias| Use { path, inside: inside.to_vec(), alias: Some(alias), test, public };
                    let mut leaves = Vec::new();
                    use_tree(&rest[..length], &[], &mut leaves);
                    self.uses.extend(leaves.into_iter().map(|(path, alias)| new(path, alias)));
                    (at, public) = (at + length, false);
                }
                (_, Some("mod")) if items => match (ident(rest), rest.get(1)) {
                    (Some(name), Some(TokenTree::Group(body))) => {
                        let inside: Vec<String> = inside.iter().cloned().chain([name]).collect();
                        self.scan(body.stream(), &inside, test, true);
                        (at, public) = (at + 2, false);
                    }
                    (Some(name), _) => {
                        self.children.insert(name, test);
                        (at, public) = (at + 1, false);
                    }
                    _ => {}
                },
                (_, Some(word)) => {
                    if items
                        && DEFINES.contains(&word)
                        && let Some(name) = ident(rest)
                    {
                        self.defined.insert(name);
                    }
                    let path = path(&tokens[at..]);
                    at += (path.len() - 1) * 3;
                    public &= path.len() > 1;
                    if !test {
                        self.words.extend(path.iter().cloned());
                    }
                    if path.len() > 1 {
                        self.uses.push(Use { path, inside: inside.to_vec(), alias: None, test, public: false });
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// Words before the name of an item.
const DEFINES: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

fn ident(tokens: &[TokenTree]) -> Option<String> {
    match tokens.first() {
        Some(TokenTree::Ident(name)) => Some(name.to_string()),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// `(crate)`, `(super)`, `(in crate::a)` after a `pub`.
fn is_scope(tokens: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(group)) = tokens.first() else { return false };
    let words: Vec<TokenTree> = group.stream().into_iter().take(1).collect();
    ident(&words).is_some_and(|word| matches!(word.as_str(), "crate" | "super" | "self" | "in"))
}

fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(group), ..] = tokens else { return false };
    is_punct(hash, '#')
        && group.delimiter() == Delimiter::Bracket
        && group.to_string().replace(' ', "") == "[cfg(test)]"
}

/// Tokens up to the end of the first item, field or arm.
fn item_length(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';') || is_punct(token, ','),
    };
    tokens.iter().position(ends).map_or(tokens.len(), |at| at + 1)
}

/// The names of the path at the beginning: `a::b::c`.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut names: Vec<String> = ident(tokens).into_iter().collect();
    let mut rest = &tokens[1..];
    while let [first, second, after @ ..] = rest
        && is_punct(first, ':')
        && is_punct(second, ':')
        && let Some(name) = ident(after)
    {
        names.push(name);
        rest = &after[1..];
    }
    names
}

/// The paths of a `use` declaration and the names they bring in.
fn use_tree(tokens: &[TokenTree], prefix: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    for branch in tokens.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
        let mut names = prefix.to_vec();
        let mut alias = None;
        for (at, token) in branch.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                    use_tree(&tokens, &names, leaves);
                    alias = Some(None);
                }
                token if is_punct(token, '*') => alias = Some(Some("*".to_owned())),
                TokenTree::Ident(word) if word == "as" => {
                    alias = Some(ident(&branch[at + 1..]));
                    break;
                }
                TokenTree::Ident(word) => names.push(word.to_string()),
                _ => {}
            }
        }
        // `use super::log::{self, info}`
        if names.len() > 1 && names.last().is_some_and(|last| last == "self") {
            names.pop();
        }
        if let Some(alias) = alias.unwrap_or_else(|| names.last().cloned()) {
            leaves.push((names, alias));
        }
    }
}
