//! The laws of the house, read off the sources as text: who may import whom, and what may be named where.
//! Each law is a function from a [`Tree`] to its violations; a test runs it on this repository, and another
//! plants a violation in a tree of its own and sees it caught.

mod cycles;
mod laws;
mod source;

use std::path::Path;

use cycles::cycles;
use laws::*;
use source::Tree;

#[track_caller]
fn hold(law: fn(&Tree) -> Vec<String>) {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(!tree.files.is_empty(), "there are sources");
    let violations = law(&tree);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn calls_go_down() {
    hold(imports);
}

#[test]
fn no_adapter_is_named_above_its_port() {
    hold(adapters);
}

#[test]
fn the_files_of_a_layer_import_each_other_in_no_cycle() {
    hold(cycles);
}

#[test]
fn the_environment_is_read_in_config_and_cli_only() {
    hold(environment);
}

#[test]
fn the_clock_is_read_in_one_file_only() {
    hold(clock);
}

#[test]
fn http_is_spoken_on_its_own_floors_only() {
    hold(http);
}

#[test]
fn only_the_edges_serialise() {
    hold(serialisation);
}

#[test]
fn sql_is_spoken_in_the_catalogue_only() {
    hold(sql);
}

#[test]
fn only_the_redemption_turns_what_is_counted_into_bytes() {
    hold(counted);
}

#[test]
fn nothing_outside_tests_unwraps() {
    hold(unwraps);
}

#[test]
fn every_todo_has_a_class() {
    hold(todos);
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    hold(lengths);
}

#[test]
fn every_file_opens_with_what_it_is() {
    hold(openings);
}

#[test]
fn every_dependency_is_named_in_a_source() {
    hold(dependencies);
}

/// A repository with these files, and what a law says of it.
fn planted(law: fn(&Tree) -> Vec<String>, files: &[(&str, &str)]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    law(&Tree::read(root.path()))
}

/// That a law catches `text` in each of `caught`, on its line 2, and lets it pass in each of `passed`.
#[track_caller]
fn check(law: fn(&Tree) -> Vec<String>, text: &str, caught: &[&str], passed: &[&str]) {
    let text = format!("//! What it is.\n{text}\n");
    for path in caught {
        let violations = planted(law, &[(path, &text)]);
        let [violation] = violations.as_slice() else {
            panic!("one violation of {text:?} in {path}: {violations:?}")
        };
        assert!(violation.starts_with(&format!("{path}:2: ")), "{violation}");
    }
    for path in passed {
        assert_eq!(
            planted(law, &[(path, &text)]),
            [""; 0],
            "{text:?} in {path}"
        );
    }
}

#[test]
fn a_proof_of_something_counted_is_caught_where_bytes_are_given() {
    for (text, passed) in [
        (
            "use crate::sign::ticket::VerifiedTicket;",
            "src/gateway/redeem/open.rs",
        ),
        (
            "fn f(link: VerifiedCounted<'_>) {}",
            "src/gateway/redeem.rs",
        ),
        (
            "async fn f(&self) { self.open_file(file) }",
            "src/gateway/redeem/open.rs",
        ),
    ] {
        let caught = ["src/gateway/mint.rs", "src/web/download.rs"];
        check(counted, text, &caught, &[passed, "src/sign/ticket.rs"]);
    }
}

#[test]
fn an_import_upward_is_caught_in_every_spelling() {
    for text in [
        "use crate::web::route::Route;",
        "pub(crate) use crate::web;",
        "use crate::{model::id, web::route};",
        "use crate::{ model::{id, time}, web, };",
        "fn f() { crate::web::handle() }",
        "fn f() { crate :: web :: handle() }",
        "fn f() -> &'static str { let _ = 'x'; crate::web::NAME }",
        "#[cfg(test)] use std::io; use crate::web;",
        "use hallpass::web;",
        "use crate::r#web;",
        "fn f() { ::hallpass::web::handle() }",
    ] {
        let passed = ["src/server/mod.rs", "src/web/mod.rs", "src/lib.rs"];
        check(imports, text, &["src/gateway/mint.rs"], &passed);
    }
    for text in ["use crate::*;", "use crate::{self as all};"] {
        check(
            imports,
            text,
            &["src/gateway/mint.rs", "src/server/mod.rs"],
            &[],
        );
    }
}

#[test]
fn an_adapter_above_its_port_is_caught() {
    for text in [
        "use crate::blob::s3::Reader;",
        "use crate::blob::{Blob, s3::Reader};",
        "use crate::blob; fn f(of: blob::disk::Disk) {}",
        "fn f() { crate::catalog::sqlite::Sqlite::open() }",
    ] {
        let passed = ["src/server/store.rs", "src/blob/s3/read.rs"];
        check(adapters, text, &["src/gateway/mint.rs"], &passed);
    }
    for text in ["use super::s3::Reader;", "fn f(of: s3::Object) {}"] {
        check(
            adapters,
            text,
            &["src/blob/read.rs"],
            &["src/blob/s3/mod.rs"],
        );
    }
}

#[test]
fn an_import_by_way_of_the_parents_is_caught() {
    let deep = "src/catalog/sqlite/rows.rs";
    for text in [
        "use super::super::super::web;",
        "use super::super::super::{model, web};",
        "use self::super::super::super::web;",
        "mod inline { use super::super::super::super::web; }",
    ] {
        check(imports, text, &[deep], &[]);
    }
    check(
        imports,
        "use super::super::web;",
        &["src/catalog/sqlite.rs", "src/model/id.rs"],
        &[deep],
    );
    check(
        imports,
        "use super::web;",
        &["src/catalog/mod.rs"],
        &["src/catalog/sqlite.rs", deep],
    );
}

#[test]
fn an_import_that_the_table_allows_passes() {
    for text in [
        "use crate::model::id::FileId;",
        "use crate::{model::id, catalog::{Catalog, web}};",
        "use super::web;",
        "use super::super::model;",
        "use crate::gateway::clock;",
        "pub(crate) fn web() {}",
        "// crate::web",
        "const X: &str = \"crate::web\";",
        "const X: &str = r#\"a \" crate::web\"#;",
        "/* /* crate::web */ crate::web */",
        "const X: char = '\"'; // crate::web",
        "fn crate_web() { my_crate::web() }",
    ] {
        check(imports, text, &[], &["src/gateway/mint.rs"]);
    }
    check(
        imports,
        "use crate::zero_copy::Frame;",
        &["src/gateway/mod.rs"],
        &["src/web/body.rs"],
    );
    check(
        imports,
        "use crate::model::id;",
        &["src/telemetry/mod.rs"],
        &["src/sign/mod.rs"],
    );
    check(
        imports,
        "use crate::model::id;",
        &["src/zero_copy/mod.rs"],
        &["src/cli/mod.rs"],
    );
    check(imports, "use hallpass::server;", &["src/main.rs"], &[]);
    check(imports, "use hallpass::cli;", &[], &["src/main.rs"]);
}

#[test]
fn a_floor_that_is_not_in_the_table_is_caught() {
    let violations = planted(imports, &[("src/util/mod.rs", "//! Odds and ends.\n")]);
    assert_eq!(
        violations,
        ["src/util/mod.rs:1: `util` is no floor of the import law"]
    );
}

#[test]
fn tests_may_import_anything_but_do_not_hide_what_follows_them() {
    let tests = "#[cfg(test)] mod tests { use crate::web; fn f(x: [u8; 3]) { \"}\"; '}'; } }";
    check(imports, tests, &[], &["src/model/id.rs"]);
    check(
        imports,
        &format!("{tests} use crate::web;"),
        &["src/model/id.rs"],
        &[],
    );
    let split = planted(
        unwraps,
        &[
            (
                "src/catalog/mod.rs",
                "//! Port.\n#[cfg(test)]\nmod contract;\nmod memory;\n",
            ),
            (
                "src/catalog/contract.rs",
                "//! Suite.\nfn f() { x.unwrap() }\n",
            ),
            (
                "src/catalog/contract/files.rs",
                "//! Part of it.\nfn f() { x.unwrap() }\n",
            ),
            (
                "src/catalog/memory.rs",
                "//! Adapter.\nfn f() { x.unwrap() }\n",
            ),
        ],
    );
    assert_eq!(split.len(), 1);
    assert!(split[0].starts_with("src/catalog/memory.rs:2: "));
}

#[test]
fn an_import_cycle_is_caught_in_every_spelling() {
    let violations = |first: &str, second: &str| {
        let files = [
            (
                "src/web/mod.rs",
                "//! Web.\nuse a::A;\nmod a;\nmod b;\n".to_owned(),
            ),
            ("src/web/a.rs", format!("//! A.\n{first}\n")),
            ("src/web/b.rs", format!("//! B.\n{second}\n")),
            ("src/web/b/c.rs", "//! C.\nuse super::X;\n".to_owned()),
        ];
        planted(
            cycles,
            &files.each_ref().map(|(path, text)| (*path, text.as_str())),
        )
    };
    for back in [
        "use super::a::A;",
        "use super::{self, a};",
        "use super::{b, a::{A, B}};",
        "use crate::web::a as other;",
        "fn f() { super::a::f() }",
        // Its parent hands the name on.
        "use super::A;",
        "use super::{io, A};",
        "use std::io; use super as parent; fn f() { parent::A::f() }",
    ] {
        let found = violations("use super::b::B;", back);
        assert_eq!(
            found,
            ["src/web/a.rs:2: import cycle: web/a → web/b → web/a"],
            "{back}"
        );
    }
    for other in [
        "use super::Web;",
        "use super::super::gateway::a;",
        "use crate::gateway::a;",
        "fn a() {} fn f() { a::f() }",
        "fn f() -> impl Iterator<Item = &'a u8> + use<'a> { a() }",
        "#[cfg(test)] mod tests { use super::super::a; }",
        "use c::C; mod c;",
    ] {
        assert_eq!(violations("use super::b::B;", other), [""; 0], "{other}");
    }
    let three = planted(
        cycles,
        &[
            ("src/blob/x.rs", "//! X.\nuse super::y;\n"),
            ("src/blob/y.rs", "//! Y.\n\n\nuse super::z::{Z, W};\n"),
            ("src/blob/z.rs", "//! Z.\nfn f() -> super::x::X { f() }\n"),
        ],
    );
    assert_eq!(
        three,
        ["src/blob/x.rs:2: import cycle: blob/x → blob/y → blob/z → blob/x"]
    );
}

#[test]
fn a_look_at_the_environment_is_caught() {
    for text in [
        "fn f() { std::env::var(\"A\"); }",
        "use std::env;",
        "use std::{env, io};",
        "use ::std::env;",
        "use {std::env, std::io};",
        "use std::{io, env::vars};",
        "fn f() { std::env::args_os(); }",
    ] {
        let passed = ["src/config/source.rs", "src/cli/mod.rs"];
        check(
            environment,
            text,
            &["src/server/mod.rs", "src/lib.rs"],
            &passed,
        );
    }
    check(
        environment,
        "fn f() { std::env::args_os() }",
        &[],
        &["src/main.rs"],
    );
    check(
        environment,
        "fn f() { std::env::vars_os() }",
        &["src/main.rs"],
        &[],
    );
    check(
        environment,
        "fn f() { env!(\"CARGO_PKG_VERSION\") }",
        &[],
        &["src/server/mod.rs"],
    );
}

#[test]
fn a_look_at_the_clock_is_caught() {
    for text in [
        "fn f() { SystemTime::now(); }",
        "fn f() { std::time::SystemTime::now(); }",
        "fn f() { jiff::Timestamp::now(); }",
        "fn f() { Zoned::now(); }",
        "fn f() { UNIX_EPOCH.elapsed(); }",
    ] {
        check(
            clock,
            text,
            &["src/gateway/mint.rs", "src/web/clock.rs"],
            &["src/gateway/clock.rs"],
        );
    }
    check(
        clock,
        "fn f() { Instant::now(); }",
        &[],
        &["src/server/connection.rs"],
    );
}

#[test]
fn a_crate_named_on_a_floor_that_is_not_its_own_is_caught() {
    for text in [
        "use hyper::Request;",
        "use hyper_util::rt;",
        "use http_body_util::Full;",
    ] {
        let passed = [
            "src/web/mod.rs",
            "src/server/connection.rs",
            "src/zero_copy/mod.rs",
        ];
        check(
            http,
            text,
            &["src/gateway/mod.rs", "src/cli/mod.rs"],
            &passed,
        );
    }
    for text in [
        "use serde::Serialize;",
        "#[derive(serde::Serialize)] struct S;",
        "use serde_json::json;",
    ] {
        let passed = [
            "src/web/dialects/qoder/wire.rs",
            "src/config/mod.rs",
            "src/cli/mod.rs",
        ];
        check(
            serialisation,
            text,
            &["src/web/dialects/qoder/mod.rs", "src/model/file.rs"],
            &passed,
        );
        check(
            serialisation,
            text,
            &["src/catalog/sqlite.rs"],
            &["src/catalog/sql/rows.rs"],
        );
    }
    check(
        sql,
        "use sqlx::Row;",
        &["src/gateway/mod.rs"],
        &["src/catalog/sqlite.rs"],
    );
}

#[test]
fn an_unwrap_is_caught_and_its_relatives_pass() {
    check(unwraps, "fn f() { x.unwrap(); }", &["src/model/id.rs"], &[]);
    check(
        unwraps,
        "fn f() { x .unwrap (); }",
        &["src/cli/mod.rs"],
        &[],
    );
    check(
        unwraps,
        "fn f() { x.unwrap_or_default(); }",
        &[],
        &["src/model/id.rs"],
    );
    check(
        unwraps,
        "/// Like `unwrap()`: x.unwrap()",
        &[],
        &["src/model/id.rs"],
    );
}

#[test]
fn a_todo_without_a_class_is_caught() {
    for text in [
        "// TODO: later",
        "fn f() {} // TODO(me)",
        "// TODO-someday: x",
        "// TODO-hardeningly",
    ] {
        check(todos, text, &["src/model/id.rs"], &[]);
    }
    for text in [
        "// TODO-hardening: x",
        "// TODO-correctness",
        "// TODO-cleanup: x",
        "const TODOS: u8 = 1;",
    ] {
        check(todos, text, &[], &["src/model/id.rs"]);
    }
}

#[test]
fn a_file_that_is_too_long_is_caught() {
    let file = |lines: usize| {
        let text = format!("//! Long.\n{}", "\n".repeat(lines - 1));
        planted(lengths, &[("src/model/id.rs", &text)])
    };
    assert_eq!(file(LINES_MAX), [""; 0]);
    let violations = file(LINES_MAX + 1);
    assert_eq!(
        violations,
        [format!(
            "src/model/id.rs:{}: more than {LINES_MAX} lines",
            LINES_MAX + 1
        )]
    );
}

#[test]
fn a_file_that_does_not_say_what_it_is_is_caught() {
    for text in [
        "",
        "use std::io;\n",
        "\n//! Late.\n",
        "// A comment.\n",
        "//!\n",
    ] {
        let violations = planted(openings, &[("src/model/id.rs", text)]);
        assert_eq!(
            violations,
            ["src/model/id.rs:1: must open with a `//!` line that says what it is"]
        );
    }
    assert_eq!(
        planted(openings, &[("src/model/id.rs", "//! Ids.\n")]),
        [""; 0]
    );
}

#[test]
fn a_dependency_that_nobody_names_is_caught() {
    let manifest = "[dependencies]\nhttp-body = '1'\nserde = { version = '1' }\ntoml = '1'\n\
                    [target.'cfg(unix)'.dependencies]\nrustix = '1'\n\
                    [dev-dependencies]\ntempfile = '3'\nproptest = '1'\n";
    let violations = planted(
        dependencies,
        &[
            ("Cargo.toml", manifest),
            (
                "src/lib.rs",
                "//! Lib. serde::\nuse http_body::Body;\nfn f(rustix: u8) {}\n#[cfg(test)]\nmod tests { use toml; }\n",
            ),
            (
                "tests/main.rs",
                "use tempfile as t;\nuse serde::Serialize;\n",
            ),
        ],
    );
    let unnamed =
        |name: &str, where_| format!("Cargo.toml:1: `{name}` is named nowhere in {where_}");
    assert_eq!(
        violations,
        [
            unnamed("serde", "src"),
            unnamed("toml", "src"),
            unnamed("proptest", "src, tests or benches"),
            unnamed("rustix", "src"),
        ]
    );
}
