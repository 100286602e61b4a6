//! What a `User-Agent` header tells of the browser, as far as people know it: its name and its system.

/// A browser and its system; what is not known is absent. The names are ours, never the header's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Such as "Firefox".
    pub browser: Option<&'static str>,
    /// Such as "Windows".
    pub system: Option<&'static str>,
}

/// Browsers by their mark. The order matters: most also bear the marks of those below them.
const BROWSERS: [(&str, &str); 13] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

/// Systems by their mark, in the same manner.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPad", "iPadOS"),
    ("iPhone", "iOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

impl Device {
    /// The device of a `User-Agent` header.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let named = |marks: &[(&str, &'static str)]| {
            marks.iter().find(|(mark, _)| user_agent.contains(mark)).map(|&(_, name)| name)
        };
        Self { browser: named(&BROWSERS), system: named(&SYSTEMS) }
    }

    /// The parts that are known.
    pub(super) fn parts(self) -> impl Iterator<Item = &'static str> {
        self.browser.into_iter().chain(self.system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_browsers_are_named() {
        for (header, browser, system) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox", "Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                "Edge",
                "Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Mobile Safari/537.36",
                "Chrome",
                "Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari",
                "iOS",
            ),
        ] {
            assert_eq!(Device::of(header), Device { browser: Some(browser), system: Some(system) });
        }
    }

    #[test]
    fn ac_51_no_text_of_the_header_gets_through() {
        let device = Device::of("<script>alert(1)</script>");
        assert_eq!(device, Device { browser: None, system: None });
    }
}
