//! A script as a module.

/// Makes the crate a protocol module whose session is a script: the module that `session!` made, and
/// the name that `#[choreography(Name)]` made. Writes a type `Module`, which is a
/// [`ProtocolLifecycle`](crate::ProtocolLifecycle) and [`Described`](crate::Described), and exports it.
///
/// The descriptor is a [`DescriptorConst`](crate::DescriptorConst). Its session type is filled in from
/// the script: `session_types` is left empty.
#[macro_export]
macro_rules! export_choreography {
    ($session:path, $script:ident, $descriptor:expr) => {
        /// The script as its host sees it.
        pub struct Module($crate::choreography::Hosted);

        impl $crate::Described for Module {
            const DESCRIPTOR: $crate::DescriptorConst = {
                use $session as session;
                const TYPE: [u8; session::GLOBAL.text_len()] = session::GLOBAL.text();
                let described: $crate::DescriptorConst = $descriptor;
                described.with_session_types(&[&TYPE])
            };
        }

        impl $crate::ProtocolLifecycle for Module {
            fn descriptor() -> $crate::Descriptor {
                <Self as $crate::Described>::DESCRIPTOR.descriptor()
            }

            fn new() -> Self {
                Self($crate::choreography::Hosted::new(&$script))
            }

            fn restore(state: &[u8]) -> ::core::result::Result<Self, $crate::ProtocolError> {
                $crate::choreography::Hosted::restore(&$script, state).map(Self)
            }

            fn snapshot(&self) -> $crate::rt::Bytes {
                self.0.snapshot()
            }

            fn step(
                &mut self,
                input: $crate::ProtocolInput,
                _caps: &$crate::ProtocolCapabilities,
            ) -> ::core::result::Result<$crate::ProtocolStep, $crate::ProtocolError> {
                self.0.step(input)
            }
        }

        $crate::export_protocol!(Module);
    };
}
