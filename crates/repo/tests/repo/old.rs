//! Repositories of older versions can be read for ever.
