//! From rows to values. What does not parse is [`StoreError::Corrupt`], never a default.

use std::fmt::Display;
use std::str::FromStr;

use countersign_core::allow_list::{AllowList, Entry};
use countersign_core::audit::AuditRow;
use countersign_core::directory::{AdminKey, ApiKey, Client, KeySecret, PasswordHash, Sealed, SigningKey, TokenAlgorithm, TokenKey, User};
use countersign_core::now::UnixMillis;
use countersign_core::refresh::{RefreshToken, Session, Spent};
use countersign_core::secret::CredentialHash;

use crate::{Result, StoreError, Use};

/// What a database's row type can give, by the name of the column.
pub(crate) trait Columns {
    /// Text that may be absent.
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>>;
    /// A number that may be absent.
    fn maybe_number(&self, column: &'static str) -> Result<Option<i64>>;
    /// Bytes that may be absent.
    fn maybe_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>>;

    /// Text.
    fn text(&self, column: &'static str) -> Result<String> {
        self.maybe_text(column)?.ok_or_else(|| corrupt(column, "is null"))
    }
    /// A number.
    fn number(&self, column: &'static str) -> Result<i64> {
        self.maybe_number(column)?.ok_or_else(|| corrupt(column, "is null"))
    }
    /// Bytes.
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>> {
        self.maybe_bytes(column)?.ok_or_else(|| corrupt(column, "is null"))
    }
    /// A number that is never negative.
    fn count(&self, column: &'static str) -> Result<u64> {
        u64::try_from(self.number(column)?).map_err(|_| corrupt(column, "is negative"))
    }
    /// Yes or no.
    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.number(column)? != 0)
    }
    /// A moment.
    fn moment(&self, column: &'static str) -> Result<UnixMillis> {
        Ok(UnixMillis::from_millis(self.number(column)?))
    }
    /// A moment that may be absent.
    fn maybe_moment(&self, column: &'static str) -> Result<Option<UnixMillis>> {
        Ok(self.maybe_number(column)?.map(UnixMillis::from_millis))
    }
    /// Text that reads as a value.
    fn parsed<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T> {
        self.text(column)?.parse().map_err(|error| corrupt(column, error))
    }
    /// Text that reads as a value and may be absent.
    fn maybe_parsed<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_text(column)?.map(|text| text.parse().map_err(|error| corrupt(column, error))).transpose()
    }
    /// The hash of a credential, or of an audit row.
    fn hash(&self, column: &'static str) -> Result<[u8; 32]> {
        self.bytes(column)?.try_into().map_err(|_| corrupt(column, "is not 32 bytes"))
    }
}

pub(crate) fn corrupt(column: &str, what: impl Display) -> StoreError {
    StoreError::Corrupt(format!("column {column}: {what}"))
}

pub(crate) fn user(row: &impl Columns) -> Result<User> {
    Ok(User {
        id: row.parsed("id")?,
        username: row.parsed("username")?,
        password: PasswordHash(row.text("password")?.into()),
        scopes: row.parsed("scopes")?,
        enabled: row.flag("enabled")?,
        created: row.moment("created")?,
    })
}

pub(crate) fn session(row: &impl Columns) -> Result<Session> {
    Ok(Session {
        id: row.parsed("id")?,
        user: row.parsed("user_id")?,
        client: row.parsed("client")?,
        scopes: row.parsed("scopes")?,
        opened: row.moment("opened")?,
        expires: row.moment("expires")?,
        ended: row.maybe_moment("ended")?,
    })
}

pub(crate) fn refresh_token(row: &impl Columns) -> Result<RefreshToken> {
    let used = match row.maybe_moment("used_at")? {
        None => None,
        Some(at) => {
            let successor = CredentialHash(row.hash("successor")?);
            Some(Spent { at, successor, answer: row.maybe_bytes("answer")?.map(Sealed) })
        }
    };
    Ok(RefreshToken {
        hash: CredentialHash(row.hash("hash")?),
        session: row.parsed("session")?,
        issued: row.moment("issued")?,
        expires: row.moment("expires")?,
        used,
    })
}

