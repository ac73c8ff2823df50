//! The law against import cycles between the files of one layer. A path is followed as far as it names modules, and
//! through the `use` of a module that hands a name on; a file may name what its own parent modules hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::{SourceFile, Tree, tokens};

/// Import cycles that are still there, each as its files below `src`, and what removes it. The list only shrinks.
const EXCEPTIONS: &[(&[&str], &str)] = &[];

/// A module: its path below `src`.
type Module<'a> = Vec<&'a str>;

/// The modules that each module imports, each with a place where it does.
type Imports<'a> = BTreeMap<Module<'a>, BTreeMap<Module<'a>, usize>>;

/// A path that a file names: where, and its segments.
type Named<'a> = (usize, Vec<&'a str>);

/// What the files of a repository name.
struct Names<'a> {
    files: BTreeMap<Module<'a>, &'a SourceFile>,
    /// The paths that each module names.
    paths: BTreeMap<Module<'a>, Vec<Named<'a>>>,
    /// The names that each module has from a `use`.
    used: BTreeMap<Module<'a>, BTreeMap<&'a str, Vec<&'a str>>>,
}

pub(super) fn cycles(tree: &Tree) -> Vec<String> {
    let names = Names::read(tree);
    let all = names.files.keys();
    let imports: Imports<'_> = all.map(|at| (at.clone(), names.imports(at))).collect();
    let mut violations = Vec::new();
    let mut covered = BTreeSet::new();
    let mut told = BTreeSet::new();
    for (at, file) in &names.files {
        let Some(cycle) = shortest_cycle(at, &imports) else {
            continue;
        };
        let files: Vec<String> = cycle.iter().map(|module| module.join("/")).collect();
        let is_excepted = |(excepted, _): &&(&[&str], &str)| {
            files.iter().all(|file| excepted.contains(&file.as_str()))
        };
        if let Some((excepted, _)) = EXCEPTIONS.iter().find(is_excepted) {
            covered.insert(*excepted);
            continue;
        }
        let mut set = files.clone();
        set.sort();
        if told.insert(set) {
            let next = cycle.get(1).unwrap_or(at);
            let offset = imports.get(at).and_then(|all| all.get(next)).copied();
            let what = format!("import cycle: {} → {}", files.join(" → "), at.join("/"));
            violations.push(file.at(offset.unwrap_or_default(), &what));
        }
    }
    let is_there = |file: &&str| {
        names
            .files
            .contains_key(&file.split('/').collect::<Module<'_>>())
    };
    for (excepted, _) in EXCEPTIONS {
        // A tree of a test has none of these files.
        if !covered.contains(*excepted) && excepted.iter().any(is_there) {
            let files = excepted.join(", ");
            violations.push(format!("an exception for no import cycle: {files}"));
        }
    }
    violations
}

/// The files of the shortest way that leads from `at` back to it, itself first.
fn shortest_cycle<'a>(at: &Module<'a>, imports: &Imports<'a>) -> Option<Vec<Module<'a>>> {
    let mut before: BTreeMap<Module<'a>, Module<'a>> = BTreeMap::new();
    let mut queue = VecDeque::from([at.clone()]);
    while let Some(here) = queue.pop_front() {
        for next in imports.get(&here).into_iter().flat_map(BTreeMap::keys) {
            if next == at {
                let mut cycle = vec![here];
                while let Some(last) = cycle.last().filter(|last| *last != at) {
                    let earlier = before[last].clone();
                    cycle.push(earlier);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if !before.contains_key(next) {
                before.insert(next.clone(), here.clone());
                queue.push_back(next.clone());
            }
        }
    }
    None
}

impl<'a> Names<'a> {
    fn read(tree: &'a Tree) -> Self {
        let mut names = Self {
            files: BTreeMap::new(),
            paths: BTreeMap::new(),
            used: BTreeMap::new(),
        };
        for file in &tree.files {
            let (mut paths, mut used) = (Vec::new(), BTreeMap::new());
            read_paths(&tokens(&file.code), &mut paths, &mut used);
            names.files.insert(file.module(), file);
            names.paths.insert(file.module(), paths);
            names.used.insert(file.module(), used);
        }
        names
    }

    /// The files of its own layer that a module imports, each with a place where it does; none of its parents.
    fn imports(&self, at: &Module<'a>) -> BTreeMap<Module<'a>, usize> {
        let mut imports = BTreeMap::new();
        for (offset, path) in &self.paths[at] {
            let found = self.resolve(at, path, 0);
            let is_import =
                |found: &Module<'a>| found.first() == at.first() && !at.starts_with(found);
            if let Some(found) = found.filter(is_import) {
                imports.entry(found).or_insert(*offset);
            }
        }
        imports
    }

    /// The module in whose file the item stands that `path` names in `at`.
    fn resolve(&self, at: &[&'a str], path: &[&'a str], depth: usize) -> Option<Module<'a>> {
        let (first, mut rest) = path.split_first()?;
        let mut found = match *first {
            "crate" | "hallpass" => Vec::new(),
            "self" => at.to_vec(),
            "super" => at.split_last()?.1.to_vec(),
            name => {
                let below = [at, &[name]].concat();
                if self.files.contains_key(&below) {
                    below
                } else {
                    let used = self.used.get(at)?.get(name)?;
                    let is_other = depth < 8 && used.first() != Some(&name);
                    let whole = [used.as_slice(), rest].concat();
                    return is_other.then(|| self.resolve(at, &whole, depth + 1))?;
                }
            }
        };
        while let Some((name, after)) = rest.split_first() {
            if *name == "super" {
                found.pop();
            } else if self
                .files
                .contains_key(&[found.as_slice(), &[*name]].concat())
            {
                found.push(name);
            } else {
                let used = self.used.get(&found).and_then(|used| used.get(name));
                let handed_on = used.filter(|_| found != at && depth < 8).and_then(|used| {
                    self.resolve(&found, &[used.as_slice(), after].concat(), depth + 1)
                });
                return Some(handed_on.unwrap_or(found));
            }
            rest = after;
        }
        Some(found)
    }
}

/// Reads all paths of more than one segment, and the names that `use` brings in.
fn read_paths<'a>(
    tokens: &[(usize, &'a str)],
    paths: &mut Vec<Named<'a>>,
    used: &mut BTreeMap<&'a str, Vec<&'a str>>,
) {
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].1 == "use" && tokens.get(at + 1).is_some_and(|next| next.1 != "<") {
            let end = tokens[at..].iter().position(|token| token.1 == ";");
            let end = end.map_or(tokens.len(), |end| at + end);
            read_use(&tokens[at + 1..end], &[], paths, used);
            at = end;
        } else {
            let (path, length) = read_path(&tokens[at..]);
            if path.len() > 1 {
                paths.push((tokens[at].0, path));
            }
            at += length.max(1);
        }
    }
}

/// The path that these tokens begin with, and how many of them it is.
fn read_path<'a>(tokens: &[(usize, &'a str)]) -> (Vec<&'a str>, usize) {
    let mut path = Vec::new();
    let mut length = 0;
    while let Some((_, name)) = tokens.get(length).filter(|token| is_name(token.1)) {
        path.push(*name);
        length += 1;
        match tokens.get(length..length + 3) {
            Some([(_, ":"), (_, ":"), (_, next)]) if is_name(next) => length += 2,
            _ => break,
        }
    }
    (path, length)
}

