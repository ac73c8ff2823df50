//! The documents are true: every console block of `README.md` and of `config/docs` is run in order, in an empty
//! directory, and what it prints is compared; a configuration that a page shows stands in `config/deploy`; a link
//! leads somewhere.

mod compare;
mod page;
mod run;
mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use page::{What, parse};
use run::Needs;

use crate::support::postgres::Server;
use crate::support::store::Store;

/// The longest that the README may be, in lines.
const README_LINES_MAX: usize = 250;

/// The blocks that cannot be run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("README.md", "a release build takes minutes"),
    ("README.md", "it runs the tests that this page is one of"),
];

/// The languages that blocks may have besides `console`, each with where its blocks stand as well: in one of the
/// files of `config/deploy`, or (`None`) wherever a test of its own looks.
const LANGUAGES: &[(&str, Option<&str>)] = &[
    ("nginx", Some(".conf")),
    ("caddyfile", Some("Caddyfile")),
    ("haproxy", Some("haproxy.cfg")),
    ("apache", Some(".conf")),
    ("lighttpd", Some(".conf")),
    ("ini", Some(".service")),
    ("yaml", Some(".yaml")),
    // Run by `sign::signers`, or as files of their page.
    ("python", None),
    ("javascript", None),
    ("go", None),
    ("php", None),
    // Held against the program by the run of its page.
    ("toml", None),
    ("text", None),
    ("", None),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, by its path in the repository.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("config/docs")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name());
    let mut pages: Vec<PathBuf> = files
        .map(|name| Path::new("config/docs").join(name))
        .collect();
    pages.push("README.md".into());
    pages.sort();
    pages
}

fn read(page: &Path) -> String {
    fs::read_to_string(repository().join(page)).unwrap()
}

/// Runs a page, and fails with all that is not as it says.
#[track_caller]
fn run_page(page: &str, needs: Needs) {
    let binary = Path::new(env!("CARGO_BIN_EXE_hallpass"));
    let report = run::run(&repository().join(page), binary, needs);
    let faults = report.faults.join("\n\n");
    assert!(faults.is_empty(), "\n\n{faults}\n");
    for reason in &report.not_run {
        println!("{page}: not run: {reason}");
    }
    let listed = NOT_RUN.iter().filter(|(name, _)| *name == page);
    let listed: Vec<_> = listed.map(|(_, reason)| (*reason).to_owned()).collect();
    assert_eq!(report.not_run, listed, "the blocks that cannot be run");
}

/// A test for each page that needs nothing but the binary; and the list of them.
macro_rules! plain_pages {
    ($($name:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $name() {
                run_page($page, Needs::default());
            }
        )*

        const PLAIN: &[&str] = &[$($page,)*];
    };
}

plain_pages! {
    readme: "README.md",
    advisories: "config/docs/advisories.md",
    aitronos: "config/docs/aitronos.md",
    architecture: "config/docs/ARCHITECTURE.md",
    audit: "config/docs/audit.md",
    backup_and_upgrade: "config/docs/backup-and-upgrade.md",
    changelog: "config/docs/CHANGELOG.md",
    contributing: "config/docs/CONTRIBUTING.md",
    dependencies: "config/docs/dependencies.md",
    doctor: "config/docs/doctor.md",
    faults: "config/docs/faults.md",
    koodrive: "config/docs/koodrive.md",
    limits: "config/docs/limits.md",
    log: "config/docs/log.md",
    metrics: "config/docs/metrics.md",
    performance: "config/docs/performance.md",
    proxies: "config/docs/proxies.md",
    qoder: "config/docs/qoder.md",
    revoke_and_rotate: "config/docs/revoke-and-rotate.md",
    scale: "config/docs/scale.md",
    security: "config/docs/SECURITY.md",
    share: "config/docs/share.md",
    sign_in_your_app: "config/docs/sign-in-your-app.md",
    tls_and_restart: "config/docs/tls-and-restart.md",
}

/// The pages that need a database, a store, or both.
const SERVED: &[&str] = &[
    "config/docs/migrate.md",
    "config/docs/postgres.md",
    "config/docs/s3.md",
];

impl Needs {
    /// Has the database of this name answer where PostgreSQL usually does.
    fn with_postgres(mut self, server: &Server) -> Self {
        server.database("hallpass");
        let socket = server.socket();
        self.relays
            .push((5432, format!("unix:{}", socket.display())));
        self
    }

    /// Has the store answer where the pages say, under the bucket's and the key's own names.
    fn with_store(mut self, store: &Store, prefix: &str) -> Self {
        let said = |name: &str| fs::read_to_string(store.directory.join(name)).unwrap();
        let (key, bucket) = (said("access_key_id"), &store.bucket);
        let address = store.endpoint.strip_prefix("http://").unwrap();
        self.relays.push((7480, format!("tcp:{address}")));
        self.files
            .push(("store-secret", said("secret").into_bytes()));
        let number = std::process::id();
        let names = [
            (
                "s3://hallpass/demo",
                format!("s3://{bucket}/{prefix}-{number}"),
            ),
            ("/hallpass/demo/", format!("/{bucket}/{prefix}-{number}/")),
            (
                "access_key_id = \"hallpass\"",
                format!("access_key_id = \"{key}\""),
            ),
        ];
        let names = names.map(|(shown, real)| (shown.to_owned(), real));
        self.aliases.extend(names);
        self
    }
}

