//! Arrow's C data interface and C stream interface: what other libraries read arrays by, without copying.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface.html> and <https://arrow.apache.org/docs/format/CStreamInterface.html>.
//! Who reads a structure takes it over by copying its bytes and marking the original as released; whoever has it last
//! calls `release`. Each of the three owns, through `private_data`, a box that nobody else points to, so that what is
//! taken over stays good when that which it was taken from is gone. The tests here run under miri.

use std::ffi::{c_char, c_int, c_void};
use std::mem;
use std::ptr;

use super::array::{Array, Buffer, Layout};

const NULLABLE: i64 = 2;

/// What empty buffers point to: readers may look at where a buffer begins, and expect it to be aligned.
static EMPTY: [u64; 8] = [0; 8];

/// A type.
#[repr(C)]
pub struct ArrowSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut ArrowSchema,
    dictionary: *mut ArrowSchema,
    release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    private_data: *mut c_void,
}

/// An array.
#[repr(C)]
pub struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut ArrowArray,
    dictionary: *mut ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

/// Arrays of one type, one after the other.
#[repr(C)]
pub struct ArrowArrayStream {
    get_schema: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    private_data: *mut c_void,
}

// SAFETY: all that it points to is its own, but for static texts, and does not care for the thread.
unsafe impl Send for ArrowSchema {}
// SAFETY: as above, the static memory of `EMPTY` included.
unsafe impl Send for ArrowArray {}
// SAFETY: as above.
unsafe impl Send for ArrowArrayStream {}

/// Children and a dictionary, each a box.
struct Nested<T> {
    children: Vec<*mut T>,
    dictionary: *mut T,
}

impl<T> Nested<T> {
    fn new(children: impl Iterator<Item = T>, dictionary: Option<T>) -> Self {
        let boxed = |nested| Box::into_raw(Box::new(nested));
        Self { children: children.map(boxed).collect(), dictionary: dictionary.map_or(ptr::null_mut(), boxed) }
    }
}

impl<T> Drop for Nested<T> {
    fn drop(&mut self) {
        for &nested in self.children.iter().chain([&self.dictionary]).filter(|nested| !nested.is_null()) {
            // SAFETY: `new` made a box of it, and it is freed here alone: readers that take a child over take what is
            // in the structure, and leave the structure. Dropping it calls its `release`, unless it was taken over.
            drop(unsafe { Box::from_raw(nested) });
        }
    }
}

struct OwnedSchema {
    layout: Layout,
    nested: Nested<ArrowSchema>,
}

impl ArrowSchema {
    /// Of a type.
    pub fn new(layout: Layout) -> Self {
        let format = layout.format.as_ptr();
        let flags = if layout.is_nullable { NULLABLE } else { 0 };
        let children = layout.children.iter().cloned().map(Self::new);
        let nested = Nested::new(children, layout.dictionary.as_deref().cloned().map(Self::new));
        let owned = Box::into_raw(Box::new(OwnedSchema { layout, nested }));
        // SAFETY: it is a box's, which nothing else points to yet. What the pointers below point to is behind it, and
        // stays there until `release_schema`: a text and a vector that nobody changes.
        let OwnedSchema { layout, nested } = unsafe { &mut *owned };
        Self {
            format,
            name: layout.name.as_ptr(),
            metadata: ptr::null(),
            flags,
            n_children: nested.children.len() as i64,
            children: nested.children.as_mut_ptr(),
            dictionary: nested.dictionary,
            release: Some(release_schema),
            private_data: owned.cast(),
        }
    }
}

impl Drop for ArrowSchema {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: it was not released, and is not moved while it is.
            unsafe { release(self) };
        }
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: the interface has the caller give a structure that is valid, not released, and used by nobody else.
    let schema = unsafe { &mut *schema };
    schema.release = None;
    let owned = mem::replace(&mut schema.private_data, ptr::null_mut());
    // SAFETY: `ArrowSchema::new` made it of this type; who copied the structure marked the other copy as released, so
    // that this is the only time.
    drop(unsafe { Box::from_raw(owned.cast::<OwnedSchema>()) });
}

struct OwnedArray {
    /// Only here to be freed with it.
    _buffers: Vec<Option<Buffer>>,
    pointers: Vec<*const c_void>,
    nested: Nested<ArrowArray>,
}

impl ArrowArray {
    /// Of an array, which is not copied.
    pub fn new(array: Array) -> Self {
        let Array { length, nulls, buffers, children, dictionary } = array;
        let nested = Nested::new(children.into_iter().map(Self::new), dictionary.map(|array| Self::new(*array)));
        let pointers = buffers.iter().map(|buffer| buffer.as_ref().map_or(ptr::null(), start)).collect();
        let owned = Box::into_raw(Box::new(OwnedArray { _buffers: buffers, pointers, nested }));
        // SAFETY: it is a box's, which nothing else points to yet. What the pointers below point to is behind it, and
        // stays there until `release_array`: vectors that nobody changes.
        let OwnedArray { pointers, nested, .. } = unsafe { &mut *owned };
        Self {
            length: length as i64,
            null_count: nulls as i64,
            offset: 0,
            n_buffers: pointers.len() as i64,
            n_children: nested.children.len() as i64,
            buffers: pointers.as_mut_ptr(),
            children: nested.children.as_mut_ptr(),
            dictionary: nested.dictionary,
            release: Some(release_array),
            private_data: owned.cast(),
        }
    }

