//! Placeholder.
use std::io;
/// Figures.
#[derive(Debug)]
pub struct Figures;
/// Measure.
pub fn measure() -> io::Result<Figures> {
    Ok(Figures)
}
impl Figures {
    /// Write.
    pub fn write(&self, _out: &mut impl io::Write, _json: bool) -> io::Result<()> {
        Ok(())
    }
    /// Ok.
    pub fn is_within_bounds(&self) -> bool {
        true
    }
}
