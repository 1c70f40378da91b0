//! The signers in `examples/`, run as an integrator runs them: real runtimes against the real gateway. A runtime that is not there is
//! a failure; `scripts/test` installs them all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use countersign_e2e::{Received, RecordingUpstream, Reply, Scene, hex};
use serde_json::Value;

use super::tidy::root;

/// A route for requests without a path.
const ROOT_ROUTE: &str = "[[route]]\npath = \"/\"\nrequire = \"hmac\"\nupstream = \"api\"\n";

/// A request, and what the upstream must get of it.
pub struct Case {
    pub method: &'static str,
    /// What stands in the URL after the address.
    pub target: &'static str,
    pub body: &'static [u8],
    /// The type that the signer is told; empty for none.
    pub content_type: &'static str,
}

/// Nothing in these may be changed on the way, and nothing added.
pub const CASES: [Case; 7] = [
    Case { method: "GET", target: "/signed/search?q=a%20b&x=%C3%A9&empty=&flag", body: b"", content_type: "" },
    Case { method: "POST", target: "/signed/orders", body: "{\"name\": \"Zoë ☃\"}\n".as_bytes(), content_type: "" },
    Case { method: "POST", target: "/signed/table?b=2&a=1", body: b"a;b\r\n\0\xff\n\n", content_type: "Text/CSV; charset=UTF-8" },
    Case { method: "PUT", target: "/signed/note", body: b" pay 10 ", content_type: "text/plain;charset=utf-8" },
    Case { method: "POST", target: "/signed/empty", body: b"", content_type: "" },
    Case { method: "POST", target: "?a=1", body: b"", content_type: "application/x-ndjson" },
    Case { method: "GET", target: "/signed/bare?", body: b"", content_type: "" },
];

#[test]
fn sh_with_openssl_signs() {
    signs(&["sh", &example("sign.sh")]);
    let folder = folder();
    let functions = folder.path().join("functions.sh");
    let text = fs::read_to_string(example("sign.sh")).unwrap();
    fs::write(&functions, text.split_once("\nmain() (").unwrap().0).unwrap();
    let driver = format!(
        ". '{}'; while [ $# -gt 0 ]; do printf %s \"$3\" >'{body}'; sign \"$1\" \"$2\" '{body}' \"$4\" \"$5\" \"$6\" \"$7\" \"$8\" | sed -n 's/X-Signature: //p'; shift 8; done",
        functions.display(),
        body = folder.path().join("body").display()
    );
    for shell in ["dash", "bash"] {
        agrees_with_the_vectors(&[shell, "-c", &driver, shell]);
    }
}