    /// What says that there are no more.
    fn released() -> Self {
        Self {
            length: 0,
            null_count: 0,
            offset: 0,
            n_buffers: 0,
            n_children: 0,
            buffers: ptr::null_mut(),
            children: ptr::null_mut(),
            dictionary: ptr::null_mut(),
            release: None,
            private_data: ptr::null_mut(),
        }
    }
}

/// Where a buffer begins.
fn start(buffer: &Buffer) -> *const c_void {
    match buffer {
        Buffer::Bytes(bytes) if !bytes.is_empty() => bytes.as_ptr().cast(),
        Buffer::Fours(numbers) if !numbers.is_empty() => numbers.as_ptr().cast(),
        Buffer::Eights(numbers) if !numbers.is_empty() => numbers.as_ptr().cast(),
        _ => EMPTY.as_ptr().cast(),
    }
}

impl Drop for ArrowArray {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: it was not released, and is not moved while it is.
            unsafe { release(self) };
        }
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: the interface has the caller give a structure that is valid, not released, and used by nobody else.
    let array = unsafe { &mut *array };
    array.release = None;
    let owned = mem::replace(&mut array.private_data, ptr::null_mut());
    // SAFETY: `ArrowArray::new` made it of this type; who copied the structure marked the other copy as released, so
    // that this is the only time.
    drop(unsafe { Box::from_raw(owned.cast::<OwnedArray>()) });
}

struct OwnedStream {
    layout: Layout,
    next: Option<Array>,
}

impl ArrowArrayStream {
    /// Of one array of structures, a record batch.
    pub fn new(layout: Layout, batch: Array) -> Self {
        Self {
            get_schema: Some(get_schema),
            get_next: Some(get_next),
            get_last_error: Some(get_last_error),
            release: Some(release_stream),
            private_data: Box::into_raw(Box::new(OwnedStream { layout, next: Some(batch) })).cast(),
        }
    }
}

impl Drop for ArrowArrayStream {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: it was not released, and is not moved while it is.
            unsafe { release(self) };
        }
    }
}

/// What is behind a stream.
///
/// # Safety
/// The stream must be valid, not released, and used by nobody else meanwhile, which the interface demands of callers.
unsafe fn owned<'a>(stream: *mut ArrowArrayStream) -> &'a mut OwnedStream {
    // SAFETY: see above; `ArrowArrayStream::new` made it of this type.
    unsafe { &mut *(*stream).private_data.cast::<OwnedStream>() }
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    // SAFETY: the caller gives a stream that is good, and room for a schema, in which nothing need be yet.
    unsafe { out.write(ArrowSchema::new(owned(stream).layout.clone())) };
    0
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    // SAFETY: the caller gives a stream that is good, and room for an array, in which nothing need be yet.
    unsafe { out.write(owned(stream).next.take().map_or_else(ArrowArray::released, ArrowArray::new)) };
    0
}

/// Nothing ever goes wrong.
unsafe extern "C" fn get_last_error(_stream: *mut ArrowArrayStream) -> *const c_char {
    ptr::null()
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: the interface has the caller give a structure that is valid, not released, and used by nobody else.
    let stream = unsafe { &mut *stream };
    stream.release = None;
    let owned = mem::replace(&mut stream.private_data, ptr::null_mut());
    // SAFETY: `ArrowArrayStream::new` made it of this type; who copied the structure marked the other copy as released,
    // so that this is the only time.
    drop(unsafe { Box::from_raw(owned.cast::<OwnedStream>()) });
}

#[cfg(test)]
mod tests {
    use super::super::array::{Texts, Validity};
    use super::*;

    /// What all the tests read: a column of maps, and one of a dictionary.
    fn stream() -> ArrowArrayStream {
        let texts = |listed: &[&str]| {
            let mut texts = Texts::default();
            listed.iter().for_each(|text| texts.push(text.as_bytes(), 1).expect("short texts"));
            let [offsets, data] = texts.into_text().expect("short texts");
            Array::full(listed.len(), [offsets, data])
        };
        let mut validity = Validity::default();
        validity.push(true, 1);
        validity.push(false, 1);
        let entries = Array::full(2, []).with(vec![texts(&["a", "b"]), texts(&["", "ü"])]);
        let maps = Array::new(2, validity, [Buffer::Fours(vec![0, 2, 2])]).with(vec![entries]);
        let rows = Array::full(2, [Buffer::Fours(vec![1, 0])]);
        let names = Array { dictionary: Some(Box::new(texts(&["", "shop"]))), ..rows };
        let entry =
            Layout::of(c"entries", c"+s", vec![Layout::new(c"key", c"u").required(), Layout::new(c"value", c"u")]);
        let dictionary = Some(Box::new(Layout::new(c"", c"u")));
        let columns = vec![
            Layout::of(c"maps", c"+m", vec![entry.required()]),
            Layout { dictionary, ..Layout::new(c"names", c"i") },
        ];
        ArrowArrayStream::new(Layout::of(c"", c"+s", columns), Array::full(2, []).with(vec![maps, names]))
    }

