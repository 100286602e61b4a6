//! What is sent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const FORM: &str = "application/x-www-form-urlencoded";

/// JSON that is nested deeper than any reader should follow.
fn deep(levels: usize) -> String {
    format!("{}{}", "{\"a\":".repeat(levels), "[".repeat(levels))
}

/// Query strings.
pub fn queries() -> Vec<Vec<u8>> {
    let many: String = (0..70).map(|number| format!("p{number}=x&")).collect();
    [
        "%",
        "%z",
        "%zz=1",
        "a=%",
        "a=%0",
        "a=%00",
        "%00=1",
        "a=%ff%fe",
        "%ff=1",
        "=1",
        "=",
        "a",
        "a=",
        "&&&&",
        "a=1&a=2",
        "a=1&%61=2",
        "a&a",
        "a[]=1&a[]=2",
        "a=1;b=2",
        "a=%c0%af",
        "a=%ed%a0%80",
        "a=+%2b+",
        "?a=?",
        "a=b=c==",
        "client_id=x&client_id=y",
        "request=x",
        "request=%00",
        "page_size=0&limit=-1&offset=99999999999999999999",
        "a=%u0041",
        "a='%20OR%201=1--",
        "a=${jndi:ldap://x/a}",
        "a={{7*7}}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([
        many.into_bytes(),
        format!("{}=1", "n".repeat(300)).into_bytes(),
        format!("a={}", "v".repeat(17_000)).into_bytes(),
        format!("request={}", "A".repeat(20_000)).into_bytes(),
        format!("claims={}", deep(2_000)).replace(['"', '{', '['], "%7B").into_bytes(),
        format!("a={}", "%41".repeat(8_000)).into_bytes(),
    ])
    .collect()
}

/// Bodies with their content types.
pub fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let many: String = (0..70).map(|number| format!("p{number}=x&")).collect();
    vec![
        (FORM, Vec::new()),
        (FORM, b"%".to_vec()),
        (FORM, b"a=%zz".to_vec()),
        (FORM, b"a=%00".to_vec()),
        (FORM, b"a=\0".to_vec()),
        (FORM, b"a=\xff\xfe".to_vec()),
        (FORM, b"a=%ff".to_vec()),
        (FORM, b"=&=&=".to_vec()),
        (FORM, b"a=1&a=2".to_vec()),
        (FORM, b"grant_type=x&grant_type=y".to_vec()),
        (FORM, b"grant_type=authorization_code".to_vec()),
        (FORM, b"csrf=x&csrf=y&username=a&password=b".to_vec()),
        (FORM, every_byte.clone()),
        (FORM, many.into_bytes()),
        (FORM, format!("{}=1", "n".repeat(300)).into_bytes()),
        (FORM, format!("token={}", "t".repeat(17_000)).into_bytes()),
        (FORM, vec![b'a'; 65_537]),
        (FORM, format!("token={}", deep(1_000)).into_bytes()),
        ("application/x-www-form-urlencoded; charset=utf-8", b"a=1".to_vec()),
        ("application/x-www-form-urlencoded; charset=utf-16", b"a=1".to_vec()),
        ("application/x-www-form-urlencoded; charset=\"", b"a=1".to_vec()),
        ("application/json", b"{}".to_vec()),
        ("application/json", deep(5_000).into_bytes()),
        ("application/json", b"{\"grant_type\":\"client_credentials\"}".to_vec()),
        ("text/plain", b"grant_type=client_credentials".to_vec()),
        ("text/xml", b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>".to_vec()),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--".to_vec(),
        ),
        ("multipart/form-data", b"--".to_vec()),
        ("", b"grant_type=client_credentials".to_vec()),
        ("nonsense", b"x".to_vec()),
        ("a/b/c;;;=", every_byte),
    ]
}