#[test]
fn postgres() {
    let server = Server::start("");
    run_page(
        "config/docs/postgres.md",
        Needs::default().with_postgres(&server),
    );
}

#[test]
fn s3() {
    if let Some(store) = Store::needed() {
        run_page(
            "config/docs/s3.md",
            Needs::default().with_store(&store, "docs-s3"),
        );
    }
}

#[test]
fn migrate() {
    if let Some(store) = Store::needed() {
        let server = Server::start("");
        let needs = Needs::default().with_postgres(&server);
        run_page(
            "config/docs/migrate.md",
            needs.with_store(&store, "docs-migrate"),
        );
    }
}

#[test]
fn every_page_is_run() {
    let run: BTreeSet<&str> = PLAIN.iter().chain(SERVED).copied().collect();
    let pages = pages();
    let there = pages.iter().map(|page| page.to_str().unwrap());
    assert_eq!(run, there.collect());
}

#[test]
fn the_readme_is_short() {
    let lines = read(Path::new("README.md")).lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines");
}

#[test]
fn what_a_page_shows_of_a_configuration_is_there() {
    let mut shown = Vec::new();
    for page in pages() {
        for step in parse(&read(&page)) {
            if let What::Other { language, text } = step.what {
                shown.push((format!("{}:{}", page.display(), step.line), language, text));
            }
        }
    }
    let faults = shown.iter().filter_map(|(place, language, text)| {
        match LANGUAGES.iter().find(|(name, _)| name == language) {
            None => Some(format!("{place}: {language:?} is no language of a block")),
            Some((_, Some(ending))) if !is_deployed(ending, text) => Some(format!(
                "{place}: this is in no file {ending} of config/deploy"
            )),
            Some(_) => None,
        }
    });
    assert_eq!(faults.collect::<Vec<_>>(), [""; 0]);
    assert!(shown.iter().any(|(_, language, _)| language == "nginx"));
    assert!(!is_deployed(
        ".conf",
        "location /share/ {\n    proxy_pass http://elsewhere;\n"
    ));
}

/// Whether the lines stand together in a file of `config/deploy` of this ending, however far they are indented.
fn is_deployed(ending: &str, text: &str) -> bool {
    let lines = |text: &str| {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.collect::<Vec<_>>()
    };
    let wanted = lines(text);
    let mut folders = vec![repository().join("config/deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                let there = lines(&fs::read_to_string(&path).unwrap());
                if there.windows(wanted.len()).any(|some| some == wanted) {
                    return true;
                }
            }
        }
    }
    false
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut faults = Vec::new();
    for page in pages() {
        let text = read(&page);
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => repository().join(&page),
                file => repository().join(page.parent().unwrap()).join(file),
            };
            let is_good = file.exists()
                && (heading.is_empty() || anchors(&file).contains(&heading.to_owned()));
            if !is_good {
                faults.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_files_that_the_architecture_names_are_there() {
    let text = read(Path::new("config/docs/ARCHITECTURE.md"));
    let words = text.split('`').skip(1).step_by(2);
    let files: Vec<&str> = words.filter(|word| word.ends_with(".rs")).collect();
    assert!(files.len() > 20);
    let is_there = |file: &&str| {
        let places = [repository().to_owned(), repository().join("src")];
        places.iter().any(|place| place.join(file).exists())
    };
    let gone: Vec<&str> = files.into_iter().filter(|file| !is_there(file)).collect();
    assert_eq!(gone, [""; 0]);
}

/// What a link calls the headings of a page: small letters, digits and dashes.
fn anchors(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        words
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn a_page_that_is_not_true_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let page = place.path().join("page.md");
    let faults_of = |text: &str| {
        fs::write(&page, text).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_hallpass"));
        run::run(&page, binary, Needs::default()).faults.join("\n")
    };
    let block = |text: &str| format!("```console\n{text}\n```\n");
    let id = "file_01a1fde99ff6754cb8bf883e3b982c46";
    let other = "file_01a1fde99ff6754cb8bf883e3b982c47";
    let add = format!(
        "$ echo a > a.txt\n$ hallpass add a.txt\n{id}             2  2026-11-21T11:43:32Z  text/plain  a.txt"
    );
    let show = |id: &str| format!("{add}\n$ hallpass show {id} | head -1\nfile_id: {id}");
    assert_eq!(faults_of(&block("$ echo a; echo b\na\nb")), "");
    assert_eq!(faults_of(&block("$ seq 9\n1\n…\n8\n9")), "");
    assert_eq!(faults_of(&block(&show(id))), "");
    for (text, fault) in [
        (show(id).replacen(id, other, 1), "nothing has printed"),
        ("$ echo a\nb".to_owned(), "printed: a"),
        ("$ echo a; echo b\na".to_owned(), "not shown: b"),
        ("$ echo a\na\nb".to_owned(), "not printed: b"),
        ("$ false".to_owned(), "ends with 1"),
        (format!("{add}\n$ hallpass ls | cut -c1-37\n{other}"), "was"),
    ] {
        let faults = faults_of(&block(&text));
        assert!(faults.contains(fault), "{text}\n{faults}");
    }
}
