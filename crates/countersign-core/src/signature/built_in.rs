//! The profiles that are part of the program: the files of `profiles/`.

/// The name and the text of each built-in profile.
macro_rules! built_in {
    ($($name:literal,)*) => {
        /// Every built-in profile: its name and its file, in the order of names.
        pub const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../../profiles/", $name, ".toml"))),)*];
    };
}

built_in! {
    "acquia",
    "acs3",
    "adyen",
    "aliyun-apigw",
    "amx",
    "apisix",
    "apisix-lax",
    "asana",
    "atlassian",
    "azure-acs",
    "azure-hmac",
    "azure-storage",
    "bce",
    "binance",
    "bitmex",
    "bitmex-legacy",
    "box",
    "bybit",
    "calcom",
    "calendly",
    "cavage",
    "circleci",
    "coinbase-commerce",
    "coinbase-exchange",
    "cos",
    "discourse",
    "docusign",
    "dropbox",
    "duo-v2",
    "duo-v5",
    "edgegrid",
    "elevenlabs",
    "escher",
    "fiserv",
    "gate",
    "gitea",
    "github",
    "goog4",
    "hawk",
    "hawk-bewit",
    "helpscout",
    "huawei",
    "hubspot-v3",
    "intercom",
    "kong",
    "kong-lax",
    "kraken",
    "lemonsqueezy",
    "line-messaging",
    "line-pay",
    "linear",
    "mailgun",
    "mandrill",
    "messagebird",
    "meta",
    "notion",
    "oauth1",
    "okx",
    "oss-v1",
    "paddle",
    "pagerduty",
    "paystack",
    "pusher",
    "pusher-webhook",
    "razorpay",
    "rfc9421",
    "rfc9421-lax",
    "s3-v2",
    "sentry",
    "shopify-oauth",
    "shopify-proxy",
    "shopify-webhook",
    "sigv4",
    "sigv4-query",
    "sigv4-query-lateauth",
    "sigv4-query-rawpath",
    "sigv4-query-s3",
    "sigv4-query-s3-unsigned",
    "sigv4-rawpath",
    "sigv4-s3",
    "sigv4-s3-unsigned",
    "slack",
    "square",
    "standardwebhooks",
    "stripe",
    "tc3",
    "tillo",
    "trello",
    "twilio",
    "twitch",
    "typeform",
    "v3.0",
    "vercel",
    "webflow",
    "woocommerce",
    "xero",
    "zendesk",
    "zoom",
}

/// The file of a built-in profile.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_what_the_folder_holds() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles")).unwrap();
        let mut files: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let mut listed: Vec<String> = BUILT_IN.iter().map(|(name, _)| format!("{name}.toml")).collect();
        listed.sort();
        assert_eq!(listed, files);
    }
}
