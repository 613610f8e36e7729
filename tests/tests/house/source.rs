//! The files of a crate, and which of them uses which: from their `use` items and the paths in their code.
//!
//! Read as text, not as a compiler would: names that a file re-exports are followed to the file that has them; code under
//! `#[cfg(test)]` at a file's end, and files that only tests have, are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A module's path in its crate, `drain::ledger`; empty for the crate's root.
pub(crate) type Module = Vec<String>;

/// A crate, read.
pub(crate) struct Source {
    files: BTreeMap<Module, File>,
}

struct File {
    /// Paths that are used, absolute within the crate.
    uses: BTreeSet<Vec<String>>,
    /// What `use` brings into the file's scope: name → absolute path.
    names: BTreeMap<String, Vec<String>>,
}

impl Source {
    /// Reads all files below the folder of a crate's `src`.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut texts = BTreeMap::new();
        collect(folder, &Vec::new(), &mut texts);
        let modules: BTreeSet<Module> = texts.keys().cloned().collect();
        let files = texts.iter().map(|(module, text)| (module.clone(), File::of(module, text, &modules)));
        Self { files: files.collect() }
    }

    /// Which file uses which others.
    pub(crate) fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let edges = self.files.iter().map(|(module, file)| {
            let used = file.uses.iter().filter_map(|path| self.home_of(path.clone(), 0));
            (module.clone(), used.filter(|used| used != module).collect())
        });
        edges.collect()
    }

    /// The file in which the thing at this path is.
    fn home_of(&self, path: Vec<String>, hops: usize) -> Option<Module> {
        let depth = (0..=path.len()).rev().find(|depth| self.files.contains_key(&path[..*depth]))?;
        let module = path[..depth].to_vec();
        let reexported = path.get(depth).and_then(|name| self.files[&module].names.get(name));
        match reexported {
            // Re-exports of re-exports end; a name that means itself does not.
            Some(target) if hops < 8 && target != &path[..=depth] => {
                let rest = path[depth + 1..].iter().cloned();
                self.home_of(target.iter().cloned().chain(rest).collect(), hops + 1)
            }
            _ => Some(module),
        }
    }
}

fn collect(folder: &Path, module: &Module, texts: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if matches!(&*name, "tests" | "fixtures") {
            continue;
        }
        let below: Module = module.iter().cloned().chain([name.clone()]).collect();
        if path.is_dir() {
            collect(&path, &below, texts);
        } else if path.extension().is_some_and(|it| it == "rs") && name != "main" {
            let module = if name == "lib" { module.clone() } else { below };
            texts.insert(module, code_of(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The text without comments, strings and the tests at its end.
fn code_of(text: &str) -> String {
    let text = text.find("#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end]);
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        // What is between quotes is no code; quotes within quotes are rare enough.
        code.extend(line.split('"').step_by(2));
        code.push('\n');
    }
    code
}

impl File {
    fn of(module: &Module, code: &str, modules: &BTreeSet<Module>) -> Self {
        let mut file = Self { uses: BTreeSet::new(), names: BTreeMap::new() };
        let absolute = |path: &[String]| absolute(module, path, modules);
        for (item, reexport) in use_items(code) {
            for (path, name) in leaves(&item) {
                let Some(path) = absolute(&path) else { continue };
                // A re-export says where something is; it uses nothing.
                if !reexport {
                    file.uses.insert(path.clone());
                }
                file.names.insert(name, path);
            }
        }
        for path in paths_in(&without_use_items(code)) {
            let known = path.first().and_then(|first| file.names.get(first));
            let path = match known {
                Some(known) => Some(known.iter().cloned().chain(path[1..].iter().cloned()).collect()),
                None => absolute(&path),
            };
            file.uses.extend(path);
        }
        file
    }
}

/// The `use` items without their keyword, each on one line, and whether they are public.
fn use_items(code: &str) -> Vec<(String, bool)> {
    let mut items = Vec::new();
    let mut lines = code.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some((visibility, begun)) = line.split_once("use ").filter(|(before, _)| is_visibility(before)) else {
            continue;
        };
        let mut item = begun.to_owned();
        while !item.contains(';') {
            let Some(line) = lines.next() else { break };
            item.push_str(line);
        }
        items.push((item.split(';').next().unwrap_or_default().to_owned(), !visibility.is_empty()));
    }
    items
}

fn is_visibility(text: &str) -> bool {
    matches!(text, "" | "pub " | "pub(crate) " | "pub(super) ")
}

/// The code without its `use` items.
fn without_use_items(code: &str) -> String {
    let mut rest = String::new();
    let mut inside = false;
    for line in code.lines() {
        inside |= line.trim().split_once("use ").is_some_and(|(before, _)| is_visibility(before));
        if !inside {
            rest.push_str(line);
            rest.push('\n');
        }
        inside &= !line.contains(';');
    }
    rest
}

/// The path from the crate's root, if it leads into this crate.
fn absolute(module: &Module, path: &[String], modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let base = match &**first {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => {
            let ups = path.iter().take_while(|it| *it == "super").count();
            let base = module[..module.len().checked_sub(ups)?].to_vec();
            return Some(base.into_iter().chain(path[ups..].iter().cloned()).collect());
        }
        // A child module by its bare name.
        name => {
            let child: Module = module.iter().cloned().chain([name.to_owned()]).collect();
            return modules.contains(&child).then(|| child.into_iter().chain(rest.iter().cloned()).collect());
        }
    };
    Some(base.into_iter().chain(rest.iter().cloned()).collect())
}

/// The leaves of a `use` tree: each path, and the name it has in the file.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let stem: Vec<String> = segments(&tree[..open]);
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let below = split_outside_braces(inner).into_iter().flat_map(leaves);
        return below.map(|(path, name)| (join_self(&stem, path), name_of(&stem, name))).collect();
    }
    if tree.is_empty() {
        return Vec::new();
    }
    let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
    let path = segments(path);
    let last = path.last().cloned().unwrap_or_default();
    vec![(path, name.map_or(last, str::to_owned))]
}

/// `a::{self}` is `a`.
fn join_self(stem: &[String], path: Vec<String>) -> Vec<String> {
    let path =
        if path.first().is_some_and(|first| first == "self") && !stem.is_empty() { path[1..].to_vec() } else { path };
    stem.iter().cloned().chain(path).collect()
}

fn name_of(stem: &[String], name: String) -> String {
    if name == "self" { stem.last().cloned().unwrap_or_default() } else { name }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::")
        .map(str::trim)
        .filter(|segment| !segment.is_empty() && *segment != "*")
        .map(str::to_owned)
        .collect()
}

fn split_outside_braces(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// All paths with `::` in the code.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = code.split(|letter| !is_path(letter)).filter(|word| word.contains("::"));
    words.map(segments).filter(|path| !path.is_empty()).collect()
}