    fn next(stream: &mut ArrowArrayStream) -> ArrowArray {
        let mut out = ArrowArray::released();
        let read = stream.get_next.expect("a stream that is not released");
        // SAFETY: the stream is good, and there is room.
        assert_eq!(unsafe { read(stream, &mut out) }, 0);
        out
    }

    /// Take a structure over, as readers in other languages do.
    fn taken(from: *mut ArrowArray) -> ArrowArray {
        // SAFETY: it is one of those that the tests have, and marked as released afterwards.
        unsafe {
            let taken = ptr::read(from);
            (*from).release = None;
            taken
        }
    }

    fn child(array: &ArrowArray, index: usize) -> *mut ArrowArray {
        assert!((index as i64) < array.n_children);
        // SAFETY: there are as many children.
        unsafe { *array.children.add(index) }
    }

    /// The text at a place in an array of texts.
    fn text(array: &ArrowArray, index: usize) -> String {
        assert!((index as i64) < array.length && array.n_buffers == 3);
        // SAFETY: a text array has a validity bitmap, offsets and data.
        unsafe {
            let offsets = (*array.buffers.add(1)).cast::<i32>();
            let (start, end) = (*offsets.add(index) as usize, *offsets.add(index + 1) as usize);
            let data = std::slice::from_raw_parts((*array.buffers.add(2)).cast::<u8>().add(start), end - start);
            String::from_utf8_lossy(data).into_owned()
        }
    }

    #[test]
    fn a_batch_is_read_and_outlives_its_stream() {
        let mut stream = stream();
        let batch = next(&mut stream);
        assert!(next(&mut stream).release.is_none());
        assert!(next(&mut stream).release.is_none());
        drop(stream);
        // SAFETY: the children are those of the batch, which is not released.
        let (maps, names) = unsafe { (&*child(&batch, 0), &*child(&batch, 1)) };
        assert_eq!((batch.length, maps.null_count, names.null_count), (2, 1, 0));
        // SAFETY: as above, and the dictionary is there.
        assert_eq!(unsafe { text(&*names.dictionary, 1) }, "shop");
        // SAFETY: as above.
        let value = unsafe { text(&*child(&*child(maps, 0), 1), 1) };
        assert_eq!(value, "ü");
    }

    #[test]
    fn a_stream_may_be_released_before_it_is_read() {
        let mut stream = stream();
        let release = stream.release.expect("a stream that is not released");
        // SAFETY: the stream is good.
        unsafe { release(&mut stream) };
        assert!(stream.release.is_none() && stream.private_data.is_null());
    }

    #[test]
    fn what_was_released_is_marked_so_and_not_released_again() {
        let mut stream = stream();
        let mut batch = next(&mut stream);
        let mut schema = ArrowSchema::new(Layout::new(c"name", c"u"));
        // SAFETY: both are good.
        unsafe {
            release_array(&mut batch);
            release_schema(&mut schema);
        }
        assert!(batch.release.is_none() && batch.private_data.is_null());
        assert!(schema.release.is_none() && schema.private_data.is_null());
    }

    #[test]
    fn a_child_that_was_taken_over_outlives_its_parent() {
        let mut stream = stream();
        let batch = next(&mut stream);
        let names = taken(child(&batch, 1));
        let dictionary = taken(names.dictionary);
        drop(batch);
        drop(stream);
        drop(names);
        assert_eq!(text(&dictionary, 1), "shop");
    }

    #[test]
    fn the_type_can_be_asked_for_at_any_time() {
        let mut stream = stream();
        drop(next(&mut stream));
        for _ in 0..2 {
            let mut schema = std::mem::MaybeUninit::uninit();
            // SAFETY: the stream is good, there is room, and in it a schema afterwards.
            let schema = unsafe {
                assert_eq!(get_schema(&mut stream, schema.as_mut_ptr()), 0);
                schema.assume_init()
            };
            assert_eq!(schema.n_children, 2);
            // SAFETY: there are two children, and a type and a name of each.
            let (format, name) = unsafe {
                let names = &**schema.children.add(1);
                (std::ffi::CStr::from_ptr((*names.dictionary).format), std::ffi::CStr::from_ptr(names.name))
            };
            assert_eq!((format, name), (c"u", c"names"));
        }
    }

    #[test]
    fn empty_buffers_begin_where_something_is() {
        for buffer in [Buffer::Bytes(vec![]), Buffer::Fours(vec![]), Buffer::Eights(vec![])] {
            assert_eq!(start(&buffer).align_offset(8), 0);
            // SAFETY: `EMPTY` is longer.
            assert_eq!(unsafe { *start(&buffer).cast::<u64>() }, 0);
        }
    }
}
