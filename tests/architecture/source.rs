//! Rust sources as text: read from disk, comments, texts and tests blanked out, paths picked out. It
//! knows as much of the language as the laws need, and no more.

use std::path::{Path, PathBuf};

/// The sources of a repository.
pub(super) struct Tree {
    /// The repository.
    pub(super) root: PathBuf,
    /// Every `.rs` file below `src`, ordered by path.
    pub(super) files: Vec<SourceFile>,
}

/// One file.
pub(super) struct SourceFile {
    /// Its path from the root of the repository, with `/`.
    pub(super) path: String,
    /// The text as it is.
    pub(super) text: String,
    /// The text with everything blanked out that is no code, or code of tests. Same lines.
    pub(super) code: String,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Self {
        let mut files = read_below(root, "src");
        let tests: Vec<String> = files.iter().flat_map(test_modules).collect();
        for file in &mut files {
            if tests.iter().any(|module| is_part_of(&file.path, module)) {
                file.code = blank(&file.code);
            } else {
                file.code = without_tests(&file.code);
            }
        }
        let root = root.into();
        Self { root, files }
    }
}

impl SourceFile {
    /// `path:line: what`, as compilers say it.
    pub(super) fn at(&self, offset: usize, what: &str) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }

    /// The parts of the path below `src`: folders, and the file's name without `.rs`; `mod` is left out.
    pub(super) fn module(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap();
        let path = path.strip_suffix(".rs").unwrap();
        path.split('/').filter(|part| *part != "mod").collect()
    }
}

/// Every `.rs` file below a folder of `root`, ordered by path, with comments and texts blanked out; none
/// if there is no such folder.
pub(super) fn read_below(root: &Path, folder: &str) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = without_comments(&text);
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().into();
                files.push(SourceFile { path, text, code });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The names of things and the signs between them, each with its offset. `r#` is left out.
pub(super) fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let end = if is_name(first) {
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(end);
        if token == "r" && after.starts_with('#') {
            rest = &after[1..];
            continue;
        }
        if !first.is_whitespace() {
            tokens.push((code.len() - rest.len(), token));
        }
        rest = after;
    }
    tokens
}

/// Where these tokens stand one after another, whatever space is between them.
pub(super) fn find(code: &str, wanted: &[&str]) -> Vec<usize> {
    if !wanted.iter().all(|token| code.contains(token)) {
        return Vec::new();
    }
    let tokens = tokens(code);
    let same = |window: &&[(usize, &str)]| {
        window
            .iter()
            .map(|token| token.1)
            .eq(wanted.iter().copied())
    };
    tokens
        .windows(wanted.len())
        .filter(same)
        .map(|window| window[0].0)
        .collect()
}

/// What follows `root::` in paths and in `use` groups: `(offset, name)`, one for each branch.
pub(super) fn children<'a>(code: &'a str, root: &[&str]) -> Vec<(usize, &'a str)> {
    if !root.iter().all(|token| code.contains(token)) {
        return Vec::new();
    }
    let tokens = tokens(code);
    let mut found = Vec::new();
    for start in 0..tokens.len() {
        let path = tokens[start..].iter().map(|token| token.1);
        let begins_here = match start.checked_sub(3).map(|before| &tokens[before..start]) {
            Some([(_, name), (_, ":"), (_, ":")]) => {
                !name.starts_with(is_name) || matches!(*name, "self" | "use" | "return")
            }
            _ => true,
        };
        if begins_here && path.clone().take(root.len()).eq(root.iter().copied()) {
            found.extend(branches(&tokens[start + root.len()..]));
        }
    }
    found
}

/// Of `::name…` the name, of `::{one, two::{three}}` both first names, of anything else nothing.
fn branches<'a>(tokens: &[(usize, &'a str)]) -> Vec<(usize, &'a str)> {
    let [(_, ":"), (_, ":"), after @ ..] = tokens else {
        return Vec::new();
    };
    let [(_, "{"), group @ ..] = after else {
        return after.first().copied().into_iter().collect();
    };
    let mut found = Vec::new();
    let mut depth = 1;
    let mut is_first = true;
    for token in group {
        match token.1 {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => is_first = true,
            _ if is_first => {
                found.push(*token);
                is_first = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank(text: &str) -> String {
    let blank = |c: char| {
        if c == '\n' {
            "\n".into()
        } else {
            " ".repeat(c.len_utf8())
        }
    };
    text.chars().map(blank).collect()
}

/// Blanks out comments and the insides of texts.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let skipped = if is_name(before) && !rest.starts_with('"') {
            0
        } else {
            not_code(rest)
        };
        let end = if skipped > 0 {
            skipped
        } else {
            first.len_utf8()
        };
        let (piece, after) = rest.split_at(end);
        if skipped > 0 {
            code.push_str(&blank(piece));
            before = ' ';
        } else {
            code.push_str(piece);
            before = first;
        }
        rest = after;
    }
    code
}

/// How many bytes at the beginning of `rest` are a comment or a literal; 0 if it begins with code.
fn not_code(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    let literal = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - literal.len();
    if let Some(raw) = literal.strip_prefix('r').filter(|_| prefix < 2) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let begin = prefix + 1 + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            return rest[begin..]
                .find(&end)
                .map_or(rest.len(), |at| begin + at + end.len());
        }
        return 0;
    }
    if literal.starts_with('"') && prefix < 2 {
        return prefix + quoted(literal, '"');
    }
    // A quote begins a lifetime unless one character or an escape stands between it and another one.
    let is_char = |text: &str| text.starts_with("'\\") || text.chars().nth(2) == Some('\'');
    if literal.starts_with('\'') && prefix < 2 && is_char(literal) {
        return prefix + quoted(literal, '\'');
    }
    0
}

fn quoted(literal: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in literal.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    literal.len()
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

const TEST_ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Blanks out every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(&start) = find(&code, &TEST_ATTRIBUTE).first() {
        let end = start + item_end(&code[start..]);
        let blanked = blank(&code[start..end]);
        code.replace_range(start..end, &blanked);
    }
    code
}

/// Where the first item ends: after its `;`, or after the brace that closes its first one.
fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, token) in tokens(code) {
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(token, ";" | "}") {
            return at + 1;
        }
    }
    code.len()
}

/// The modules that a file declares for tests only, each as its path without `.rs`.
fn test_modules(file: &SourceFile) -> Vec<String> {
    let folder = match file.path.strip_suffix("/mod.rs") {
        Some(folder) => folder,
        None if matches!(&*file.path, "src/lib.rs" | "src/main.rs") => "src",
        None => file.path.strip_suffix(".rs").unwrap(),
    };
    let attributes = find(&file.code, &TEST_ATTRIBUTE);
    let declared = attributes.into_iter().filter_map(|start| {
        let tokens = tokens(&file.code[start..]);
        let item: Vec<&str> = tokens
            .iter()
            .skip(TEST_ATTRIBUTE.len())
            .map(|token| token.1)
            .collect();
        match item.as_slice() {
            ["mod", name, ";", ..] | ["pub", "mod", name, ";", ..] => Some((*name).to_owned()),
            _ => None,
        }
    });
    declared.map(|name| format!("{folder}/{name}")).collect()
}

/// Whether a file is the module of this path, or lies below it.
fn is_part_of(file: &str, module: &str) -> bool {
    let rest = file.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
