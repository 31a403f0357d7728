//! Metrics as Prometheus' series and samples.

use std::collections::BTreeMap;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes::joined;
use super::view::View;
use airis_kernels::otlp::Signal;
use airis_kernels::prometheus_names::Strategy;
use airis_kernels::remote_write::Version;
use airis_kernels::samples as kernel;
use airis_kernels::samples::{LEFT_OUT, Naming};

/// The series and samples of metrics.
#[pyfunction]
#[pyo3(signature = (view, arrived_unix_nano, *, strategy="UnderscoreEscapingWithSuffixes", namespace=String::new(), external_labels=Vec::new(), resource_labels=false, except_service=false, target_info=true, scope_labels=false))]
#[expect(clippy::too_many_arguments, reason = "they have names on the other side")]
pub fn samples(
    view: &Bound<'_, View>,
    arrived_unix_nano: u64,
    strategy: &str,
    namespace: String,
    external_labels: Vec<(String, String)>,
    resource_labels: bool,
    except_service: bool,
    target_info: bool,
    scope_labels: bool,
) -> PyResult<Samples> {
    let strategy = Strategy::from_name(strategy)
        .ok_or_else(|| PyValueError::new_err(format!("{strategy} is no translation strategy")))?;
    let naming = Naming {
        strategy,
        namespace,
        external: external_labels,
        resource_labels,
        except_service,
        target_info,
        scope_labels,
    };
    let py = view.py();
    let scanned = view.get().scanned();
    if scanned.signal != Signal::Metrics {
        return Err(PyValueError::new_err("only metrics have samples"));
    }
    Ok(Samples(py.detach(|| kernel::Samples::collect(scanned, arrived_unix_nano, &naming))))
}

/// Series and their samples, as columns.
#[pyclass(frozen, module = "airis._core")]
pub struct Samples(kernel::Samples);

#[pymethods]
impl Samples {
    /// How many series there are.
    fn __len__(&self) -> usize {
        self.0.series()
    }

    /// The labels of a series, by name.
    fn labels(&self, series: usize) -> PyResult<Vec<(String, String)>> {
        if series >= self.0.series() {
            return Err(PyIndexError::new_err("there is no such series"));
        }
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        Ok(self.0.labels(series).iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    #[getter]
    fn hashes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let column: Vec<u8> = py.detach(|| self.0.hashes().flat_map(u64::to_le_bytes).collect());
        joined(py, &[column])
    }

    #[getter]
    fn series<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let column: Vec<u8> = py.detach(|| self.0.samples().flat_map(|(series, ..)| series.to_le_bytes()).collect());
        joined(py, &[column])
    }

    #[getter]
    fn times<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let column: Vec<u8> = py.detach(|| self.0.samples().flat_map(|(_, time, _)| time.to_le_bytes()).collect());
        joined(py, &[column])
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let column: Vec<u8> = py.detach(|| self.0.samples().flat_map(|(.., value)| value.to_le_bytes()).collect());
        joined(py, &[column])
    }

    #[getter]
    fn histograms(&self) -> usize {
        self.0.histograms()
    }

    #[getter]
    fn exemplars(&self) -> usize {
        self.0.exemplars()
    }

    #[getter]
    fn left_out(&self) -> BTreeMap<&'static str, usize> {
        LEFT_OUT.into_iter().zip(self.0.left_out).filter(|(_, count)| *count > 0).collect()
    }

    /// Bodies of remote-write requests.
    #[pyo3(signature = (version, max_bytes, *, metadata=false))]
    fn remote_write<'py>(
        &self,
        py: Python<'py>,
        version: u32,
        max_bytes: usize,
        metadata: bool,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let version = Version::from_number(version)
            .ok_or_else(|| PyValueError::new_err(format!("there is no remote write {version}.0 here")))?;
        let bodies = py.detach(|| kernel::encode(&self.0, version, max_bytes, metadata));
        bodies.into_iter().map(|body| joined(py, &[body])).collect()
    }
}
