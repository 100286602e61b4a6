use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Vec<(String, String)>, ParamError> {
    Params::parse(text).map(|p| p.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

fn form(kind: Option<&str>, body: &'static str) -> Request {
    let mut request = http::Request::post("/x");
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    request.body(Body::from(body)).unwrap()
}

async fn extract(kind: Option<&str>, body: &'static str) -> Result<Params, ParamError> {
    StrictForm::from_request(form(kind, body), &()).await.map(|form| form.0)
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn values_are_decoded_once_and_empty_ones_count_as_omitted() {
    let params = Params::parse("a=b+c%2B%25&&d=&e&%66=%C3%A9&g=x=y").unwrap();
    assert_eq!(params.get("a"), Some("b c+%"));
    assert_eq!(params.get("d"), None);
    assert_eq!(params.get("e"), None);
    assert_eq!(params.get("f"), Some("é"));
    assert_eq!(params.get("g"), Some("x=y"));
    assert_eq!(params.require("d"), Err(ParamError::Missing("d".into())));
    assert!(Params::parse("").unwrap().is_empty());
    assert!(Params::parse("d=").unwrap().is_empty());
}

#[test]
fn ac_05_a_parameter_given_twice_is_refused_however_it_is_spelt() {
    for twice in ["a=1&a=1", "a=1&a=2", "a=&a=1", "a&a", "a=1&b=2&%61=3", "x=1&y=2&x="] {
        assert!(matches!(parse(twice), Err(ParamError::Duplicate(_))), "{twice}");
    }
    assert_eq!(
        parse("client_id=a&client_id=b").unwrap_err().to_string(),
        "the parameter 'client_id' is given more than once"
    );
    // Names are case-sensitive: these are two parameters, of which a door knows one.
    assert_eq!(parse("a=1&A=2").unwrap().len(), 2);
}

#[test]
fn ac_05_a_parameter_in_query_and_form_is_refused() {
    let parts = |query: &str, form: &str| {
        Params::merge(Params::parse(query).unwrap(), Params::parse(form).unwrap()).map(|p| p.iter().count())
    };
    assert_eq!(parts("a=1", "b=2"), Ok(2));
    assert_eq!(parts("a=1", "a=1"), Err(ParamError::Duplicate("a".into())));
    assert_eq!(parts("a=1", "b=2&a="), Err(ParamError::Duplicate("a".into())));
}

#[test]
fn what_is_not_text_is_refused_by_name() {
    for (text, error) in [
        ("a=%", ParamError::Encoding("a".into())),
        ("a=%4", ParamError::Encoding("a".into())),
        ("a=%zz", ParamError::Encoding("a".into())),
        ("a=%+1", ParamError::Encoding("a".into())),
        ("a=%C3", ParamError::NotUtf8("a".into())),
        ("a=%ED%A0%80", ParamError::NotUtf8("a".into())),
        ("a=%C0%80", ParamError::NotUtf8("a".into())),
        ("a=x%00y", ParamError::Nul("a".into())),
        ("a%00=x", ParamError::Nul("a?00".into())),
        ("=x", ParamError::Name),
        ("=", ParamError::Name),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
}

#[test]
fn sizes_are_bounded_at_the_stated_limit_and_not_before() {
    let value = "v".repeat(MAX_PARAM_VALUE_BYTES);
    assert_eq!(Params::parse(&format!("a={value}")).unwrap().get("a"), Some(value.as_str()));
    assert_eq!(parse(&format!("a={value}v")), Err(ParamError::TooLong("a".into())));
    let name = "n".repeat(MAX_PARAM_NAME_BYTES);
    assert!(parse(&format!("{name}=1")).is_ok());
    assert_eq!(parse(&format!("{name}n=1")), Err(ParamError::Name));
    let many: Vec<String> = (0..=MAX_PARAMS).map(|i| format!("p{i}=1")).collect();
    assert!(parse(&many[1..].join("&")).is_ok());
    assert_eq!(parse(&many.join("&")), Err(ParamError::TooMany));
}

#[test]
fn an_error_text_never_carries_what_the_caller_wrote_beyond_a_plain_name() {
    let error = parse("%22%5C%0A%3Cb%3E%C3%A9=1&%22%5C%0A%3Cb%3E%C3%A9=2").unwrap_err();
    assert_eq!(error.to_string(), "the parameter '????b??' is given more than once");
    assert_eq!(format!("{:?}", Params::parse("password=hunter2").unwrap()), r#"{"password"}"#);
}

#[test]
fn a_secret_is_taken_out_once() {
    let mut params = Params::parse("password=x&b=2&c=").unwrap();
    assert_eq!(params.take("password").as_deref().map(String::as_str), Some("x"));
    assert!(params.take("password").is_none());
    assert!(params.take("c").is_none());
    assert_eq!(params.get("b"), Some("2"));
}

#[tokio::test]
async fn only_a_form_is_read_as_a_form() {
    for kind in
        [FORM, "Application/X-WWW-Form-Urlencoded; charset=UTF-8", &format!("{FORM};charset=\"utf-8\"")]
    {
        assert_eq!(extract(Some(kind), "a=1").await.unwrap().get("a"), Some("1"), "{kind}");
    }
    for kind in [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
        "",
        &format!("{FORM}; charset=latin1"),
        &format!("{FORM}, text/plain"),
    ] {
        assert_eq!(extract(Some(kind), "a=1").await.unwrap_err(), ParamError::ContentType, "{kind}");
    }
    assert_eq!(extract(None, "a=1").await.unwrap_err().status(), 415);
    assert!(extract(None, "").await.unwrap().is_empty());
    let mut coded = form(Some(FORM), "a=1");
    coded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(StrictForm::from_request(coded, &()).await.unwrap_err(), ParamError::ContentType);
    let mut twice = form(Some(FORM), "a=1");
    twice.headers_mut().append("content-type", FORM.parse().unwrap());
    assert_eq!(StrictForm::from_request(twice, &()).await.unwrap_err(), ParamError::ContentType);
}

#[tokio::test]
async fn ac_58_a_form_is_read_up_to_its_limit() {
    let of = |size: usize| {
        let text: String = std::iter::once('a').chain(std::iter::repeat_n('&', size - 1)).collect();
        let request = http::Request::post("/").header("content-type", FORM).body(Body::from(text)).unwrap();
        StrictForm::from_request(request, &())
    };
    assert!(of(MAX_FORM_BYTES).await.is_ok());
    let error = of(MAX_FORM_BYTES + 1).await.unwrap_err();
    assert_eq!((error.status().as_u16(), error), (413, ParamError::BodyTooLarge));
}

#[tokio::test]
async fn ac_58_a_form_that_trickles_is_given_up() {
    let endless = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let error = read_body(Body::from_stream(endless), Duration::from_millis(10)).await.unwrap_err();
    assert_eq!((error.status().as_u16(), error), (408, ParamError::BodyTooSlow));
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_refused_as_a_body() {
    let body = Body::from(&b"a=\xff"[..]);
    let request = http::Request::post("/").header("content-type", FORM).body(body).unwrap();
    assert_eq!(StrictForm::from_request(request, &()).await.unwrap_err(), ParamError::BodyNotUtf8);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_no_name_comes_out_twice(text in "[a-c%=&+\\x00-\\x7f]{0,60}|\\PC{0,60}") {
        if let Ok(pairs) = parse(&text) {
            let mut names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), pairs.len());
            prop_assert!(pairs.iter().all(|(n, v)| !n.contains('\0') && !v.contains('\0')));
        }
    }

    #[test]
    fn what_a_client_encodes_comes_back(pairs in prop::collection::btree_map("[^\\x00]{1,20}", "[^\\x00]{1,40}", 0..20)) {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let params = Params::parse(&text).unwrap();
        for (name, value) in &pairs {
            prop_assert_eq!(params.get(name), Some(value.as_str()));
        }
        prop_assert_eq!(params.iter().count(), pairs.len());
    }

    #[test]
    fn ac_05_any_repeated_name_is_refused(
        pairs in prop::collection::vec(("[a-z]{1,5}", "[a-z%2]{0,5}"), 1..10), again in any::<prop::sample::Index>()
    ) {
        let mut pairs = pairs;
        let (name, _) = pairs[again.index(pairs.len())].clone();
        pairs.push((name, "again".to_owned()));
        let text: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        prop_assert!(parse(&text.join("&")).is_err());
    }
}

#[test]
fn ac_05_only_what_is_named_may_repeat() {
    let text = "resource=a&x=1&resource=&resource=b";
    let params = Params::parse_with(text, &["resource"]).unwrap();
    assert_eq!(params.all("resource").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(params.all("y").count(), 0);
    assert_eq!(Params::parse(text).unwrap_err(), ParamError::Duplicate("resource".into()));
    let other = Params::parse_with("resource=a&x=1&x=2", &["resource"]);
    assert_eq!(other.unwrap_err(), ParamError::Duplicate("x".into()));
    let many = vec!["resource=a"; MAX_PARAMS + 1].join("&");
    assert_eq!(Params::parse_with(&many, &["resource"]).unwrap_err(), ParamError::TooMany);
}
