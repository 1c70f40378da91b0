//! Keeps the house: what may depend on what, how long a file may be, and that printed pages are fresh.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_core::code::Code;
use countersign_core::signature::diagnose::mistake::{Kind, Mistake};
use serde_json::Value;

/// What the pure centre may depend on. A new name here needs a reason in `ARCHITECTURE.md`.
const CORE_MAY_USE: [&str; 15] = [
    "argon2",
    "aws-lc-rs",
    "base64",
    "http",
    "jsonwebtoken",
    "md-5",
    "prefix-trie",
    "serde",
    "serde_json",
    "sfv",
    "subtle",
    "thiserror",
    "toml",
    "unicode-normalization",
    "zeroize",
];

/// What each of our crates may use of the others: arrows go one way.
const ARROWS: [(&str, &[&str]); 4] = [
    ("countersign-core", &[]),
    ("countersign-store", &["countersign-core"]),
    ("countersign", &["countersign-core", "countersign-store"]),
    ("countersign-e2e", &["countersign", "countersign-core", "countersign-store"]),
];

/// A file of this many lines fails; `WARN_LINES` is where it starts to be too long.
const MOST_LINES: usize = 1000;
const WARN_LINES: usize = 600;

#[test]
fn the_page_of_codes_is_the_table_in_the_code() {
    let mut page = String::from(
        "# Codes\n\nEvery reason to refuse a request. The code is the `code` member of the answer (RFC 9457) and never changes; the text in `detail` may.\n\
         The token endpoint answers in the shape of RFC 6749 with the code beside it.\n\n\
         <!-- Printed from crates/countersign-core/src/code.rs: UPDATE=1 cargo nextest run -p countersign-e2e tidy -->\n",
    );
    for code in Code::ALL {
        page.push_str(&format!("\n## {code}\n\n{} · {}. {}\n", code.status(), code.title(), code.fix()));
    }
    assert_printed("docs/reference/codes.md", &page);
}

#[test]
fn the_page_of_mistakes_is_the_table_in_the_code() {
    let mut page = String::from(
        "# Mistakes in signing\n\nWhat a client can have done when its signature is refused, as `countersign verify`, the admin API and, for a key in diagnose mode, the\n\
         `hints` of an answer name it. The code never changes; the words around it may.\n\n\
         <!-- Printed from crates/countersign-core/src/signature/diagnose/mistake.rs: UPDATE=1 cargo nextest run -p countersign-e2e tidy -->\n",
    );
    for (kind, heading) in [
        (
            Kind::Tried,
            "Found by making them\n\nThe MAC that was sent verifies under this change, so it is what the client did. Several can be made together.\n\nThe signature verifies if ...",
        ),
        (Kind::Read, "Found by reading the request"),
    ] {
        page.push_str(&format!("\n## {heading}\n\n| code | what | what to do |\n|---|---|---|\n"));
        for mistake in Mistake::ALL.iter().filter(|mistake| mistake.kind() == kind) {
            let cell = |text: &str| text.replace('|', "\\|");
            page.push_str(&format!("| `{mistake}` | {} | {} |\n", cell(mistake.what()), cell(mistake.fix())));
        }
    }
    assert_printed("docs/reference/mistakes.md", &page);
}

#[test]
fn arrows_go_one_way() {
    let packages = packages();
    for (name, may_use) in ARROWS {
        let package = packages.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("there is no crate {name}"));
        for dependency in dependencies(package) {
            let ours = ARROWS.iter().any(|(other, _)| *other == dependency);
            // A crate may switch on a feature of itself for its own tests.
            assert!(!ours || dependency == name || may_use.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
    assert_eq!(packages.len(), ARROWS.len(), "a new crate needs its arrows written down here");
}

#[test]
fn the_centre_depends_on_nothing_that_could_do_input_or_output() {
    let packages = packages();
    let core = packages.iter().find(|p| p["name"] == "countersign-core").unwrap();
    let used: BTreeSet<String> = core["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["kind"].is_null())
        .map(|d| d["name"].as_str().unwrap().to_owned())
        .collect();
    for name in &used {
        assert!(CORE_MAY_USE.contains(&name.as_str()), "countersign-core must not depend on {name}");
    }
    for name in CORE_MAY_USE {
        assert!(used.contains(name), "countersign-core no longer depends on {name}: take it off the list");
    }
}

#[test]
fn only_the_store_names_the_database() {
    for package in packages() {
        if package["name"] != "countersign-store" {
            assert!(!dependencies(&package).contains("sqlx"), "{} must not depend on sqlx", package["name"]);
        }
    }
}

#[test]
fn no_source_file_is_too_long() {
    for path in files("crates", &["rs"]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines, more than {MOST_LINES}", path.display());
        if lines > WARN_LINES {
            eprintln!("warning: {} has {lines} lines, more than {WARN_LINES}", path.display());
        }
    }
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    // Put together here, so that this file does not find itself.
    let marks = ["ignore]", "ignore ="].map(|end| format!("#[{end}")).into_iter().chain(["todo", "dbg"].map(|name| format!("{name}!(")));
    let marks: Vec<String> = marks.collect();
    for path in files("crates", &["rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let found = marks.iter().find(|mark| line.contains(mark.as_str()));
            assert!(found.is_none(), "{}:{}: {}", path.display(), number + 1, line.trim());
        }
    }
}

#[test]
fn migrations_are_numbered_without_gaps_and_alike_in_every_backend() {
    let folder = root().join("crates/countersign-store/migrations");
    let mut by_backend = Vec::new();
    for backend in subfolders(&folder) {
        let names: Vec<String> = files_in(&backend, &["sql"]).iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        for (index, name) in names.iter().enumerate() {
            let number: usize = name.split('_').next().unwrap().parse().unwrap_or_else(|_| panic!("{name} does not start with a number"));
            assert_eq!(number, index + 1, "{}: {name} is out of order", backend.display());
        }
        assert!(!names.is_empty(), "{} has no migrations", backend.display());
        by_backend.push(names);
    }
    assert!(!by_backend.is_empty(), "there are no migrations in {}", folder.display());
    for names in &by_backend {
        assert_eq!(names, &by_backend[0], "two backends have different migrations");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages = files("docs", &["md"]);
    pages.extend(files("bench", &["md"]));
    pages.extend(files("examples", &["md"]));
    pages.extend(files_in(&root(), &["md"]));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(page.parent().unwrap().join(target).exists(), "{} links to {target}, which is not there", page.display());
        }
    }
}

/// Compares a printed page with the file, or writes the file when `UPDATE` is set.
pub fn assert_printed(path: &str, page: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, page).unwrap();
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    assert!(there == page, "{path} is not fresh; print it with: UPDATE=1 cargo nextest run -p countersign-e2e tidy");
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Our crates, as cargo sees them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn dependencies(package: &Value) -> BTreeSet<String> {
    package["dependencies"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap().to_owned()).collect()
}

/// All files below a folder of the repository with one of the extensions, sorted.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        if !folder.exists() || folder.ends_with("target") {
            continue;
        }
        folders.extend(subfolders(&folder));
        found.extend(files_in(&folder, extensions));
    }
    found.sort();
    found
}

fn files_in(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)))
        .collect();
    found.sort();
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}
