//! A table of every constructor, for tests that iterate over them.

use slabuf::{AllocError, Buffer, Pool};

/// The byte that [`CONSTRUCTORS`] fill with.
pub(crate) const FILL: u8 = 0x2A;

/// The contents that a constructor gives to a buffer of `n` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// `n` zeros.
    Zeros,
    /// `n` times [`FILL`].
    Filled,
    /// [`FILL`] once, then zeros.
    Prefix,
    /// `n` bytes, any of them stale.
    Stale,
    /// No bytes, and capacity for `n`.
    Room,
}

/// One constructor in its four forms.
pub(crate) struct Constructor {
    pub(crate) name: &'static str,
    pub(crate) gives: Gives,
    /// Whether it takes a length, so that any length can be requested.
    pub(crate) by_number: bool,
    pub(crate) on_pool: fn(&Pool, usize) -> Buffer,
    pub(crate) try_on_pool: fn(&Pool, usize) -> Result<Buffer, AllocError>,
    pub(crate) on_global: fn(usize) -> Buffer,
    pub(crate) try_on_global: fn(usize) -> Result<Buffer, AllocError>,
}

macro_rules! constructors {
    ($($gives:ident $by_number:literal $plain:ident $twin:ident |$n:ident| ($($argument:expr),*);)*) => {
        &[$(Constructor {
            name: stringify!($plain),
            gives: Gives::$gives,
            by_number: $by_number,
            on_pool: |pool, $n| pool.$plain($($argument),*),
            try_on_pool: |pool, $n| pool.$twin($($argument),*),
            on_global: |$n| Buffer::$plain($($argument),*),
            try_on_global: |$n| Buffer::$twin($($argument),*),
        }),*]
    };
}

/// Every constructor.
pub(crate) static CONSTRUCTORS: &[Constructor] = constructors! {
    Zeros true alloc try_alloc |n| (n);
    Filled true alloc_filled try_alloc_filled |n| (n, [FILL]);
    Stale true alloc_unsafe try_alloc_unsafe |n| (n);
    Stale true alloc_unsafe_slow try_alloc_unsafe_slow |n| (n);
    Room true with_capacity try_with_capacity |n| (n);
    Filled false copy_from_slice try_copy_from_slice |n| (&vec![FILL; n]);
    Filled false concat try_concat |n| (&[vec![FILL; n / 3], vec![], vec![FILL; n - n / 3]]);
    Prefix true concat_to_len try_concat_to_len |n| (&[[FILL]], n);
};

impl Constructor {
    /// Checks length, capacity and contents of a buffer that this constructor made for `n` bytes.
    pub(crate) fn check(&self, buffer: &Buffer, n: usize) {
        let name = self.name;
        let len = if self.gives == Gives::Room { 0 } else { n };
        assert_eq!(buffer.len(), len, "length of {name}({n})");
        assert!(buffer.capacity() >= n, "capacity of {name}({n})");
        let right = match self.gives {
            Gives::Zeros => super::is_zero(buffer),
            Gives::Filled => super::is_all(buffer, FILL),
            Gives::Prefix => buffer
                .split_first()
                .is_none_or(|(first, rest)| *first == FILL && super::is_zero(rest)),
            Gives::Stale | Gives::Room => true,
        };
        assert!(right, "contents of {name}({n})");
    }

    /// The four forms, called for `n` bytes.
    pub(crate) fn all_forms(&self, pool: &Pool, n: usize) -> [Buffer; 4] {
        [
            (self.on_pool)(pool, n),
            (self.try_on_pool)(pool, n).expect("memory for the test"),
            (self.on_global)(n),
            (self.try_on_global)(n).expect("memory for the test"),
        ]
    }
}
