//! What a channel has last said of its components, so that it says only what is new.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Intake, Setup, StatusReport};

/// See the file's head.
#[derive(Default)]
pub(super) struct Told(Mutex<HashMap<&'static str, &'static str>>);

impl Told {
    /// Passes a component's word on if it is another one than its last.
    pub(super) async fn tell<I: Intake>(&self, setup: &Setup<I>, report: StatusReport) {
        let before = {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert(report.component, report.kind)
        };
        if before != Some(report.kind) {
            setup.intake.status(&setup.id, report).await;
        }
    }

    /// Whether this was a component's last word.
    pub(super) fn is(&self, component: &'static str, kind: &'static str) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(component) == Some(&kind)
    }
}
