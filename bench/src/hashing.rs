//! The floor of a password sign-in: what the cores can hash with nothing around it.

use crate::server::cpu_seconds;
use anyhow::{Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::time::{Duration, Instant};

/// What hashing alone came to.
pub struct Raw {
    /// Hashes a second, all threads together.
    pub per_second: f64,
    /// CPU time of one hash, in milliseconds.
    pub cpu_ms: f64,
}

/// Argon2id (19 MiB, t=2, p=1) with one thread a core, each with its own reused memory.
pub fn raw(span: Duration) -> Result<Raw> {
    let threads = std::thread::available_parallelism()?.get();
    let (started, cpu_before) = (Instant::now(), cpu_seconds("self")?);
    let workers: Vec<_> = (0..threads).map(|_| std::thread::spawn(move || hash_for(span))).collect();
    let mut hashes = 0_u64;
    for worker in workers {
        hashes += worker.join().map_err(|_| anyhow!("a hashing thread panicked"))??;
    }
    let cpu_s = cpu_seconds("self")? - cpu_before;
    let hashes = hashes as f64;
    Ok(Raw { per_second: hashes / started.elapsed().as_secs_f64(), cpu_ms: cpu_s * 1e3 / hashes })
}

fn hash_for(span: Duration) -> Result<u64> {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).map_err(|e| anyhow!("{e}"))?;
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (started, mut done, mut out) = (Instant::now(), 0_u64, [0_u8; 32]);
    while started.elapsed() < span {
        argon2
            .hash_password_into_with_memory(
                b"correct horse battery",
                b"0123456789abcdef",
                &mut out,
                &mut memory,
            )
            .map_err(|e| anyhow!("{e}"))?;
        done += 1;
    }
    Ok(done)
}
