//! The media types that the endings of names stand for: the table of `mime_guess`, corrected where
//! browsers (MIME Sniffing Standard; HTML Standard, §2.1.1) or IANA's registry of media types know better.

use std::path::Path;

use super::{MediaType, OCTET_STREAM};
use crate::model::name::FileName;

const PLAIN_TEXT: &str = "text/plain";

/// Endings whose type is another one than in `mime_guess`, in order.
const CORRECTED: &[(&str, &str)] = &[
    ("3mf", "model/3mf"),
    ("amr", "audio/amr"),
    ("applescript", PLAIN_TEXT),
    ("arrow", "application/vnd.apache.arrow.file"),
    ("avifs", "image/avif"),
    ("blend", "application/x-blender"),
    ("cab", "application/vnd.ms-cab-compressed"),
    ("cjs", "text/javascript"),
    ("cur", "image/x-icon"),
    ("dcm", "application/dicom"),
    ("dds", "image/vnd.ms-dds"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dtd", "application/xml-dtd"),
    ("dwg", "image/vnd.dwg"),
    ("dxf", "image/vnd.dxf"),
    ("emf", "image/emf"),
    ("fbx", "application/vnd.autodesk.fbx"),
    ("fits", "image/fits"),
    ("gpg", "application/pgp-encrypted"),
    ("ipynb", "application/x-ipynb+json"),
    ("jsonl", "application/x-ndjson"),
    ("jxr", "image/jxr"),
    ("key", "application/vnd.apple.keynote"),
    ("lz", "application/x-lzip"),
    ("lz4", "application/x-lz4"),
    ("m2t", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4b", "audio/mp4"),
    ("m4p", "audio/mp4"),
    ("m4r", "audio/mp4"),
    ("m4s", "video/iso.segment"),
    ("map", "application/json"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript"),
    ("mtl", "model/mtl"),
    ("mts", "video/mp2t"),
    ("ndjson", "application/x-ndjson"),
    ("numbers", "application/vnd.apple.numbers"),
    ("obj", "model/obj"),
    ("otf", "font/otf"),
    ("owl", "application/rdf+xml"),
    ("pages", "application/vnd.apple.pages"),
    ("properties", PLAIN_TEXT),
    ("psd", "image/vnd.adobe.photoshop"),
    ("rar", "application/vnd.rar"),
    ("rmi", "audio/midi"),
    ("rpm", "application/x-rpm"),
    ("sqlite", "application/vnd.sqlite3"),
    ("sqlite3", "application/vnd.sqlite3"),
    ("step", "model/step"),
    ("stl", "model/stl"),
    ("stp", "model/step"),
    ("tbz", "application/x-bzip2"),
    ("tbz2", "application/x-bzip2"),
    ("tgz", "application/gzip"),
    ("topojson", "application/json"),
    ("ts", "video/mp2t"),
    ("ttf", "font/ttf"),
    ("txz", "application/x-xz"),
    ("tzst", "application/zstd"),
    ("usda", "model/vnd.usda"),
    ("usdz", "model/vnd.usdz+zip"),
    ("vcf", "text/vcard"),
    ("vsdx", "application/vnd.visio"),
    ("wmf", "image/wmf"),
    ("woff", "font/woff"),
    ("wrl", "model/vrml"),
    ("xcf", "image/x-xcf"),
    ("zst", "application/zstd"),
];

/// Endings of source code, scripts and markup for people that have no text type in `mime_guess`, in order.
/// They are shown as text: a browser runs none of them, and no server should.
const SOURCE_CODE: &[&str] = &[
    "ada", "adb", "adoc", "ads", "ahk", "as", "asciidoc", "astro", "awk", "bash", "bat", "bib",
    "bzl", "cabal", "cbl", "clj", "cljc", "cljs", "cls", "cmake", "cob", "cr", "csh", "cshtml",
    "csx", "cts", "cu", "cuh", "dart", "diff", "edn", "ejs", "el", "elm", "env", "erb", "erl",
    "ex", "exs", "f03", "f08", "f95", "fish", "frag", "fs", "fsi", "fsscript", "fsx", "ftn", "gd",
    "gleam", "glsl", "go", "gql", "gradle", "graphql", "groovy", "haml", "hcl", "hlsl", "hrl",
    "hs", "hx", "ino", "java", "jinja", "jinja2", "jl", "jsonc", "jsp", "ksh", "kt", "kts",
    "latex", "lhs", "liquid", "lisp", "ltx", "m", "mdx", "metal", "mill", "ml", "mli", "mm",
    "mojo", "nim", "nix", "patch", "php", "phtml", "pl", "pm", "po", "pod", "pp", "prisma",
    "proto", "ps1", "psd1", "psm1", "pug", "purs", "pxd", "pyi", "pyw", "pyx", "r", "rake", "rb",
    "rego", "rkt", "rmd", "rst", "sbt", "scala", "scm", "sh", "sql", "sty", "sv", "svelte", "svh",
    "swift", "tcl", "tex", "textile", "tf", "tfvars", "thrift", "tsx", "twig", "v", "vert", "vhdl",
    "vim", "vue", "wat", "wgsl", "zig", "zsh",
];

/// Endings that mean a video or a TypeScript module. The first bytes tell which.
const VIDEO_OR_SOURCE_CODE: [&str; 2] = ["mts", "ts"];

/// Ends the names of TypeScript's declarations, which are never videos.
const DECLARATIONS: [&str; 3] = [".d.cts", ".d.mts", ".d.ts"];

/// Returns the type that the name stands for. Where the name leaves it open, `begins_as_text` decides:
/// whether the file's first bytes are text.
pub(super) fn of_name(name: &FileName, begins_as_text: bool) -> MediaType {
    let name = name.as_str().to_ascii_lowercase();
    let path = Path::new(&name);
    let ending = path.extension().and_then(|ending| ending.to_str());
    let text = match ending.filter(|ending| !ending.is_empty()) {
        None if begins_as_text => PLAIN_TEXT,
        None => OCTET_STREAM,
        Some(_) if DECLARATIONS.iter().any(|end| name.ends_with(end)) => PLAIN_TEXT,
        Some(ending) if begins_as_text && VIDEO_OR_SOURCE_CODE.contains(&ending) => PLAIN_TEXT,
        Some(ending) => of_ending(ending),
    };
    // Both tables hold media types only; the tests look.
    MediaType::parse(text).unwrap_or_else(|_| MediaType::octet_stream())
}

fn of_ending(ending: &str) -> &'static str {
    if let Ok(index) = CORRECTED.binary_search_by_key(&ending, |(known, _)| known) {
        return CORRECTED.get(index).map_or(OCTET_STREAM, |(_, text)| text);
    }
    if SOURCE_CODE.binary_search(&ending).is_ok() {
        return PLAIN_TEXT;
    }
    let known = mime_guess::from_ext(ending).first_raw();
    known.unwrap_or(OCTET_STREAM)
}
