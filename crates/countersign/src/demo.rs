//! The demo of `countersign dev`: a user, a partner, an API key, an admin key, an allow-list, and the file that names them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_core::allow_list::{Entry, Methods};
use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::directory::{AdminKey, AdminScope, ApiKey, Client, KeySecret, SigningKey, User, Username};
use countersign_core::id::{AdminKeyId, ApiKeyId, ClientId, EntryId, KeyId, ListName, SecretId, UserId};
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;
use countersign_core::password::{self, Password};
use countersign_core::principal::Scopes;
use countersign_core::secret::{CredentialHash, MadeSecret, SecretText, push_hex};
use countersign_store::Added;

use crate::control::Control;
use crate::data_directory;
use crate::publish::Parts;
use crate::startup::{Gateway, StartError};

/// The allow-list of the demo.
pub const LIST: &str = "partners";
const USERNAME: &str = "demo";
const PARTNER: &str = "demo-partner";

/// The demo as it was set up.
pub struct Demo {
    /// The file with all its values, for a shell to source.
    pub env_file: PathBuf,
    /// Whether the network of this machine was off the allow-list, as the lines that are printed leave it half way, and is on
    /// it again.
    pub put_back: bool,
}

/// The network from which the demo partner may come: where `dev` listens.
pub fn network(listen: IpAddr) -> &'static str {
    if listen.is_ipv4() { "127.0.0.0/8" } else { "::1/128" }
}

/// The secrets of the demo, in the order of the file.
struct Secrets {
    password: String,
    key_id: String,
    secret: String,
    api_key: String,
    admin_key: String,
}

/// Sets the demo up, or finds it as it was left, and writes `demo.env` with the addresses of this run.
///
/// # Errors
/// When the store or the file system does not work.
pub async fn set_up(gateway: &Gateway, data: &Path) -> Result<Demo, StartError> {
    let env_file = data.join("demo.env");
    let (secrets, put_back) = match read(&env_file) {
        Some(secrets) => (secrets, put_back(&gateway.control, gateway.listen.ip()).await?),
        None => (make(&gateway.control, gateway.listen.ip()).await?, false),
    };
    let text = format!(
        "CS_URL=http://{}\nCS_ADMIN_URL=http://{}\nCS_ADMIN_KEY={}\nCS_USERNAME={USERNAME}\nCS_PASSWORD={}\nCS_KEY_ID={}\nCS_SECRET={}\nCS_API_KEY={}\nCS_LIST={LIST}\n",
        gateway.listen, gateway.admin, secrets.admin_key, secrets.password, secrets.key_id, secrets.secret, secrets.api_key
    );
    data_directory::write_whole(&env_file, text.as_bytes())
        .map_err(|error| StartError(format!("cannot write {}: {error}", env_file.display())))?;
    Ok(Demo { env_file, put_back })
}

fn read(env_file: &Path) -> Option<Secrets> {
    let text = std::fs::read_to_string(env_file).ok()?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    Some(Secrets {
        password: value("CS_PASSWORD")?,
        key_id: value("CS_KEY_ID")?,
        secret: value("CS_SECRET")?,
        api_key: value("CS_API_KEY")?,
        admin_key: value("CS_ADMIN_KEY")?,
    })
}

fn broken(error: impl std::fmt::Display) -> StartError {
    StartError(format!("cannot set up the demo: {error}"))
}

fn audit_row(now: UnixMillis, action: &'static str, target: &dyn std::fmt::Display) -> AuditEvent {
    AuditEvent {
        at: now,
        actor: Actor::Gateway,
        action,
        target: target.to_string(),
        detail: serde_json::json!({ "demo": true }),
        request: None,
    }
}

/// Lets this machine in again where the allow-list has no entry that does, whatever the request. Says whether that was so.
async fn put_back(control: &Arc<Control>, listen: IpAddr) -> Result<bool, StartError> {
    let list: ListName = LIST.parse().map_err(broken)?;
    let here: Network = network(listen).parse().map_err(broken)?;
    let lists = control.store.load_allow_lists().await.map_err(broken)?;
    let found = lists.iter().find(|found| found.name == list);
    let is_for_all = |entry: &Entry| entry.methods.is_all() && entry.path.is_none() && entry.principal.is_none();
    let is_for_good = |entry: &Entry| entry.enabled && entry.valid_from.is_none() && entry.valid_until.is_none();
    let lets_in = |entry: &Entry| entry.network == here && is_for_all(entry) && is_for_good(entry);
    if found.is_some_and(|found| found.entries.iter().any(lets_in)) {
        return Ok(false);
    }
    if found.is_none() {
        let now = control.now();
        added(control.store.add_allow_list(&list, now, &audit_row(now, "allow_list.added", &list)).await.map_err(broken)?)?;
    }
    add_entry(control, list, here).await?;
    control.publish(Parts::LISTS).await.map_err(broken)?;
    Ok(true)
}

