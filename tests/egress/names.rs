use crate::case::Suite;
pub fn trials(_suite: &mut Suite) {}
