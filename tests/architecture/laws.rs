//! The laws themselves: tables, and one function each.

use super::source::{SourceFile, Tree, children, find, read_below};

/// More lines than this nobody reads in one go.
pub(super) const LINES_MAX: usize = 450;

/// The floors, and which others each may import. Calls only go down.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("page_cache", &[]),
    ("thread_time", &[]),
    ("zero_copy", &["page_cache"]),
    ("telemetry", &[]),
    ("sign", &["model"]),
    ("catalog", &["model", "page_cache", "thread_time"]),
    ("blob", &["model", "page_cache"]),
    ("gateway", &["model", "sign", "catalog", "blob"]),
    ("web", &["model", "gateway", "telemetry", "zero_copy"]),
    (
        "config",
        &["model", "sign", "catalog", "blob", "gateway", "web"],
    ),
    (
        "server",
        &[
            "model",
            "sign",
            "catalog",
            "blob",
            "gateway",
            "web",
            "config",
            "telemetry",
            "zero_copy",
        ],
    ),
    (
        "cli",
        &["model", "sign", "gateway", "config", "server", "telemetry"],
    ),
    ("main", &["cli"]),
];

/// The ports of two layers, and their adapters.
const ADAPTERS: &[(&str, &[&str])] = &[
    ("blob", &["disk", "memory", "s3"]),
    ("catalog", &["postgres", "sql", "sqlite"]),
];

/// The classes of what is left to do.
const TODO_CLASSES: [&str; 3] = ["TODO-hardening", "TODO-correctness", "TODO-cleanup"];

/// Where something may be serialised besides the edges, and why.
const SERIALISATION_EXCEPTIONS: &[(&str, &str)] = &[
    (
        "src/catalog/sql/rows.rs",
        "a file's metadata is one column of JSON, written and read back by the catalogue alone",
    ),
    (
        "src/catalog/sql/counters.rs",
        "counts go to a statement as one value of JSON, which no other program reads",
    ),
    (
        "src/catalog/sql/allowance.rs",
        "counters go to a statement as one value of JSON, which no other program reads",
    ),
    (
        "src/catalog/sql/share_counts.rs",
        "counts of shares go to a statement as one value of JSON, which no other program reads",
    ),
];

pub(super) fn imports(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != "src/lib.rs") {
        let module = file.module();
        let floor = module[0];
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == floor) else {
            violations.push(file.at(0, &format!("`{floor}` is no floor of the import law")));
            continue;
        };
        let supers = ["super", ":", ":"].repeat(module.len());
        let from_root = supers.get(..supers.len() - 2).unwrap_or_default();
        let roots: [&[&str]; 3] = [&["crate"], &["hallpass"], from_root];
        for (offset, name) in roots.iter().flat_map(|root| children(&file.code, root)) {
            if name != floor && !allowed.contains(&name) {
                let what = format!("`{floor}` may not import `{name}`");
                violations.push(file.at(offset, &what));
            }
        }
    }
    violations
}

pub(super) fn adapters(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for (port, adapters) in ADAPTERS {
        for file in tree
            .files
            .iter()
            .filter(|file| file.is_below(&["gateway", "web"]))
        {
            let roots: [&[&str]; 2] = [&["crate", ":", ":", port], &[port]];
            for (offset, name) in roots.iter().flat_map(|root| children(&file.code, root)) {
                if adapters.contains(&name) {
                    let what = format!("names `{name}`, an adapter of the port `{port}`");
                    violations.push(file.at(offset, &what));
                }
            }
        }
    }
    // The port of blobs itself, which is what stands in the layer besides its adapters.
    let [(port, adapters), ..] = ADAPTERS else {
        return violations;
    };
    let is_port = |file: &&SourceFile| match file.module().as_slice() {
        [layer, rest @ ..] => {
            layer == port && rest.first().is_none_or(|part| !adapters.contains(part))
        }
        [] => false,
    };
    for file in tree.files.iter().filter(is_port) {
        for adapter in *adapters {
            let roots: [&[&str]; 2] = [&["super", ":", ":", adapter], &[adapter]];
            for (offset, _) in roots.iter().flat_map(|root| children(&file.code, root)) {
                let what = format!("the port `{port}` names `{adapter}`, an adapter of its own");
                violations.push(file.at(offset, &what));
            }
        }
    }
    violations
}

pub(super) fn environment(tree: &Tree) -> Vec<String> {
    let is_subject = |file: &&SourceFile| !file.is_below(&["config", "cli"]);
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(is_subject) {
        let arguments = find(&file.code, &["env", ":", ":", "args_os"]);
        for (offset, name) in children(&file.code, &["std"]) {
            let is_main_s = file.path == "src/main.rs" && arguments.contains(&offset);
            if name == "env" && !is_main_s {
                violations
                    .push(file.at(offset, "the environment is read in config/ and cli/ only"));
            }
        }
    }
    violations
}

pub(super) fn clock(tree: &Tree) -> Vec<String> {
    let looks: [&[&str]; 4] = [
        &["SystemTime", ":", ":", "now"],
        &["Timestamp", ":", ":", "now"],
        &["Zoned", ":", ":", "now"],
        &["UNIX_EPOCH", ".", "elapsed"],
    ];
    let what = "the clock is read in gateway/clock.rs only; have the time handed in";
    everywhere(
        tree,
        |file| file.path != "src/gateway/clock.rs",
        &looks,
        what,
    )
}

