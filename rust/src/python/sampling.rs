//! What keeps a share of the items.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::bytes::malformed;
use super::view::View;
use airis_kernels::otlp::Signal;
use airis_kernels::sampling as kernel;
use airis_kernels::sampling::{Mode, Policy, Settings};

/// A sampler, compiled.
#[pyclass(frozen, module = "airis._core")]
pub struct Sampler {
    compiled: kernel::Sampler,
    /// The name of the policy that hashes an attribute.
    from_attribute: String,
}

#[pymethods]
impl Sampler {
    #[new]
    #[pyo3(signature = (mode, percentage, *, hash_seed=0, precision=4, fail_closed=true, by_trace_id=true,
        from_attribute="", priority_attribute=""))]
    #[expect(clippy::too_many_arguments)]
    fn new(
        mode: &str,
        percentage: f64,
        hash_seed: i64,
        precision: i64,
        fail_closed: bool,
        by_trace_id: bool,
        from_attribute: &str,
        priority_attribute: &str,
    ) -> PyResult<Self> {
        let invalid = |fault: &str| PyValueError::new_err(fault.to_owned());
        let mode = Mode::from_name(mode).ok_or_else(|| invalid(&format!("{mode} is no mode of sampling")))?;
        let precision = u32::try_from(precision).ok().filter(|digits| (1..=kernel::DIGITS).contains(digits));
        if percentage.is_nan() || percentage < 0.0 || percentage.is_infinite() {
            return Err(invalid("the percentage must be a number from 0"));
        }
        let compiled = kernel::Sampler::new(Settings {
            mode,
            percentage,
            hash_seed: u32::try_from(hash_seed).map_err(|_| invalid("the seed must have 32 bits"))?,
            precision: precision.ok_or_else(|| invalid("the precision must be 1 to 14 digits"))?,
            fail_closed,
            by_trace_id,
            from_attribute: from_attribute.as_bytes().into(),
            priority_attribute: priority_attribute.as_bytes().into(),
        });
        Ok(Self { compiled, from_attribute: from_attribute.to_owned() })
    }

    /// The items kept, in the very same view where nothing changes, and how many were decided in which way.
    fn apply<'py>(&self, view: &Bound<'py, View>) -> PyResult<(Bound<'py, View>, Bound<'py, PyDict>)> {
        let (py, given) = (view.py(), view.get());
        let scanned = given.scanned();
        if !matches!(scanned.signal, Signal::Traces | Signal::Logs) {
            return Err(PyValueError::new_err(format!("{} cannot be sampled", scanned.signal.name())));
        }
        let outcome = py.detach(|| self.compiled.apply(scanned)).map_err(|fault| malformed(py, &fault))?;
        let counts = PyDict::new(py);
        for ((policy, is_kept, fault), count) in outcome.counts {
            let key = (self.name(policy), is_kept, fault.name());
            // An attribute may be called as a policy is.
            let before = counts.get_item(key)?.map_or(Ok(0), |count| count.extract::<usize>())?;
            counts.set_item(key, before + count)?;
        }
        let kept = outcome.kept.map_or_else(|| Ok(view.clone()), |kept| given.made(py, kept))?;
        Ok((kept, counts))
    }
}

impl Sampler {
    /// The Collector's name of a policy.
    fn name(&self, policy: Policy) -> &str {
        match policy {
            Policy::Missing => "missing_randomness",
            Policy::TraceIdHash => "trace_id_hash",
            Policy::TraceId => "trace_id_w3c",
            Policy::Explicit => "sampling_randomness",
            Policy::Priority => "sampling_priority",
            Policy::Attribute => &self.from_attribute,
        }
    }
}
