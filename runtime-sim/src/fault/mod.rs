//! What goes wrong at registries (`simulation.md` 3.3): troubles, drawn per operation inside windows of
//! time, or said by a script.
//!
//! Draws are split per registry and class: what one registry suffers moves nothing elsewhere.

mod answer;
mod class;
mod trouble;
mod troubles;
mod window;

pub use answer::Early;
pub use class::{CLASSES, Class, Drawn, RegistryFaults};
pub use trouble::{Part, Place, Throttle, Trouble};
pub use troubles::{Scripted, Strike, Troubles};
pub use window::Window;
