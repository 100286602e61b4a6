//! The dialects that the configuration describes.

use crate::Error;
use crate::config::Config;
use crate::mailing::secret_file;
use keyreeve_compat::{Place, Settings, imqs, insight};

/// A file beyond this size is no configuration of a dialect, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// How each dialect is set up; none where it is switched off.
///
/// # Errors
/// [`Error::Setup`] when a file cannot be read, or what it holds makes no sense.
pub fn settings(config: &Config) -> Result<Settings, Error> {
    Ok(Settings { imqs: of_imqs(config)?, insight: of_insight(config) })
}

fn of_insight(config: &Config) -> Option<(Place, insight::Options)> {
    let own = &config.insight;
    let place = Place { tenant: own.tenant.clone(), listen: own.listen };
    own.enabled.then_some((place, insight::Options { token_max_age_s: own.token_max_age_s }))
}

fn of_imqs(config: &Config) -> Result<Option<(Place, imqs::Options)>, Error> {
    let own = &config.imqs;
    if !own.enabled {
        return Ok(None);
    }
    let mut options = match &own.config_file {
        Some(path) => {
            let failed = |problem: String| {
                Error::Setup(format!("compat_imqs_config_file {}: {problem}", path.display()))
            };
            let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
            if size > MAX_FILE_BYTES {
                return Err(failed(format!("is longer than {MAX_FILE_BYTES} bytes")));
            }
            let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            imqs::Options::parse(&text).map_err(failed)?
        }
        None => imqs::Options::default(),
    };
    if let Some(path) = &own.service_secret_file {
        options = options.service_secret(secret_file("compat_imqs_service_secret_file", path)?);
    }
    let place = Place { tenant: own.tenant.clone(), listen: own.listen };
    Ok(Some((place, options.discreet(own.discreet))))
}
