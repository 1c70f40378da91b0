//! `countersign dev`: everything running in one command, with an echo upstream, a demo user, a demo partner, and lines to paste.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::Config;
use crate::config_check::{self, Surroundings};
use crate::config_error::BadConfig;
use crate::demo::{self, Demo};
use crate::startup::{self, Gateway, Purpose, StartError};
use crate::{cli, echo, shell};

/// Runs until Ctrl-C.
///
/// # Errors
/// When it cannot start, in words that say what to do.
pub fn run(arguments: cli::DevArgs) -> Result<(), StartError> {
    for (flag, address) in [("--listen", arguments.listen), ("--admin-listen", arguments.admin_listen)] {
        if !address.ip().is_loopback() {
            return Err(StartError(format!(
                "{flag} {address} is not a loopback address: `dev` prints its secrets; use `countersign serve`"
            )));
        }
    }
    if arguments.listen.port() != 0 && arguments.listen == arguments.admin_listen {
        return Err(StartError(format!("--listen and --admin-listen are both {}: give the admin API a port of its own", arguments.listen)));
    }
    startup::control_runtime()?.block_on(async {
        let (upstream, what) = match &arguments.upstream {
            Some(url) => (url.to_string(), url.to_string()),
            None => {
                let echo = echo::start().await.map_err(|error| StartError(format!("cannot start the echo upstream: {error}")))?;
                (format!("http://{echo}"), "the built-in echo upstream".to_owned())
            }
        };
        let config = configuration(&arguments, &upstream)?;
        let gateway = startup::start(config, Purpose::Dev).await?;
        let demo = demo::set_up(&gateway, &arguments.data).await?;
        print!("{}", lines(&gateway, &demo, &what, &arguments.data, &Style::of_stdout()));
        gateway.run_until_told_to_stop().await
    })
}

/// The pair of routes that `init` writes too: signed with a version, a token without one.
fn configuration(arguments: &cli::DevArgs, upstream: &str) -> Result<Config, StartError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = format!(
        r#"
data = {data}
[[listener]]
address = "{listen}"
[admin]
address = "{admin}"
[upstream.demo]
url = {upstream}
[[route]]
path = "/api/v3.0/*"
require = "hmac and from({list})"
upstream = "demo"
[[route]]
path = "/self-check"
require = "hmac and from({list})"
answer = "self-check"
[[route]]
path = ["/api/v{{digit}}*", "/api/v{{digit}}*/*"]
refuse = true
[[route]]
path = "/api/*"
require = "jwt or api_key"
upstream = "demo"
"#,
        data = quoted(&arguments.data.display().to_string()),
        listen = arguments.listen,
        admin = arguments.admin_listen,
        upstream = quoted(upstream),
        list = demo::LIST,
    );
    let here = Surroundings { directory: ".".into(), ..Surroundings::default() };
    config_check::check("countersign dev", &text, &here).map(|checked| checked.config).map_err(|BadConfig(found)| {
        // Nobody can look into this file: what is wrong is said without the place.
        let messages: Vec<String> = found.findings.into_iter().map(|finding| finding.message).collect();
        StartError(messages.join("; "))
    })
}

/// Marks for people, left out where nobody looks.
struct Style {
    bold: &'static str,
    dim: &'static str,
    plain: &'static str,
}

impl Style {
    fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self { bold: "\x1b[1m", dim: "\x1b[2m", plain: "\x1b[0m" }
        } else {
            Self { bold: "", dim: "", plain: "" }
        }
    }
}

