//! The client of the device: finds it, pairs with it, backs it up.