pub(crate) fn client(row: &impl Columns) -> Result<Client> {
    Ok(Client {
        id: row.parsed("id")?,
        name: row.parsed("name")?,
        scopes: row.parsed("scopes")?,
        enabled: row.flag("enabled")?,
        created: row.moment("created")?,
    })
}

/// A signing key, still without its secrets.
pub(crate) fn signing_key(row: &impl Columns) -> Result<SigningKey> {
    Ok(SigningKey {
        id: row.parsed("id")?,
        client: row.parsed("client")?,
        profile: row.parsed("profile")?,
        enabled: row.flag("enabled")?,
        created: row.moment("created")?,
        diagnose_until: row.maybe_moment("diagnose_until")?,
        secrets: Vec::new(),
    })
}

pub(crate) fn key_secret(row: &impl Columns) -> Result<KeySecret> {
    Ok(KeySecret {
        id: row.parsed("id")?,
        sealed: Sealed(row.bytes("sealed")?),
        created: row.moment("created")?,
        ends: row.maybe_moment("ends")?,
    })
}

pub(crate) fn api_key(row: &impl Columns) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.parsed("id")?,
        client: row.parsed("client")?,
        label: row.text("label")?,
        hash: CredentialHash(row.hash("hash")?),
        enabled: row.flag("enabled")?,
        created: row.moment("created")?,
        expires: row.maybe_moment("expires")?,
    })
}

pub(crate) fn admin_key(row: &impl Columns) -> Result<AdminKey> {
    let scopes = row.text("scopes")?.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
    Ok(AdminKey {
        id: row.parsed("id")?,
        label: row.text("label")?,
        hash: CredentialHash(row.hash("hash")?),
        scopes: scopes.map_err(|error| corrupt("scopes", error))?,
        enabled: row.flag("enabled")?,
        created: row.moment("created")?,
        expires: row.maybe_moment("expires")?,
    })
}

pub(crate) fn token_key(row: &impl Columns) -> Result<TokenKey> {
    let algorithm = match row.text("algorithm")?.as_str() {
        "ES256" => TokenAlgorithm::Es256,
        other => return Err(corrupt("algorithm", format_args!("{other:?} is not known"))),
    };
    Ok(TokenKey {
        id: row.parsed("id")?,
        algorithm,
        private: Sealed(row.bytes("private")?),
        public: row.bytes("public")?,
        created: row.moment("created")?,
        signs_from: row.moment("signs_from")?,
        signs_until: row.maybe_moment("signs_until")?,
        ends: row.maybe_moment("ends")?,
    })
}

/// An allow-list, still without its entries.
pub(crate) fn allow_list(row: &impl Columns) -> Result<AllowList> {
    Ok(AllowList { name: row.parsed("name")?, version: row.count("version")?, created: row.moment("created")?, entries: Vec::new() })
}

pub(crate) fn entry(row: &impl Columns) -> Result<Entry> {
    Ok(Entry {
        id: row.parsed("id")?,
        list: row.parsed("list")?,
        version: row.count("version")?,
        network: row.parsed("network")?,
        methods: row.parsed("methods")?,
        path: row.maybe_parsed("path")?,
        principal: row.maybe_parsed("principal")?,
        note: row.text("note")?,
        created_by: row.text("created_by")?,
        created: row.moment("created")?,
        valid_from: row.maybe_moment("valid_from")?,
        valid_until: row.maybe_moment("valid_until")?,
        enabled: row.flag("enabled")?,
    })
}

pub(crate) fn usage(row: &impl Columns) -> Result<Use> {
    Ok(Use { id: row.text("id")?, count: row.count("count")?, last: row.moment("last")? })
}

pub(crate) fn audit_row(row: &impl Columns) -> Result<AuditRow> {
    let detail = serde_json::from_str(&row.text("detail")?).map_err(|error| corrupt("detail", error))?;
    Ok(AuditRow {
        number: row.count("number")?,
        at: row.moment("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        target: row.text("target")?,
        detail,
        request: row.maybe_text("request")?,
        hash: row.hash("hash")?,
    })
}
