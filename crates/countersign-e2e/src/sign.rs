//! Signs by the native scheme, written from its description and not from the program's code.

use aws_lc_rs::{digest, hmac};

/// Somebody with a key.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The key id.
    pub key_id: String,
    /// The secret as it was shown.
    pub secret: String,
}

/// What is signed, line by line. A test changes one of them and sends another.
#[derive(Debug, Clone)]
pub struct Signed {
    signer: Signer,
    method: String,
    host: String,
    target: String,
    content_type: Option<String>,
    body: Vec<u8>,
    digest: Option<String>,
    timestamp: i64,
    nonce: String,
    extra: Vec<(String, String)>,
}

impl Signer {
    /// A request without a body, of now, with a nonce of its own.
    pub fn request(&self, method: &str, host: &str, target: &str) -> Signed {
        Signed {
            signer: self.clone(),
            method: method.into(),
            host: host.into(),
            target: target.into(),
            content_type: None,
            body: Vec::new(),
            digest: None,
            timestamp: crate::unix_seconds(),
            nonce: fresh_nonce(),
            extra: Vec::new(),
        }
    }
}

impl Signed {
    /// With a body of this type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.content_type = Some(content_type.into());
        self.body = body.to_vec();
        self
    }

    /// With this digest (hexadecimal) in place of the body's.
    #[must_use]
    pub fn digest(mut self, hex: &str) -> Self {
        self.digest = Some(hex.into());
        self
    }

    /// Signed so many seconds from now.
    #[must_use]
    pub fn seconds_from_now(mut self, seconds: i64) -> Self {
        self.timestamp = crate::unix_seconds() + seconds;
        self
    }

    /// With this nonce.
    #[must_use]
    pub fn nonce(mut self, nonce: &str) -> Self {
        self.nonce = nonce.into();
        self
    }

    /// With a header that is not signed.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// The nine lines.
    pub fn string_to_sign(&self) -> String {
        let digest = self.digest.clone().unwrap_or_else(|| sha256_hex(&self.body));
        [
            "v3.0",
            &self.signer.key_id,
            &self.timestamp.to_string(),
            &self.nonce,
            &self.method,
            &self.host.to_ascii_lowercase(),
            &self.target,
            self.content_type.as_deref().unwrap_or(""),
            &digest,
        ]
        .join("\n")
    }

    /// The four headers.
    pub fn headers(&self) -> Vec<(String, String)> {
        vec![
            ("X-Key-Id".into(), self.signer.key_id.clone()),
            ("X-Timestamp".into(), self.timestamp.to_string()),
            ("X-Nonce".into(), self.nonce.clone()),
            ("X-Signature".into(), format!("v3={}", hmac_hex(self.signer.secret.as_bytes(), self.string_to_sign().as_bytes()))),
        ]
    }

    /// The head as bytes, with the extra headers, without framing headers and the empty line.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        if let Some(content_type) = &self.content_type {
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        for (name, value) in self.headers().iter().chain(&self.extra) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    /// The whole request as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = self.head();
        if !self.body.is_empty() || self.content_type.is_some() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA256 in lower-case hexadecimal.
pub fn hmac_hex(key: &[u8], text: &[u8]) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref())
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn fresh_nonce() -> String {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).expect("random bytes");
    hex(&random)
}
