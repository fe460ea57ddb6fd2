//! What each detector finds, and what only looks like it.

use shipway_guardrails::{BadDetector, Detector, Limits, Names};

use crate::{finder, found};

/// Each text with what is found in it.
fn check(detector: &str, cases: &[(&str, &[&str])]) {
    let finder = finder(detector);
    for (text, expected) in cases {
        assert_eq!(found(&finder, text), *expected, "{detector} in {text}");
    }
}

#[test]
fn addresses_of_mail() {
    check(
        r#"{"personal":["email"]}"#,
        &[
            ("write to Ada.Lovelace+x@mail.example.co.uk.", &["email=Ada.Lovelace+x@mail.example.co.uk"]),
            ("<a@b.io>,c_d@e-f.org;", &["email=a@b.io", "email=c_d@e-f.org"]),
            ("mailto:o'neil@x.com", &["email=neil@x.com"]),
            // A picture for dense screens, a package, a repository, a host without a name above it, a handle.
            ("logo@2x.png and icon@3x.webp", &[]),
            ("npm install react@18.2.0 @scope/package", &[]),
            ("git clone git@github.com:org/repository.git", &[]),
            ("root@localhost", &[]),
            ("@handle and a @ b.com", &[]),
        ],
    );
}

#[test]
fn numbers_of_telephones() {
    check(
        r#"{"personal":["phone"]}"#,
        &[
            ("call +49 30 901820 now", &["phone=+49 30 901820"]),
            ("+1 (212) 555-0187", &["phone=+1 (212) 555-0187"]),
            ("(212) 555-0187 or 212-555-0187", &["phone=(212) 555-0187", "phone=212-555-0187"]),
            ("+442071838750.", &["phone=+442071838750"]),
            // Numbers that are given out to nobody, dates, UUIDs, versions, sums.
            ("112-555-0187 and 212-155-0187", &[]),
            ("2026-11-30 and 30.11.2026", &[]),
            ("123e4567-e89b-12d3-a456-426614174000", &[]),
            ("order 1234567890123", &[]),
            ("5+3 = 8, +1 and +100", &[]),
        ],
    );
}

#[test]
fn numbers_of_cards_add_up() {
    check(
        r#"{"personal":["credit_card"]}"#,
        &[
            ("pay with 4111 1111 1111 1111 please", &["credit_card=4111 1111 1111 1111"]),
            ("5500-0055-5555-5559", &["credit_card=5500-0055-5555-5559"]),
            (
                "378282246310005 or 3782 822463 10005",
                &["credit_card=378282246310005", "credit_card=3782 822463 10005"],
            ),
            // What stands before it does not hide it.
            ("in 2024 4111 1111 1111 1111", &["credit_card=4111 1111 1111 1111"]),
            // Digits that do not add up, of nobody, one and the same, too long, within something else.
            ("4111 1111 1111 1112", &[]),
            ("1234 5678 9012 3452", &[]),
            ("4444444444444444", &[]),
            ("0000 0000 0000 0000", &[]),
            ("41111111111111111111", &[]),
            ("id_4111111111111111 and 3.4111111111111111", &[]),
            ("1700000000000", &[]),
        ],
    );
}

#[test]
fn numbers_of_accounts_add_up() {
    check(
        r#"{"personal":["iban"]}"#,
        &[
            ("to DE89 3704 0044 0532 0130 00 BIC COBADEFF", &["iban=DE89 3704 0044 0532 0130 00"]),
            ("GB82WEST12345698765432", &["iban=GB82WEST12345698765432"]),
            (
                "NO93 8601 1117 947, MT84MALT011000012345MTLCAST001S",
                &["iban=NO93 8601 1117 947", "iban=MT84MALT011000012345MTLCAST001S"],
            ),
            // One digit is another one, a country that has none, one that is too long.
            ("DE88 3704 0044 0532 0130 00", &[]),
            ("US64SVBKUS6S3300958879", &[]),
            ("DE893704004405320130001", &[]),
            ("ISO27001 and AB12CD34EF56", &[]),
        ],
    );
}

