//! The Python boundary: what `airis._core` is made of, each part in a file of its own.

mod arrow;
mod blocks;
mod bytes;
#[cfg(unix)]
mod client;
mod edits;
mod fields;
#[cfg(unix)]
mod intake;
mod pattern;
mod payloads;
mod predicate;
mod remote_write;
mod samples;
mod sampling;
mod sources;
mod trace_index;
mod view;
mod wal;

use pyo3::prelude::*;

/// The native kernels; `airis.data.reference` is what they are tested against.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::arrow::ArrowTable;

    #[pymodule_export]
    use super::edits::Edits;

    #[pymodule_export]
    use super::pattern::Pattern;

    #[pymodule_export]
    use super::payloads::{count_items, from_json, split, to_json, validate};

    #[pymodule_export]
    use super::predicate::Predicate;

    #[pymodule_export]
    use super::blocks::Blocks;

    #[pymodule_export]
    use super::view::{SeriesIndex, View, concat, scan};

    #[pymodule_export]
    use super::wal::{wal_frame, wal_read};

    #[pymodule_export]
    use super::remote_write::{Announced, RemoteWritten, from_remote_write};

    #[pymodule_export]
    use super::samples::{Samples, samples};

    #[pymodule_export]
    use super::sampling::Sampler;

    #[pymodule_export]
    use super::trace_index::TraceIndex;

    #[cfg(unix)]
    #[pymodule_export]
    use super::intake::{Asked, Intake, Joined, Reply, Tls};

    #[cfg(unix)]
    #[pymodule_export]
    use super::client::{Answer, Body, Client, ClientTls, Head, Remote};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        tune_allocator();
        Ok(())
    }
}

/// Keep large blocks in the process: payloads of more than 128 KiB would be mapped, faulted in and given back to the
/// system on every request, which costs 0.2 CPU-seconds per million spans.
fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt may be called at any time and takes two integers; a value that it does not like it refuses.
        unsafe {
            // Older versions take no more than half of an arena.
            if libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30) == 0 {
                libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
            }
            libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
        }
    }
}
