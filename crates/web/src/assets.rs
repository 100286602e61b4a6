//! The files that pages load: one stylesheet, one script, one picture. They are part of the binary.
//!
//! Each is served under a URL that holds a hash of its content, and may therefore be kept by browsers forever: a
//! changed file has another URL. To add a file, add an [`Asset`] constant and put it into [`ALL`].

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use std::fmt;

/// The path under which [`serve`] is to be mounted; axum 0.8 syntax.
pub const ROUTE: &str = "/assets/{file}";

/// How long a browser keeps a file whose URL names its content: a year, without asking again (RFC 8246).
const KEEP_FOREVER: &str = "public, max-age=31536000, immutable";
/// A URL with another hash was written by another version of the server, as happens while a cluster is upgraded: it
/// gets what there is, and no cache may keep it under that name.
const ASK_AGAIN: &str = "no-cache";

/// The stylesheet of every page.
pub const STYLESHEET: Asset =
    Asset::new("keyreeve", "css", "text/css; charset=utf-8", include_bytes!("../assets/keyreeve.css"));
/// The script of every page.
pub const SCRIPT: Asset =
    Asset::new("keyreeve", "js", "text/javascript; charset=utf-8", include_bytes!("../assets/keyreeve.js"));
/// The mark: a key whose bow is a keep.
pub const MARK: Asset =
    Asset::new("keyreeve", "svg", "image/svg+xml", include_bytes!("../assets/keyreeve.svg"));

/// Every file that [`serve`] knows.
pub const ALL: [Asset; 3] = [STYLESHEET, SCRIPT, MARK];

/// An embedded file.
#[derive(Clone, Copy)]
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    hash: u64,
}

impl Asset {
    const fn new(
        stem: &'static str,
        extension: &'static str,
        content_type: &'static str,
        bytes: &'static [u8],
    ) -> Self {
        Self { stem, extension, content_type, bytes, hash: fnv1a(bytes) }
    }

    /// The URL path of this file below `base`, the path of the public URL (empty when that has none).
    #[must_use]
    pub const fn url<'a>(self, base: &'a str) -> AssetUrl<'a> {
        AssetUrl { base, asset: self }
    }

    /// The file's media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        self.content_type
    }

    /// The file's content.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        self.bytes
    }
}

/// A path like `/assets/keyreeve.0123456789abcdef.css`; made by [`Asset::url`].
#[derive(Clone, Copy)]
pub struct AssetUrl<'a> {
    base: &'a str,
    asset: Asset,
}

impl fmt::Display for AssetUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asset { stem, extension, hash, .. } = self.asset;
        write!(f, "{}/assets/{stem}.{hash:016x}.{extension}", self.base)
    }
}

/// Answers `GET /assets/{file}`: 200 with the file, 404 for a name that is none.
pub async fn serve(Path(file): Path<String>) -> Response {
    let Some((asset, current)) = find(&file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, if current { KEEP_FOREVER } else { ASK_AGAIN }),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.bytes).into_response()
}

/// The asset that `file` (stem, hash, extension) names, and whether the hash is that of its present content.
fn find(file: &str) -> Option<(Asset, bool)> {
    let mut parts = file.split('.');
    let (stem, hash, extension) = (parts.next()?, parts.next()?, parts.next()?);
    let well_formed = hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if parts.next().is_some() || !well_formed {
        return None;
    }
    let asset = ALL.into_iter().find(|a| a.stem == stem && a.extension == extension)?;
    Some((asset, u64::from_str_radix(hash, 16).ok() == Some(asset.hash)))
}

/// FNV-1a, 64 bits: it tells versions of our own files apart and guards nothing.
const fn fnv1a(mut bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        bytes = rest;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(asset: Asset) -> String {
        asset.url("").to_string().strip_prefix("/assets/").map(str::to_owned).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_kept_forever_under_the_url_that_names_its_content() {
        for asset in ALL {
            let answer = serve(Path(file_of(asset))).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], asset.content_type());
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            assert_eq!(body, asset.bytes());
        }
        assert_eq!(MARK.content_type(), "image/svg+xml");
    }

    #[tokio::test]
    async fn the_url_of_another_version_is_answered_and_not_kept() {
        let answer = serve(Path("keyreeve.0000000000000000.css".to_owned())).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
    }

    #[tokio::test]
    async fn what_is_no_file_is_not_found() {
        let real = file_of(STYLESHEET);
        let upper = real.to_uppercase();
        for name in [
            "",
            "keyreeve.css",
            "../Cargo.toml",
            "keyreeve.zzzzzzzzzzzzzzzz.css",
            &upper,
            &format!("{real}.x"),
        ] {
            assert_eq!(serve(Path(name.to_owned())).await.status(), StatusCode::NOT_FOUND, "{name}");
        }
    }

    #[test]
    fn another_content_is_another_url() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_ne!(STYLESHEET.hash, SCRIPT.hash);
        assert!(STYLESHEET.url("/id").to_string().starts_with("/id/assets/keyreeve."));
    }

    /// The policy that pages are served under allows no load from elsewhere; the files must not even try.
    #[test]
    fn files_load_nothing_from_elsewhere() {
        for asset in ALL {
            let text = String::from_utf8(asset.bytes().to_vec()).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for load in ["http:", "https:", "//fonts", "@import", "url(", "eval(", "innerHTML", "style="] {
                assert!(!text.contains(load), "{} contains {load}", file_of(asset));
            }
        }
    }
}
