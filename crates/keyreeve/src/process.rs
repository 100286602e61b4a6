//! What the operating system says about this process, for `/metrics`. Linux only; elsewhere the figures are absent.

/// Figures of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Memory in RAM, in bytes.
    pub resident_bytes: u64,
    /// Processor time since the start, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_files: u64,
}

/// The unit of the times in `/proc`: Linux shows user space hundredths of a second on every platform that matters,
/// whatever the kernel counts in (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

impl Usage {
    /// The figures now.
    #[must_use]
    pub fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count();
        Some(Self {
            resident_bytes: resident_bytes(&status)?,
            cpu_seconds: cpu_seconds(&stat)?,
            open_files: u64::try_from(open_files).unwrap_or(u64::MAX),
        })
    }

    /// Hands the figures to the metrics recorder, under the names that Prometheus' own clients use.
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float, and exact up to 8 PiB")]
    pub fn record(self) {
        metrics::gauge!("process_resident_memory_bytes").set(self.resident_bytes as f64);
        metrics::gauge!("process_cpu_seconds_total").set(self.cpu_seconds);
        metrics::gauge!("process_open_fds").set(self.open_files as f64);
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Fields 14 and 15 of `/proc/self/stat`; the command, field 2, may itself hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_linux_writes() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\nThreads: 1\n"), Some(2048 * 1024));
        assert_eq!(cpu_seconds("1 (a b) c) S 1 1 1 0 -1 4194560 9 0 0 0 150 50 0 0 20 0"), Some(2.0));
        assert_eq!(resident_bytes("VmRSS: lots"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::now().unwrap().resident_bytes > 100_000);
    }
}