/// What is printed: at most 40 lines, and every line that does not start with `#` can be pasted. A shell that knows no comments
/// at its prompt, such as zsh, takes those for a command `#` that it does not find: see [`UNSAFE_IN_COMMENTS`].
fn lines(gateway: &Gateway, demo: &Demo, upstream: &str, data: &Path, style: &Style) -> String {
    let Style { bold, dim, plain } = style;
    let (listen, admin): (SocketAddr, SocketAddr) = (gateway.listen, gateway.admin);
    let (binary, env) = (this_binary(), shell::word(&demo.env_file.display().to_string()));
    let data = data.display().to_string();
    let data = if data.contains(UNSAFE_IN_COMMENTS) { "as --data says" } else { &data };
    let network = demo::network(listen.ip());
    let put_back =
        if demo.put_back { format!("#   allow-list {list} lacked {network}: put back\n", list = demo::LIST) } else { String::new() };
    format!(
        r##"{bold}# Countersign is running. Ctrl-C stops it.{plain}
#   gateway    http://{listen} in front of {upstream}
#              passes /api/v3.0/... that is signed, and /api/... with a token or an API key
#   admin API  http://{admin}
#   data       {data}  {dim}demo secrets: never put this on a network{plain}
{put_back}# Paste these lines into another shell, in this directory.
set -a; . {env}; set +a

{bold}# 1. Log in{plain}
TOKENS=$(curl -s $CS_URL/token -d grant_type=password -d username=$CS_USERNAME -d password=$CS_PASSWORD); echo "$TOKENS"
{bold}# 2. Call the API with the access token{plain}
ACCESS=$(echo "$TOKENS" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -s $CS_URL/api/hello -H "Authorization: Bearer $ACCESS"
{bold}# 3. Refresh{plain}
REFRESH=$(echo "$TOKENS" | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/')
curl -s $CS_URL/token -d grant_type=refresh_token -d refresh_token=$REFRESH; echo
{bold}# 4. Sign a request as the partner, with openssl alone{plain}
TS=$(date +%s); NONCE=$(openssl rand -hex 16); BODY=$(printf '' | openssl dgst -sha256 -r | cut -c1-64)
SIG=$(printf 'v3.0\n%s\n%s\n%s\nGET\n%s\n/api/v3.0/hello\n\n%s' $CS_KEY_ID $TS $NONCE ${{CS_URL#http://}} $BODY | openssl dgst -sha256 -hmac $CS_SECRET -r | cut -c1-64)
send() {{ curl -s $CS_URL/api/v3.0/hello -H "X-Key-Id: $CS_KEY_ID" -H "X-Timestamp: $TS" -H "X-Nonce: $NONCE" -H "X-Signature: v3=$SIG"; echo; }}
send
{bold}# 5. The same bytes again are refused: replayed{plain}
send
{bold}# 6. Take the network of the partner off the allow-list: refused from the next request on, address_not_allowed{plain}
ENTRIES=$CS_ADMIN_URL/admin/v1/allow-lists/$CS_LIST/entries; ADMIN="Authorization: Bearer $CS_ADMIN_KEY"
entries() {{ curl -s "$ENTRIES?limit=1000" -H "$ADMIN" | tr '{{' '\n' | grep -F '"network":"{network}"' | sed 's/.*"id":"\(en_[^"]*\)".*/\1/'; }}
for ENTRY in $(entries); do curl -s -X DELETE $ENTRIES/$ENTRY -H "$ADMIN" -H 'If-Match: *'; done
send
{bold}# 7. Put it back, and sign in one line{plain}
curl -s $ENTRIES -H "$ADMIN" -H 'Content-Type: application/json' -d '{{"network":"{network}","note":"put back"}}'; echo
{binary} sign --send GET $CS_URL/api/v3.0/hello
{bold}# 8. An API key, for scripts{plain}
curl -s $CS_URL/api/hello -H "X-API-Key: $CS_API_KEY"
"##
    )
}

/// What a shell without comments would act on, or wait for the other half of.
const UNSAFE_IN_COMMENTS: [char; 19] = ['\'', '"', '(', ')', ';', '&', '|', '<', '>', '*', '?', '[', ']', '$', '`', '\\', '!', '{', '}'];

/// How this binary is called from here.
fn this_binary() -> String {
    let shown = |path: &Path| path.display().to_string();
    let Ok(binary) = std::env::current_exe() else { return "countersign".into() };
    let relative = std::env::current_dir().ok().and_then(|here| binary.strip_prefix(here).ok().map(|path| format!("./{}", shown(path))));
    shell::word(&relative.unwrap_or_else(|| shown(&binary)))
}