#[test]
fn sh_with_openssl_shows_the_secret_to_nobody() {
    let scene = Scene::start();
    let folder = folder();
    let record = folder.path().join("record");
    // Every program that the script may find writes down how it was called.
    for name in ["cat", "curl", "cut", "date", "mktemp", "od", "openssl", "rm", "tr"] {
        let real = ["/usr/bin", "/bin"].iter().map(|at| format!("{at}/{name}")).find(|path| Path::new(path).exists()).expect(name);
        let shim = folder.path().join(name);
        fs::write(&shim, format!("#!/bin/sh\nprintf '%s\\n' {name} \"$@\" >>'{}'\nexec {real} \"$@\"\n", record.display())).unwrap();
        fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let url = format!("http://{}/signed/x", scene.gateway.listen);
    let mut command = call(&["/bin/sh", &example("sign.sh")], &scene.partner.secret, &scene);
    let output = command.args(["POST", &url, "pay 10"]).env("PATH", folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let calls = fs::read_to_string(&record).unwrap();
    assert!(calls.contains("openssl\ndgst") && calls.contains("curl\n"), "{calls}");
    for shown in [scene.partner.secret.clone(), hex(scene.partner.secret.as_bytes())] {
        assert!(!calls.contains(&shown), "{calls}");
    }
}

#[test]
fn python_signs() {
    signs(&["python3", &example("sign.py")]);
    let driver = "import sys; sys.path.insert(0, sys.argv[1]); from sign import sign; a = sys.argv[2:]\n\
                  while a: m, u, b, c, k, s, t, n, *a = a; print(sign(m, u, b.encode(), c, k, s, t, n)['X-Signature'])";
    agrees_with_the_vectors(&["python3", "-B", "-c", driver, &example("")]);
}

#[test]
fn javascript_signs_in_node() {
    signs(&["node", &example("sign.mjs")]);
    let driver = format!(
        "import {{ sign }} from '{}'; const a = process.argv.slice(1);\n\
         while (a.length) {{ const [m, u, b, ...rest] = a.splice(0, 8); console.log((await sign(m, u, Buffer.from(b), ...rest))['X-Signature']); }}",
        example("sign.mjs")
    );
    agrees_with_the_vectors(&["node", "--input-type=module", "-e", &driver, "--"]);
}

#[test]
fn java_signs() {
    let folder = folder();
    let driver = folder.path().join("Vectors.java");
    fs::write(
        &driver,
        "public class Vectors { public static void main(String[] a) throws Exception { for (int i = 0; i < a.length; i += 8)\n\
         System.out.println(Sign.sign(a[i], java.net.URI.create(a[i + 1]), a[i + 2].getBytes(java.nio.charset.StandardCharsets.UTF_8),\n\
         a[i + 3], a[i + 4], a[i + 5], Long.parseLong(a[i + 6]), a[i + 7]).get(\"X-Signature\")); } }",
    )
    .unwrap();
    let classes = folder.path().to_str().unwrap();
    build(&["javac", "-J-XX:TieredStopAtLevel=1", "-d", classes, &example("Sign.java"), driver.to_str().unwrap()]);
    // Compiled once and not optimised much, because starting takes longer than running.
    let java = ["java", "-XX:TieredStopAtLevel=1", "-cp", classes];
    agrees_with_the_vectors(&[&java[..], &["Vectors"]].concat());
    signs(&[&java[..], &["Sign"]].concat());
    // From its source, as the page says.
    sends(&["java", &example("Sign.java")], &scene(), &CASES[1]);
}

#[test]
fn c_sharp_signs() {
    let folder = folder();
    let driver = folder.path().join("Vectors.cs");
    fs::write(
        &driver,
        "public static class Vectors { public static void Main(string[] a) { for (int i = 0; i < a.Length; i += 8)\n\
         System.Console.WriteLine(Sign.Headers(a[i], new System.Uri(a[i + 1]), System.Text.Encoding.UTF8.GetBytes(a[i + 2]),\n\
         a[i + 3], a[i + 4], a[i + 5], long.Parse(a[i + 6]), a[i + 7])[\"X-Signature\"]); } }",
    )
    .unwrap();
    let (program, vectors) = (path_in(&folder, "Sign.exe"), path_in(&folder, "Vectors.exe"));
    build(&["mcs", "-warnaserror", "-r:System.Net.Http.dll", &format!("-out:{program}"), &example("Sign.cs")]);
    build(&["mcs", "-main:Vectors", "-r:System.Net.Http.dll", &format!("-out:{vectors}"), &example("Sign.cs"), driver.to_str().unwrap()]);
    agrees_with_the_vectors(&["mono", &vectors]);
    signs(&["mono", &program]);
}

#[test]
fn go_signs() {
    let folder = folder();
    let driver = folder.path().join("vectors.go");
    fs::write(
        &driver,
        "package main\nfunc init() { for a := os.Args[1:]; len(a) > 0; a = a[8:] {\n\
         u, _ := url.Parse(a[1]); t, _ := strconv.ParseInt(a[6], 10, 64)\n\
         fmt.Println(signAt(a[0], u, []byte(a[2]), a[3], a[4], a[5], t, a[7]).Get(\"X-Signature\")) }; os.Exit(0) }\n"
            .replace("package main\n", "package main\nimport (\"fmt\"; \"net/url\"; \"os\"; \"strconv\")\n"),
    )
    .unwrap();
    // Files of one package must be in one folder.
    let source = path_in(&folder, "sign.go");
    fs::copy(example("sign.go"), &source).unwrap();
    let (program, vectors) = (path_in(&folder, "sign"), path_in(&folder, "vectors"));
    build(&["go", "vet", &source]);
    build(&["go", "build", "-o", &program, &source]);
    build(&["go", "build", "-o", &vectors, &source, driver.to_str().unwrap()]);
    agrees_with_the_vectors(&[&vectors]);
    signs(&[&program]);
}

#[test]
fn php_signs() {
    signs(&["php", &example("sign.php")]);
    let driver = format!(
        "require '{}'; foreach (array_chunk(array_slice($argv, 1), 8) as $a) {{ $a[6] = (int) $a[6]; echo sign(...$a)['X-Signature'], PHP_EOL; }}",
        example("sign.php")
    );
    agrees_with_the_vectors(&["php", "-r", &driver, "--"]);
}

#[test]
fn ruby_signs() {
    signs(&["ruby", "-w", &example("sign.rb")]);
    let driver = "ARGV.each_slice(8) { |*a, t, n| puts sign(*a, timestamp: t, nonce: n)['X-Signature'] }";
    agrees_with_the_vectors(&["ruby", "-r", &example("sign.rb"), "-e", driver]);
}

/// A scene in which requests without a path are signed, too.
fn scene() -> Scene {
    let moved = b"HTTP/1.1 302 Found\r\nLocation: /signed/there\r\nContent-Length: 0\r\n\r\n";
    let answer = |request: &Received| {
        if request.request_line().contains("/signed/moved") { Reply::Bytes(moved.to_vec()) } else { Reply::ok("seen") }
    };
    Scene::start_with(RecordingUpstream::start_with(answer), ROOT_ROUTE)
}

/// Sends every case, a forgery, and a request that is answered with a redirect, which would need a signature of its own.
fn signs(program: &[&str]) {
    let scene = scene();
    for case in &CASES {
        sends(program, &scene, case);
    }
    let url = format!("http://{}/signed/forged", scene.gateway.listen);
    let refused = call(program, &format!("{}0", scene.partner.secret), &scene).args(["POST", &url, "pay 10"]).output().unwrap();
    let printed = String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success(), "{program:?}: {refused:?}");
    assert!(printed.starts_with("401\n") && printed.contains("signature_mismatch"), "{program:?}: {refused:?}");
    assert_eq!(scene.upstream.count("/signed/forged"), 0);

    scene.upstream.forget();
    let url = format!("http://{}/signed/moved", scene.gateway.listen);
    let moved = call(program, &scene.partner.secret, &scene).args(["GET", &url]).output().unwrap();
    assert!(!moved.status.success() && moved.stdout == b"302\n", "{program:?}: {moved:?}");
    assert_eq!(scene.upstream.requests().len(), 1, "{program:?}");
}

/// Sends one case: with its body as an argument if it is text, else from a file.
fn sends(program: &[&str], scene: &Scene, case: &Case) {
    scene.upstream.forget();
    let mut command = call(program, &scene.partner.secret, scene);
    command.arg(case.method.to_lowercase()).arg(format!("http://{}{}", scene.gateway.listen, case.target));
    match std::str::from_utf8(case.body) {
        Ok(text) if !text.contains('\0') => {
            if !case.body.is_empty() || !case.content_type.is_empty() {
                command.arg(text);
            }
        }
        _ => {
            let file = scene.folder.path().join("body");
            fs::write(&file, case.body).unwrap();
            command.arg(format!("@{}", file.display()));
        }
    }
    if !case.content_type.is_empty() {
        command.arg(case.content_type);
    }
    let output = command.output().unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {printed}\n{errors}");
    assert_eq!(printed, "200\nseen", "{command:?}");
    assert_eq!(errors, "", "{command:?}");
    let received = scene.upstream.requests();
    assert_eq!(received.len(), 1, "{command:?}");
    assert_arrived(case, &received[0]);
}

/// Fails unless this is the request of the case, byte for byte.
pub fn assert_arrived(case: &Case, received: &Received) {
    let target = if case.target.starts_with('/') { case.target.to_owned() } else { format!("/{}", case.target) };
    let line = received.request_line();
    // Some clients send an empty query and some do not; each has signed what it sends.
    let same = line == format!("{} {target} HTTP/1.1", case.method)
        || target.strip_suffix('?').is_some_and(|target| line == format!("{} {target} HTTP/1.1", case.method));
    assert!(same, "{line} for {target}");
    assert_eq!(received.body, case.body, "{}", received.head);
    // HttpClient of .NET writes a blank of its own after the semicolon.
    let types: Vec<String> = received.headers("content-type").iter().map(|value| value.replace("; ", ";")).collect();
    let wanted = match (case.content_type, case.body) {
        ("", []) => vec![],
        ("", _) => vec!["application/json".to_owned()],
        (given, _) => vec![given.replace("; ", ";")],
    };
    assert_eq!(types, wanted, "{}", received.head);
    assert_eq!(received.headers("x-consumer-username"), ["partner"]);
}

/// Signs the good cases of `vectors/native.json`: `driver` takes eight arguments for each and prints a signature for each.
fn agrees_with_the_vectors(driver: &[&str]) {
    let vectors: Value = serde_json::from_slice(&fs::read(root().join("vectors/native.json")).unwrap()).unwrap();
    let mut command = program(driver);
    let mut wanted = Vec::new();
    for case in vectors["cases"].as_array().unwrap().iter().filter(|case| case["code"].is_null()) {
        let request = &case["request"];
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{case}")).to_owned();
        let header = |name: &str| {
            let found = request["headers"].as_array().unwrap().iter().find(|header| header[0] == name);
            found.map(|header| text(&header[1])).unwrap_or_default()
        };
        let url = format!("{}://{}{}", text(&request["scheme"]), text(&request["host"]), text(&request["target"]));
        // Not every client can send an empty query.
        if url.ends_with('?') {
            continue;
        }
        command.args([&text(&request["method"]), &url, &text(&request["body"]), &header("content-type"), &header("x-key-id")]);
        command.args([&text(&vectors["secret"]), &header("x-timestamp"), &header("x-nonce")]);
        wanted.push((text(&case["name"]), header("x-signature")));
    }
    assert!(wanted.len() > 8, "{wanted:?}");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{driver:?}: {output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), wanted.len(), "{driver:?}: {printed}");
    for ((name, signature), line) in wanted.iter().zip(printed.lines()) {
        assert_eq!(line, signature, "{driver:?}: {name}");
    }
}

fn build(command: &[&str]) -> Output {
    let output = program(command).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

/// A signer with the partner's key id and this secret.
fn call(command: &[&str], secret: &str, scene: &Scene) -> Command {
    let mut command = program(command);
    command.env("CS_KEY_ID", &scene.partner.key_id).env("CS_SECRET", secret);
    command
}

/// A command that goes to the gateway directly, whatever proxy this machine has.
pub fn program(command: &[&str]) -> Command {
    let (name, arguments) = command.split_first().unwrap();
    let found = |folder: PathBuf| folder.join(name).is_file();
    assert!(
        name.starts_with('/') || std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(found),
        "{name} is not installed: `scripts/test` does that"
    );
    let mut command = Command::new(name);
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "JAVA_TOOL_OPTIONS"] {
        command.env_remove(variable);
    }
    // Java 17 reads its arguments in the charset of the locale, and without one it reads ASCII.
    command.args(arguments).env("LC_ALL", "C.UTF-8");
    command
}

pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("countersign-examples-").tempdir().unwrap()
}

fn path_in(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// A file in `examples/`.
pub fn example(name: &str) -> String {
    root().join("examples").join(name).to_str().unwrap().to_owned()
}
