//! Prometheus remote write on its way in.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, PoisonError, RwLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes::work;
use airis_kernels::remote_write as kernel;
use airis_kernels::remote_write::{REASONS, Version};

/// What senders said of targets and of metric families.
#[pyclass(frozen, module = "airis._core")]
pub struct Announced(RwLock<kernel::Announced>);

#[pymethods]
impl Announced {
    #[new]
    #[pyo3(signature = (capacity_bytes=16 * 1024 * 1024))]
    fn new(capacity_bytes: usize) -> Self {
        Self(RwLock::new(kernel::Announced::new(capacity_bytes)))
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.0.read().unwrap_or_else(PoisonError::into_inner).count())
    }

    /// Note what a request announced, once.
    fn add(&self, py: Python<'_>, written: &RemoteWritten) {
        py.detach(|| {
            let learned = mem::take(&mut *written.learned.lock().unwrap_or_else(PoisonError::into_inner));
            self.0.write().unwrap_or_else(PoisonError::into_inner).add(learned);
        });
    }
}

/// The OTLP metrics of a decompressed remote-write request.
#[pyfunction]
pub fn from_remote_write(
    version: u32,
    body: &Bound<'_, PyBytes>,
    announced: &Announced,
    limit_bytes: usize,
) -> PyResult<RemoteWritten> {
    let version = Version::from_number(version)
        .ok_or_else(|| PyValueError::new_err(format!("there is no remote write {version}.0 here")))?;
    let py = body.py();
    let written = work(body, |bytes| {
        let announced = announced.0.read().unwrap_or_else(PoisonError::into_inner);
        kernel::from_remote_write(version, bytes, &announced, limit_bytes)
    })?;
    let left_out = written.left_out.into_iter().zip(REASONS).filter(|((count, _), _)| *count > 0);
    Ok(RemoteWritten {
        payload: PyBytes::new(py, &written.payload).unbind(),
        items: written.items,
        samples: written.samples,
        histograms: written.histograms,
        exemplars: written.exemplars,
        repaired: written.repaired,
        left_out: left_out.map(|(left_out, (_, name))| (name, left_out)).collect(),
        learned: Mutex::new(written.learned),
    })
}

/// What a request became.
#[pyclass(frozen, module = "airis._core")]
pub struct RemoteWritten {
    #[pyo3(get)]
    payload: Py<PyBytes>,
    #[pyo3(get)]
    items: usize,
    #[pyo3(get)]
    samples: usize,
    #[pyo3(get)]
    histograms: usize,
    #[pyo3(get)]
    exemplars: usize,
    #[pyo3(get)]
    repaired: usize,
    #[pyo3(get)]
    left_out: BTreeMap<&'static str, (usize, String)>,
    learned: Mutex<kernel::Learned>,
}
