//! The exports of ABI v1. The one file of the SDK with `unsafe` (docs/decisions/0012).
//!
//! An exported module serves one call and is then dropped by its host, so its buffers are leaked.

#![allow(unsafe_code, reason = "docs/decisions/0012: the boundary takes an address and a length")]

/// Makes the crate a protocol module: exports ABI v1 for a type that is
/// [`ProtocolLifecycle`](crate::ProtocolLifecycle) and [`Described`](crate::Described), and places
/// its descriptor. Does nothing on other targets than wasm32, where the type is used natively.
#[macro_export]
macro_rules! export_protocol {
    ($protocol:ty) => {
        $crate::export_module!($protocol, protocol);
    };
}

/// Makes the crate a migration module: as [`export_protocol!`](crate::export_protocol) does, for a
/// type that is a [`Migration`](crate::Migration).
#[macro_export]
macro_rules! export_migration {
    ($migration:ty) => {
        $crate::export_module!($migration, migration);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_module {
    ($exported:ty, $dispatch:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const DESCRIPTOR: $crate::DescriptorConst =
                <$exported as $crate::Described>::DESCRIPTOR;

            // SAFETY: the bytes become a custom section, which no code reads.
            #[used]
            #[unsafe(link_section = "aura.descriptor")]
            static SECTION: [u8; DESCRIPTOR.encoded_len()] = DESCRIPTOR.encode();

            #[global_allocator]
            static ALLOCATOR: $crate::rt::WasmDynamicTalc =
                $crate::rt::new_wasm_dynamic_allocator();

            // SAFETY (of the names): the prefix is the ABI's own.
            #[unsafe(no_mangle)]
            extern "C" fn aura_abi_1() {}

            #[unsafe(no_mangle)]
            extern "C" fn aura_in(len: u32) -> u32 {
                $crate::rt::boundary::input_buffer(len)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn aura_step(address: u32, len: u32) -> u64 {
                // SAFETY: the host passes what `aura_in` returned for the same `len`.
                let input = unsafe { $crate::rt::boundary::input(address, len) };
                $crate::rt::boundary::output($crate::rt::dispatch::$dispatch::<$exported>(input))
            }

            #[panic_handler]
            fn panic(_: &::core::panic::PanicInfo<'_>) -> ! {
                ::core::arch::wasm32::unreachable()
            }
        };
    };
}

/// The functions behind the exports. An address is 32 bits wide only on this target.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod boundary {
    use alloc::vec::Vec;

    /// The address of `len` zeroed bytes that stay until the module is dropped.
    #[must_use]
    pub fn input_buffer(len: u32) -> u32 {
        alloc::vec![0u8; len as usize].leak().as_mut_ptr() as u32
    }

    /// The bytes that the host wrote into what [`input_buffer`] gave it.
    ///
    /// # Safety
    /// `address` was returned by `input_buffer(len)`, for the same `len`.
    #[must_use]
    pub unsafe fn input(address: u32, len: u32) -> &'static [u8] {
        // SAFETY: `input_buffer` leaked `len` initialised bytes at `address`, and nothing else in the
        // module knows of them.
        unsafe { core::slice::from_raw_parts(address as usize as *const u8, len as usize) }
    }

    /// Where the host finds the reply: `address | len << 32`.
    #[must_use]
    pub fn output(reply: Vec<u8>) -> u64 {
        let reply = reply.leak();
        (reply.as_ptr() as u64) | ((reply.len() as u64) << 32)
    }
}
