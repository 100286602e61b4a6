use super::*;
use crate::random::SystemRandom;
use keyreeve_base::{SystemClock, World};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn world() -> World {
    World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
}

#[test]
fn what_is_sealed_opens_again() {
    let (world, key) = (world(), DataKey::generate(&world()));
    for plaintext in [&b""[..], b"x", &[0; 5000]] {
        let sealed = key.seal(&world, plaintext, b"row 1").unwrap();
        assert_eq!(sealed.len(), plaintext.len() + 49);
        assert_eq!(sealing_key(&sealed), Ok(key.fingerprint()));
        assert_eq!(key.open(&sealed, b"row 1").unwrap().expose(), plaintext);
        let text = key.seal_text(&world, plaintext, b"row 1").unwrap();
        assert_eq!(key.open_text(&text, b"row 1").unwrap().expose(), plaintext);
    }
}

#[test]
fn no_bit_of_a_sealed_value_can_be_changed() {
    let (world, key) = (world(), DataKey::generate(&world()));
    let sealed = key.seal(&world, b"the secret", b"row 1").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let refusal = key.open(&changed, b"row 1").err().unwrap();
        match bit / 8 {
            0 => assert!(matches!(refusal, SealError::UnsupportedVersion(_)), "{bit}: {refusal}"),
            1..=8 => assert!(matches!(refusal, SealError::OtherKey { .. }), "{bit}: {refusal}"),
            _ => assert_eq!(refusal, SealError::Refused, "{bit}"),
        }
    }
    for length in 0..sealed.len() {
        assert!(key.open(&sealed[..length], b"row 1").is_err(), "{length}");
    }
    assert!(key.open(&[sealed.as_slice(), &[0]].concat(), b"row 1").is_err());
}

#[test]
fn a_value_opens_only_where_it_was_sealed() {
    let (world, key) = (world(), DataKey::generate(&world()));
    let sealed = key.seal(&world, b"the secret", b"row 1").unwrap();
    assert_eq!(key.open(&sealed, b"row 2").err(), Some(SealError::Refused));
    assert_eq!(key.open(&sealed, b"").err(), Some(SealError::Refused));
    // Nor for another use of the same key: a cookie's content is no stored secret.
    let text = crate::base64url::encode(&sealed);
    assert_eq!(key.open_text(&text, b"row 1").err(), Some(SealError::Refused));
    let other = DataKey::generate(&world);
    let refusal = SealError::OtherKey { needed: key.fingerprint(), given: other.fingerprint() };
    assert_eq!(other.open(&sealed, b"row 1").err(), Some(refusal));
}

#[test]
fn the_same_value_is_never_sealed_alike() {
    let (world, key) = (world(), DataKey::generate(&world()));
    let [one, two] = [(); 2].map(|()| key.seal(&world, &[0; 32], b"").unwrap());
    assert_ne!(one[9..33], two[9..33], "nonce");
    assert_ne!(one[33..], two[33..], "ciphertext");
}

#[test]
fn associated_data_is_unambiguous() {
    let all =
        [aad(&[]), aad(&[b""]), aad(&[b"", b""]), aad(&[b"ab", b"c"]), aad(&[b"a", b"bc"]), aad(&[b"abc"])];
    for (place, one) in all.iter().enumerate() {
        assert!(all.iter().skip(place + 1).all(|other| other != one), "{one:?}");
    }
}

/// Made with Python's cryptography package from the description at the head of the module: a change of the format would
/// lock every existing database.
mod known_answers {
    use super::*;

