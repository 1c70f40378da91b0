-- What a gateway remembers. Times are milliseconds since 1970; scopes are joined by spaces; hashes are SHA-256.
-- Nothing here opens anything by itself: secrets are encrypted under the master key, credentials are hashed.

-- One row. `audit_rows` and `audit_head` are the end of the audit log, so that a log cut short shows.
CREATE TABLE state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    revision   INTEGER NOT NULL,
    audit_rows INTEGER NOT NULL,
    audit_head BLOB    NOT NULL CHECK (length(audit_head) = 32)
) STRICT;
INSERT INTO state (id, revision, audit_rows, audit_head) VALUES (1, 0, 0, zeroblob(32));

CREATE TABLE users (
    id       TEXT    PRIMARY KEY NOT NULL,
    username TEXT    NOT NULL UNIQUE,
    password TEXT    NOT NULL,
    scopes   TEXT    NOT NULL,
    enabled  INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created  INTEGER NOT NULL
) STRICT;

-- A session outlives its user: nodes must learn that it was ended.
CREATE TABLE sessions (
    id      TEXT    PRIMARY KEY NOT NULL,
    user_id TEXT    NOT NULL,
    client  TEXT    NOT NULL,
    scopes  TEXT    NOT NULL,
    opened  INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended   INTEGER
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, opened);
CREATE INDEX sessions_by_expiry ON sessions (expires);
CREATE INDEX sessions_by_opening ON sessions (opened);
CREATE INDEX sessions_ended ON sessions (ended) WHERE ended IS NOT NULL;

-- A used token names its one successor; the answer is there only while it may be given again.
CREATE TABLE refresh_tokens (
    hash      BLOB    PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    session   TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    issued    INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    used_at   INTEGER,
    successor BLOB    UNIQUE,
    answer    BLOB,
    CHECK ((used_at IS NULL) = (successor IS NULL)),
    CHECK (answer IS NULL OR used_at IS NOT NULL)
) STRICT;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);
CREATE INDEX refresh_tokens_with_answer ON refresh_tokens (used_at) WHERE answer IS NOT NULL;

-- Attempts to log in that did not succeed. `account` is the hash of what was typed, which may be a password by mistake;
-- empty where the lane does not count by account, as is `network`.
CREATE TABLE login_attempts (
    lane     INTEGER NOT NULL,
    account  BLOB    NOT NULL,
    network  TEXT    NOT NULL,
    failures INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    PRIMARY KEY (lane, account, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX login_attempts_by_age ON login_attempts (last);

-- From where a user succeeded before.
CREATE TABLE known_networks (
    user_id TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT    NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (user_id, network)
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    id      TEXT    PRIMARY KEY NOT NULL,
    name    TEXT    NOT NULL UNIQUE,
    scopes  TEXT    NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    id      TEXT    PRIMARY KEY NOT NULL,
    client  TEXT    NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    profile TEXT    NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX signing_keys_by_client ON signing_keys (client);

CREATE TABLE key_secrets (
    id      TEXT    PRIMARY KEY NOT NULL,
    key     TEXT    NOT NULL REFERENCES signing_keys (id) ON DELETE CASCADE,
    sealed  BLOB    NOT NULL,
    created INTEGER NOT NULL,
    ends    INTEGER
) STRICT;
CREATE INDEX key_secrets_by_key ON key_secrets (key);

CREATE TABLE api_keys (
    id      TEXT    PRIMARY KEY NOT NULL,
    client  TEXT    NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    label   TEXT    NOT NULL,
    hash    BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT;
CREATE INDEX api_keys_by_client ON api_keys (client);

CREATE TABLE admin_keys (
    id      TEXT    PRIMARY KEY NOT NULL,
    label   TEXT    NOT NULL,
    hash    BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes  TEXT    NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT;

CREATE TABLE token_keys (
    id          TEXT    PRIMARY KEY NOT NULL,
    algorithm   TEXT    NOT NULL,
    private     BLOB    NOT NULL,
    public      BLOB    NOT NULL,
    created     INTEGER NOT NULL,
    signs_from  INTEGER NOT NULL,
    signs_until INTEGER,
    ends        INTEGER
) STRICT;

CREATE TABLE allow_lists (
    name    TEXT    PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE entries (
    id          TEXT    PRIMARY KEY NOT NULL,
    list        TEXT    NOT NULL REFERENCES allow_lists (name) ON DELETE CASCADE,
    version     INTEGER NOT NULL,
    network     TEXT    NOT NULL,
    methods     TEXT    NOT NULL,
    path        TEXT,
    principal   TEXT,
    note        TEXT    NOT NULL,
    created_by  TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    valid_from  INTEGER,
    valid_until INTEGER,
    enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1))
) STRICT;
CREATE INDEX entries_by_list ON entries (list, created, id);
CREATE INDEX entries_by_principal ON entries (principal) WHERE principal IS NOT NULL;

-- What was used how often, by id. Kept apart, so that counting touches nothing that decides.
CREATE TABLE uses (
    id    TEXT    PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who changed what. Only ever appended to.
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    request TEXT,
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_keeps_its_rows BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
CREATE TRIGGER audit_keeps_its_words BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
