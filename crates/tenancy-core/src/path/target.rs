//! [`Target`]: the target of a request.

use std::borrow::Cow;

/// The target of a request, in the form that an adapter has: text or bytes. Text is faster, as it
/// is known to be UTF-8.
///
/// ```
/// use tenancy_core::Target;
/// assert_eq!(Target::from("/orders?page=2").as_bytes(), b"/orders?page=2");
/// assert_eq!(Target::from(b"/caf\xe9").as_bytes(), b"/caf\xe9");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Target<'p>(pub(super) Form<'p>);

#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'p> {
    Text(&'p str),
    Bytes(&'p [u8]),
}

impl<'p> Target<'p> {
    /// Returns the bytes of the target.
    #[inline]
    pub fn as_bytes(self) -> &'p [u8] {
        match self.0 {
            Form::Text(text) => text.as_bytes(),
            Form::Bytes(bytes) => bytes,
        }
    }
}

impl<'p> From<&'p str> for Target<'p> {
    #[inline]
    fn from(text: &'p str) -> Self {
        Self(Form::Text(text))
    }
}

impl<'p> From<&'p String> for Target<'p> {
    #[inline]
    fn from(text: &'p String) -> Self {
        Self(Form::Text(text))
    }
}

impl<'p> From<&'p [u8]> for Target<'p> {
    #[inline]
    fn from(bytes: &'p [u8]) -> Self {
        Self(Form::Bytes(bytes))
    }
}

impl<'p> From<&'p Vec<u8>> for Target<'p> {
    #[inline]
    fn from(bytes: &'p Vec<u8>) -> Self {
        Self(Form::Bytes(bytes))
    }
}

impl<'p, const N: usize> From<&'p [u8; N]> for Target<'p> {
    #[inline]
    fn from(bytes: &'p [u8; N]) -> Self {
        Self(Form::Bytes(bytes))
    }
}

impl<'p> From<&'p Cow<'_, str>> for Target<'p> {
    #[inline]
    fn from(text: &'p Cow<'_, str>) -> Self {
        Self(Form::Text(text))
    }
}

impl<'p> From<&'p Cow<'_, [u8]>> for Target<'p> {
    #[inline]
    fn from(bytes: &'p Cow<'_, [u8]>) -> Self {
        Self(Form::Bytes(bytes))
    }
}
