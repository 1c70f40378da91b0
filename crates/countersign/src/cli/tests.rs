use super::*;

#[test]
fn the_arguments_do_not_contradict_each_other() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_parses() {
    for line in [
        "dev",
        "dev --upstream http://127.0.0.1:9000 --listen 127.0.0.1:0 --admin-listen [::1]:0 --data /tmp/x",
        "serve",
        "serve --config c.toml",
        "init",
        "init --force c.toml",
        "check",
        "check --config c.toml --json",
        "sign GET http://127.0.0.1/api",
        "sign post http://h/ --key-id ck_1 --data {} --content-type text/plain --send --json",
        "sign PUT http://h/ --secret-file s --data @file --digest",
        "sign GET http://h/ --env-file demo.env",
        "sign GET http://h/ --profile sigv4 --set region=eu-1 --set service=s3 -H X-A:b --header X-C:d",
        "verify --keys k.json",
        "verify --profile ./p.toml --keys k --at 1440938160.5 --scheme http --set a=b --set c=d --string-to-sign s --json",
        "verify --keys k --at 2026-01-01T00:00:00Z",
        "profiles",
        "profiles --json",
        "profiles show v3.0",
        "user add anna --scope read --scope write --generate",
        "user add anna --password-stdin --data d",
        "user list --json",
        "user show anna",
        "user password anna",
        "user scopes anna read write",
        "user disable anna",
        "user enable anna --socket s",
        "user remove anna --config c",
        "client add acme --scope orders",
        "client list",
        "client show acme",
        "client disable acme",
        "client enable acme",
        "client remove acme",
        "key add --client acme",
        "key add --client acme --id partner-7 --profile v3.0",
        "key add --client acme --api --label nightly --expires 90d",
        "key list",
        "key list --client acme",
        "key show ck_1",
        "key roll ck_1",
        "key roll ck_1 --overlap-seconds 3600",
        "key end-secret ck_1 se_1",
        "key disable ak_1",
        "key enable ak_1",
        "key remove ak_1",
        "allow create partners",
        "allow drop partners",
        "allow add partners 203.0.113.0/24",
        "allow add partners ::/0 --wide --methods GET,POST --path /api/* --for user:anna --from 2026-01-01 --until 7d --note Acme",
        "allow list",
        "allow list partners",
        "allow show partners en_1",
        "allow disable partners en_1",
        "allow enable partners en_1",
        "allow remove partners en_1",
        "session list",
        "session end si_1",
        "admin-key add --label ci --scope read --scope allow-lists --expires 2027-01-01T00:00:00Z",
        "admin-key list",
        "admin-key show ad_1",
        "admin-key disable ad_1",
        "admin-key enable ad_1",
        "admin-key remove ad_1",
        "audit",
        "audit --last 3 --json",
        "completions bash",
        "completions fish",
    ] {
        if let Err(error) = Cli::try_parse_from(std::iter::once("countersign").chain(line.split(' '))) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    for line in [
        "",
        "frobnicate",
        "dev --upstream https://h",
        "dev --listen localhost:80",
        "sign GET",
        "sign GET http://h/ --secret css_1",
        "sign GET http://h/ --set region",
        "sign GET http://h/ -H X-A",
        "sign GET http://h/ -H Content-Length:3",
        "sign GET http://h/ -H a@b:c",
        "verify",
        "verify --keys k --at tomorrow",
        "verify --keys k --at 1.2.3",
        "verify --keys k --at -1",
        "verify --keys k --scheme ftp",
        "profiles --json show v3.0",
        "user add anna --password hunter2",
        "user add anna --generate --password-stdin",
        "key add",
        "key add --client a --expires 3d",
        "key add --client a --api --profile v3.0",
        "admin-key add",
        "admin-key add --scope everything",
        "allow add partners",
        "allow add partners 10.0.0.0/8 --until tomorrow",
        "audit --last 0",
    ] {
        let words = line.split(' ').filter(|word| !word.is_empty());
        assert!(Cli::try_parse_from(std::iter::once("countersign").chain(words)).is_err(), "{line}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    use clap::ValueEnum as _;
    for shell in clap_complete::Shell::value_variants() {
        let script = run(Command::Completions { shell: *shell }).unwrap();
        assert!(script.contains("admin-key"), "{shell}");
    }
}

#[test]
fn a_gateway_that_is_not_there_is_said_so_with_status_4() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    for verb in ["user list", "client remove acme", "key roll ck_1", "allow add partners 10.0.0.0/8", "audit"] {
        let words = format!("countersign {verb} --data {data}");
        let failure = run(Cli::try_parse_from(words.split(' ')).unwrap().command).unwrap_err();
        assert_eq!(failure.status(), 4, "{verb}");
        let Failure::Unreachable(text) = failure else { panic!("{verb}") };
        assert!(text.contains("no gateway is running") && text.contains("--data"), "{text}");
    }
}