    const MASTER: &str = "af2fd0019cebd82bb02173c940b3b693bf76afd7f4d82ef9ef0213fd792092af";
    const WRAPPED: &str = "01e9ca84869d293b73000102030405060708090a0b0c0d0e0f1011121314151617c1d49dd0022a54acbdd5f85245\
                           083f1830460e4063bab99415aea79daa819e767f4ef9e76b5d411f2eef37ee0bb50772";
    const VALUE: &str = "01f7b4ab4e57b946fd17161514131211100f0e0d0c0b0a0908070605040302010064f6bc40ea9aabbc89d20337aa\
                         88e5f46d6a39e4117747336447";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn version_1_opens_for_ever() {
        let aad = aad(&[b"user.totp", b"row 1"]);
        let key = MasterKey::from_text(MASTER).unwrap().unwrap(&bytes(WRAPPED), &aad).unwrap();
        assert_eq!(key.open(&bytes(VALUE), &aad).unwrap().expose(), b"the secret");
        assert_eq!(key.fingerprint().to_string(), "f7b4ab4e57b946fd");
    }
}

#[test]
fn data_keys_are_wrapped_and_the_master_key_is_named() {
    let world = world();
    let (old, new) = (MasterKey::generate(&world), MasterKey::generate(&world));
    let (old_name, new_name) = (old.fingerprint(), new.fingerprint());
    let key = DataKey::generate(&world);
    let wrapped = old.wrap(&world, &key, b"tenant 1").unwrap();
    assert_eq!(wrapped.len(), 81);
    assert_eq!(old.unwrap(&wrapped, b"tenant 1").unwrap().fingerprint(), key.fingerprint());
    assert_eq!(old.unwrap(&wrapped, b"tenant 2").err(), Some(SealError::Refused));
    let refusal = SealError::OtherKey { needed: old_name, given: new_name };
    assert_eq!(new.unwrap(&wrapped, b"tenant 1").err(), Some(refusal));
    assert!(refusal.to_string().contains(&old_name.to_string()), "{refusal}");

    let alone = MasterKeyring::from(MasterKey::from_text(new.to_text().expose()).unwrap());
    assert_eq!(
        alone.unwrap(&wrapped, b"tenant 1").err(),
        Some(SealError::UnknownMasterKey { needed: old_name })
    );
    let ring = MasterKeyring::new(new, vec![old]);
    assert_eq!(ring.current().fingerprint(), new_name);
    assert_eq!(ring.needs_rewrap(&wrapped), Ok(true));
    let unwrapped = ring.unwrap(&wrapped, b"tenant 1").unwrap();
    let again = ring.wrap(&world, &unwrapped, b"tenant 1").unwrap();
    assert_eq!(ring.needs_rewrap(&again), Ok(false));
    assert_eq!(alone.unwrap(&again, b"tenant 1").unwrap().fingerprint(), key.fingerprint());
    assert_eq!(ring.needs_rewrap(b""), Err(SealError::Malformed));
}

#[test]
fn a_master_key_is_read_in_every_spelling() {
    let key =
        MasterKey::from_text("af2fd0019cebd82bb02173c940b3b693bf76afd7f4d82ef9ef0213fd792092af").unwrap();
    for text in [
        " AF2FD0019CEBD82BB02173C940B3B693BF76AFD7F4D82EF9EF0213FD792092AF\n",
        "ry/QAZzr2CuwIXPJQLO2k792r9f02C757wIT/Xkgkq8=",
        "ry/QAZzr2CuwIXPJQLO2k792r9f02C757wIT/Xkgkq8",
        "ry_QAZzr2CuwIXPJQLO2k792r9f02C757wIT_Xkgkq8",
    ] {
        assert_eq!(MasterKey::from_text(text).unwrap().fingerprint(), key.fingerprint(), "{text}");
    }
    assert_eq!(MasterKey::from_text(key.to_text().expose()).unwrap().fingerprint(), key.fingerprint());
    for text in
        ["", "secret", "af2f", "zz2fd0019cebd82bb02173c940b3b693bf76afd7f4d82ef9ef0213fd792092af", "ü"]
    {
        assert!(matches!(MasterKey::from_text(text), Err(MasterKeyError::Malformed)), "{text}");
    }
}

#[test]
fn ac_36_keys_that_somebody_typed_are_refused() {
    let counting: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let text = ["00".repeat(32), "ff".repeat(32), "0123456789abcdef".repeat(4), counting];
    for text in text {
        assert!(matches!(MasterKey::from_text(&text), Err(MasterKeyError::Weak)), "{text}");
    }
}