#[test]
fn social_security_numbers() {
    check(
        r#"{"personal":["us_ssn"]}"#,
        &[
            ("ssn: 219-09-9999", &["us_ssn=219-09-9999"]),
            ("000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000", &[]),
            ("2026-123-45-6789 and 123-45-6789-0", &[]),
        ],
    );
}

#[test]
fn addresses_of_the_internet_are_no_versions() {
    check(
        r#"{"personal":["ip_address"]}"#,
        &[
            ("from 192.168.0.1:8080, http://10.0.0.5/x", &["ip_address=192.168.0.1", "ip_address=10.0.0.5"]),
            ("2001:db8::8a2e:370:7334 and ::1", &["ip_address=2001:db8::8a2e:370:7334", "ip_address=::1"]),
            ("version 1.2.3.4, v10.0.0.1, release 4.3.2.1", &[]),
            ("Chrome/120.0.0.0 and 1.2.3.4.5", &[]),
            ("256.1.1.1, 01.2.3.4, 1.2.3", &[]),
            ("numpy==1.26.4.0", &[]),
            ("at 12:34:56, std::vec::Vec, aa:bb:cc:dd:ee:ff", &[]),
        ],
    );
}

#[test]
fn keys_of_services() {
    let made =
        |start: &str, length: usize| format!("{start}{}", "a1B2c3D4e5".repeat(30).get(..length).unwrap());
    let finder = finder(r#"{"secrets":["api_key","private_key","jwt"]}"#);
    for key in [
        made("sk-", 48),
        made("sk-proj-", 120),
        made("sk-ant-api03-", 90),
        made("ghp_", 36),
        made("github_pat_", 82),
        made("glpat-", 20),
        made("xoxb-", 40),
        made("AIza", 35),
        made("sk_live_", 24),
        made("hf_", 34),
        made("npm_", 36),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        format!("shipway_llm_{}_{}", "0a".repeat(8), "1b".repeat(32)),
    ] {
        assert_eq!(found(&finder, &format!("use {key}, please")), [format!("api_key={key}")]);
    }
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    assert_eq!(found(&finder, &format!("Bearer {jwt}")), [format!("jwt={jwt}")]);
    let pem =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJ\nabc+/=\n-----END RSA PRIVATE KEY-----";
    assert_eq!(found(&finder, &format!("key:\n{pem}\nend")), [format!("private_key={pem}")]);
    let escaped = pem.replace('\n', "\\n");
    assert_eq!(found(&finder, &escaped), [format!("private_key={escaped}")]);
    assert_eq!(
        found(&finder, "-----BEGIN PRIVATE KEY----- and it is cut"),
        ["private_key=-----BEGIN PRIVATE KEY-----"]
    );
    for innocent in [
        "risk-assessment-of-all-the-things-there-are",
        "sk-learn-is-a-library-for-machine-learning",
        "-----BEGIN CERTIFICATE-----",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "eyJ.eyJ.x",
        "AKIAIOSFODNN7EXAMPL",
        "ghp_short",
    ] {
        assert!(found(&finder, innocent).is_empty(), "{innocent}");
    }
}

#[test]
fn what_looks_like_chance() {
    check(
        r#"{"secrets":["high_entropy"]}"#,
        &[
            ("token=q9Zt7LxW2vKp4RmN8sYb3HdE", &["secret=q9Zt7LxW2vKp4RmN8sYb3HdE"]),
            // Digests, UUIDs, names of programs, paths, words.
            ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &[]),
            ("123e4567-e89b-12d3-a456-426614174000", &[]),
            ("AbstractSingletonProxyFactoryBean2", &[]),
            ("src/main/java/com/Example1/Service2/Impl3/Handler4", &[]),
            ("AAAAAAAAAAAAAAAAAAAAAAAA1a", &[]),
        ],
    );
}