async fn add_entry(control: &Arc<Control>, list: ListName, network: Network) -> Result<(), StartError> {
    let now = control.now();
    let entry = Entry {
        id: EntryId::new(control.fresh().map_err(broken)?),
        list,
        version: 1,
        network,
        methods: Methods::default(),
        path: None,
        principal: None,
        note: "this machine".into(),
        created_by: Actor::Gateway.render(),
        created: now,
        valid_from: None,
        valid_until: None,
        enabled: true,
    };
    added(control.store.add_entry(&entry, &audit_row(now, "entry.added", &entry.id)).await.map_err(broken)?)
}

async fn make(control: &Arc<Control>, listen: IpAddr) -> Result<Secrets, StartError> {
    let (store, now) = (&control.store, control.now());
    let audit = |action, target: &dyn std::fmt::Display| audit_row(now, action, target);
    let list: ListName = LIST.parse().map_err(broken)?;
    let username: Username = USERNAME.parse().map_err(broken)?;

    // What an earlier start left half done goes first.
    if let Some(user) = store.find_user(&username).await.map_err(broken)? {
        store.remove_user(&user.id, &audit("user.removed", &user.id)).await.map_err(broken)?;
    }
    for client in store.load_directory().await.map_err(broken)?.clients.iter().filter(|client| client.name.as_str() == PARTNER) {
        store.remove_client(&client.id, &audit("client.removed", &client.id)).await.map_err(broken)?;
    }
    store.remove_allow_list(&list, None, &audit("allow_list.removed", &list)).await.map_err(broken)?;

    let mut password = "demo-".to_owned();
    push_hex(&mut password, &control.fresh::<12>().map_err(broken)?.take());
    let hash = {
        let checked = Password::new(&SecretText::new(password.clone())).map_err(broken)?;
        password::hash(&checked, control.fresh().map_err(broken)?).map_err(broken)?
    };
    let user = User {
        id: UserId::new(control.fresh().map_err(broken)?),
        username,
        password: hash,
        scopes: Scopes::default(),
        enabled: true,
        created: now,
    };
    added(store.add_user(&user, &audit("user.added", &user.id)).await.map_err(broken)?)?;

    let client = Client {
        id: ClientId::new(control.fresh().map_err(broken)?),
        name: PARTNER.parse().map_err(broken)?,
        scopes: Scopes::default(),
        enabled: true,
        created: now,
    };
    added(store.add_client(&client, &audit("client.added", &client.id)).await.map_err(broken)?)?;

    let secret = MadeSecret::SigningSecret.make(control.fresh().map_err(broken)?);
    let secret_id = SecretId::new(control.fresh().map_err(broken)?);
    let sealed = control.master.seal(secret.expose().as_bytes(), secret_id.as_str(), control.fresh().map_err(broken)?).map_err(broken)?;
    let key = SigningKey {
        diagnose_until: None,
        id: KeyId::new(control.fresh().map_err(broken)?),
        client: client.id.clone(),
        profile: "v3.0".parse().map_err(broken)?,
        enabled: true,
        created: now,
        secrets: vec![KeySecret { id: secret_id, sealed, created: now, ends: None }],
    };
    added(store.add_signing_key(&key, &audit("signing_key.added", &key.id)).await.map_err(broken)?)?;

    let api_key = MadeSecret::ApiKey.make(control.fresh().map_err(broken)?);
    let record = ApiKey {
        id: ApiKeyId::new(control.fresh().map_err(broken)?),
        client: client.id.clone(),
        label: "demo".into(),
        hash: CredentialHash::of(api_key.expose()),
        enabled: true,
        created: now,
        expires: None,
    };
    added(store.add_api_key(&record, &audit("api_key.added", &record.id)).await.map_err(broken)?)?;

    let admin_key = MadeSecret::AdminKey.make(control.fresh().map_err(broken)?);
    let record = AdminKey {
        id: AdminKeyId::new(control.fresh().map_err(broken)?),
        label: "demo".into(),
        hash: CredentialHash::of(admin_key.expose()),
        scopes: AdminScope::ALL.into(),
        enabled: true,
        created: now,
        expires: None,
    };
    added(store.add_admin_key(&record, &audit("admin_key.added", &record.id)).await.map_err(broken)?)?;

    added(store.add_allow_list(&list, now, &audit("allow_list.added", &list)).await.map_err(broken)?)?;
    add_entry(control, list, network(listen).parse().map_err(broken)?).await?;
    control.publish(Parts::ALL).await.map_err(broken)?;

    Ok(Secrets {
        password,
        key_id: key.id.to_string(),
        secret: secret.expose().to_owned(),
        api_key: api_key.expose().to_owned(),
        admin_key: admin_key.expose().to_owned(),
    })
}

fn added(outcome: Added) -> Result<(), StartError> {
    match outcome {
        Added::Added(_) => Ok(()),
        Added::AlreadyExists | Added::NotFound => Err(StartError(format!("cannot set up the demo: {outcome:?}"))),
    }
}
