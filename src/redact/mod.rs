//! Placeholder: being written.
/// Stub.
#[derive(Clone, Debug)]
pub struct Redacted<T>(pub(crate) T);
impl<T> Redacted<T> {
    /// Stub.
    pub fn get(&self) -> &T {
        &self.0
    }
    /// Stub.
    pub fn into_inner(self) -> T {
        self.0
    }
}
