use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn problems(inputs: Inputs) -> Vec<String> {
    match Config::load(inputs) {
        Ok(_) => Vec::new(),
        Err(error) => error.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = file("listen = \"127.0.0.1:1\"\nlog = \"warn\"\ndata_dir = \"/from/file\"\n");
    let config = Config::load(Inputs {
        flags: vec![("listen", "127.0.0.1:3".to_owned())],
        environment: environment(&[
            ("KEYREEVE_LISTEN", "127.0.0.1:2"),
            ("KEYREEVE_LOG", "debug"),
            ("PATH", "/bin"),
        ]),
        file: Some(file.path().to_path_buf()),
    })
    .unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.source("listen"), Source::Flag("--listen".to_owned()));
    assert_eq!(config.log, "debug");
    assert_eq!(config.source("log"), Source::Environment("KEYREEVE_LOG".to_owned()));
    assert_eq!(config.data_dir, Path::new("/from/file"));
    assert_eq!(config.source("data_dir").to_string(), format!("{}:3:12", file.path().display()));
    assert_eq!(config.source("hash_iterations"), Source::Default);
    assert_eq!(config.file(), Some(file.path()));
}

#[test]
fn the_environment_may_name_the_file_and_a_flag_another() {
    let (one, two) = (file("log = \"warn\""), file("log = \"error\""));
    let named = environment(&[("KEYREEVE_CONFIG", one.path().to_str().unwrap())]);
    let config = Config::load(Inputs { environment: named.clone(), ..Inputs::default() }).unwrap();
    assert_eq!(config.log, "warn");
    let inputs = Inputs { environment: named, file: Some(two.path().to_path_buf()), flags: vec![] };
    assert_eq!(Config::load(inputs).unwrap().log, "error");
}

#[test]
fn everything_that_is_wrong_is_named_at_once_with_its_place() {
    let file = file("listen = \"here\"\nhash_iterations = 0\n");
    let found = problems(Inputs {
        flags: vec![("public_url", "http://id.example.com".to_owned())],
        environment: environment(&[("KEYREEVE_DATABASE_URL", "mysql://u:hunter2@h/d")]),
        file: Some(file.path().to_path_buf()),
    });
    let path = file.path().display();
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with(&format!("{path}:1:10: listen \"here\" is not an address")), "{found:#?}");
    assert!(found[1].starts_with(&format!("{path}:2:19: hash_iterations 0 is not")), "{found:#?}");
    assert!(found[2].starts_with("KEYREEVE_DATABASE_URL: database_url begins with mysql://"), "{found:#?}");
    assert!(found[3].starts_with("--public-url: public_url "), "{found:#?}");
    assert!(!found.concat().contains("hunter2"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let found = problems(Inputs { file: Some(PathBuf::from("/nowhere/k.toml")), ..Inputs::default() });
    assert!(found[0].starts_with("/nowhere/k.toml:1:1: cannot be read"), "{found:?}");
}

#[test]
fn the_master_key_has_one_source() {
    let default = Config::load(Inputs::default()).unwrap();
    assert!(
        matches!(default.master_key(), MasterKeySource::File(path) if path.ends_with("keyreeve-data/master.key"))
    );
    let both = environment(&[("KEYREEVE_MASTER_KEY", "x"), ("KEYREEVE_MASTER_KEY_FILE", "/k")]);
    let found = problems(Inputs { environment: both, ..Inputs::default() });
    assert!(found[0].contains("are both set"), "{found:?}");
}

#[test]
fn a_network_address_wants_a_public_url() {
    let open = environment(&[("KEYREEVE_LISTEN", "192.0.2.1:80")]);
    let found = problems(Inputs { environment: open, ..Inputs::default() });
    assert!(found[0].contains("public_url must be set"), "{found:?}");
    let any = environment(&[("KEYREEVE_LISTEN", "0.0.0.0:80")]);
    assert_eq!(problems(Inputs { environment: any, ..Inputs::default() }), Vec::<String>::new());
}

#[test]
fn secrets_are_shown_masked_and_odd_variables_are_noticed() {
    let config = Config::load(Inputs {
        environment: environment(&[
            ("KEYREEVE_ADMIN_PASSWORD", "hunter2"),
            ("KEYREEVE_DATABASE_URL", "postgres://u:hunter2@h/d"),
            ("KEYREEVE_MASTER_KEY", "hunter2"),
            ("KEYREEVE_LISTN", "x"),
            ("KEYREEVE_TEST_POSTGRES_URL", "x"),
        ]),
        ..Inputs::default()
    })
    .unwrap();
    let shown = config.shown();
    assert_eq!(shown.len(), SETTINGS.len());
    assert!(shown.iter().all(|line| !line.value.as_deref().unwrap_or_default().contains("hunter2")));
    assert_eq!(config.unknown_environment(), ["KEYREEVE_LISTN"]);
}

#[test]
fn mail_goes_one_way_that_is_whole() {
    let found = |pairs: &[(&str, &str)]| {
        problems(Inputs { environment: environment(pairs), ..Inputs::default() }).join("\n")
    };
    let smtp = ("KEYREEVE_SMTP_URL", "smtp://u:hunter2@mail.example");
    let from = ("KEYREEVE_MAIL_FROM", "Keys <keys@id.example>");
    let webhook = ("KEYREEVE_MAIL_WEBHOOK_URL", "https://mail.example/take?key=hunter2");
    let secret = ("KEYREEVE_MAIL_WEBHOOK_SECRET", "hunter2-hunter2-hunter2");
    assert_eq!(found(&[smtp, from]), "");
    assert_eq!(found(&[webhook, secret, from]), "");
    for (pairs, expected) in [
        (&[smtp][..], "mail_from is not set"),
        (&[smtp, from, webhook, secret], "and smtp_url are both set"),
        (&[webhook, from], "mail_webhook_secret is not set"),
        (&[secret, from], "what it is for is not"),
        (&[("KEYREEVE_SMTP_PASSWORD_FILE", "/p"), from], "what it is for is not"),
        (&[("KEYREEVE_SMTP_URL", "http://u:hunter2@mail.example"), from], "begins with http://"),
        (&[smtp, ("KEYREEVE_MAIL_FROM", "keys")], "\"keys\" is not an address"),
        (&[webhook, ("KEYREEVE_MAIL_WEBHOOK_SECRET", "hunter2"), from], "is shorter than 16 bytes"),
        (&[webhook, secret, ("KEYREEVE_MAIL_WEBHOOK_SECRET_FILE", "/s"), from], "are both set"),
    ] {
        let found = found(pairs);
        assert!(found.contains(expected) && !found.contains("hunter2"), "{expected}: {found}");
    }
    let config =
        Config::load(Inputs { environment: environment(&[smtp, from]), ..Inputs::default() }).unwrap();
    let shown = |key: &str| config.shown().into_iter().find(|line| line.key == key).unwrap().value;
    assert_eq!(shown("smtp_url").as_deref(), Some("smtp://u:********@mail.example:587"));
    assert_eq!(shown("mail_from").as_deref(), Some("Keys <keys@id.example>"));
}
