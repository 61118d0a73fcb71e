//! A device: the pure node, its tokio driver and the DeviceAgent facade.