#[test]
fn characters_that_nobody_sees() {
    let tags = "\u{E0069}\u{E0067}\u{E006E}";
    check(
        r#"{"unicode":["tags","bidi","zero_width","variation_selectors"]}"#,
        &[
            (&format!("hello{tags}"), &[&format!("tags={tags}")]),
            ("a\u{202E}b\u{2066}", &["bidi=\u{202E}", "bidi=\u{2066}"]),
            ("pass\u{200B}word", &["zero_width=\u{200B}"]),
            ("a\u{200D}\u{200C}\u{200D}b", &["zero_width=\u{200D}\u{200C}\u{200D}"]),
            ("x\u{FE01}\u{E0101}", &["variation_selectors=\u{FE01}\u{E0101}"]),
            // A flag of Scotland, a family, a heart in colour, Persian, a mark at the beginning.
            ("\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}", &[]),
            ("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{2764}\u{FE0F}", &[]),
            ("\u{0645}\u{06CC}\u{200C}\u{062E}\u{0648}\u{0627}\u{0647}\u{0645}", &[]),
            ("\u{FEFF}text", &[]),
        ],
    );
    assert!(finder(r#"{"unicode":["tags"]}"#).removes());
}

#[test]
fn addresses_of_the_web_by_their_host() {
    check(
        r#"{"urls":{"allow":["example.com","wiki.org"],"deny":["evil.example.com"]}}"#,
        &[
            ("see https://example.com/a?b=c and http://docs.example.com.", &[]),
            ("(https://bad.net/x).", &["url=https://bad.net/x"]),
            ("https://evil.example.com", &["url=https://evil.example.com"]),
            // As browsers read them.
            ("https://example.com@bad.net/", &["url=https://example.com@bad.net/"]),
            ("https://bad.net\\@example.com", &["url=https://bad.net\\@example.com"]),
            ("HTTPS://EXAMPLE.COM:443/ and https://example.com.", &[]),
            ("https://notexample.com", &["url=https://notexample.com"]),
            // One within another that is allowed.
            ("https://example.com/?to=https://bad.net/", &["url=https://bad.net/"]),
        ],
    );
    check(
        r#"{"urls":{"deny":["bad.net"]}}"#,
        &[("https://any.org https://a.bad.net/x", &["url=https://a.bad.net/x"])],
    );
}

#[test]
fn patterns_of_the_users_own() {
    check(
        r#"{"patterns":{"ticket":"TICKET-\\d+","project":"(?i)\\bproject aurora\\b"}}"#,
        &[("Project Aurora: TICKET-42", &["project=Project Aurora", "ticket=TICKET-42"]), ("aurora", &[])],
    );
    for (detector, words) in [
        (r#"{"patterns":{}}"#, "nothing is looked for"),
        (r#"{"patterns":{"a":"("}}"#, "pattern a: unclosed group"),
        (r#"{"patterns":{"a":"(?=x)"}}"#, "pattern a: look-around"),
        (r#"{"patterns":{"a":"x*"}}"#, "pattern a matches the empty text"),
        (r#"{"patterns":{"A":"x"}}"#, "`A` is no name of a pattern"),
        (r#"{"patterns":{"a":"(?:\\w{1000}){1000}"}}"#, "pattern a: it is too large"),
        (r#"{"personal":[]}"#, "nothing is looked for"),
        (r#"{"urls":{"allow":["https://x"]}}"#, "`https://x` is no such name"),
        (r#"{"size":{}}"#, "nothing is looked for"),
    ] {
        let bad: BadDetector = serde_json::from_str::<Detector>(detector).unwrap().check().unwrap_err();
        assert!(bad.to_string().contains(words), "{detector}: {bad}");
    }
}

#[test]
fn tools_and_sizes() {
    let names = Names {
        allow: vec!["search".to_owned(), "files_*".to_owned()],
        deny: vec!["files_delete".to_owned()],
    };
    let allowed =
        ["search", "files_read", "files_delete", "other", "searching"].map(|name| names.allow(name));
    assert_eq!(allowed, [true, true, false, false, false]);
    let limits = Limits { bytes: Some(10), messages: None, tokens: Some(5) };
    assert_eq!(limits.broken(10, 1_000, 5), Vec::<&str>::new());
    assert_eq!(limits.broken(11, 0, 6), ["bytes", "tokens"]);
}