pub(super) fn http(tree: &Tree) -> Vec<String> {
    let names: [&[&str]; 3] = [&["hyper"], &["hyper_util"], &["http_body_util"]];
    let is_subject = |file: &SourceFile| !file.is_below(&["web", "server", "zero_copy"]);
    let what = "hyper and its companions belong to web/, server/ and zero_copy/";
    everywhere(tree, is_subject, &names, what)
}

pub(super) fn serialisation(tree: &Tree) -> Vec<String> {
    let is_subject = |file: &SourceFile| {
        let excepted = SERIALISATION_EXCEPTIONS
            .iter()
            .any(|(path, _)| *path == file.path);
        !file.path.ends_with("/wire.rs") && !file.is_below(&["config", "cli"]) && !excepted
    };
    let what = "serde belongs to wire.rs files, config/ and cli/";
    everywhere(tree, is_subject, &[&["serde"], &["serde_json"]], what)
}

pub(super) fn sql(tree: &Tree) -> Vec<String> {
    let is_subject = |file: &SourceFile| !file.is_below(&["catalog"]);
    everywhere(tree, is_subject, &[&["sqlx"]], "SQL belongs to catalog/")
}

/// The words by which a file is opened, or a proof of something counted is held, and the files that may say them.
const COUNTED: &[(&[&str], &[&str])] = &[
    (
        &["self", ".", "open_file", "("],
        &[
            "src/gateway/download.rs",
            "src/gateway/redeem/open.rs",
            // It refuses a share that counts.
            "src/gateway/share_files.rs",
        ],
    ),
    (
        &["VerifiedTicket"],
        &[
            "src/gateway/redeem/of_share.rs",
            "src/gateway/redeem/open.rs",
        ],
    ),
    (
        &["VerifiedCounted"],
        &["src/gateway/redeem.rs", "src/web/redeem.rs"],
    ),
];

pub(super) fn counted(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for (words, files) in COUNTED {
        let is_subject =
            |file: &SourceFile| !file.is_below(&["sign"]) && !files.contains(&&*file.path);
        let what = "only gateway/redeem turns a counted link, and its ticket, into bytes";
        violations.extend(everywhere(tree, is_subject, &[words], what));
    }
    violations
}

pub(super) fn unwraps(tree: &Tree) -> Vec<String> {
    let what = "no `unwrap()` outside tests";
    everywhere(tree, |_| true, &[&[".", "unwrap", "(", ")"]], what)
}

pub(super) fn todos(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
            let is_todo = |word: &&str| *word == "TODO" || word.starts_with("TODO-");
            if words
                .filter(is_todo)
                .any(|word| !TODO_CLASSES.contains(&word))
            {
                let classes = TODO_CLASSES.join(", ");
                violations.push(format!(
                    "{}:{}: a TODO is one of {classes}",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    violations
}

pub(super) fn lengths(tree: &Tree) -> Vec<String> {
    let long = tree.files.iter().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}:{lines}: more than {LINES_MAX} lines", file.path))
    });
    long.collect()
}

pub(super) fn openings(tree: &Tree) -> Vec<String> {
    let mute = |file: &&SourceFile| {
        let line = file.text.lines().next().unwrap_or_default();
        line.strip_prefix("//! ")
            .is_none_or(|words| words.trim().is_empty())
    };
    let mute = tree.files.iter().filter(mute);
    mute.map(|file| file.at(0, "must open with a `//!` line that says what it is"))
        .collect()
}

pub(super) fn dependencies(tree: &Tree) -> Vec<String> {
    let manifest = std::fs::read_to_string(tree.root.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut all: Vec<SourceFile> = read_below(&tree.root, "src");
    all.extend(read_below(&tree.root, "tests"));
    all.extend(read_below(&tree.root, "benches"));
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = std::iter::once(&manifest).chain(
        targets
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(toml::Value::as_table)),
    );
    let mut violations = Vec::new();
    for table in tables {
        for (kind, files, where_) in [
            ("dependencies", &tree.files, "src"),
            ("dev-dependencies", &all, "src, tests or benches"),
        ] {
            let table = table.get(kind).and_then(toml::Value::as_table);
            for name in table.into_iter().flat_map(|table| table.keys()) {
                let word = name.replace('-', "_");
                let uses: [&[&str]; 2] = [&[&word, ":", ":"], &["use", &word]];
                let names_it =
                    |file: &SourceFile| uses.iter().any(|used| !find(&file.code, used).is_empty());
                if !files.iter().any(names_it) {
                    violations.push(format!(
                        "Cargo.toml:1: `{name}` is named nowhere in {where_}"
                    ));
                }
            }
        }
    }
    violations
}

/// Every place where one of these sequences of tokens stands, in the files that a law is for.
fn everywhere(
    tree: &Tree,
    is_subject: impl Fn(&SourceFile) -> bool,
    wanted: &[&[&str]],
    what: &str,
) -> Vec<String> {
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| is_subject(file)) {
        let found = wanted.iter().flat_map(|wanted| find(&file.code, wanted));
        violations.extend(found.map(|offset| file.at(offset, what)));
    }
    violations
}

impl SourceFile {
    fn is_below(&self, floors: &[&str]) -> bool {
        floors.contains(&self.module()[0])
    }
}
