//! For systems other than Linux, where descriptors, threads and processes are not counted.

pub(crate) struct Census;

impl Census {
    pub(crate) fn take() -> Self {
        Self
    }

    pub(crate) fn assert_nothing_is_left(self) {}
}

pub(crate) fn start_smol() {}
