//! A script as a module.

/// Makes the crate a protocol module whose session is a script, given by the name that
/// `#[choreography(Name)]` made: writes a type `Module` that is a
/// [`ProtocolLifecycle`](crate::ProtocolLifecycle) and [`Described`](crate::Described), and exports it.
///
/// The descriptor is written as a [`DescriptorConst`](crate::DescriptorConst); the session type is
/// filled in from the script, so `session_types` is left empty.
///
/// ```ignore
/// export_choreography!(Poll, DescriptorConst { protocol: "poll", …, session_types: &[], … });
/// ```
#[macro_export]
macro_rules! export_choreography {
    ($script:ident, $descriptor:expr) => {
        /// The script as its host sees it.
        pub struct Module($crate::choreography::Hosted);

        impl $crate::Described for Module {
            const DESCRIPTOR: $crate::DescriptorConst = {
                let described: $crate::DescriptorConst = $descriptor;
                described.with_session_types(&[$script::TYPE.as_bytes()])
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
