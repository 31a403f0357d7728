//! Records of the write-ahead log.

use airis_kernels::wal::{self, Head};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

/// Sequence, kind, codec, signal, items, requests, wall clock, batch id, slots.
type Fields = (u64, u8, u8, u8, u32, u32, i64, [u8; 16], u64);

/// What stands before the payload of a record: its head, and the meta.
#[pyfunction]
pub fn wal_frame<'py>(
    py: Python<'py>,
    log_id: &[u8],
    head: Fields,
    meta: &Bound<'py, PyBytes>,
    payload: &Bound<'py, PyBytes>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (sequence, kind, codec, signal, items, requests, wall_unix_nano, batch_id, slots) = head;
    let head = Head { sequence, kind, codec, signal, items, requests, wall_unix_nano, batch_id, slots };
    let (meta, payload) = (meta.as_bytes(), payload.as_bytes());
    let framed = py.detach(|| wal::frame(log_id, &head, meta, payload));
    let framed = framed.ok_or_else(|| PyValueError::new_err("more content than a record has room for"))?;
    Ok(PyBytes::new(py, &framed))
}

/// What stands in `data` from an offset on: offset, end, head or None, meta, payload, and whether it is whole.
#[pyfunction]
pub fn wal_read<'py>(
    py: Python<'py>,
    log_id: &[u8],
    data: &Bound<'py, PyBytes>,
    start: usize,
    payloads: bool,
) -> PyResult<Bound<'py, PyList>> {
    let bytes = data.as_bytes();
    let all = py.detach(|| wal::read(log_id, bytes, start));
    let found = all.into_iter().map(|found| {
        let head = found.head.map(|h| {
            let id = PyBytes::new(py, &h.batch_id);
            (h.sequence, h.kind, h.codec, h.signal, h.items, h.requests, h.wall_unix_nano, id, h.slots)
        });
        let content = if found.is_whole { &bytes[found.offset + wal::HEAD..found.end] } else { &[] };
        let (meta, payload) = content.split_at(found.meta_size);
        let payload = if payloads { payload } else { &[] };
        (found.offset, found.end, head, PyBytes::new(py, meta), PyBytes::new(py, payload), found.is_whole)
            .into_pyobject(py)
    });
    PyList::new(py, found.collect::<PyResult<Vec<Bound<'py, PyTuple>>>>()?)
}