/// Reads one tree of a `use`, behind `before`.
fn read_use<'a>(
    tokens: &[(usize, &'a str)],
    before: &[&'a str],
    paths: &mut Vec<Named<'a>>,
    used: &mut BTreeMap<&'a str, Vec<&'a str>>,
) {
    let tokens = match tokens {
        [(_, ":"), (_, ":"), rest @ ..] => rest,
        tokens => tokens,
    };
    let (path, length) = read_path(tokens);
    let whole = [before, path.as_slice()].concat();
    match tokens.get(length..) {
        Some([(_, ":"), (_, ":"), (_, "{"), group @ .., (_, "}")]) => {
            for branch in split_group(group) {
                read_use(branch, &whole, paths, used);
            }
        }
        Some([(_, "{"), group @ .., (_, "}")]) if path.is_empty() => {
            for branch in split_group(group) {
                read_use(branch, before, paths, used);
            }
        }
        rest => {
            let Some((offset, _)) = tokens.first() else {
                return;
            };
            let named: Vec<&str> = match whole.split_last() {
                Some((&"self", module)) => module.to_vec(),
                _ => whole,
            };
            let alias = match rest {
                Some([(_, "as"), (_, alias), ..]) => Some(*alias),
                _ => named.last().copied(),
            };
            if let Some(alias) = alias {
                used.insert(alias, named.clone());
            }
            paths.push((*offset, named));
        }
    }
}

/// The branches of a group, between the commas that are in no group of their own.
fn split_group<'t, 'a>(group: &'t [(usize, &'a str)]) -> Vec<&'t [(usize, &'a str)]> {
    let mut depth = 0;
    let branches = group.split(|token| {
        match token.1 {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token.1 == ","
    });
    branches.filter(|branch| !branch.is_empty()).collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}
