//! Bytes that cross the boundary, and work on them without the interpreter's lock.

use std::fmt::Display;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};

use airis_kernels::buffers::Buffer;
use airis_kernels::otlp::Signal;

/// The exception for a payload that cannot be read.
pub fn malformed(py: Python<'_>, fault: &impl Display) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "airis.data.malformed", "MalformedPayload") {
        Ok(class) => PyErr::from_type(class.clone(), fault.to_string()),
        Err(error) => error,
    }
}

/// A signal by its name; ValueError for one that the kernels do not know.
pub fn signal_of(name: &str) -> PyResult<Signal> {
    Signal::from_name(name).ok_or_else(|| not_supported(name))
}

/// A signal that a kernel does not know.
pub fn not_supported(name: &str) -> PyErr {
    PyValueError::new_err(format!("{name} is not supported"))
}

/// A payload as a buffer, without copying it.
pub fn buffer(payload: &Bound<'_, PyBytes>) -> Buffer {
    Arc::new(PyBackedBytes::from(payload.clone()))
}

/// Do work on a payload without the interpreter's lock.
pub fn work<T: Send, F: Display + Send>(
    payload: &Bound<'_, PyBytes>,
    work: impl FnOnce(&[u8]) -> Result<T, F> + Send,
) -> PyResult<T> {
    let bytes = payload.as_bytes();
    payload.py().detach(|| work(bytes)).map_err(|fault| malformed(payload.py(), &fault))
}

/// The parts as one Python object, copied once; without the interpreter's lock, unless that takes longer than the copy.
pub fn joined<'py, T: AsRef<[u8]> + Sync>(py: Python<'py>, parts: &[T]) -> PyResult<Bound<'py, PyBytes>> {
    let size: usize = parts.iter().map(|part| part.as_ref().len()).sum();
    let is_small = size < 16 * 1024;
    let size = isize::try_from(size)?;
    // SAFETY: given no bytes, the call makes an object with room for `size` of them, or sets an error; the room is
    // not cleared, which for tens of megabytes would hold the lock for longer than all the rest.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(ptr::null(), size))? };
    // SAFETY: it is a bytes object, whose room stays where it is.
    let room = AtomicPtr::new(unsafe { ffi::PyBytes_AsString(object.as_ptr()) }.cast::<u8>());
    let copy = || {
        let mut at = room.into_inner();
        for part in parts.iter().map(T::as_ref) {
            // SAFETY: nobody else knows of the object yet, so that its room may be written to, and the sizes of
            // all parts are its size.
            unsafe {
                ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
                at = at.add(part.len());
            }
        }
    };
    if is_small {
        copy()
    } else {
        py.detach(copy)
    }
    Ok(object.cast_into::<PyBytes>()?)
}
