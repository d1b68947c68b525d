//! Secrets for this run only.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::record::Secret;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<BTreeMap<String, Secret<String>>>);

impl Memory {
    pub(super) fn get(&self, name: &str) -> Option<Secret<String>> {
        self.all().get(name).cloned()
    }

    pub(super) fn set(&self, name: &str, value: &Secret<String>) {
        self.all().insert(name.to_owned(), value.clone());
    }

    pub(super) fn delete(&self, name: &str) -> bool {
        self.all().remove(name).is_some()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Secret<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
