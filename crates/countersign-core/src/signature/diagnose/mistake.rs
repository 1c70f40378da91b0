//! Every mistake that diagnosis knows, in one table: the stable code, what the client did, and what to do instead.
//! The page `docs/reference/mistakes.md` is printed from this table and a test holds them together.

use std::fmt;

macro_rules! mistakes {
    ($($(#[$doc:meta])* $name:ident $kind:ident $text:literal $what:literal $fix:literal;)*) => {
        /// What a client did wrong. The text form never changes once released; programs may match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Mistake {
            $($(#[$doc])* $name,)*
        }

        impl Mistake {
            /// Every mistake, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text: `query_left_out`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How it is found.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What the client did. For [`Kind::Tried`] it ends the sentence "The signature verifies if ...".
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }

            /// What the client must do instead.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

/// How a mistake is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By making it: the signature verifies then, so it is what the client did.
    Tried,
    /// By reading the request.
    Read,
}

mistakes! {
    // The query.
    /// The path alone was signed.
    QueryLeftOut Tried "query_left_out" "the query is left out" "Sign the query too, exactly as it is sent.";
    /// The scheme signs the path alone.
    QueryIncluded Tried "query_included" "the query is signed with the path" "Sign the path without `?` and what follows it.";
    /// Signed before it was encoded, or after it was decoded.
    QueryDecoded Tried "query_decoded" "the query is percent-decoded" "Sign the query as it stands in the request line, percent-encoded.";
    /// Signed in another encoding than sent.
    QueryReencoded Tried "query_reencoded" "the query is encoded in another way" "Encode the query once, and sign the same text that is sent.";
    /// `+` and `%20`.
    PlusForSpace Tried "plus_for_space" "spaces of the query are written in the other way, `+` or `%20`" "Write spaces alike where the query is signed and where it is sent; most schemes ask for `%20`.";
    /// Hexadecimal digits in the other case.
    PercentCase Tried "percent_case" "the digits of percent-encoding are in the other case, `%2F` or `%2f`" "Write percent-encoding in upper case, or sign it as it is sent.";
    /// Sorted although the scheme signs it as sent.
    QuerySorted Tried "query_sorted" "the parameters of the query are sorted" "Sign the parameters in the order in which they are sent.";
    /// In the order of the request although the scheme sorts.
    QueryUnsorted Tried "query_unsorted" "the parameters are not sorted" "Sort the parameters by name, byte by byte, before signing.";
    /// Sorted by something else than the scheme says.
    OtherOrder Tried "other_order" "names are sorted in another way" "Sort as the scheme says: by bytes, after encoding, names before values.";
    /// One of the parameters is not in the string.
    ParameterLeftOut Tried "parameter_left_out" "a parameter is left out" "Sign every parameter that is sent, those that were added last, too.";
    /// `a` for `a=`, or the other way round.
    EmptyValue Tried "empty_value" "a parameter without a value is written in the other way, `a` or `a=`" "Write parameters without a value as the scheme says.";
    /// A `?` with nothing behind it, or none.
    BareQuestionMark Tried "bare_question_mark" "the `?` without a query is signed where it is not sent, or not signed where it is" "Sign and send the same target; leave out a `?` with nothing behind it.";

    // The path.
    /// The path in lower case.
    PathCase Tried "path_case" "the path is in another case of letters" "Sign the path in the case in which it is sent.";
    /// Signed before it was encoded, or after it was decoded.
    PathDecoded Tried "path_decoded" "the path is percent-decoded" "Sign the path as it stands in the request line, percent-encoded.";
    /// Encoded once more than the scheme says.
    PathEncodedTwice Tried "path_encoded_twice" "the path is percent-encoded once more" "Encode the path once; sign it as it is sent unless the scheme encodes it again.";
    /// Encoded once less than the scheme says.
    PathEncodedOnce Tried "path_encoded_once" "the path is not encoded once more, as the scheme asks" "Encode the path again for the string to sign: `%20` becomes `%2520`.";
    /// A slash at the end more or less.
    TrailingSlash Tried "trailing_slash" "the path has a slash at its end where none is sent, or none where one is sent" "Sign the path exactly as it is sent.";
    /// Without the slash at its beginning.
    LeadingSlash Tried "leading_slash" "the slash at the beginning of the path is left out" "Begin the path with `/`.";
    /// Signed behind or before a proxy that changes the path.
    PathPrefix Tried "path_prefix" "the path has another beginning" "Sign the path that this gateway receives; something between changes its beginning.";
    /// Dot segments or double slashes resolved or not.
    PathNormalised Tried "path_normalised" "dot segments and double slashes are treated in another way" "Send a path without `.`, `..` and `//`.";
    /// The whole URL in place of the path.
    FullUrl Tried "full_url" "the full URL is signed in place of the path" "Sign the path, with its query if the scheme says so, without scheme and host.";
    /// The path in place of the whole URL.
    PathForUrl Tried "path_for_url" "the path is signed in place of the full URL" "Sign the full URL: scheme, host, path and query.";

    // Method, host, scheme.
    /// `get` for `GET`.
    MethodCase Tried "method_case" "the method is in the other case of letters" "Write the method as the scheme does: most use upper case.";
    /// Signed for one method and sent with another.
    OtherMethod Tried "other_method" "another method is signed" "Sign the method that is sent.";
    /// With or without the port.
    HostPort Tried "host_port" "the port is signed in another way" "Sign the host as the scheme asks: with its port when that is not the default one.";
    /// `API.example.com`.
    HostCase Tried "host_case" "the host is in upper case" "Sign the host in lower case.";
    /// `api.example.com.`
    HostForm Tried "host_form" "the host is signed as it was sent, and not in its plain form" "Sign the host in lower case, without a dot at its end and without the default port.";
    /// Signed for one host and sent to another.
    OtherHost Tried "other_host" "another host is signed" "Sign the host that the request is sent to, or let the proxy in front pass Host on unchanged.";
    /// `http` for `https`.
    OtherScheme Tried "other_scheme" "the other scheme is signed, `http` or `https`" "Sign the scheme of the public address; a proxy in front must say which it was.";

    // Headers.
    /// No Content-Type, or an empty one, was signed.
    ContentTypeLeftOut Tried "content_type_left_out" "the Content-Type is left out" "Sign the Content-Type that is sent; libraries often add one after signing.";
    /// With or without its parameters.
    ContentTypeParameters Tried "content_type_parameters" "the Content-Type is signed with other parameters, such as charset" "Sign the Content-Type exactly as it is sent, with or without its charset.";
    /// Signed for one type and sent with another.
    OtherContentType Tried "other_content_type" "another Content-Type is signed" "Set the Content-Type before signing, and send that one.";
    /// Spaces at the ends of values or within.
    HeaderSpaces Tried "header_spaces" "spaces in header values are treated in another way" "Trim header values and make each run of spaces one, if the scheme says so.";
    /// Names or values in another case.
    HeaderCase Tried "header_case" "names or values of headers are in another case of letters" "Write names of headers in lower case, and their values as they are sent.";
    /// In another order than listed.
    HeaderOrder Tried "header_order" "the headers are in another order" "Sign the headers in the order in which the list of signed headers names them.";
    /// `name:value` for `name: value`.
    HeaderLines Tried "header_lines" "names and values of headers are joined in another way, `name:value` or `name: value`" "Join names and values as the scheme says, with or without the space.";
    /// Listed and not signed, or signed with another value.
    OtherHeaderValue Tried "other_header_value" "a signed header has another value" "Sign the header with the value that is sent; libraries and proxies may change it on the way.";

    // The body.
    /// Written anew by a library after or before signing.
    JsonRewritten Tried "json_rewritten" "the JSON of the body is written in another way" "Make the body's bytes once, sign them, and send the same bytes.";
    /// A line feed at the end.
    BodyNewline Tried "body_newline" "the body is signed with another line feed at its end, or without the one that is sent" "Sign exactly the bytes that are sent; editors and `echo` add a line feed.";
    /// CR LF and LF.
    BodyLineEndings Tried "body_line_endings" "the lines of the body end in the other way, CR LF or LF" "Read and send the body as bytes, not as text.";
    /// A byte order mark.
    BodyMark Tried "body_mark" "the byte order mark at the beginning of the body is treated in another way" "Send the body without a byte order mark.";
    /// White space at its ends.
    BodyTrimmed Tried "body_trimmed" "white space at the ends of the body is left out" "Sign exactly the bytes that are sent.";
    /// Nothing in its place.
    BodyLeftOut Tried "body_left_out" "the body is left out" "Sign the body, or its digest, as the scheme says.";
    /// `{}` or `null`.
    OtherEmptyBody Tried "other_empty_body" "something is signed as the body where none is sent" "Sign an empty body as no bytes, not as `{}` or `null`.";
    /// Base64 of it, for instance.
    BodyEncoded Tried "body_encoded" "the body is signed in encoded form" "Sign the bytes of the body, not their Base64 or hexadecimal text.";
    /// Latin-1 or UTF-16.
    BodyCharset Tried "body_charset" "the body is signed in another character encoding" "Sign the bytes that are sent: UTF-8.";
    /// A form that was decoded, sorted or encoded in another way.
    FormRewritten Tried "form_rewritten" "the form of the body is written in another way" "Make the body's bytes once, sign them, and send the same bytes.";
    /// Some other fixed text for the digest.
    UnsignedPayload Tried "unsigned_payload" "a fixed text such as UNSIGNED-PAYLOAD stands for the digest of the body" "Sign the digest of the body.";
    /// Not hashed, or twice.
    NotHashed Tried "not_hashed" "something is not hashed that the scheme hashes, or hashed once more" "Hash as the scheme says, and over bytes, not over the hexadecimal text of another hash.";
    /// A digest by another function.
    OtherDigest Tried "other_digest" "a digest in the string to sign is by another hash function" "Use the hash function that the scheme names.";
    /// A digest in another encoding.
    DigestForm Tried "digest_form" "a digest in the string to sign is in another encoding" "Write the digest as the scheme says: lower-case hexadecimal or Base64.";

    // Times, nonces and other fields.
    /// Milliseconds for seconds, or the other way round.
    TimestampUnit Tried "timestamp_unit" "the timestamp is in another unit" "Write the timestamp in the unit of the scheme, alike in the header and in the string to sign.";
    /// ISO for Unix, for instance.
    TimestampForm Tried "timestamp_form" "the timestamp is in another format" "Write the timestamp in the format of the scheme, alike in the header and in the string to sign.";
    /// The clock was read twice.
    TimestampTakenTwice Tried "timestamp_taken_twice" "the timestamp of the string to sign is a little off the one that is sent" "Read the clock once, and use that text for the header and for the string to sign.";
    /// Not in the string.
    TimestampLeftOut Tried "timestamp_left_out" "the timestamp is left out" "Put the timestamp into the string to sign.";
    /// Not in the string.
    NonceLeftOut Tried "nonce_left_out" "the nonce is left out" "Put the nonce that is sent into the string to sign.";
    /// In another case or without dashes.
    NonceForm Tried "nonce_form" "the nonce is written in another way" "Put the nonce into the string to sign exactly as it is sent.";
    /// Not in the string.
    KeyIdLeftOut Tried "key_id_left_out" "the key id is left out" "Put the key id into the string to sign.";
    /// Some other field with another value.
    OtherField Tried "other_field" "a field of the signature is signed with another value" "Sign the value that is sent.";

    // The string to sign.
    /// A line feed at its end.
    TrailingNewline Tried "trailing_newline" "the string to sign has a line feed at its end, or lacks the one it must have" "Join the lines with line feeds; use `printf` and not `echo`.";
    /// CR LF.
    LineEndings Tried "line_endings" "the lines of the string to sign end in CR LF" "Join the lines with a line feed alone.";
    /// The two characters `\` and `n`.
    LiteralNewline Tried "literal_newline" "`\\n` is written as two characters instead of a line feed" "Use a real line feed; in single quotes of a shell or PHP `\\n` is not one.";
    /// Nothing, or something else, between the parts.
    LinesJoined Tried "lines_joined" "the parts of the string to sign are joined in another way" "Put exactly what the scheme says between the parts.";
    /// White space around it.
    SurroundingSpace Tried "surrounding_space" "the string to sign has white space around it" "Sign the string without anything around it.";
    /// Two parts in the wrong order.
    PartsSwapped Tried "parts_swapped" "two parts of the string to sign are in the other order" "Put the parts in the order that the scheme gives.";
    /// A part that is there in every string of the scheme.
    PartLeftOut Tried "part_left_out" "a part of the string to sign is left out" "Put every part of the string to sign where the scheme says; an empty part still has its line.";
    /// Another part of the path or URL.
    StepLeftOut Tried "step_left_out" "a step of the canonical form is left out" "Do every step of the canonical form that the scheme lists.";
    /// Letters in the wrong case.
    LetterCase Tried "letter_case" "letters of the string to sign are in another case" "Change the case of letters only where the scheme says so.";
    /// An encoder with other rules.
    OtherPercentEncoding Tried "other_percent_encoding" "percent-encoding follows other rules" "Encode all but A-Z a-z 0-9 - . _ ~ with upper-case digits, unless the scheme says otherwise.";
    /// UTF-16, for instance.
    StringEncoded Tried "string_encoded" "the string to sign is encoded before it is signed" "Compute the MAC over the UTF-8 bytes of the string to sign.";
    /// The MAC of a hash of it.
    StringHashed Tried "string_hashed" "the string to sign is hashed before it is signed" "Compute the MAC over the string to sign itself.";
    /// Parameters of an RFC 9421 signature.
    SignatureParams Tried "signature_params" "the last line of the signature base is another one" "End the signature base with \"@signature-params\": and exactly the parameters that Signature-Input has.";
    /// Lines of an RFC 9421 signature base.
    BaseLines Tried "base_lines" "the lines of the signature base are written in another way" "Write each line as the quoted name, a colon, a space and the value; @query begins with `?`.";
    /// What the client says that it signed.
    OwnString Tried "own_string" "the string is the one that you gave" "Correct the line in which your string differs.";

    // The MAC.
    /// Hexadecimal where Base64 is asked for.
    HexForBase64 Tried "hex_for_base64" "the MAC is read as hexadecimal" "Write the MAC in Base64: encode its bytes, not its hexadecimal text.";
    /// Base64 where hexadecimal is asked for.
    Base64ForHex Tried "base64_for_hex" "the MAC is read as Base64" "Write the MAC in lower-case hexadecimal.";
    /// `-_` and `+/`.
    Base64Alphabet Tried "base64_alphabet" "the MAC is read with the other alphabet of Base64" "Use the alphabet of Base64 that the scheme names: `+` and `/`, or `-` and `_`.";
    /// `ABCDEF`.
    UpperCaseHex Tried "upper_case_hex" "the MAC is read as upper-case hexadecimal" "Write the MAC in lower-case hexadecimal.";
    /// Base64 of the hexadecimal text.
    Base64OfHex Tried "base64_of_hex" "the MAC is read as Base64 of its hexadecimal text" "Encode the bytes of the MAC, not their hexadecimal text.";
    /// Base64 of the bytes where that of the hexadecimal text is asked for.
    Base64OfBytes Tried "base64_of_bytes" "the MAC is read as Base64 of its bytes" "Write the MAC in hexadecimal first, and then that text in Base64.";
    /// Encoded once too often or not at all.
    MacEscaped Tried "mac_escaped" "the MAC is read without what stands around it, or percent-decoded" "Send the MAC alone, without spaces, quotes or line feeds, and percent-encode it only where the scheme says so.";
    /// HMAC with another hash.
    OtherAlgorithm Tried "other_algorithm" "the MAC is made with another hash function" "Use the hash function that the scheme names.";

    // The key.
    /// Base64 used as text.
    SecretNotDecoded Tried "secret_not_decoded" "the secret is used as it is shown, without the steps that make a key of it" "Decode the secret as the scheme says before using it as the key.";
    /// Text decoded as Base64 or hexadecimal.
    SecretDecoded Tried "secret_decoded" "the secret is decoded before use" "Use the text of the secret as the key, as it was shown.";
    /// Encoded once more.
    SecretEncoded Tried "secret_encoded" "the secret is encoded before use" "Use the bytes of the secret's text as the key.";
    /// A line feed at its end.
    SecretNewline Tried "secret_newline" "the secret ends in a line feed" "Take the line feed off the secret where it is read from a file.";
    /// Quotes or spaces.
    SecretQuoted Tried "secret_quoted" "the secret has quotes or spaces around it, or lacks those that it has" "Use the secret without quotes or spaces around it; look at the file of settings.";
    /// Without the prefix, or with one.
    SecretPrefix Tried "secret_prefix" "the secret is used with another prefix, or without its own" "Use the secret as it was shown, with its prefix.";
    /// In another case.
    SecretCase Tried "secret_case" "the secret is in another case of letters" "Use the secret exactly as it was shown.";
    /// A variable that is not set.
    SecretEmpty Tried "secret_empty" "the secret is empty" "Read the secret before signing; a variable or file may not be there.";
    /// Something else that goes into the key is missing.
    KeyPartLeftOut Tried "key_part_left_out" "a part of the key is left out" "Put together the key as the scheme says, with every part and what stands between them.";
    /// The key id used as the secret.
    KeyIdAsSecret Tried "key_id_as_secret" "the key id is used as the secret" "Sign with the secret; the key id only names it.";
    /// The secret of another key of the same client.
    OtherKeysSecret Tried "other_keys_secret" "the secret of another key is used" "Send the key id that belongs to the secret.";
    /// A secret that has ended.
    RetiredSecret Tried "retired_secret" "a secret is used that has ended" "Sign with the current secret of the key.";
    /// No or fewer steps of derivation.
    DerivationLeftOut Tried "derivation_left_out" "the key is used without a step of its derivation" "Derive the key in every step that the scheme lists, in their order.";
    /// Derived from another date, region or service.
    OtherDerivation Tried "other_derivation" "the key is derived from other texts" "Derive the key from the same date, region and service that the request names.";
    /// Hexadecimal text of a derived key.
    DerivedKeyForm Tried "derived_key_form" "the derived key is used in another form, as bytes or as their text" "Use each derived key in the form that the scheme says: bytes, or their text.";
    /// HMAC(message, secret).
    KeyAndStringSwapped Tried "key_and_string_swapped" "the secret and the string to sign have changed places" "The secret is the key of the MAC, and the string to sign its message.";

    // What reading shows.
    /// Nothing of the scheme is there.
    NotSigned Read "not_signed" "Nothing that this scheme signs with was sent" "Send the headers of the scheme.";
    /// It looks like another scheme.
    OtherProfile Read "other_profile" "The request is signed in another scheme" "Use the scheme that the route asks for, or ask the operator to allow this one.";
    /// The key is unknown.
    UnknownKey Read "unknown_key" "There is no live key of this id for this scheme" "Check the key id, and that the key is enabled and made for this scheme.";
    /// A header that must be there.
    HeaderMissing Read "header_missing" "A header of the signature is missing" "Send it.";
    /// A header with a name close to the one that is read.
    HeaderMisspelled Read "header_misspelled" "A header of the signature has another name" "Send the header under the name of the scheme.";
    /// `v3=`, or the name of the authentication scheme.
    PrefixMissing Read "prefix_missing" "A value of the signature does not begin as it must" "Begin the value as the scheme says.";
    /// A member of a header with members.
    MemberMissing Read "member_missing" "A part of a header of the signature is missing" "Send it, under exactly this name.";
    /// A field that does not look like it must.
    FieldMalformed Read "field_malformed" "A field of the signature is malformed" "Write the field in the form of the scheme.";
    /// The MAC is too long or too short for its encoding.
    MacMalformed Read "mac_malformed" "The signature has the wrong length or encoding" "Send all bytes of the MAC in the encoding of the scheme.";
    /// What must hold beside the MAC does not.
    RequirementNotMet Read "requirement_not_met" "The scheme asks for something that the request does not hold" "Send what the scheme asks for.";
    /// Not in the list of signed headers.
    HeaderNotListed Read "header_not_listed" "The list of signed headers lacks one that must be signed" "Sign this header and add it to the list.";
    /// A digest in a header is not that of the body.
    DigestDiffers Read "digest_differs" "The digest that is sent is not that of the body" "Compute the digest over exactly the bytes that are sent.";
    /// The coverage rule.
    NotCovered Read "not_covered" "The signature is right but does not reach enough of the request" "Sign these parts too.";
    /// Not right by our clock.
    ClockOff Read "clock_off" "The timestamp is too far from our clock" "Set the clock, and sign each request just before it is sent.";
    /// By whole or half hours.
    LocalTime Read "local_time" "The timestamp is off by whole or half hours" "Write the time in UTC, not in local time.";
    /// Past its own end.
    Expired Read "expired" "The signature has ended" "Sign again.";
    /// Nothing of all this explains it.
    NoneKnown Read "none_known" "No known mistake makes the signature verify" "Compare your string to sign with ours line by line (`countersign verify --string-to-sign FILE` says where it differs first); if they are the same, check the secret.";
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_words_and_every_sentence_ends() {
        let mut seen = HashSet::new();
        for mistake in Mistake::ALL {
            assert!(seen.insert(mistake.as_str()), "{mistake} twice");
            assert!(mistake.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{mistake}");
            assert!(mistake.fix().ends_with('.'), "{mistake}: {}", mistake.fix());
            let begins_in_lower_case = !mistake.what().starts_with(|c: char| c.is_uppercase());
            assert_eq!(begins_in_lower_case, mistake.kind() == Kind::Tried, "{mistake}: {}", mistake.what());
        }
    }
}
