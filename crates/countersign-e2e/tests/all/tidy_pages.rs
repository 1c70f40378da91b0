//! Reference pages say what the code says: every setting, every admin route, every command.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use countersign_e2e::program;

use crate::tidy::{assert_printed, root};

#[test]
fn the_page_of_the_configuration_has_every_setting_and_no_other() {
    let mut written = BTreeSet::new();
    let mut table = String::new();
    for line in read("crates/countersign/src/config_file.rs").lines() {
        if let Some(heading) = line.strip_prefix("/// `[") {
            table = format!("`[{}", heading.trim_end());
        } else if line == "/// The whole file." {
            table = "The file".to_owned();
        } else if let Some((key, _)) = line.strip_prefix("    pub ").and_then(|field| field.split_once(':')) {
            written.insert((table.clone(), key.to_owned()));
        }
    }
    assert!(written.len() > 50, "{written:?}");

    let mut explained = BTreeSet::new();
    let mut section = "";
    for line in read("docs/reference/config.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        } else if line.starts_with("### ") {
            section = "what values look like";
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|row| row.split_once("` |"))
            && (section == "The file" || section.starts_with("`["))
        {
            explained.insert((section.to_owned(), key.to_owned()));
        }
    }
    assert_eq!(explained, written, "docs/reference/config.md and config_file.rs differ");
}

#[test]
fn the_page_of_the_configuration_has_the_values_that_init_writes() {
    let page = read("docs/reference/config.md");
    let mut compared = 0;
    let mut section = String::new();
    for line in read("crates/countersign/src/init/countersign.toml").lines() {
        if line.starts_with('[') {
            section = line.split('.').next().unwrap().trim_end_matches(']').to_owned();
        }
        // Comments that are a setting and its value: `# key = value   # more`.
        let Some((key, value)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")) else { continue };
        let value = value.split('#').next().unwrap().trim().trim_matches('"');
        let varies = ["threads", "hashing_threads", "issuer", "audience", "master_key_file", "socket", "trusted_proxies"];
        if varies.contains(&key) || key.contains(' ') {
            continue;
        }
        let table = page.split("\n## ").find(|part| part.starts_with(&format!("`{section}"))).unwrap_or_else(|| panic!("{section}"));
        let row = table.lines().find(|row| row.starts_with(&format!("| `{key}` |"))).unwrap_or_else(|| panic!("{section} {key}"));
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(last.starts_with(&format!("`{value}`")), "{section} {key}: init says {value}, the page says {last}");
        compared += 1;
    }
    assert!(compared > 25, "only {compared}");
}

#[test]
fn the_page_of_the_admin_api_has_every_route_with_its_scope() {
    let code = read("crates/countersign/src/admin_api.rs");
    let page = read("docs/reference/admin-api.md");
    let mut rows: BTreeSet<&str> =
        page.lines().filter(|line| ["| GET", "| POST", "| PUT", "| PATCH", "| DELETE"].iter().any(|m| line.starts_with(m))).collect();
    let scopes = [("Read", "read"), ("Users", "users"), ("Clients", "clients"), ("AllowLists", "allow-lists"), ("AdminKeys", "admin-keys")];
    let mut routes = 0;
    for line in code.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [method, path, scope, act] = words[..] else { continue };
        if !act.ends_with(';') || !path.starts_with("\"/") {
            continue;
        }
        let scope = scopes.iter().find(|(name, _)| *name == scope).unwrap_or_else(|| panic!("{scope}")).1;
        let row = format!("| {method} | `{}` | `{scope}` |", path.trim_matches('"'));
        assert!(rows.remove(row.as_str()), "docs/reference/admin-api.md lacks: {row}");
        routes += 1;
    }
    assert!(routes > 40, "only {routes}");
    assert!(rows.is_empty(), "these routes are not there: {rows:?}");
}

#[test]
fn the_page_of_the_command_line_is_what_help_says() {
    let mut page = String::from(
        "# Command line\n\n<!-- Printed from --help: UPDATE=1 cargo nextest run -p countersign-e2e tidy -->\n\n\
         `user`, `client`, `key`, `allow`, `session`, `admin-key`, `explain` and `audit` ask a running gateway over its local socket, as the user that runs it or as root. \
         They find it by the configuration file. These options are left out below:\n\n",
    );
    page.push_str(&format!("```\n{}\n```\n", options_of_all()));
    page.push_str(&format!("\n## countersign\n\n```\n{}\n```\n", without_common(&help(&[]))));
    for command in subcommands(&help(&[])) {
        print_command(&mut page, &[&command]);
    }
    assert_printed("docs/reference/command-line.md", &page);
}

fn print_command(page: &mut String, words: &[&str]) {
    let text = help(words);
    page.push_str(&format!(
        "\n{} {}\n\n```\n{}\n```\n",
        if words.len() == 1 { "##" } else { "###" },
        words.join(" "),
        without_common(&text)
    ));
    for command in subcommands(&text) {
        print_command(page, &[words, &[&command]].concat());
    }
}

fn help(words: &[&str]) -> String {
    let output = Command::new(program()).args(words).arg("--help").env_remove("COUNTERSIGN_CONFIG").output().expect("the program runs");
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A name stands two columns in; what is further in goes on with the line before.
    names.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?.split(' ').next().map(str::to_owned)).collect()
}

/// Which gateway, and the form of the answer: the same for every command that asks a gateway.
fn options_of_all() -> String {
    let text = help(&["audit"]);
    let (_, options) = text.split_once("Which gateway:\n").expect("audit asks a gateway");
    options.trim_end().to_owned()
}

/// Without what every command has.
fn without_common(help: &str) -> String {
    let common = options_of_all();
    let text = help.replace(&format!("Which gateway:\n{common}\n"), "");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("-h, --help ")).collect();
    // An empty list, and what its taking away leaves.
    let text = format!("{}\n", lines.join("\n")).replace("Options:\n\n", "").replace("\n\n\n", "\n\n");
    text.trim_end().trim_end_matches("Options:").trim_end().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(&root()).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