#[cfg(unix)]
mod files {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn write(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_key_file_is_its_owners_alone_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let key = MasterKey::create_file(&path, &world()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(MasterKey::from_file(&path).unwrap().fingerprint(), key.fingerprint());
        let before = std::fs::read(&path).unwrap();
        let refusal = MasterKey::create_file(&path, &world()).err().unwrap();
        assert!(
            matches!(&refusal, MasterKeyError::File { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::create_file(&path, &world()).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refusal = MasterKey::from_file(&path).err().unwrap();
            assert!(
                matches!(&refusal, MasterKeyError::Permissions { mode: seen, .. } if *seen == mode),
                "{refusal}"
            );
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(MasterKey::from_file(&path).is_ok());
    }

    #[test]
    fn raw_bytes_are_read_and_other_content_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let raw = crate::sha256(b"raw");
        write(&path, &raw, 0o600);
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = MasterKey::from_text(&hex).unwrap().fingerprint();
        assert_eq!(MasterKey::from_file(&path).unwrap().fingerprint(), expected);
        for content in [&b""[..], b"passphrase of 32 characters 1234", &raw[..31], &[0xff; 33], &[b'a'; 9000]]
        {
            write(&path, content, 0o600);
            let refusal = MasterKey::from_file(&path).err().unwrap();
            assert!(
                matches!(refusal, MasterKeyError::Malformed | MasterKeyError::File { .. }),
                "{refusal}: {} bytes",
                content.len()
            );
            assert!(!format!("{refusal} {refusal:?}").contains("passphrase"));
        }
        assert!(MasterKey::from_file(directory.path()).is_err(), "a directory");
        let missing = MasterKey::from_file(&directory.path().join("none")).err().unwrap();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}

#[cfg(unix)]
mod commands {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const HEX: &str = "af2fd0019cebd82bb02173c940b3b693bf76afd7f4d82ef9ef0213fd792092af";

    #[test]
    fn a_command_that_prints_the_key_gives_it() {
        let key = MasterKey::from_command(&format!("printf '%s' {HEX} | cat"), LONG).unwrap();
        assert_eq!(key.fingerprint(), MasterKey::from_text(HEX).unwrap().fingerprint());
    }

    #[test]
    fn a_command_that_fails_gives_nothing_even_if_it_printed_a_key() {
        let refusal = MasterKey::from_command(&format!("echo {HEX}; exit 3"), LONG).err().unwrap();
        assert!(
            matches!(refusal, MasterKeyError::CommandFailed(status) if status.code() == Some(3)),
            "{refusal}"
        );
        assert!(matches!(MasterKey::from_command("true", LONG), Err(MasterKeyError::Malformed)));
        assert!(matches!(MasterKey::from_command("cat", LONG), Err(MasterKeyError::Malformed)), "no input");
    }

    #[test]
    fn a_command_that_floods_or_hangs_is_ended() {
        assert!(matches!(MasterKey::from_command("yes", LONG), Err(MasterKeyError::Command(_))));
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        // The child's child sleeps, holding the output open; it must be ended too.
        let line = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
        let hangs = MasterKey::from_command(&line, Duration::from_millis(500));
        assert!(matches!(hangs, Err(MasterKeyError::CommandTimedOut(_))));
        let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // Whoever adopts it may take a moment to bury it; a zombie has no command line.
        let runs = || {
            rustix::process::test_kill_process(pid).is_ok()
                && std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
        };
        for _ in 0..1000 {
            if !runs() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the command's child still runs");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_opening_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), text in "\\PC{0,80}") {
        let key = DataKey::generate(&world());
        prop_assert!(key.open(&bytes, b"").is_err());
        prop_assert!(key.open_text(&text, b"").is_err());
        let mut named = vec![1];
        named.extend_from_slice(key.fingerprint().as_bytes());
        named.extend_from_slice(&bytes);
        prop_assert!(key.open(&named, b"").is_err());
    }
}