/// Headers.
pub fn headers() -> Vec<(&'static str, Vec<u8>)> {
    let long = |bytes: usize| vec![b'x'; bytes];
    vec![
        ("authorization", b"".to_vec()),
        ("authorization", b"Basic".to_vec()),
        ("authorization", b"Basic !!!!".to_vec()),
        ("authorization", b"Basic Og==".to_vec()),
        ("authorization", b"Basic /////w==".to_vec()),
        ("authorization", b"Basic YSUwMDpi".to_vec()),
        ("authorization", b"Bearer".to_vec()),
        ("authorization", b"Bearer ".to_vec()),
        ("authorization", b"Bearer \xff\xfe".to_vec()),
        ("authorization", [b"Bearer ".to_vec(), long(20_000)].concat()),
        ("authorization", format!("Bearer {0}.{0}.{0}", URL_SAFE_NO_PAD.encode(deep(500))).into_bytes()),
        ("authorization", b"Negotiate x, Basic y".to_vec()),
        ("cookie", b"session=\xff; browser=\"; device".to_vec()),
        ("cookie", [b"session=".to_vec(), long(5_000)].concat()),
        ("cookie", b"=;=;;;session;browser=;".repeat(200)),
        ("content-length", b"2000000".to_vec()),
        ("content-encoding", b"gzip".to_vec()),
        ("accept", b"*/*;q=\xff".to_vec()),
        ("accept-language", b"de;q=9, \xff, *;;;".to_vec()),
        ("accept-language", b"en-".repeat(2_000)),
        ("if-none-match", b"\"\", W/, *, \xff".to_vec()),
        ("origin", b"\xff".to_vec()),
        ("origin", b"null".to_vec()),
        ("sec-fetch-site", b"\xff".to_vec()),
        ("x-forwarded-for", b"\xff, 1.1.1.1, ::::".to_vec()),
        ("forwarded", b"for=\"[;;;\\\"".to_vec()),
        ("user-agent", b"\xff\xfe\x01".iter().map(|byte| if *byte < 32 { b'\t' } else { *byte }).collect()),
        ("user-agent", long(9_000)),
        ("x-request-id", b"' OR 1=1 \xff".to_vec()),
        ("expect", b"200-ok".to_vec()),
        ("upgrade", b"h2c".to_vec()),
        ("x-http-method-override", b"DELETE".to_vec()),
        ("range", b"bytes=-9999999999999999999999".to_vec()),
        ("access-control-request-method", b"\xff".to_vec()),
        ("x-filler", long(40_000)),
    ]
}

/// Values of parameters, as bytes before they are encoded.
pub fn values() -> Vec<Vec<u8>> {
    let jwt = format!(
        "{}.{}.AAAA",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"EdDSA\",\"kid\":\"x\"}"),
        URL_SAFE_NO_PAD.encode(deep(300))
    );
    [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{1}",
        "\n",
        "a\r\nb: c",
        "\u{e9}",
        "\u{1f600}",
        "\u{202e}x",
        "\u{feff}",
        "%",
        "%00",
        "null",
        "-1",
        "0",
        "1e9",
        "18446744073709551616",
        "99999999999999999999999",
        "true",
        "[]",
        "{}",
        "{\"id_token\":{\"sub\":{\"value\":[1]}}}",
        "{\"userinfo\":5}",
        "' OR 1=1 --",
        "\"><script>",
        "${7*7}",
        "../../../../etc/passwd",
        "*",
        "openid openid",
        "a b c d e f g",
        "none login",
        "kr_rt_",
        "kr_ac_",
        "....",
        "..",
        "eyJ.eyJ.",
        "x y\tz",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([
        b"\xff\xfe".to_vec(),
        vec![b'A'; 5_000],
        vec![b'A'; 17_000],
        deep(1_500).into_bytes(),
        jwt.into_bytes(),
        format!("kr_rt_{}", "A".repeat(250)).into_bytes(),
        "\u{1f600}".repeat(600).into_bytes(),
    ])
    .collect()
}

/// The pairs as a form, with another value at one of them.
pub fn encoded(pairs: &[(&'static str, String)], at: usize, value: &[u8]) -> String {
    let escape = |bytes: &[u8]| url::form_urlencoded::byte_serialize(bytes).collect::<String>();
    let pair = |(number, (name, sound)): (usize, &(&str, String))| {
        let value = if number == at { value } else { sound.as_bytes() };
        format!("{name}={}", escape(value))
    };
    pairs.iter().enumerate().map(pair).collect::<Vec<_>>().join("&")
}
